"""A watched letter cut at its marks, and how the pieces are filled for another lead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape
from operator import itemgetter

from nurture.mail.render import LARGEST, Rendered, Written, subject_line
from nurture.mail.seals import Seal
from nurture.mail.watching import MARK, Hole, Lead, Watch, is_plain, shown
from nurture.tokens import Purpose

#: What may stand in an address whatever the letter does with it later.
_STRICT = re.compile(r"(?!.*utm_)[A-Za-z0-9_.@%~-]*[A-Za-z0-9_~-]", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\s(?:href|src|alt|title|id|value|name|content|(?:data|aria)-[a-z-]+)\s*=\s*(?:"[^"<>]*|'[^'<>]*)\Z""",
    re.IGNORECASE,
)
_IN_A_URL = re.compile(r"https?://[^\s<>\"']*\Z", re.IGNORECASE)
_NEAR_AN_ENTITY = re.compile(r"&[#\w]*\Z")


@dataclass
class Part:
    """Text with `%s` where a mark stands, and the marks' numbers in order."""

    form: str
    places: tuple[int, ...]

    def filled(self, values: Sequence[str]) -> str:
        return self.form % (itemgetter(*self.places)(values) if self.places else ())


@dataclass
class Skeleton:
    """A letter of some leads, but for what stands at its marks."""

    written: Written
    subject: Part
    html: Part
    text: Part
    #: By number what stands at a mark: a hole, or (purpose, item) of a token.
    marks: Sequence[Hole | tuple[Purpose, int]]
    #: The marks of holes that must be plain, and those that must be strict.
    plain: frozenset[int]
    strict: frozenset[int]
    used: int = 0

    def fill(self, lead: Lead, seal: Seal) -> Rendered | None:
        """The letter for `lead`; None where something that stands in it is not as plain as it must be."""
        values: list[str] = []
        texts: list[str] = []
        for number, what in enumerate(self.marks):
            if isinstance(what, tuple):
                html = text = seal(*what)
            else:
                value = what.of(lead)
                if type(value) is str:
                    text, html = value, value if value.isalnum() else shown(value)
                else:
                    html = shown(value)
                    text = unescape(html)
                if number in self.plain and not is_plain(text):
                    return None
                if number in self.strict and not _STRICT.fullmatch(text):
                    return None
            values.append(html)
            texts.append(text)
        was = self.written
        return Rendered(
            subject=subject_line(self.subject.filled(values), was.direction),
            html=self.html.filled(values),
            text=self.text.filled(texts),
            links=was.links,
            variant=was.variant,
            language=was.language,
        )


def cut(written: Written, watch: Watch) -> Skeleton | None:
    """The skeleton of what was written under a watch; None where a mark stands too near to what has a meaning."""
    # also what a macro or a captured block has printed and nobody prints: that it is there has been asked
    plain = {number for number, what in enumerate(watch.marks) if isinstance(what, Hole) and not what.plain}
    strict: set[int] = set()
    parts: list[Part] = []
    for name, whole in (("subject", written.subject), ("html", written.html), ("text", written.text)):
        pieces = MARK.split(whole)
        numbers = tuple(int(number) for number in pieces[1::2])
        parts.append(Part("%s".join(piece.replace("%", "%%") for piece in pieces[::2]), numbers))
        for place, number in enumerate(numbers):
            hole = watch.marks[number]
            if name == "subject" or not isinstance(hole, Hole):
                continue
            before = "x".join(pieces[: 2 * place + 1 : 2])
            if _touchy(before, pieces[2 * place + 2]):
                return None
            if _needs_care(before) if name == "text" else _in_a_tag(before):
                if name == "html" and not _ATTRIBUTE.search(before):
                    return None
                strict.add(number)
    if sum(len(part.form) + 1_600 * len(part.places) for part in parts) > LARGEST:
        return None
    subject, html, text = parts
    bare = replace(written, subject="", html="", text="")
    return Skeleton(bare, subject, html, text, watch.marks, frozenset(plain), frozenset(strict))


def _touchy(before: str, after: str) -> bool:
    """Whether a value here could become part of an entity or of an address."""
    return bool(_NEAR_AN_ENTITY.search(before[-40:])) or after.startswith("://")


def _needs_care(before: str) -> bool:
    """Whether what follows stands in an address."""
    return bool(_IN_A_URL.search(before[-2_000:]))


def _in_a_tag(before: str) -> bool:
    return before.rfind("<") > before.rfind(">")
