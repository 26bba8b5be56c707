"""Three weeks on a compressed clock: it stops where something is due, but rests between two ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nurture.channels.mailbox import KeptMail
from nurture.clock import VirtualClock
from nurture.demo.agenda import Agenda
from nurture.demo.audience import Audience
from nurture.demo.house import told
from nurture.demo.letters import opened
from nurture.demo.sales import SalesTeam
from nurture.demo.website import EVERY, Website
from nurture.engine.machine import Machine

#: Virtual time between two ticks at least.
FUSE = timedelta(minutes=90)
#: So long before its runs everything is left to Prefect.
LEFT_TO_PREFECT = timedelta(hours=5)


@dataclass
class Play:
    """Carries the story on. `rounds`: instants at which `prefect` runs all segments instead of a tick.

    `seen` is told the virtual time as it passes.
    """

    machine: Machine
    clock: VirtualClock
    mail: KeptMail
    agenda: Agenda
    audience: Audience
    sales: SalesTeam
    website: Website
    segments: Sequence[str]
    seen: Callable[[datetime], None] = lambda _: None
    rounds: list[datetime] = field(default_factory=list)
    prefect: Callable[[datetime], None] | None = None
    ticks: int = 0

    def run(self, until: datetime) -> None:
        """Carry on until nothing is left to do before `until`."""
        self._plan_exports(until)
        last = self.clock.now() - FUSE
        while True:
            earliest = last + FUSE
            deed = self.agenda.next_at
            if deed is not None and deed <= earliest and deed < until:
                self._do_next()
                continue
            due, is_round = self._next_tick(earliest)
            if deed is not None and deed < min(until, due or until):
                self._do_next()
                continue
            if due is None or due >= until:
                break
            self.clock.at = max(self.clock.at, due)
            last = self.clock.at
            self._round(last) if is_round else self.tick(last)
            self._read_mail()
            self.seen(last)
        self.clock.at = until
        self.website.export(until)
        self.tick(until)
        self.seen(until)

    def _next_tick(self, earliest: datetime) -> tuple[datetime | None, bool]:
        """When the next tick is worth its while, and whether Prefect does it."""
        due = self.machine.next_due()
        at = max(due, earliest) if due is not None else None
        ahead = self.rounds[0] if self.rounds else None
        if ahead is not None and (at is None or at > ahead - LEFT_TO_PREFECT):
            return max(ahead, earliest), True
        return at, False

    def _round(self, now: datetime) -> None:
        assert self.prefect is not None
        self.rounds.pop(0)
        self.prefect(now)

    def tick(self, now: datetime) -> None:
        """Settle for all; then each segment in which somebody stands due."""
        self.machine.settle(now)
        waiting = [segment for segment in self.segments if self.machine.waiting(segment, now)]
        for segment in waiting:
            self.machine.tick(segment, now)
        if not waiting:
            self.machine.drain(now)
        self.ticks += 1

    def _read_mail(self) -> None:
        for kept in self.mail.new():
            letter = opened(kept)
            if self.sales.is_for(letter):
                self.sales.read(letter)
            else:
                self.audience.read(letter)

    def _do_next(self) -> None:
        """One deed of the audience; the notices that it causes are out, and are read."""
        self.agenda.do_next()
        told(self.machine)
        self._read_mail()

    def _plan_exports(self, until: datetime) -> None:
        at = self.clock.now() + EVERY
        while at < until:
            self.agenda.put(at, lambda at=at: self.website.export(at))  # type: ignore[misc]
            at += EVERY
