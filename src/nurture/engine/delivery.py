"""Delivery: claim a batch, render it, ask for the permit, send, record. At most once; what is unknown is said so.

No network inside a transaction. `sending` is committed before the first byte; a journal line goes before each body and
after each reply, so that a killed worker leaves in doubt only what was on the wire.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update
from sqlmodel import col

from nurture import clock
from nurture.channels.base import Channel, Journal, Parcel, Receipt
from nurture.clock import Clock
from nurture.db import Database
from nurture.dialects import database_clock, upsert
from nurture.engine.goodbyes import Goodbyes
from nurture.engine.guard import begun
from nurture.engine.heart import Heart
from nurture.engine.live import Live
from nurture.engine.parcels import Made, Maker
from nurture.engine.permit import Verdict, judge
from nurture.engine.recording import AFTER, CHANNEL_PAUSE, ENDED, let_go, record
from nurture.engine.running import Run
from nurture.engine.telling import drop_bodies, keep_bodies, silence, sweep_bodies
from nurture.engine.workers import claim_of
from nurture.errors import DatabaseFault
from nurture.failpoints import reach
from nurture.program.load import Segment
from nurture.records import AudienceMember, Touch
from nurture.records.types import Instant, instant, micros
from nurture.steps import Audience, Sending, Webhook
from nurture.worklist import put_work

log = logging.getLogger("nurture.delivery")
#: Touches of one claim, and so of one permit and one record.
BATCH = 200
#: How long a claim stands after its last heart-beat before another worker may take it over, by the database's clock.
LEASE = timedelta(minutes=1)
#: Seconds between tries to record what was sent while the database is away; the journal has it meanwhile.
_PATIENCE = (0.2, 0.5, 1, 2, 4, 8, 15)


@dataclass
class Delivered:
    """How the touches of a run ended, by state; why, by reason; what ails the channel."""

    states: Counter[str] = field(default_factory=Counter)
    deferred: Counter[str] = field(default_factory=Counter)
    suppressed: Counter[str] = field(default_factory=Counter)
    channel_down: str | None = None

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """Note what the permit said; those that go out are counted by their receipts."""
        for verdict in verdicts:
            if verdict.state == "planned":
                self.deferred[verdict.reason or "later"] += 1
            elif verdict.state != "sending":
                self.states[verdict.state] += 1
            if verdict.state == "suppressed":
                self.suppressed[verdict.reason or ""] += 1

    @property
    def total(self) -> int:
        return self.states.total()


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

    def deliver(self, progress: Callable[[int], None] | None = None) -> Delivered:
        """Everything that may go out now, batch after batch."""
        done, left = Delivered(), self.allowance
        if isinstance(self.step, Webhook):
            self.db.transact(sweep_bodies)
        while done.channel_down is None and left != 0 and not self.stopped():
            most = BATCH if left is None else min(BATCH, left)
            owner = claim_of(self.worker)
            claimed = self.db.transact(lambda link, owner=owner, most=most: self._claim(link, owner, most))  # type: ignore[misc]
            if not claimed:
                break
            left = None if left is None else left - claimed
            reach("claimed")
            self._batch(owner, done)
            if progress is not None:
                progress(done.total)
        return done

    def _claim(self, link: Connection, owner: str, most: int) -> int:
        now = min(self.clock.now(), self.until)
        due = (
            select(col(Touch.id))
            .where(
                col(Touch.sequence) == self.segment.slug,
                col(Touch.version_id) == self.segment.id,
                col(Touch.step) == self.step.id,
                col(Touch.next_at) <= now,
                col(Touch.state).in_(("planned", "retry_wait")),
            )
            .order_by(col(Touch.next_at))
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        return link.execute(
            update(Touch)
            .where(col(Touch.id).in_(due))
            .values(state="claimed", lease_owner=owner, lease_until=_lease(), run_id=self.run_id)
        ).rowcount

    def _batch(self, owner: str, done: Delivered) -> None:
        with self.db.read() as link:
            made = self.maker.make(link, self.segment, self.step, owner, self.clock.now())
        reach("rendered")
        now, asked = self.clock.now(), clock.monotonic()
        verdicts = self.db.transact(lambda link: self._permit(link, owner, made, now))
        done.count(verdicts)
        parcels = [made.parcels[verdict.touch] for verdict in verdicts if verdict.state == "sending"]
        if not parcels:
            return
        reach("permitted")
        goodbyes = Goodbyes(self.db, owner)
        with self.heart.keep(lambda: self._renew(owner, len(parcels)), LEASE.total_seconds(), asked) as beat:

            def stop(parcel: Parcel | None = None) -> bool:
                try:
                    no = self.stopped() or (parcel is not None and parcel.touch_id in goodbyes.now())
                except DatabaseFault:  # who cannot ask does not begin
                    no = True
                return no or not beat.sure()

            receipts = self.channel.deliver(parcels, self.journal, stop)
        done.channel_down = self.channel.down
        reach("recording")
        self._record_surely(owner, receipts)
        reach("recorded")
        for receipt in receipts:
            done.states[AFTER[receipt.verdict]] += 1

    def _renew(self, owner: str, count: int) -> bool:
        """Put the lease of all that is under way off; False when any of it was taken over."""
        mine = (col(Touch.lease_owner) == owner) & (col(Touch.state) == "sending")
        renewed = update(Touch).where(mine).values(lease_until=_lease())
        return self.db.transact(lambda link: link.execute(renewed).rowcount, door=True) == count

    def _record_surely(self, owner: str, receipts: Sequence[Receipt]) -> None:
        """Record, and try again while the database is away; then it is left to the journal. Raises DatabaseFault."""
        ended = self.clock.now()
        try:
            self.journal.flush()
        except OSError as problem:
            log.warning("the journal cannot be written: %s", problem.strerror)
        for pause in _PATIENCE:
            try:
                return self.db.transact(lambda link: self._record(link, owner, receipts, ended))
            except DatabaseFault as fault:
                log.warning("what was sent cannot be recorded yet: %s", fault)
                clock.pause(pause)
        return self.db.transact(lambda link: self._record(link, owner, receipts, ended))

    def _permit(self, link: Connection, owner: str, made: Made, now: datetime) -> list[Verdict]:
        """Judge and write the verdict of each claimed touch."""
        final: list[Verdict] = []
        for verdict in judge(Run(link, self.live, now, owner), self.segment, self.step):
            if verdict.state == "sending" and verdict.touch in made.faults:
                verdict = Verdict(verdict.touch, "failed", str(made.faults[verdict.touch])[:200])
            elif verdict.state == "sending" and verdict.touch not in made.parcels:
                verdict = Verdict(verdict.touch, "planned", "not_rendered", now + CHANNEL_PAUSE)
            final.append(verdict)
        begun(link, self.live, self.segment, self.step, [v.touch for v in final if v.state == "sending"], now)
        self._write(link, owner, final, made, now)
        return final

    def _write(self, link: Connection, owner: str, verdicts: Sequence[Verdict], made: Made, now: datetime) -> None:
        rows: list[dict[str, Any]] = []
        for verdict in verdicts:
            sending, ended = verdict.state == "sending", verdict.state in ENDED
            letter = made.parcels.get(verdict.touch)
            rows.append(
                {
                    "the_touch": verdict.touch,
                    "new_state": verdict.state,
                    "new_reason": verdict.reason,
                    "new_next": verdict.next_at if not ended and not sending else None,
                    "new_allowed": verdict.next_at if verdict.state == "planned" else None,
                    "new_sending": now if sending else None,
                    "new_ended": now if ended else None,
                    "new_owner": owner if sending else None,
                    "new_hash": hashlib.sha256(letter.payload).hexdigest() if letter and sending else None,
                    "new_message": letter.key if letter and sending else None,
                    "new_address": letter.to if letter and sending else None,
                    "new_tracked": verdict.touch in made.tracked,
                    "new_house": self.live.house.id,
                    "new_variant": made.variants.get(verdict.touch) if sending else None,
                }
            )
        if not rows:
            return
        link.execute(
            update(Touch)
            .where(
                col(Touch.id) == bindparam("the_touch"), col(Touch.lease_owner) == owner, col(Touch.state) == "claimed"
            )
            .values(
                state=bindparam("new_state"),
                reason=bindparam("new_reason"),
                next_at=bindparam("new_next"),
                allowed_at=func.coalesce(bindparam("new_allowed", type_=Instant()), col(Touch.allowed_at)),
                sending_at=func.coalesce(bindparam("new_sending", type_=Instant()), col(Touch.sending_at)),
                ended_at=bindparam("new_ended"),
                lease_owner=bindparam("new_owner"),
                lease_until=_lease(),
                payload_sha256=bindparam("new_hash"),
                message_id=bindparam("new_message"),
                address=bindparam("new_address"),
                tracked=bindparam("new_tracked"),
                variant=bindparam("new_variant"),
                program_version_id=bindparam("new_house"),
            ),
            rows,
        )
        if isinstance(self.step, Audience):
            self._want(link, [verdict.touch for verdict in verdicts if verdict.state == "sending"], now)
        if isinstance(self.step, Webhook):
            keep_bodies(link, [made.parcels[verdict.touch] for verdict in verdicts if verdict.state == "sending"])
            drop_bodies(link, [verdict.touch for verdict in verdicts])
        let_go(link, [v.touch for v in verdicts if v.state in ENDED and v.state != "cancelled"])
        called_off = [verdict.touch for verdict in verdicts if verdict.state == "cancelled"]
        put_work(link, select(col(Touch.lead_id)).where(col(Touch.id).in_(called_off)).distinct(), now)

    def _want(self, link: Connection, touches: list[int], now: datetime) -> None:
        """Membership as wanted, written with the intent; the platform is told right after."""
        assert isinstance(self.step, Audience)
        wanted = self.step.audience.verb == "add"
        rows = [
            {
                "lead_id": lead, "audience": self.step.audience.name, "wanted": wanted, "enrolment_id": enrolment,
                "changed_at": now,
            }
            for lead, enrolment in link.execute(
                select(col(Touch.lead_id), col(Touch.enrolment_id)).where(col(Touch.id).in_(touches))
            )
        ]  # fmt: skip
        if rows:
            insert = upsert(link)(AudienceMember)
            changed = {name: insert.excluded[name] for name in ("wanted", "enrolment_id", "changed_at")}
            link.execute(insert.on_conflict_do_update(index_elements=["lead_id", "audience"], set_=changed), rows)

    def _record(self, link: Connection, owner: str, receipts: Sequence[Receipt], now: datetime) -> None:
        """Write what became of each; only while this worker still holds the claim."""
        record(link, receipts, now, owner)
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


def _lease() -> ColumnElement[datetime]:
    """Until when a claim that is made now stands."""
    return instant(micros(database_clock()) + LEASE // timedelta(microseconds=1))
