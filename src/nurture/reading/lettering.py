"""Lines of text for a drawing: how wide they are without a font at hand, and where they are broken."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

INK = "#1d2733"
#: Widths of characters in parts of the size, of a common sans-serif face, a little generous.
_WIDTHS = {
    **dict.fromkeys("iljI.,:;|!'’‘`", 0.30), **dict.fromkeys('frt()[]{}/\\-" “”·', 0.38),
    **dict.fromkeys("mwMW@%—…", 0.92), **dict.fromkeys("ABCDEFGHKLNOPQRSTUVXYZ&", 0.72),
}  # fmt: skip


@dataclass(frozen=True)
class Text:
    """A line of text: size, weight and ink."""

    words: str
    size: float
    ink: str = INK
    bold: bool = False

    @property
    def width(self) -> float:
        return measure(self.words, self.size, bold=self.bold)


def measure(words: str, size: float, *, bold: bool = False) -> float:
    """How wide `words` are, in pixels."""
    units = sum(
        0.0
        if unicodedata.combining(sign)
        else 1.0
        if unicodedata.east_asian_width(sign) in "WF"
        else _WIDTHS.get(sign, 0.57)
        for sign in words
    )
    return units * size * (1.07 if bold else 1.0)


def wrapped(words: str, size: float, width: float, *, bold: bool = False, most: int = 5) -> list[str]:
    """`words` in even lines of at most `width` pixels; a longer word is broken, and what is too much is cut."""
    lines = _broken(words, size, width, bold)
    narrower = width * 0.95
    while len(lines) > 1 and len(tighter := _broken(words, size, narrower, bold)) == len(lines):
        lines, narrower = tighter, narrower * 0.95
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1].rstrip('.,; ')} …"]


def _broken(words: str, size: float, width: float, bold: bool) -> list[str]:
    lines: list[str] = [""]
    for word in words.split():
        joined = f"{lines[-1]} {word}".strip()
        if measure(joined, size, bold=bold) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for sign in word:
            if measure(lines[-1] + sign, size, bold=bold) > width:
                lines.append("")
            lines[-1] += sign
    return lines
