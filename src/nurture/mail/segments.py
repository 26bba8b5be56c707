"""How many segments a text message takes: the GSM 7-bit alphabet where it suffices, UCS-2 where not.

3GPP TS 23.038, sections 6.2.1 and 6.2.1.1 (the alphabet and its extension table), TS 23.040, section 9.2.3.24.1
(a concatenated message: six octets of each segment name its place).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Escape and a septet: two places, which stay in one segment.
_EXTENDED = frozenset("^{}\\[~]|€\f")


@dataclass(frozen=True)
class Length:
    """`units`: septets, or 16-bit units of UCS-2."""

    alphabet: str
    units: int
    segments: int

    def __str__(self) -> str:
        return f"{self.segments} segment{'' if self.segments == 1 else 's'} ({self.alphabet}, {self.units} characters)"


def length(text: str) -> Length:
    """What `text` takes; the empty text takes one segment."""
    if all(sign in _BASIC or sign in _EXTENDED for sign in text):
        return _packed("GSM-7", [2 if sign in _EXTENDED else 1 for sign in text], whole=160, part=153)
    return _packed("UCS-2", [2 if ord(sign) > 0xFFFF else 1 for sign in text], whole=70, part=67)


def _packed(alphabet: str, sizes: Iterable[int], *, whole: int, part: int) -> Length:
    """Signs of two units are not cut in two."""
    widths = list(sizes)
    units = sum(widths)
    if units <= whole:
        return Length(alphabet, units, 1)
    segments, room = 1, part
    for size in widths:
        if size > room:
            segments, room = segments + 1, part
        room -= size
    return Length(alphabet, units, segments)
