"""Several workers on one segment: the run that carries it lets others deliver what it has planned.

Planning, the guard and moving stay with the segment's lease. Delivery is claims of their own (`delivery.py`), so any
number of workers may take part. Once the guard has let all of a step's cohort go and a first batch was full, the
carrying run writes an invitation: the version, the step, and the instant up to which the guard has seen what is due.
It is taken back before the run plans anything else. A helper's claim asks in its own statement whether invitation and
lease still stand, so it never takes what was planned after either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, select
from sqlmodel import col

from nurture import clock as clocks
from nurture.channels.smtp import SmtpChannel
from nurture.db import Database
from nurture.dialects import database_clock, upsert
from nurture.engine.leases import LEASE, Leases, carried, carrying
from nurture.engine.reports import StepReport, TickReport
from nurture.engine.workers import worker_of
from nurture.errors import SegmentBusy
from nurture.program.load import Segment
from nurture.records import Enrolment, Lease, Meta, Touch
from nurture.records.types import from_micros, to_micros
from nurture.steps import Sending

if TYPE_CHECKING:
    from nurture.engine.machine import Machine

#: Touches that a run delivers alone before it asks for help: a cohort of one batch is over before anybody comes.
ALONE = 200
#: Seconds between two looks for something to help with.
_LOOK = 0.2
#: Seconds without an invitation after which a helper leaves.
_QUIET = 5.0
#: Seconds for which the carrying run waits at most for the helpers' last batches, so that it moves those leads as well.
_LAST = 10.0


@dataclass(frozen=True)
class Invitation:
    """What others may deliver: `owner` carries the segment; `until`: what fell due by then, in microseconds."""

    owner: str
    version: int
    step: str
    until: int

    @property
    def seen(self) -> datetime:
        """Up to when the guard has looked at what is due."""
        return from_micros(self.until)

    def stands(self, segment: str) -> ColumnElement[bool]:
        """Whether it still does, for a claim's own WHERE."""
        written = exists().where(col(Meta.key) == _key(segment), col(Meta.value) == self.written())
        return and_(written, carried(segment, self.owner))

    def written(self) -> str:
        """As the database keeps it."""
        return json.dumps(asdict(self))


@dataclass
class Door:
    """The carrying run's side for one step: opened once, closed at the end."""

    db: Database
    leases: Leases
    segment: str
    #: None: nobody is invited.
    invitation: Invitation | None
    is_open: bool = False

    def open(self, done: int) -> None:
        """Called after each batch with how many touches are done so far. Raises SegmentBusy when the lease was lost."""
        self.leases.require(self.segment)
        if self.invitation is None or self.is_open or done < ALONE:
            return
        row = {"key": _key(self.segment), "value": self.invitation.written()}

        def write(link: Connection) -> None:
            fresh = upsert(link)(Meta).values(row)
            link.execute(fresh.on_conflict_do_update(index_elements=["key"], set_={"value": row["value"]}))

        self.db.transact(write, door=True)
        self.is_open = True

    def close(self) -> None:
        """From here on nobody begins anything more."""
        if self.is_open and self.invitation is not None:
            mine = and_(col(Meta.key) == _key(self.segment), col(Meta.value) == self.invitation.written())
            self.db.transact(lambda link: link.execute(delete(Meta).where(mine)), door=True)


@contextmanager
def door(
    db: Database, leases: Leases, version: Segment, step: Sending, seen: datetime, allowed: int | None
) -> Iterator[Door]:
    """Others may help to deliver `step` while the block runs, if all that the guard has `seen` may go out.

    At the end their last batches are waited for, ten seconds at most.
    """
    owner = leases.owner(version.slug)
    known = Invitation(owner, version.id, step.id, to_micros(seen)) if owner is not None and allowed is None else None
    made = Door(db, leases, version.slug, known)
    try:
        yield made
    finally:
        made.close()
    patience = clocks.monotonic() + _LAST
    while made.is_open and _under_way(db, version, step) and clocks.monotonic() < patience:
        clocks.pause(_LOOK / 4)


def help_or_tick(machine: Machine, segment: str, now: datetime) -> tuple[TickReport, int]:
    """A tick; what was sent before it for another run, that carried the segment. Raises SegmentBusy, NotPublished.

    A run that dies while it is helped is taken over when its lease is over.
    """
    try:
        return machine.tick(segment, now), 0
    except SegmentBusy:
        helped = lend_a_hand(machine, segment, f"help:{clocks.unguessable()[:12]}")
        if helped is None:
            raise
    try:
        report = machine.tick(segment, now)
    except SegmentBusy:  # somebody else was first, or it goes on without us
        if not helped:
            raise
        report = TickReport(segment, now, machine.settle(now))
    report.steps[:0] = helped
    return report, sum(step.sent for step in helped)


def lend_a_hand(machine: Machine, segment: str, run_id: str) -> list[StepReport] | None:
    """Deliver what the run that carries `segment` invites to, until it is over or nobody is invited; by step.

    None: there is too little to do, this host helps enough, or mail has a rate, which each process keeps alone.
    """
    reports: dict[str, StepReport] = {}
    if isinstance(machine.email, SmtpChannel) and machine.email.paced:
        return None
    if invitation(machine.db, segment) is None and not _much_is_due(machine.db, segment, machine.now()):
        return None
    with machine.leases.help(segment, run_id) as wanted:
        if not wanted:
            return None
        leaves = clocks.monotonic() + _QUIET
        while _asked(machine.db, carried(segment)):
            found = invitation(machine.db, segment)
            if found is not None:
                if _deliver(machine, segment, found, run_id, reports):
                    break
                leaves = clocks.monotonic() + _QUIET
            elif clocks.monotonic() > leaves:
                break
            clocks.pause(_LOOK)
        else:
            _outlast(machine.db, segment)
    return list(reports.values())


def _outlast(db: Database, segment: str) -> None:
    """Where the lease ran out, wait for what its dead owner has claimed to run out as well: the next tick finds it."""
    with db.read() as link:
        owner = link.execute(select(col(Lease.owner)).where(col(Lease.name) == carrying(segment))).scalar()
    if owner is None:  # it was given back
        return
    patience = clocks.monotonic() + LEASE.total_seconds()
    theirs = col(Touch.lease_owner).startswith(f"{worker_of(owner)}/", autoescape=True)
    while _asked(db, _in_hand(theirs)) and clocks.monotonic() < patience:
        clocks.pause(_LOOK)


def invitation(db: Database, segment: str) -> Invitation | None:
    """What others may help to deliver now; None: nothing."""
    with db.read() as link:
        said = link.execute(select(col(Meta.value)).where(col(Meta.key) == _key(segment))).scalar()
        found = Invitation(**json.loads(said)) if said is not None else None
        return found if found is not None and _holds(link, carried(segment, found.owner)) else None


def _deliver(
    machine: Machine, segment: str, found: Invitation, run_id: str, reports: dict[str, StepReport]
) -> bool:  # fmt: skip
    """Deliver what is left of what was invited to; whether nothing can leave from here."""
    live = machine.live()
    with machine.db.read() as link:
        version = next((one for one in live.versions(link, segment) if one.id == found.version), None)
    if version is None or not version.spec.has(found.step):
        return False
    step = version.spec.step(found.step)
    assert isinstance(step, Sending)
    done = machine.deliver(live, version, step, machine.now(), run_id, invited=found)
    if done.total or done.deferred:
        reports.setdefault(step.id, StepReport(segment, step.id)).delivered(done)
    return done.channel_down is not None or bool(done.deferred and not done.total)


def _much_is_due(db: Database, segment: str, now: datetime) -> bool:
    """Whether more stand due in the segment than one run sees to before anybody has come."""
    rows = (
        select(col(Enrolment.id)).where(col(Enrolment.sequence) == segment, col(Enrolment.due_at) <= now),
        select(col(Touch.id)).where(
            col(Touch.sequence) == segment, col(Touch.next_at) <= now, col(Touch.state).in_(("planned", "retry_wait"))
        ),
    )
    with db.read() as link:
        return any(link.execute(found.offset(ALONE).limit(1)).first() is not None for found in rows)


def _under_way(db: Database, version: Segment, step: Sending) -> bool:
    """Whether a worker that lives still has touches of this step in hand."""
    this = and_(col(Touch.sequence) == version.slug, col(Touch.version_id) == version.id, col(Touch.step) == step.id)
    return _asked(db, _in_hand(this))


def _in_hand(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether any touch of those is claimed under a lease that runs."""
    held = and_(col(Touch.lease_owner).is_not(None), col(Touch.state).in_(("claimed", "sending")))
    return exists().where(held, which, col(Touch.lease_until) > database_clock())


def _asked(db: Database, what: ColumnElement[bool]) -> bool:
    with db.read() as link:
        return _holds(link, what)


def _holds(link: Connection, what: ColumnElement[bool]) -> bool:
    return bool(link.execute(select(what)).scalar())


def _key(segment: str) -> str:
    return f"helping:{segment}"
