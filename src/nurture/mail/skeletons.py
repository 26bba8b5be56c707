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

from nurture.mail.clouds import clouded
from nurture.mail.cutting import Skeleton, cut
from nurture.mail.faults import MessageFault
from nurture.mail.render import Rendered, Renderer, RenderJob, nearer
from nurture.mail.sandbox import MOMENT, Moment
from nurture.mail.seals import Sealer
from nurture.mail.watching import Lead, Watch

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
    {"text": "שלום עולם", "number": 0.25},
    {"text": "W" * 120 + " " + "i" * 134, "number": 10**14},
)
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
class _Kind:
    """What is known of the letters that differ in nothing but the lead and the touch."""

    #: The locale of what is printed, and the leads' day.
    near: Locale
    day: date
    asked: int = 0
    found: int = 0
    #: Where the questions begin.
    root: _Way = _UNKNOWN

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
        if way.used & (way.used - 1):
            return made
        try:
            if (whole := super().render(job)) == made:
                return made
        except MessageFault:
            kind.root = None
            raise
        log.warning("%s: a skeleton gave other bytes than the template; it is rendered in full now", job.message)
        kind.root = None
        return whole

    def _kind(self, job: RenderJob) -> _Kind:
        key = (
            job.message, job.language, job.fallback, job.tracked, job.opens, job.operational, job.today, job.sender,
            tuple(job.tags.items()), None if job.offer is None else repr(job.offer),
        )  # fmt: skip
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds = {one: it for one, it in list(self._kinds.items()) if it.day > job.today - _KEPT}
            if len(self._kinds) >= _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
            language = self.templates.language(
                self.templates.variant(job.message, job.language, job.fallback), job.fallback
            )
            kind = self._kinds[key] = _Kind(nearer(job.language, language), job.today)
        return kind

    def _quick(self, kind: _Kind, job: RenderJob) -> tuple[_Way, Rendered | None]:
        """What is known of leads like this one, and its letter from a skeleton, if there is one and it fits."""
        with kind.moment():
            try:
                way = kind.walk(job.lead)
                made = way.fill(job.lead, Sealer(self.keys, job.touch_id)) if isinstance(way, Skeleton) else None
            except Exception:  # whatever it is, the full rendering meets it too, and says where
                return None, None
            return way, made

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
            if skeleton is not None and not all(self._agrees(kind, skeleton, one) for one in _probed(kind, watch, job)):
                skeleton = None
        except Exception as reason:  # the same: the full rendering tells it where it is a fault
            skeleton = None
            log.debug("%s: not to be watched: %s", job.message, type(reason).__name__)
        kind.enter(watch.path, skeleton)
        watch.end()

    def _agrees(self, kind: _Kind, skeleton: Skeleton, job: RenderJob) -> bool:
        """Whether the skeleton gives what the template does; also where it says that it cannot."""
        with kind.moment():
            made = skeleton.fill(job.lead, Sealer(self.keys, job.touch_id))
        return made is None or made == super().render(job)


def _probed(kind: _Kind, watch: Watch, job: RenderJob) -> Iterator[RenderJob]:
    """`job` itself, and with other values for all that its letter only prints."""
    yield job
    for probe in _PROBES:
        lead = dict(job.lead)
        for name, value in job.lead.items():
            if type(value) in (str, int, float):
                other = {**lead, name: probe["text" if type(value) is str else "number"]}
                lead = other if _alike(kind, watch, other) else lead
        yield replace(job, lead=lead)


def _alike(kind: _Kind, watch: Watch, lead: Lead) -> bool:
    """Whether `lead` answers every question as the one that was watched."""
    with kind.moment():
        try:
            return all(question(lead) == answer for question, answer in watch.path)
        except Exception:  # no lead of this kind has such a value
            return False
