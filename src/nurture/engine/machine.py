"""The machine: one door to the engine for the command line, the flows, the web, the checks and the demo."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture import clock as clocks
from nurture.channels.base import Channel, Journal, NoJournal
from nurture.channels.journal import FileJournal
from nurture.clock import Clock
from nurture.db import Database, take_lease
from nurture.engine import audiences, control, due, movement, settle
from nurture.engine.delivery import Courier, Delivered
from nurture.engine.live import Library, Live
from nurture.engine.notices import Desk
from nurture.engine.parcels import Maker
from nurture.engine.recovery import expired, recover
from nurture.engine.reports import StepReport, StepView, TickReport, merged_steps
from nurture.engine.running import Run
from nurture.engine.settle import SettleReport
from nurture.engine.workers import Journals, journal_file, worker_name
from nurture.errors import DatabaseFault, SegmentBusy
from nurture.failpoints import reach
from nurture.program.load import Segment
from nurture.records import Lease, Touch
from nurture.steps import Sending, Step
from nurture.tokens import Keys

log = logging.getLogger("nurture.machine")
#: A segment is carried by one run at a time, for so long unless it renews.
SEGMENT_LEASE = timedelta(minutes=5)
RENEW_SECONDS = 60.0


@dataclass
class Machine:
    """The engine with its database, clock and ways out. `journal_folder`: None keeps no journal (rehearsals)."""

    db: Database
    clock: Clock
    keys: Keys
    email: Channel
    audience: Channel
    public_url: str
    click_rest: timedelta = timedelta(seconds=30)
    journal_folder: Path | None = None
    library: Library = field(default_factory=Library)
    journal: Journal = field(default_factory=NoJournal)
    worker: str = field(default_factory=worker_name)
    _maker: Maker | None = None
    _held: dict[str, tuple[str, float]] = field(default_factory=dict)
    _asked: tuple[float, frozenset[str]] = (-1.0, frozenset())

    def __post_init__(self) -> None:
        self.public_url = self.public_url.rstrip("/")
        if self.journal_folder is not None:
            self.journal = FileJournal(journal_file(self.journal_folder, self.worker))

    def now(self) -> datetime:
        """The present instant by the machine's clock."""
        return self.clock.now()

    def _present(self, now: datetime) -> datetime:
        """A tick's instant, or later: sending takes time, and who has been written to goes on in the same tick."""
        return max(now, self.clock.now())

    def live(self) -> Live:
        """What is published now. Raises NotPublished."""
        with self.db.read() as link:
            return self.library.live(link)

    def segments(self) -> list[str]:
        """The live segments, the one with the highest priority first."""
        live = self.live()
        return sorted(live.segments, key=lambda slug: (-live.segments[slug].spec.priority, slug))

    def steps(self, segment: str) -> list[StepView]:
        """The steps in graph order; those that only older versions have come before what followed them there."""
        live = self.live()
        live.segment(segment)
        with self.db.read() as link:
            versions = live.versions(link, segment)
        return merged_steps(versions)

    def settle(self, now: datetime) -> SettleReport:
        """Take in every change whose time has come, for all segments."""
        report = SettleReport()
        with self.db.read() as link:
            if not settle.anybody_due(link, now):
                return report
        while True:
            claim = f"settle:{clocks.unguessable()}"

            def one(link: Connection, claim: str = claim) -> SettleReport:
                run = Run(link, self.library.live(link), now, claim)
                settle.claim_due(run)
                return settle.settle(run)

            part = self.db.transact(one)
            if not part.looked_at:
                return report
            report.add(part)

    def due(self, segment: str, step: str, now: datetime) -> int:
        """How many stand due on `step`, or wait there for a touch whose time has come."""
        return self.waiting(segment, now).get(step, 0)

    def waiting(self, segment: str, now: datetime) -> dict[str, int]:
        """The steps of `segment` on which somebody stands due, or a touch whose time has come; how many."""
        now = self._present(now)
        with self.db.read() as link:
            return due.waiting(link, segment, now)

    @contextmanager
    def lease(self, segment: str, holder: str) -> Iterator[None]:
        """Carry `segment` alone. Raises SegmentBusy when another run does."""
        name = f"segment:{segment}"
        if not self._take(name, holder):
            raise SegmentBusy(f"segment '{segment}' is carried by another run; it will be free in 5 minutes at most")
        self._held[segment] = (holder, clocks.monotonic())
        try:
            yield
        finally:
            self._held.pop(segment, None)
            mine = (col(Lease.name) == name) & (col(Lease.owner) == holder)
            self.db.transact(lambda link: link.execute(Lease.__table__.delete().where(mine)), door=True)  # type: ignore[attr-defined]

    def _take(self, name: str, holder: str) -> bool:
        seconds = SEGMENT_LEASE.total_seconds()
        return self.db.transact(lambda link: take_lease(link, name, holder, seconds), door=True) is not None

    def _renew(self, segment: str) -> None:
        """Keep the lease while the run goes on; once a minute. Raises SegmentBusy when it was lost."""
        holder, since = self._held.get(segment, ("", 0.0))
        if not holder or clocks.monotonic() - since < RENEW_SECONDS:
            return
        if not self._take(f"segment:{segment}", holder):
            raise SegmentBusy(f"segment '{segment}' was taken over by another run; this one stops")
        self._held[segment] = (holder, clocks.monotonic())

    def recover(self, now: datetime) -> dict[str, int]:
        """Take back what dead workers held; what was on the wire is read from this host's journals."""
        with self.db.read() as link:
            if not expired(link):
                return {}
        journals = Journals(self.journal_folder)
        return self.db.transact(lambda link: recover(link, journals, now))

    def run_step(
        self,
        segment: str,
        step: str,
        now: datetime,
        run_id: str,
        progress: Callable[[int, int], None] | None = None,
    ) -> StepReport:
        """Carry everybody due on `step` on: move, send what may go out, rescore, move those whose touch has ended.

        `progress` is called with (done, due) after each batch. Safe to run again at any time.
        """
        self._renew(segment)
        now = self._present(now)
        report = StepReport(segment, step)
        live = self.live()
        with self.db.read() as link:
            versions = [version for version in live.versions(link, segment) if version.spec.has(step)]
        total = self.due(segment, step, now) if progress is not None else 0
        for version in versions:
            kind = version.spec.step(step)
            self._move(version, kind, now, run_id, report)
            if isinstance(kind, Sending):
                report.delivered(self._deliver(live, version, kind, now, run_id, progress, total))
                self._move(version, kind, self._present(now), run_id, report, again=True)
        if report.sent or report.handoffs:
            report.settled.add(self.settle(self._present(now)))
            reach("settled")
        return report

    def _move(
        self, version: Segment, step: Step, now: datetime, run_id: str, report: StepReport, *, again: bool = False
    ) -> None:  # fmt: skip
        while True:
            claim = f"{run_id}:{clocks.unguessable()[:12]}"

            def one(link: Connection, claim: str = claim) -> movement.Moved:
                return movement.move(Run(link, self.library.live(link), now, claim), version, step)

            moved = self.db.transact(one)
            if not moved.due:
                return
            if moved.planned:
                reach("planned")
            report.due += 0 if again else moved.due
            report.planned += moved.planned
            report.moved += moved.ways
            report.handoffs += moved.handoffs

    def _deliver(
        self,
        live: Live,
        version: Segment,
        step: Sending,
        now: datetime,
        run_id: str,
        progress: Callable[[int, int], None] | None,
        total: int,
    ) -> Delivered:
        with self.db.read() as link:
            paused = bool({"all", f"segment:{version.slug}"} & control.held_scopes(link).keys())
        if paused:
            count = self.db.transact(lambda link: control.mark_paused(link, version.slug, now))
            return Delivered(deferred=Counter({"paused": count} if count else {}))
        if self._maker is None or self._maker.live.house.id != live.house.id:
            self._maker = Maker(live, self.keys, self.public_url)
        courier = Courier(
            self.db, live, version, step, self.audience if step.channel == "audience" else self.email, self._maker,
            self.journal, self.clock, run_id, self.worker, stopped=lambda: self._stopped(version.slug),
        )  # fmt: skip

        def told(done: int) -> None:
            self._renew(version.slug)
            if progress is not None:
                progress(done, total)

        return courier.deliver(told)

    def _stopped(self, slug: str) -> bool:
        """Whether an operator has said stop; asked before each body, so the answer is kept for 50 ms."""
        present = clocks.monotonic()
        if present - self._asked[0] > 0.05:
            with self.db.read() as link:
                self._asked = (present, frozenset(control.held_scopes(link)))
        return bool({"all", f"segment:{slug}"} & self._asked[1])

    def tick(self, segment: str, now: datetime, run_id: str | None = None) -> TickReport:
        """One tick: settle, each step in graph order, settle again, notices out. Raises SegmentBusy, NotPublished."""
        run = run_id or f"tick:{clocks.unguessable()[:12]}"
        with self.lease(segment, run):
            self.recover(now)
            report = TickReport(segment, now, self.settle(now))
            waiting = self.waiting(segment, now)
            for step in self.steps(segment) if waiting else ():
                if step.id in waiting:
                    report.steps.append(self.run_step(segment, step.id, now, run))
                    waiting = self.waiting(segment, now)
            report.settled.add(self.settle(self._present(now)))
        report.notices = self.drain(now)
        return report

    def drain(self, now: datetime) -> int:
        """Send the notices that wait for salespeople, and tell the platforms who left an audience; notices sent."""
        desk = Desk(self.db, self.library, self.email, self.journal, self.clock, self.keys, self.public_url)
        sent = desk.drain()
        audiences.take_out(self.db, self.audience, self.journal, now)
        return sent

    def next_due(self) -> datetime | None:
        """The next instant at which anything is due: work, a step, a touch."""
        with self.db.read() as link:
            return due.next_due(link)

    def close(self) -> None:
        """Let go of channels, journal and database. The journal goes only if nothing of this worker's is in doubt."""
        self.email.close()
        self.audience.close()
        if isinstance(self.journal, FileJournal):
            self.journal.close()
            if self.journal_folder is not None and self._nothing_in_doubt():
                journal_file(self.journal_folder, self.worker).unlink(missing_ok=True)
            self.journal = NoJournal()  # closing twice closes nobody else's file
        self.db.dispose()

    def _nothing_in_doubt(self) -> bool:
        """Whether every touch that this worker began is recorded; False when the database cannot say."""
        mine = col(Touch.lease_owner).startswith(self.worker, autoescape=True)
        open_ones = select(col(Touch.id)).where(mine, col(Touch.state).in_(("sending", "uncertain"))).limit(1)
        try:
            with self.db.read() as link:
                return link.execute(open_ones).first() is None
        except DatabaseFault as fault:
            log.warning("the journal is kept: %s", fault)
            return False
