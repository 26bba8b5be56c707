"""Letters from skeletons: what a template makes is found once for all who answer its questions alike.

A skeleton is the letter of one watched rendering (`watching`), cut at its marks. It is used for a lead only if the
lead answers every question as that one did, and if what stands at the marks is plain. Before it is used at all, and
again after its 2nd, 4th, 8th … letter, what it gives is compared byte for byte with the full rendering.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from babel import Locale

from nurture.mail.bodies import is_tame
from nurture.mail.clouds import clouded
from nurture.mail.cutting import Skeleton, cut
from nurture.mail.faults import MessageFault
from nurture.mail.filters import LOCAL
from nurture.mail.render import Rendered, Renderer, RenderJob, nearer
from nurture.mail.sandbox import MOMENT, Moment
from nurture.mail.seals import Seal, Sealer
from nurture.mail.watching import Lead, Watch

log = logging.getLogger("nurture.mail")
#: Letters of one kind that are rendered in full before it is worth while to watch one.
FULL_FIRST = 8
#: Skeletons of one kind of letter, and kinds of one renderer, beyond which letters are rendered in full.
_MOST_SKELETONS, _MOST_KINDS = 64, 512
#: Values that a skeleton is tried with: in place of every text and number that the letter only prints.
_PROBES: tuple[Mapping[str, Any], ...] = (
    {"text": "x", "number": 7, "date": date(2026, 5, 1)},
    {"text": 'Ünal & <b>O\'Neil</b> "Söhne" 東京 Ltd.', "number": 1234567.5, "date": date(2024, 12, 31)},
    {"text": "Zz9 / 7, a; b | c - www.d", "number": -3, "date": date(1999, 9, 9)},
    {"text": "שלום עולם", "number": 0.25, "date": date(2027, 11, 30)},
    {"text": "W" * 120 + " " + "i" * 134, "number": 10**14, "date": date(2026, 9, 23)},
)
#: Which of a probe's a value is replaced by.
_LIKE: Mapping[type, str] = {str: "text", int: "number", float: "number", date: "date"}
#: Days for which letters of a day are kept.
_KEPT = timedelta(days=2)


@dataclass
class _Fork:
    """A question, and where each answer leads; None: to the full rendering."""

    question: Callable[[Lead], Hashable]
    ways: dict[Hashable, _Fork | Skeleton | None] = field(default_factory=dict)


_Way = _Fork | Skeleton | None
_UNKNOWN: Any = object()


@dataclass
class Kind:
    """What is known of the letters that can differ in nothing but the lead and the touch."""

    #: The locale of what is printed, and the last day of a lead that was written to.
    near: Locale
    day: date
    asked: int = 0
    found: int = 0
    #: Where the questions begin.
    root: _Way = _UNKNOWN

    #: Some question or value is computed by filters, which ask what moment it is.
    computes: bool = False

    @contextmanager
    def moment(self) -> Iterator[None]:
        """What filters find when a question is asked, or a value computed."""
        before = MOMENT.set(Moment(self.near, str))
        try:
            yield
        finally:
            MOMENT.reset(before)

    def walk(self, lead: Lead) -> _Way:
        """The skeleton for `lead`; None: it is to be rendered in full; `_UNKNOWN`: nobody like it was watched."""
        way = self.root
        while isinstance(way, _Fork):
            way = way.ways.get(way.question(lead), _UNKNOWN)
        return way

    def filled(self, lead: Lead, seal: Seal) -> tuple[_Way, Rendered | None]:
        """Where the answers of `lead` lead to, and its letter if that is a skeleton which fits."""
        way = self.walk(lead)
        return way, way.fill(lead, seal) if isinstance(way, Skeleton) else None

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
        self._kinds: dict[Hashable, Kind] = {}

    def render(self, job: RenderJob) -> Rendered:
        """The message of `job`, as `Renderer` makes it; raises TemplateFault with file and line."""
        return self.render_for(self.kind(job), job, job.lead, Sealer(self.keys, job.touch_id))

    def render_for(self, kind: Kind, job: RenderJob, lead: Lead, seal: Sealer) -> Rendered:
        """The message of `job`, which is of this kind, for another lead and the touch of `seal`."""
        kind.asked += 1
        if kind.asked <= FULL_FIRST:
            return self._whole(job, lead, seal)
        way, made = self._quick(kind, lead, seal)
        if way is _UNKNOWN:
            self._learn(kind, replace(job, lead=lead, touch_id=seal.touch))
            return self._whole(job, lead, seal)
        if made is None or not isinstance(way, Skeleton):
            return self._whole(job, lead, seal)
        way.used += 1
        if way.used & (way.used - 1):
            return made
        try:
            if _same(made, whole := self._whole(job, lead, seal)):
                return made
        except MessageFault:
            kind.root = None
            raise
        log.warning("%s: a skeleton gave other bytes than the template; it is rendered in full now", job.message)
        kind.root = None
        return whole

    def kind(self, job: RenderJob) -> Kind:
        """What is known of letters like that of `job`. Raises TemplateFault."""
        variant = self.templates.variant(job.message, job.language, job.fallback)
        said = self.templates.compiled(variant).said
        near = nearer(job.language, self.templates.language(variant, job.fallback))
        key = (
            variant, job.fallback, job.tracked, job.opens, job.operational, tuple(job.tags.items()),
            None if LOCAL.isdisjoint(said) else str(near), job.sender if "sender" in said else None,
            job.today if "today" in said else None, None if job.offer is None else repr(job.offer),
        )  # fmt: skip
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds = {one: it for one, it in list(self._kinds.items()) if it.day > job.today - _KEPT}
            if len(self._kinds) >= _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
            kind = self._kinds[key] = Kind(near, job.today)
        kind.day = max(kind.day, job.today)
        return kind

    def _whole(self, job: RenderJob, lead: Lead, seal: Sealer) -> Rendered:
        """The message as its templates make it."""
        return super().render(replace(job, lead=lead, touch_id=seal.touch))

    def _quick(self, kind: Kind, lead: Lead, seal: Sealer) -> tuple[_Way, Rendered | None]:
        """What is known of leads like this one, and its letter from a skeleton, if there is one and it fits."""
        try:
            if kind.computes:
                with kind.moment():
                    return kind.filled(lead, seal)
            return kind.filled(lead, seal)
        except Exception:  # whatever it is, the full rendering meets it too, and says where
            return None, None

    def _learn(self, kind: Kind, job: RenderJob) -> None:
        """Find the skeleton for all who answer as the lead of `job` does, or that there is none."""
        if kind.found >= _MOST_SKELETONS:
            return
        kind.found += 1
        watch, skeleton = Watch(job.lead), None
        try:
            variant = self.templates.variant(job.message, job.language, job.fallback)
            if not clouded(self.templates.sandbox.read(name) for name in self.templates.made_of(variant)):
                skeleton = cut(self.write(job, watch, watch), watch)
            if skeleton is not None and not all(self._agrees(kind, skeleton, one) for one in _probed(kind, watch, job)):
                skeleton = None
        except Exception as reason:  # the same: the full rendering tells it where it is a fault
            skeleton = None
            log.debug("%s: not to be watched: %s", job.message, type(reason).__name__)
        kind.computes |= watch.computes
        kind.enter(watch.path, skeleton)
        watch.end()

    def _agrees(self, kind: Kind, skeleton: Skeleton, job: RenderJob) -> bool:
        """Whether the skeleton gives what the template does; also where it says that it cannot."""
        with kind.moment():
            made = skeleton.fill(job.lead, Sealer(self.keys, job.touch_id))
        return made is None or _same(made, super().render(job))


def _same(made: Rendered, whole: Rendered) -> bool:
    """Whether a letter from a skeleton is the one that was rendered in full, and as tame as it says."""
    return made == whole and (not made.tame or (is_tame(whole.html) and is_tame(whole.text)))


def _probed(kind: Kind, watch: Watch, job: RenderJob) -> Iterator[RenderJob]:
    """`job` itself, and with other values for all that its letter only prints."""
    yield job
    for probe in _PROBES:
        lead = dict(job.lead)
        for name, value in job.lead.items():
            if type(value) in _LIKE:
                other = {**lead, name: probe[_LIKE[type(value)]]}
                lead = other if _alike(kind, watch, other) else lead
        yield replace(job, lead=lead)


def _alike(kind: Kind, watch: Watch, lead: Lead) -> bool:
    """Whether `lead` answers every question as the one that was watched."""
    with kind.moment():
        try:
            return all(question(lead) == answer for question, answer in watch.path)
        except Exception:  # no lead of this kind has such a value
            return False
