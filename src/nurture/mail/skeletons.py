"""Letters from skeletons: what a template makes is found once for all who answer its questions alike.

A skeleton is the letter of one watched rendering (`watching`), cut at its marks. It is used for a lead only if the
lead answers every question as that one did, and if what stands at the marks is plain. Before it is used at all, and
again after its 2nd, 4th, 8th … letter, what it gives is compared byte for byte with the full rendering.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from itertools import pairwise
from typing import Any

from babel import Locale

from nurture.mail.clouds import clouded
from nurture.mail.faults import MessageFault
from nurture.mail.render import LARGEST, Rendered, Renderer, RenderJob, Written, nearer, subject_line
from nurture.mail.sandbox import MOMENT, Moment
from nurture.mail.seals import Seal, Sealer
from nurture.mail.watching import MARK, PLAIN, Hole, Lead, Watch, shown
from nurture.tokens import Purpose

log = logging.getLogger("nurture.mail")
#: Letters of one kind that are rendered in full before it is worth while to watch one.
FULL_FIRST = 8
#: Skeletons of one kind of letter, and kinds of one renderer, beyond which letters are rendered in full.
_MOST_SKELETONS, _MOST_KINDS = 64, 512
#: Values that a skeleton is tried with: in place of every text and number that the letter only prints.
_PROBES: tuple[Mapping[str, Any], ...] = (
    {"text": "x", "number": 7},
    {"text": 'Ünal & <b>O\'Neil</b> "Söhne" 東京 Ltd.', "number": 1234567.5},
    {"text": "Zz9", "number": -3},
)
#: What may stand in an attribute whatever the letter does with it later.
_STRICT = re.compile(r"[A-Za-z0-9_.@%~-]+")
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
        return self.form % tuple([values[number] for number in self.places])


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
                html = shown(value)
                text = value if type(value) is str else unescape(html)
                if number in self.plain and not PLAIN.fullmatch(text):
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


@dataclass
class _Fork:
    """A question, and where each answer leads; None: to the full rendering."""

    question: Callable[[Lead], Hashable]
    ways: dict[Hashable, _Fork | Skeleton | None] = field(default_factory=dict)


_Way = _Fork | Skeleton | None
_UNKNOWN: Any = object()


@dataclass
class _Kind:
    """What is known of the letters that differ in nothing but the lead and the touch."""

    #: The locale of what is printed.
    near: Locale
    asked: int = 0
    found: int = 0
    #: Where the questions begin.
    root: _Way = _UNKNOWN

    def walk(self, lead: Lead) -> _Way:
        """The skeleton for `lead`; None: it is to be rendered in full; `_UNKNOWN`: nobody like it was watched."""
        way = self.root
        while isinstance(way, _Fork):
            way = way.ways.get(way.question(lead), _UNKNOWN)
        return way

    def enter(self, path: Sequence[tuple[Callable[[Lead], Hashable], Hashable]], end: Skeleton | None) -> None:
        """Whoever answers as `path` says gets `end`."""
        if not path:
            self.root = end
            return
        if not isinstance(self.root, _Fork):
            self.root = _Fork(path[0][0])
        fork = self.root
        for (_, answer), (question, _) in pairwise(path):
            further = fork.ways.get(answer, _UNKNOWN)
            if not isinstance(further, _Fork):
                further = fork.ways[answer] = _Fork(question)
            fork = further
        fork.ways[path[-1][1]] = end


class QuickRenderer(Renderer):
    """A renderer for many letters: the same bytes, most of them from skeletons."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._kinds: dict[Hashable, _Kind] = {}

    def render(self, job: RenderJob) -> Rendered:
        """The message of `job`, as `Renderer` makes it; raises TemplateFault with file and line."""
        kind = self._kind(job)
        kind.asked += 1
        if kind.asked <= FULL_FIRST:
            return super().render(job)
        way, made = self._quick(kind, job)
        if way is _UNKNOWN:
            self._learn(kind, job)
            return super().render(job)
        if made is None or not isinstance(way, Skeleton):
            return super().render(job)
        way.used += 1
        if way.used & (way.used - 1) == 0 and (whole := super().render(job)) != made:
            log.warning("%s: a skeleton gave other bytes than the template; it is rendered in full now", job.message)
            kind.root = None
            return whole
        return made

    def _kind(self, job: RenderJob) -> _Kind:
        key = (
            job.message, job.language, job.fallback, job.tracked, job.opens, job.operational, job.today, job.sender,
            tuple(job.tags.items()), None if job.offer is None else repr(job.offer),
        )  # fmt: skip
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            language = self.templates.language(
                self.templates.variant(job.message, job.language, job.fallback), job.fallback
            )
            kind = self._kinds[key] = _Kind(nearer(job.language, language))
        return kind

    def _quick(self, kind: _Kind, job: RenderJob) -> tuple[_Way, Rendered | None]:
        """What is known of leads like this one, and its letter from a skeleton, if there is one and it fits."""
        before = MOMENT.set(Moment(kind.near, str))
        try:
            way = kind.walk(job.lead)
            if not isinstance(way, Skeleton):
                return way, None
            return way, way.fill(job.lead, Sealer(self.keys, job.touch_id))
        except Exception:  # whatever it is, the full rendering meets it too, and says where
            return None, None
        finally:
            MOMENT.reset(before)

    def _learn(self, kind: _Kind, job: RenderJob) -> None:
        """Find the skeleton for all who answer as the lead of `job` does, or that there is none."""
        if kind.found >= _MOST_SKELETONS:
            return
        kind.found += 1
        watch, skeleton = Watch(job.lead), None
        try:
            variant = self.templates.variant(job.message, job.language, job.fallback)
            if not clouded(self.templates.sandbox.read(name) for name in self.templates.made_of(variant)):
                skeleton = cut(self.write(job, watch, watch), watch)
        except Exception as reason:  # the same: the full rendering tells it where it is a fault
            log.debug("%s: not to be watched: %r", job.message, reason)
        kind.enter(watch.path, skeleton)
        if skeleton is not None and not all(self._agrees(kind, one) for one in _probed(kind, skeleton, job)):
            kind.enter(watch.path, None)

    def _agrees(self, kind: _Kind, job: RenderJob) -> bool:
        """Whether the skeleton gives what the template does; also where it says that it cannot."""
        made = self._quick(kind, job)[1]
        try:
            return made is None or made == super().render(job)
        except MessageFault:
            return False


def _probed(kind: _Kind, skeleton: Skeleton, job: RenderJob) -> Iterator[RenderJob]:
    """`job` itself, and with other values for all that its letter only prints."""
    yield job
    for probe in _PROBES:
        lead = dict(job.lead)
        for name, value in job.lead.items():
            if type(value) in (str, int, float):
                other = {**lead, name: probe["text" if type(value) is str else "number"]}
                lead = other if kind.walk(other) is skeleton else lead
        yield replace(job, lead=lead)


def cut(written: Written, watch: Watch) -> Skeleton | None:
    """The skeleton of what was written under a watch; None where a mark stands too near to what has a meaning."""
    plain: set[int] = set()
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
            if not hole.plain:
                plain.add(number)
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
    return Skeleton(written, subject, html, text, watch.marks, frozenset(plain), frozenset(strict))


def _touchy(before: str, after: str) -> bool:
    """Whether a value here could become part of an entity or of an address."""
    return bool(_NEAR_AN_ENTITY.search(before[-40:])) or after.startswith("://")


def _needs_care(before: str) -> bool:
    """Whether what follows stands in an address."""
    return bool(_IN_A_URL.search(before[-2_000:]))


def _in_a_tag(before: str) -> bool:
    return before.rfind("<") > before.rfind(">")
