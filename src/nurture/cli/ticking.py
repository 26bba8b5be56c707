"""Ticks, one or many, and what they did in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nurture import clock as clocks
from nurture.cli.speech import complain, counted, say, tell_table
from nurture.clock import VirtualClock
from nurture.engine.helping import help_or_tick
from nurture.engine.machine import Machine
from nurture.engine.reports import StepReport, TickReport
from nurture.engine.settle import SettleReport
from nurture.errors import SegmentBusy
from nurture.reading.counts import failures, next_due, tries, written
from nurture.reading.holds import holds

_COUNTS = ("due", "planned", "sent", "failed", "expired", "uncertain", "cancelled", "retrying", "handoffs")


@dataclass
class Ticking:
    """Ticks of some segments; totals by step, however many ticks there are."""

    machine: Machine
    segments: list[str]
    quiet: bool = False
    #: Done at the end of each tick; what it says.
    after: Callable[[Machine], list[str]] | None = None
    said: list[str] = field(default_factory=list)
    ticks: int = 0
    notices: int = 0
    begun: datetime | None = None
    ended: datetime | None = None
    settled: SettleReport = field(default_factory=SettleReport)
    steps: dict[tuple[str, str], StepReport] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    #: Messages sent for a run that carried the segment meanwhile.
    helped: Counter[str] = field(default_factory=Counter)
    down: dict[str, str] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether every segment was carried and every way out was open."""
        return not self.busy and not self.down

    def run(self, until: datetime | None) -> None:
        """One tick of each segment; with `until`, one at each due instant up to then."""
        self.begun = self.machine.now()
        while True:
            now = self.ended = self.machine.now()
            told = until is not None
            busy = [slug for slug in self.segments if not self._tick(slug, now, told=told)]
            for slug in busy:  # helping waits for others: what is free comes first
                self._help(slug, now, told=told)
            self.said += self.after(self.machine) if self.after is not None else []
            following = next_due(self.machine, self.segments, now) if until is not None else None
            if until is None or following is None or following > until:
                return
            self._wait(following)

    def _wait(self, until: datetime) -> None:
        clock = self.machine.clock
        if isinstance(clock, VirtualClock):
            clock.at = until
            return
        while (left := (until - clock.now()).total_seconds()) > 0:
            clocks.pause(min(left, 1.0))

    def _tick(self, slug: str, now: datetime, *, told: bool) -> bool:
        """One tick; False: another run carries the segment."""
        try:
            report = self.machine.tick(slug, now)
        except SegmentBusy:
            return False
        self._note(slug, report, told=told)
        return True

    def _help(self, slug: str, now: datetime, *, told: bool) -> None:
        """Help who carries the segment, and then a tick."""
        try:
            report, helped = help_or_tick(self.machine, slug, now)
        except SegmentBusy as problem:
            self.busy[slug] = str(problem)
            return
        if helped:
            self.helped[slug] += helped
        self._note(slug, report, told=told)

    def _note(self, slug: str, report: TickReport, *, told: bool) -> None:
        """Count it among all that was done."""
        self.ticks += 1
        self.notices += report.notices
        self.settled.add(report.settled)
        for step in report.steps:
            total = self.steps.setdefault((slug, step.step), StepReport(slug, step.step))
            _add(total, step)
            if step.channel_down:
                self.down[slug] = step.channel_down
        if told and not self.quiet:
            _tell_tick(report)

    def tell(self) -> None:
        """What was done, as tables and sentences."""
        rows = [_row(report) for report in self._ordered()]
        if rows:
            tell_table(rows, keep=("due", "sent"))
        elif not self.busy:
            say("Nobody was due.")
        for sentence in holds(self.machine, self.segments):
            say(sentence)
        for sentence in _settled(self.settled):
            say(sentence)
        if self.notices:
            say(f"{counted(self.notices, 'notice')} to sales.")
        for slug, sent in self.helped.items():
            say(f"{slug}: another run carried it; {counted(sent, 'message')} of that were sent from here.")
        for sentence in self.said:
            say(sentence)
        for row in failures(self.machine, self.segments, self.begun or self.machine.now()):
            said = f"{row['segment']}/{row['step']}: {counted(row['touches'], 'touch', 'touches')} failed"
            complain(f"{said}: {row['reason']}")
        again = tries(self.machine, self.segments, self.ended or self.machine.now())
        if again is not None:
            word = "touch is" if again["touches"] == 1 else "touches are"
            say(f"{again['touches']:,} {word} tried again, the first at {again['from']:%H:%M:%S}Z ({again['reason']}).")
        for slug, why in self.down.items():
            complain(f"{slug}: messages could not leave ({why}); they are kept, and the next ticks try again")
        for why in self.busy.values():
            complain(why)

    def as_dict(self) -> dict[str, Any]:
        """For programs: the same."""
        return {
            "from": written(self.begun), "to": written(self.ended), "ticks": self.ticks,
            "notices": self.notices,
            "settled": {
                "looked_at": self.settled.looked_at, "left": self.settled.left, "mql": self.settled.mql,
                "handoffs": self.settled.handoffs, "enrolled": self.settled.enrolled,
                "milestones": self.settled.milestones,
            },
            "steps": [
                {
                    "segment": report.segment, "step": report.step,
                    **{word: getattr(report, word) for word in _COUNTS}, "moved": report.moved.total(),
                    "deferred": report.deferred, "suppressed": report.suppressed,
                }
                for report in self._ordered()
            ],
            "helped": self.helped, "busy": self.busy, "down": self.down, "on hold": holds(self.machine, self.segments),
        }  # fmt: skip

    def _ordered(self) -> list[StepReport]:
        """By segment, and within it in the order of the sequence."""
        order = {
            (slug, step.id): place for slug in self.segments for place, step in enumerate(self.machine.steps(slug))
        }
        return sorted(
            self.steps.values(),
            key=lambda report: (report.segment, order.get((report.segment, report.step), 0)),
        )


def _add(total: StepReport, part: StepReport) -> None:
    for word in _COUNTS:
        setattr(total, word, getattr(total, word) + getattr(part, word))
    total.moved += part.moved
    total.deferred += part.deferred
    total.suppressed += part.suppressed


def _row(report: StepReport) -> dict[str, Any]:
    return {
        "segment": report.segment, "step": report.step, "due": report.due, "moved on": report.moved.total(),
        "planned": report.planned, "sent": report.sent, "deferred": _reasons(report.deferred),
        "suppressed": _reasons(report.suppressed),
        **{word: getattr(report, word) for word in _COUNTS[3:]},
    }  # fmt: skip


def _reasons(count: Counter[str]) -> str:
    return ", ".join(f"{reason} {number:,}" for reason, number in count.most_common())


def _settled(settled: SettleReport) -> list[str]:
    """What settling changed, in sentences."""
    lines = [f"{counted(number, 'lead')} entered {slug}." for slug, number in sorted(settled.enrolled.items())]
    lines += [f"{counted(settled.left, 'lead')} left a sequence."] if settled.left else []
    lines += [f"{counted(settled.mql, 'lead')} became MQL."] if settled.mql else []
    lines += [f"{counted(number, 'lead')} reached {name}." for name, number in sorted(settled.milestones.items())]
    return [*lines, f"{counted(settled.handoffs, 'hand-off')} opened."] if settled.handoffs else lines


def _tell_tick(report: TickReport) -> None:
    """One line of a tick that did something."""
    parts = [f"{report.settled.enrolled[report.segment]:,} entered"] if report.settled.enrolled[report.segment] else []
    for step in report.steps:
        done = [
            f"{getattr(step, word):,} {word}"
            for word in ("sent", "failed", "expired", "retrying")
            if getattr(step, word)
        ]
        done += [f"deferred: {_reasons(step.deferred)}"] if step.deferred else []
        done += [f"suppressed: {_reasons(step.suppressed)}"] if step.suppressed else []
        parts.append(f"{step.step} {', '.join(done) or f'{step.moved.total():,} moved on'}")
    if parts:
        say(f"{report.at:%Y-%m-%d %H:%M:%S}Z {report.segment}: {'; '.join(parts)}")
