"""Delivery: claim a batch, render it, ask for the permit, send, record. At most once; what is unknown is said so.

No network inside a transaction. `sending` is committed before the first byte; a journal line goes before each body and
after each reply, so that a killed worker leaves in doubt only what was on the wire.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, select, true, update
from sqlmodel import col

from nurture import clock
from nurture.channels.base import Channel, Journal, Parcel, Receipt
from nurture.clock import Clock
from nurture.db import Database
from nurture.dialects import FEW
from nurture.engine.flights import Flight
from nurture.engine.goodbyes import Goodbyes
from nurture.engine.guard import begun
from nurture.engine.heart import Heart
from nurture.engine.live import Live
from nurture.engine.parcels import Made, Maker
from nurture.engine.permit import Verdict, judge
from nurture.engine.press import Press
from nurture.engine.recording import AFTER, CHANNEL_PAUSE, record
from nurture.engine.reports import Delivered
from nurture.engine.running import Run
from nurture.engine.telling import drop_bodies, silence, sweep_bodies
from nurture.engine.verdicts import LEASE, give_back, keep_claim, lease_end, write
from nurture.engine.workers import claim_of
from nurture.errors import DatabaseFault, SegmentBusy
from nurture.failpoints import reach
from nurture.folding import one_line
from nurture.program.load import Segment
from nurture.records import AudienceMember, Touch
from nurture.records.types import CLAIM, NOW_AT
from nurture.steps import Audience, Sending, Webhook

log = logging.getLogger("nurture.delivery")
#: Touches of one claim, and so of one permit and one record.
BATCH = 200
#: How often in one lease a batch that waits for the one before puts its lease off.
_BEATS = 4
#: Seconds between tries to record what was sent while the database is away; the journal has it meanwhile.
_PATIENCE = (0.2, 0.5, 1, 2, 4, 8, 15)


@dataclass
class Courier:
    """Delivers the touches of one step of one version."""

    db: Database
    live: Live
    segment: Segment
    step: Sending
    channel: Channel
    maker: Maker
    journal: Journal
    clock: Clock
    run_id: str
    #: Whose journal it is.
    worker: str
    heart: Heart
    #: Looked at before each body: an operator's stop.
    stopped: Callable[[], bool]
    #: What fell due by then; what falls due later has not been looked at by the guard.
    until: datetime
    #: How many it may take at most; None: everything that is due.
    allowance: int | None = None
    #: Asked in each claim: whether the run that is helped still invites to this.
    while_invited: ColumnElement[bool] = field(default_factory=true)
    #: Makes letters beside us, if it may.
    press: Press = field(default_factory=Press)
    #: Touches of one claim.
    _most: int = BATCH

    def deliver(self, progress: Callable[[int], None] | None = None) -> Delivered:
        """Everything that may go out now, batch after batch; the next is made ready while one is being sent."""
        done, left = Delivered(), self.allowance
        flights: list[Flight] = []
        ahead: deque[tuple[str, Callable[[], Made]]] = deque()
        if isinstance(self.step, Webhook):
            self.db.transact(sweep_bodies)
        try:
            while True:
                while len(ahead) <= self._beside and left != 0 and not self.stopped():
                    most = self._most if left is None else min(self._most, left)
                    owner = claim_of(self.worker)
                    claimed = self.db.transact(lambda link, owner=owner, most=most: self._claim(link, owner, most))  # type: ignore[misc]
                    if not claimed:
                        break
                    left = None if left is None else left - claimed
                    reach("claimed")
                    ahead.append((owner, self._begin(owner)))
                if not ahead:
                    break
                owner, letters = ahead[0]
                made = letters()
                reach("rendered")
                if flights and not self._follows(flights[0], [one for one, _ in ahead]):
                    break
                ahead.popleft()
                before = list(flights)
                self._send(owner, made, done, flights)
                for flight in before if self.channel.aside else list(flights):
                    self._land(flight, done)
                    flights.remove(flight)
                if done.channel_down is not None:
                    break
                if progress is not None:
                    progress(done.total)
            for owner, _ in ahead:
                self.db.transact(lambda link, owner=owner: give_back(link, owner))  # type: ignore[misc]
        except BaseException as problem:
            if isinstance(problem, SegmentBusy) or not isinstance(problem, Exception):
                for flight in flights:  # what is on the wire is finished, nothing else begins
                    flight.called_off = True
            raise
        finally:
            with ExitStack() as last:  # the first one first, and each though another fails
                for flight in reversed(flights):
                    last.callback(flight.kept.close)
                    last.callback(self._land, flight, done)
        if progress is not None and flights:
            progress(done.total)
        return done

    def _claim(self, link: Connection, owner: str, most: int) -> int:
        claim = Run(link, self.live, min(self.clock.now(), self.until), owner)
        return int(claim(self._claiming, at_most=most).rowcount)

    @cached_property
    def _claiming(self) -> Any:
        """Takes what is due, up to `at_most`."""
        due = (
            select(col(Touch.id))
            .prefix_with(FEW)  # PostgreSQL may ask a subquery again for each row, and each time lock others
            .where(
                col(Touch.sequence) == self.segment.slug,
                col(Touch.version_id) == self.segment.id,
                col(Touch.step) == self.step.id,
                col(Touch.next_at) <= NOW_AT,
                col(Touch.state).in_(("planned", "retry_wait")),
                self.while_invited,
            )
            .order_by(col(Touch.next_at))
            .limit(bindparam("at_most", type_=Integer))
            .with_for_update(skip_locked=True)
        )
        mine = {"state": "claimed", "lease_owner": CLAIM, "lease_until": lease_end(), "run_id": self.run_id}
        return update(Touch).where(col(Touch.id).in_(due)).values(**mine)

    @property
    def _beside(self) -> bool:
        """Whether the letters of the next batch are made while this one is seen to."""
        return self.press.makes(self.step)

    def _begin(self, owner: str) -> Callable[[], Made]:
        """What gives the parcels of the batch of `owner`: begun beside us, or made here when they are asked for."""
        if not self._beside:
            return lambda: self._make(owner)
        now = self.clock.now()
        with self.db.read() as link:
            rows = self.maker.claimed(link, owner, now)
        return self.press.begin(self.maker, self.segment, self.step, rows, now)

    def _make(self, owner: str) -> Made:
        with self.db.read() as link:
            return self.maker.make(link, self.segment, self.step, owner, self.clock.now())

    def _follows(self, flight: Flight, owners: Sequence[str]) -> bool:
        """Whether the next batch may follow when `flight` has arrived; the claims of `owners` are kept meanwhile."""
        while not flight.arrived(LEASE.total_seconds() / _BEATS):
            try:
                for owner in owners:
                    self.db.transact(lambda link, owner=owner: keep_claim(link, owner), door=True)  # type: ignore[misc]
            except DatabaseFault as fault:  # the permit finds what is still held
                log.warning("a claim could not be put off: %s", fault)
        return flight.down() is None

    def _send(self, owner: str, made: Made, done: Delivered, flights: list[Flight]) -> None:
        """Ask for the permit and begin to send what has it: one more of `flights`."""
        now, asked = self.clock.now(), clock.monotonic()
        verdicts = self.db.transact(lambda link: self._permit(link, owner, made, now))
        done.count(verdicts)
        parcels = [made.parcels[verdict.touch] for verdict in verdicts if verdict.state == "sending"]
        if not parcels:
            return
        reach("permitted")
        record = partial(self._record_surely, owner)
        flight = Flight(owner, parcels, self.channel, record, many_writers=not self.db.is_sqlite)
        with ExitStack() as kept:
            beat = kept.enter_context(
                self.heart.keep(lambda: self._renew(owner, len(parcels)), LEASE.total_seconds(), asked)
            )
            goodbyes = Goodbyes(self.db, owner)

            def stop(parcel: Parcel | None = None) -> bool:
                try:
                    no = self.stopped() or (parcel is not None and parcel.touch_id in goodbyes.now())
                except DatabaseFault:  # who cannot ask does not begin
                    no = True
                return no or flight.called_off or not beat.sure()

            flight.kept = kept.pop_all()
        flights.append(flight)
        flight.begin(self.journal, stop)

    def _land(self, flight: Flight, done: Delivered) -> None:
        """Wait until all of it is sent, and record it; once, however often it is asked."""
        if flight.landed:
            return
        if not flight.begun():  # its touches are given back when their lease is over
            flight.called_off = True
            flight.land()
            return
        try:
            done.channel_down = flight.down()
            receipts, over = flight.receipts(), flight.recorded()
        except Exception:  # it is left to the journal; an interrupted record is made again
            flight.land()
            raise
        flight.land()
        for receipt in receipts:
            done.states[AFTER[receipt.verdict]] += 1
        done.states["planned"] -= over
        done.states["cancelled"] += over

    def _renew(self, owner: str, count: int) -> bool:
        """Put the lease of all that is under way off; False when any of it was taken over."""
        mine = (col(Touch.lease_owner) == owner) & (col(Touch.state) == "sending")
        renewed = update(Touch).where(mine).values(lease_until=lease_end())
        return self.db.transact(lambda link: link.execute(renewed).rowcount, door=True) == count

    def _record_surely(self, owner: str, receipts: Sequence[Receipt]) -> int:
        """Record, and try again while the database is away; then it is left to the journal. Raises DatabaseFault."""
        ended = self.clock.now()
        try:
            self.journal.flush()
        except OSError as problem:
            log.warning("the journal cannot be written: %s", problem.strerror)
        reach("recording")
        over = self._try_to_record(lambda link: self._record(link, owner, receipts, ended))
        reach("recorded")
        return over

    def _try_to_record(self, work: Callable[[Connection], int]) -> int:
        for pause in _PATIENCE:
            try:
                return self.db.transact(work)
            except DatabaseFault as fault:
                log.warning("what was sent cannot be recorded yet: %s", fault)
                clock.pause(pause)
        return self.db.transact(work)

    def _permit(self, link: Connection, owner: str, made: Made, now: datetime) -> list[Verdict]:
        """Judge and write the verdict of each claimed touch."""
        final: list[Verdict] = []
        run = Run(link, self.live, now, owner)
        judged = judge(run, self.segment, self.step)
        outdated = made.outdated(run)  # under the locks of their leads
        for verdict in judged:
            if verdict.state == "sending" and verdict.touch in outdated:  # made anew at once, for whom it is now
                verdict = Verdict(verdict.touch, "planned", "not_rendered", min(now, self.until))
            elif verdict.state == "sending" and verdict.touch in made.faults:
                verdict = Verdict(verdict.touch, "failed", one_line(str(made.faults[verdict.touch]))[:200])
            elif verdict.state == "sending" and verdict.touch not in made.parcels:
                verdict = Verdict(verdict.touch, "planned", "not_rendered", now + CHANNEL_PAUSE)
            final.append(verdict)
        begun(link, self.live, self.segment, self.step, [v.touch for v in final if v.state == "sending"], now)
        write(link, self.live.house.id, self.step, owner, final, made, now)
        return final

    def _record(self, link: Connection, owner: str, receipts: Sequence[Receipt], now: datetime) -> int:
        """Write what became of each; only while this worker still holds the claim. How many were called off."""
        over = record(link, receipts, now, owner)
        silence(link, self.step.channel, receipts, now)
        if isinstance(self.step, Webhook):
            drop_bodies(link, [receipt.touch_id for receipt in receipts])
        if isinstance(self.step, Audience):
            told = [receipt.touch_id for receipt in receipts if receipt.verdict == "accepted"]
            leads = select(col(Touch.lead_id)).where(col(Touch.id).in_(told))
            link.execute(
                update(AudienceMember)
                .where(col(AudienceMember.lead_id).in_(leads), col(AudienceMember.audience) == self.step.audience.name)
                .values(told=self.step.audience.verb == "add")
            )
        return over
