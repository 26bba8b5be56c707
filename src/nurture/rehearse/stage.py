"""A stage for rehearsals: an in-memory database, a clock that stops at every due instant, channels that record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from nurture import tokens
from nurture.channels.recording import RecordingChannel
from nurture.clock import VirtualClock
from nurture.db import Database, migrate
from nurture.engine import publishing
from nurture.engine.live import Library
from nurture.engine.machine import Machine
from nurture.errors import Refused
from nurture.program.load import Loaded, load
from nurture.records import AudienceMember, Refusal, Touch
from nurture.rehearse.relay import Relay

#: Rounds at one instant after which something is turning in a circle.
_ROUNDS = 60

#: Until when the engine does not run, for an instant of the clock; the instant itself: it runs.
Down = Callable[[datetime], datetime]


@dataclass
class Stage:
    """A machine on a stage, and what the tables do not keep, dated: deferrals, refusals, doubts, audience changes."""

    machine: Machine
    clock: VirtualClock
    #: (touch, reason, put off until) to when that was first so.
    deferrals: dict[tuple[int, str, datetime | None], datetime] = field(default_factory=dict)
    audience: list[tuple[datetime, int, str, str]] = field(default_factory=list)
    #: (when, lead, sequence, reason)
    refusals: set[tuple[datetime, int, str, str]] = field(default_factory=set)
    #: Touch to when it was first uncertain.
    doubts: dict[int, datetime] = field(default_factory=dict)
    owned: bool = True
    _told: dict[tuple[int, str], bool | None] = field(default_factory=dict)

    def publish(self, files: Mapping[str, str]) -> None:
        """Make `files` live, every segment."""
        loaded: Loaded = load(files).require()
        slugs = sorted(loaded.segments)
        now = self.clock.now()
        self.machine.db.transact(lambda link: publishing.publish(link, self.machine.library, loaded, slugs, now))

    def run(
        self, until: datetime, stops: Mapping[datetime, Callable[[], None]], down: Down = lambda at: at
    ) -> None:  # fmt: skip
        """Carry on to `until`: at each due instant and each of `stops` (its action first) until nothing is due.

        `down`: while the engine does not run, doors do, and what falls due waits.
        """
        ahead = sorted(stops)
        while True:
            due = self.machine.next_due()
            due = None if due is None else down(max(due, self.clock.at))
            coming = [at for at in (due, ahead[0] if ahead else None) if at is not None]
            if not coming or min(coming) > until:
                break
            self.clock.at = max(self.clock.at, min(coming))
            while ahead and ahead[0] <= self.clock.at:
                stops[ahead.pop(0)]()
            if down(self.clock.at) == self.clock.at:
                self._settle_down()
            self._note(self.clock.at)
        self.clock.at = max(self.clock.at, until)

    def _settle_down(self) -> None:
        """Tick until nothing more is due at this very instant."""
        now = self.clock.now()
        for _ in range(_ROUNDS):
            segments = self.machine.segments()
            self.machine.tick(segments[0], now)  # settles every segment's leads, and sends the notices
            for segment in segments[1:]:
                if self.machine.waiting(segment, now):
                    self.machine.tick(segment, now)
            self._note(now)
            due = self.machine.next_due()
            if due is None or due > now:
                return
        raise Refused(f"at {now.isoformat()} the same work is due again and again; please report this program")

    def _note(self, now: datetime) -> None:
        with self.machine.db.read() as link:
            waiting = select(col(Touch.id), col(Touch.reason), col(Touch.next_at)).where(
                col(Touch.state).in_(("planned", "held")), col(Touch.reason).is_not(None)
            )
            for touch, reason, until in link.execute(waiting):
                self.deferrals.setdefault((touch or 0, reason or "", until), now)
            for touch in link.execute(select(col(Touch.id)).where(col(Touch.state) == "uncertain")).scalars():
                self.doubts.setdefault(touch or 0, now)
            refusals = select(col(Refusal.at), col(Refusal.lead_id), col(Refusal.sequence), col(Refusal.reason))
            self.refusals |= {(at, lead, slug, reason) for at, lead, slug, reason in link.execute(refusals)}
            members = select(col(AudienceMember.lead_id), col(AudienceMember.audience), col(AudienceMember.told))
            for lead, audience, told in link.execute(members):
                if told is not None and self._told.get((lead, audience)) is not told:
                    self._told[(lead, audience)] = told
                    self.audience.append((now, lead, audience, "add" if told else "remove"))

    def close(self) -> None:
        """Strike the stage."""
        if self.owned:
            self.machine.close()


class Theatre:
    """One in-memory database for many stages, swept between them: what was compiled for one serves the next."""

    def __init__(self) -> None:
        self._db = Database("sqlite://")
        migrate(self._db)
        self._library = Library()
        self._swept = sqlite3.connect(":memory:")
        self._raw().backup(self._swept)

    def _raw(self) -> sqlite3.Connection:
        raw: sqlite3.Connection = self._db.engine.raw_connection().driver_connection  # type: ignore[assignment]
        return raw

    def stage(self, start: datetime, *, own_library: bool = False) -> Stage:
        """An empty stage whose clock stands at `start`; it must be struck before the next is set.

        The versions that are published first are the same on each; a stage that publishes others needs its own library.
        """
        self._swept.backup(self._raw())
        stage = _set(self._db, start, Library() if own_library else self._library)
        stage.owned = False
        return stage

    def close(self) -> None:
        """Close the database."""
        self._swept.close()
        self._db.dispose()


def set_stage(start: datetime, url: str = "sqlite://") -> Stage:
    """An empty stage whose clock stands at `start`; `url`: an empty database, in memory unless said."""
    db = Database(url)
    migrate(db)
    return stage_on(db, start)


def stage_on(db: Database, start: datetime) -> Stage:
    """A stage on `db`, whose tables are of this program's version, with whatever stands in them."""
    return _set(db, start, Library())


def _set(db: Database, start: datetime, library: Library) -> Stage:
    clock = VirtualClock(start.astimezone(UTC))
    keys = tokens.keys("a rehearsal needs no secret, only a long enough one")
    machine = Machine(
        db, clock, keys, Relay("email"), RecordingChannel("audience"), "https://rehearsal.example",
        sms=RecordingChannel("sms"), webhook=RecordingChannel("webhook"), chat=RecordingChannel("chat"),
        click_rest=timedelta(seconds=30), library=library,
    )  # fmt: skip
    return Stage(machine, clock)


def plain(row: Any) -> dict[str, Any]:
    """A row as a dictionary."""
    return dict(row._mapping)
