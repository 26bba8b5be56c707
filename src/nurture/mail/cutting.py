"""A watched letter cut at its marks, and how the pieces are filled for another lead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape
from operator import itemgetter
from typing import TypeVar

from nurture.mail.bodies import LONGEST_LINE, is_tame
from nurture.mail.render import LARGEST, Rendered, Written, subject_line
from nurture.mail.seals import Seal
from nurture.mail.watching import MARK, Hole, Lead, Watch, is_plain, shown
from nurture.tokens import TOKEN, Purpose

Item = TypeVar("Item")
#: What may stand in an address whatever the letter does with it later.
_STRICT = re.compile(r"(?!.*utm_)[A-Za-z0-9_.@%~-]*[A-Za-z0-9_~-]", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\s(?:href|src|alt|title|id|value|name|content|(?:data|aria)-[a-z-]+)\s*=\s*(?:"[^"<>]*|'[^'<>]*)\Z""",
    re.IGNORECASE,
)
_IN_A_URL = re.compile(r"https?://[^\s<>\"']*\Z", re.IGNORECASE)
_NEAR_AN_ENTITY = re.compile(r"&[#\w]*\Z")


class Part:
    """Text with marks in it: its pieces between them, and what is put there."""

    def __init__(self, pieces: Sequence[str], places: Sequence[int], sealed: int, values: int) -> None:
        """`places`: of each mark the place of its value among `values`, of which the first `sealed` are tokens."""
        self.pieces, self.places = tuple(pieces), tuple(places)
        self._woven = itemgetter(*_woven(range(values, values + len(pieces)), places)) if places else None
        bare = "".join(_woven(pieces, ["x" * TOKEN if place < sealed else "" for place in places]))
        #: With so many characters it is tame, whatever stands at its marks; 0: nobody knows.
        self.room = len(bare) + LONGEST_LINE - max(map(len, bare.split("\n"))) if is_tame(bare) else 0

    def filled(self, values: tuple[str, ...]) -> str:
        """The text with `values` at its marks."""
        return self.pieces[0] if self._woven is None else "".join(self._woven(values + self.pieces))

    def largest(self, most: int) -> int:
        """Characters that it has at most if none of its values has more than `most`."""
        return sum(map(len, self.pieces)) + most * len(self.places)


@dataclass
class Skeleton:
    """A letter of some leads, but for what stands at its marks."""

    written: Written
    subject: Part
    html: Part
    text: Part
    #: What stands at its marks: (purpose, item) of tokens, then holes, with whether they must be plain, and strict.
    tokens: Sequence[tuple[Purpose, int]]
    holes: Sequence[tuple[Hole, bool, bool]]
    used: int = 0

    def fill(self, lead: Lead, seal: Seal) -> Rendered | None:
        """The letter for `lead`; None where something that stands in it is not as plain as it must be."""
        values = [seal(*token) for token in self.tokens]
        texts = values.copy()
        for hole, plain, strict in self.holes:
            value = hole.of(lead)
            if type(value) is str:
                text, html = value, value if value.isalnum() else shown(value)
            else:
                html = shown(value)
                text = unescape(html)
            if (plain and not (is_plain(text) and _alone(text, html))) or (strict and not _STRICT.fullmatch(text)):
                return None
            values.append(html)
            texts.append(text)
        was, found = self.written, tuple(values)
        html, text = self.html.filled(found), self.text.filled(tuple(texts))
        return Rendered(
            subject_line(self.subject.filled(found), was.direction), html, text, was.links, was.variant, was.language,
            len(html) <= self.html.room and len(text) <= self.text.room,
        )  # fmt: skip


def cut(written: Written, watch: Watch) -> Skeleton | None:
    """The skeleton of what was written under a watch; None where a mark stands too near to what has a meaning."""
    tokens = [(number, what) for number, what in enumerate(watch.marks) if not isinstance(what, Hole)]
    holes = [(number, what) for number, what in enumerate(watch.marks) if isinstance(what, Hole)]
    place_of = {number: place for place, (number, _) in enumerate((*tokens, *holes))}
    strict: set[int] = set()
    parts: list[Part] = []
    for name, whole in (("subject", written.subject), ("html", written.html), ("text", written.text)):
        pieces = MARK.split(whole)
        numbers = [int(number) for number in pieces[1::2]]
        pieces = pieces[::2]
        parts.append(Part(pieces, [place_of[number] for number in numbers], len(tokens), len(watch.marks)))
        for place, number in enumerate(numbers):
            if name == "subject" or place_of[number] < len(tokens):
                continue
            before = "x".join(pieces[: place + 1])
            if _touchy(before, pieces[place + 1]):
                return None
            if _needs_care(before) if name == "text" else _in_a_tag(before):
                if name == "html" and not _ATTRIBUTE.search(before):
                    return None
                strict.add(number)
    if sum(part.largest(1_600) for part in parts) > LARGEST:
        return None
    subject, html, text = parts
    bare = replace(written, subject="", html="", text="")
    # also what a macro or a captured block has printed and nobody prints: that it is there has been asked
    values = [(hole, not hole.plain, number in strict) for number, hole in holes]
    return Skeleton(bare, subject, html, text, [token for _, token in tokens], values)


def _alone(text: str, html: str) -> bool:
    """Whether what was computed is a text, without elements and addresses, which a text part shows otherwise."""
    return "://" not in text and html == shown(text)


def _woven(pieces: Sequence[Item], values: Sequence[Item]) -> list[Item]:
    """Pieces and values in turn; of pieces there is one more."""
    return [*(one for pair in zip(pieces, values, strict=False) for one in pair), pieces[-1]]


def _touchy(before: str, after: str) -> bool:
    """Whether a value here could become part of an entity or of an address."""
    return bool(_NEAR_AN_ENTITY.search(before[-40:])) or after.startswith("://")


def _needs_care(before: str) -> bool:
    """Whether what follows stands in an address."""
    return bool(_IN_A_URL.search(before[-2_000:]))


def _in_a_tag(before: str) -> bool:
    return before.rfind("<") > before.rfind(">")
