"""Subjects of two directions, ordered as they are meant (Unicode Standard Annex 9, sections 2.4.2, 2.6 and 3.3.2).

HTML has `dir` and `<bdi>` for this; a header has nothing but characters. A program that shows a subject takes its
direction from the first strong letter (rules P2 and P3), and a name in another script carries the signs around it away.
"""

from __future__ import annotations

from typing import TypeVar
from unicodedata import bidirectional

Text = TypeVar("Text", bound=str)

_ISOLATE, _END = "\u2068", "\u2069"
_MARKS = {"ltr": "\u200e", "rtl": "\u200f"}
_CONTROLS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_CONTROL_SIGNS = frozenset(map(chr, _CONTROLS))
_STRONG = {"L": "ltr", "R": "rtl", "AL": "rtl"}
#: Classes of the letters that run the other way.
_AGAINST = {"ltr": frozenset({"R", "AL"}), "rtl": frozenset({"L"})}
_OPENERS, _CLOSER = ("LRI", "RLI", "FSI"), "PDI"


def isolated(value: Text, direction: str) -> Text:
    """`value` as it stands in a subject of `direction`: isolated (FSI … PDI) if it holds letters of the other one."""
    if direction == "ltr" and value.isascii():
        return value
    other = not _AGAINST[direction].isdisjoint(map(bidirectional, value))
    if not _CONTROL_SIGNS.isdisjoint(value):  # in data they would turn what stands after them
        value = type(value)(value.translate(_CONTROLS))
    return type(value)(f"{_ISOLATE}{value}{_END}") if other else value


def led(subject: str, direction: str) -> str:
    """`subject` so that readers take it for `direction`: behind a mark (LRM, RLM) if it begins with the other one."""
    if direction == "ltr" and subject.isascii():
        return subject
    depth = 0
    for sign in subject:
        kind = bidirectional(sign)
        depth += (kind in _OPENERS) - (kind == _CLOSER)
        if depth == 0 and kind in _STRONG:
            return subject if _STRONG[kind] == direction else _MARKS[direction] + subject
    return subject
