"""`nurture simulate`: the very engine from now on, on a copy in memory, on a clock that goes from due instant to due
instant as `nurture tick --until` does. No channel is called, and nothing is written to the real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush

from nurture.channels.recording import RecordingChannel
from nurture.db import Database
from nurture.engine import publishing
from nurture.engine.publishing import Published
from nurture.program.load import Loaded
from nurture.reading.counts import next_due
from nurture.rehearse.stage import Stage, stage_on
from nurture.rehearse.witness import Witness
from nurture.tokens import Keys

#: Something that happens at an instant; told the instant.
Deed = Callable[[datetime], None]


@dataclass(frozen=True)
class House:
    """What an installation decides, as far as it shows in the ledger: links, message ids, how long a click rests."""

    keys: Keys
    public_url: str
    bounce_address: str | None = None
    click_rest: timedelta = timedelta(seconds=30)


@dataclass
class Agenda:
    """What people will do, by instant; of one instant in the order in which it was entered."""

    _ahead: list[tuple[datetime, int, Deed]] = field(default_factory=list)
    _entered: int = 0

    def enter(self, at: datetime, deed: Deed) -> None:
        """`deed` happens at `at`."""
        heappush(self._ahead, (at, self._entered, deed))
        self._entered += 1

    def next(self) -> datetime | None:
        """The instant of the next deed."""
        return self._ahead[0][0] if self._ahead else None

    def play(self, now: datetime) -> None:
        """Do what is to be done by `now`."""
        while self._ahead and self._ahead[0][0] <= now:
            heappop(self._ahead)[2](now)


@dataclass
class Rehearsal:
    """One rehearsal of one program on one copy. `published`: what publishing the draft meant; None: the live one."""

    stage: Stage
    start: datetime
    until: datetime
    published: Published | None = None
    agenda: Agenda = field(default_factory=Agenda)
    #: Called after each instant, when what was sent and handed over is known: whoever answers enters it in the agenda.
    after: list[Deed] = field(default_factory=list)
    ticks: int = 0
    witness: Witness = field(init=False)

    def __post_init__(self) -> None:
        self.witness = Witness(self.stage.machine.db, self.start)

    def run(self, told: Callable[[datetime], None] | None = None) -> None:
        """Carry everybody from the start to the end; `told`: how far it has come."""
        machine, clock = self.stage.machine, self.stage.clock
        segments, now = machine.segments(), self.start
        while True:
            clock.at = now
            self.witness.at(now)
            self.agenda.play(now)
            for slug in segments:
                if not self.witness.idle(slug, now):  # an idle tick changes nothing, and there are many
                    machine.tick(slug, now)
                    self.ticks += 1
            for channel in machine.ways.values():
                if isinstance(channel, RecordingChannel):
                    channel.parcels.clear()
            for look in self.after:
                look(now)
            if told is not None:
                told(now)
            coming = [at for at in (next_due(machine, segments, now), self.agenda.next()) if at is not None]
            if not coming or max(min(coming), now) > self.until:
                break
            now = max(min(coming), now)
        clock.at = self.until

    def close(self) -> None:
        """Let go of the copy."""
        self.stage.close()


def rehearsal(db: Database, start: datetime, span: timedelta, house: House, draft: Loaded | None = None) -> Rehearsal:
    """A rehearsal on `db`, a copy; with `draft`, that program is published on it first, every segment."""
    stage = stage_on(db, start)
    machine = stage.machine
    machine.keys, machine.public_url = house.keys, house.public_url.rstrip("/")
    machine.bounce_address, machine.click_rest = house.bounce_address, house.click_rest
    for name, way in machine.ways.items():
        if not isinstance(way, RecordingChannel):
            setattr(machine, name, RecordingChannel(name))
    made = Rehearsal(stage, start, start + span)
    if draft is not None:
        slugs = sorted(draft.segments)
        made.published = machine.db.transact(
            lambda link: publishing.publish(link, machine.library, draft, slugs, start)
        )
    machine.live()
    return made
