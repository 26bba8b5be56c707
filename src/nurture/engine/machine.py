"""The machine: one door to the engine for the command line, the flows, the web, the checks and the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, true

from nurture import clock as clocks
from nurture.channels.base import Channel, Journal, NoJournal, Shut
from nurture.channels.journal import FileJournal
from nurture.clock import Clock
from nurture.db import Database
from nurture.engine import audiences, control, doubt, due, experiments, guard, migrating, movement, settle, terms
from nurture.engine.delivery import Courier
from nurture.engine.heart import Heart
from nurture.engine.helping import Invitation, door
from nurture.engine.instance import Instance
from nurture.engine.leases import Leases
from nurture.engine.live import Library, Live
from nurture.engine.notices import Claimed, Desk
from nurture.engine.pacing import paced
from nurture.engine.parcels import Maker
from nurture.engine.press import Press
from nurture.engine.recovery import put_away, take_back
from nurture.engine.reports import Delivered, Progress, StepReport, StepView, TickReport, merged_steps
from nurture.engine.running import Run
from nurture.engine.settle import SettleReport
from nurture.engine.workers import Journals, open_journal, worker_name
from nurture.failpoints import reach
from nurture.mail.dkim import Signer
from nurture.program.load import Segment
from nurture.steps import Sending, Step
from nurture.tokens import Keys


@dataclass
class Machine:
    """The engine with its database, clock and ways out. `journal_folder`: None keeps no journal (rehearsals).

    `signer`: puts a DKIM signature on each message, if we sign. `chores`: what a home asks of every tick besides.
    """

    db: Database
    clock: Clock
    keys: Keys
    email: Channel
    audience: Channel
    public_url: str
    sms: Channel = field(default_factory=lambda: Shut("sms"))
    webhook: Channel = field(default_factory=lambda: Shut("webhooks"))
    chat: Channel = field(default_factory=lambda: Shut("chat"))
    click_rest: timedelta = timedelta(seconds=30)
    journal_folder: Path | None = None
    #: Whose database it is; None: a rehearsal's, which may do what it likes.
    instance: Instance | None = None
    signer: Signer | None = None
    #: Where bounces go, with a token for each message.
    bounce_address: str | None = None
    #: What each service that reports by web hook proves itself with; none: it has no door.
    hooks: Mapping[str, str] = field(default_factory=dict, repr=False)
    chores: Callable[[datetime], None] = lambda _: None
    library: Library = field(default_factory=Library)
    journal: Journal = field(default_factory=NoJournal)
    worker: str = field(default_factory=worker_name)
    press: Press = field(default_factory=Press)
    _maker: Maker | None = None
    heart: Heart = field(default_factory=Heart)
    leases: Leases = field(init=False)
    _asked: tuple[float, dict[str, str]] = (-1.0, {})

    def __post_init__(self) -> None:
        self.public_url = self.public_url.rstrip("/")
        if self.journal_folder is not None:
            self.journal = open_journal(self.journal_folder, self.worker)
        self.leases = Leases(self.db, self.worker, self.journals, self.heart)

    @property
    def ways(self) -> dict[str, Channel]:
        """The ways out, by what steps call them."""
        return {"email": self.email, "audience": self.audience, "sms": self.sms, "webhook": self.webhook}

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
        return sorted(found := self.live().segments, key=lambda slug: (-found[slug].spec.priority, slug))

    def steps(self, segment: str) -> list[StepView]:
        """The steps in graph order; those that only older versions have come before what followed them there."""
        (live := self.live()).segment(segment)
        with self.db.read() as link:
            return merged_steps(live.versions(link, segment))

    def settle(self, now: datetime) -> SettleReport:
        """Take in every change whose time has come, for all segments."""
        report = SettleReport()
        with self.db.read() as link:
            if not settle.anybody_due(link, now):
                return report

        def one(link: Connection) -> SettleReport:
            run = Run(link, self.library.live(link), now, f"settle:{clocks.unguessable()}")
            with paced(run, "settle") as pace:
                pace.taken = settle.claim_due(run, pace.rows)
                return settle.settle(run)

        while (part := self.db.transact(one)).looked_at:
            report.add(part)
        return report

    def waiting(self, segment: str, now: datetime) -> dict[str, int]:
        """The steps of `segment` on which somebody stands due, or a touch whose time has come; how many."""
        with self.db.read() as link:
            return due.waiting(link, segment, self._present(now))

    def lease(self, segment: str, holder: str) -> AbstractContextManager[None]:
        """Carry `segment` alone. Raises SegmentBusy when another run does, DatabaseFault when clocks disagree."""
        if self.instance is not None:
            self.instance.require_clock()
        return self.leases.carry(segment, holder)

    @property
    def journals(self) -> Journals:
        """Those of this home, in which dead workers can be read."""
        return Journals(self.journal_folder)

    def recover(self, now: datetime) -> Counter[str]:
        """Before a tick: take back what dead workers held, send again by policy, keep hand-offs' terms; counts."""
        self.chores(now)
        found = take_back(self.db, self.journals, now) + terms.keep_all(self.db, self.library, now).counted()
        with self.db.read() as link:
            patient = [one for one in self.library.live(link).versions(link) if one.spec.on_uncertain != "hold"]
        if patient:
            found["resent"] = self.db.transact(lambda link: doubt.resend_by_policy(link, patient, now))
        return found

    def run_step(
        self, segment: str, step: str, now: datetime, run_id: str, progress: Progress | None = None, total: int = 0
    ) -> StepReport:
        """Carry everybody due on `step` on: move, send what may go out, rescore, move those whose touch has ended.

        `total`: as `waiting` says. `progress` is called with (done, total) after each batch. Safe to run again."""
        self.leases.require(segment)
        now = self._present(now)
        report = StepReport(segment, step)
        live = migrating.bring_along(self.db, self.library, segment, now)
        with self.db.read() as link:
            versions = [version for version in live.versions(link, segment) if version.spec.has(step)]
        for version in versions:
            kind = version.spec.step(step)
            experiments.look(self.db, live, version, kind, now)
            self._move(version, kind, now, run_id, report)
            if isinstance(kind, Sending):
                report.delivered(self.deliver(live, version, kind, now, run_id, progress, total))
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
                stopped = control.state_of(control.wide(link, firm=True), version.slug) == control.STOPPED
                live = self.library.live(link)
                if stopped or migrating.left_behind(live, [version], version.slug):  # they follow into the live one
                    return movement.Moved()
                return movement.move(Run(link, live, now, claim), version, step)

            if not (moved := self.db.transact(one)).due:
                return
            if moved.planned:
                reach("planned")
            report.due += 0 if again else moved.due
            report.planned += moved.planned
            report.moved += moved.ways
            report.handoffs += moved.handoffs

    def deliver(
        self, live: Live, version: Segment, step: Sending, now: datetime, run_id: str,
        progress: Progress | None = None, total: int = 0, invited: Invitation | None = None,
    ) -> Delivered:  # fmt: skip
        """Send what may go out of a step; `invited`: as a helper of the run that has asked the guard."""
        self._asked = (-1.0, {})
        if (said := self._said(version.slug)) == control.STOPPED:
            return Delivered()
        if said == control.PAUSED:
            count = self.db.transact(lambda link: control.mark_paused(link, version.slug, now))
            return Delivered(deferred=Counter({"paused": count} if count else {}))
        if not self._may_send():
            return Delivered(deferred=Counter({"clone": self.waiting(version.slug, now).get(step.id, 0)}))
        if self._maker is None or self._maker.live.house.id != live.house.id:
            self._maker = Maker(live, self.keys, self.public_url, self.signer, self.bounce_address, list(self.hooks))
        self.press.expect(total, step)
        seen = invited.seen if invited else self.clock.now()
        allowed = guard.Allowance() if invited else guard.allowance(self.db, live, version, step, seen)
        courier = Courier(
            self.db, live, version, step, self.ways[step.channel], self._maker, self.journal, self.clock, run_id,
            self.worker, self.heart, stopped=lambda: self._stopped(version.slug), until=seen, allowance=allowed.left,
            while_invited=invited.stands(version.slug) if invited else true(), press=self.press,
        )  # fmt: skip

        def told(done: int) -> None:
            helpers.open(done)
            self._may_send()
            if progress is not None:
                progress(done, total)

        with door(self.db, self.leases, version, step, seen, allowed.left) as helpers:
            done = courier.deliver(told)
        done.deferred += allowed.aside
        return done

    def _may_send(self) -> bool:
        """Whether this is the installation's own database, no copy and no old state of it."""
        return self.instance is None or self.instance.may_send()

    def _stopped(self, slug: str) -> bool:
        """Whether nothing may begin in this segment; asked before each body."""
        return (self.instance is not None and self.instance.cloned is not None) or self._said(slug) is not None

    def _said(self, slug: str | None = None) -> str | None:
        """`paused` or `stopped`, as an operator said of a segment or of the house at most 50 ms ago."""
        if (present := clocks.monotonic()) - self._asked[0] > 0.05:
            with self.db.read() as link:
                self._asked = (present, control.wide(link))
        return control.state_of(self._asked[1], slug)

    def tick(self, segment: str, now: datetime, run_id: str | None = None) -> TickReport:
        """One tick: settle, each step in graph order, settle again, notices out. Raises SegmentBusy, NotPublished."""
        with self.lease(segment, run := run_id or f"tick:{clocks.unguessable()[:12]}"):
            self.recover(now)
            report = TickReport(segment, now, self.settle(now))
            waiting = self.waiting(segment, now)
            for step in self.steps(segment) if waiting else ():
                if step.id in waiting:
                    report.steps.append(self.run_step(segment, step.id, now, run, total=waiting[step.id]))
                    waiting = self.waiting(segment, now)
            report.settled.add(self.settle(self._present(now)))
        report.notices = self.drain(now)
        return report

    def drain(self, now: datetime, claimed: Claimed | None = None) -> int:
        """Send the notices that wait, what a door has `claimed` first, and tell platforms who left; notices sent."""
        if not self._may_send():
            return 0
        desk, self._asked = self._desk(), (-1.0, {})
        sent = (desk.send(claimed) if claimed is not None else 0) + desk.drain()
        audiences.take_out(self.db, self.audience, self.journal, now, desk.stopped)
        return sent

    def claim_notices(self, link: Connection, since: datetime) -> Claimed:
        """The notices that this transaction of a door has written at `since`, taken for the `drain` that follows it."""
        return self._desk().claim_new(link, since)

    def _desk(self) -> Desk:
        return Desk(
            self.db, self.library, self.email, self.journal, self.clock, self.keys, self.public_url, self.worker,
            self.journals, self.heart, lambda: self._said() == control.STOPPED, self.signer, self.chat,
        )  # fmt: skip

    def next_due(self) -> datetime | None:
        """The next instant at which anything is due: work, a step, a touch, what policy sends again."""
        with self.db.read() as link:
            return due.next_due(link, doubt.next_resend(link, self.library))

    def close(self) -> None:
        """Let go of channels, journal and database. The journal goes only if nothing is in this worker's name."""
        self.heart.stop()
        self.press.close()
        for way in (*self.ways.values(), self.chat):
            way.close()
        if isinstance(self.journal, FileJournal):
            put_away(self.db, self.journal, self.journal_folder, self.worker)
            self.journal = NoJournal()  # closing twice closes nobody else's file
        if self.instance is not None:
            self.instance.close()
        self.db.dispose()
