"""The queue of a sequence that lets in so many a day: in order of transition, for as long as they match.

Who comes to match joins the queue; its head enters while the day has room. The rest is looked at again at the
program's next midnight, as many as may enter then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, delete, func, literal, or_, select
from sqlmodel import col

from nurture.dialects import apart, new_rows, newer_rows, unset
from nurture.engine.guard import local_day
from nurture.engine.running import CLAIMED, Run
from nurture.program.load import Segment
from nurture.records import Enrolment, EnrolmentDay, EnrolmentQueue, Lead, Work
from nurture.records.types import NOW_AT, Instant
from nurture.worklist import work_for

_ROOM = bindparam("room", type_=Integer)
_MORE = bindparam("more", type_=Integer)
_DAY = bindparam("day", type_=Integer)
_MORNING = bindparam("morning", type_=Instant())


def queued(slug: str) -> ColumnElement[bool]:
    """Whether a lead waits in the queue of `slug`."""
    mine = (col(EnrolmentQueue.lead_id) == col(Lead.id)) & (col(EnrolmentQueue.sequence) == slug)
    return select(1).where(mine).correlate(Lead).exists()


def head(slug: str) -> Select[Any]:
    """The leads at the head of the queue, `room` of them."""
    ordered = select(col(EnrolmentQueue.lead_id)).where(col(EnrolmentQueue.sequence) == slug)
    return ordered.order_by(col(EnrolmentQueue.since), col(EnrolmentQueue.lead_id)).limit(_ROOM)


@dataclass(frozen=True)
class Queue:
    """The statements of one sequence's queue: who joins, who drops out, who enters, and the day's count."""

    join: Any
    drop: Any
    enter: Any
    entered: Any
    touched: Any
    know_day: Any
    day: Any
    count: Any
    look: Any


def queue_of(segment: Segment, welcome: ColumnElement[bool], enter: Any) -> Queue:
    """`welcome`: leads that may enter now; `enter(which)`: the INSERT of enrolments of the leads for which it holds."""
    slug = segment.slug
    rows = select(col(Lead.id), literal(slug), NOW_AT).where(welcome)
    mine = and_(col(EnrolmentQueue.sequence) == slug, col(EnrolmentQueue.lead_id).in_(CLAIMED))
    still = select(col(Lead.id)).where(welcome)
    inside = select(1).where(
        col(Enrolment.lead_id) == col(EnrolmentQueue.lead_id),
        apart(col(Enrolment.sequence)) == slug,
        unset(col(Enrolment.ended_at)),
    )
    day = and_(col(EnrolmentDay.sequence) == slug, col(EnrolmentDay.day) == _DAY)
    planned = select(1).where(col(Work.lead_id) == col(EnrolmentQueue.lead_id), col(Work.due_at) <= _MORNING)
    next_ones = select(col(EnrolmentQueue.lead_id)).where(
        col(EnrolmentQueue.lead_id).in_(select(head(slug).subquery())),
        col(EnrolmentQueue.sequence) == slug,
        ~planned.correlate(EnrolmentQueue).exists(),
    )
    one = select(literal(slug), _DAY, literal(0))
    return Queue(
        join=new_rows(EnrolmentQueue, ["lead_id", "sequence", "since"], rows),
        drop=delete(EnrolmentQueue).where(mine, col(EnrolmentQueue.lead_id).not_in(still)),
        enter=enter(and_(welcome, col(Lead.id).in_(select(head(slug).subquery())))),
        entered=delete(EnrolmentQueue).where(mine, inside.correlate(EnrolmentQueue).exists()),
        touched=select(col(EnrolmentQueue.lead_id)).where(mine).limit(1),
        know_day=new_rows(EnrolmentDay, ["sequence", "day", "enrolled"], one),
        day=select(col(EnrolmentDay.enrolled)).where(day).with_for_update(),
        count=newer_rows(
            EnrolmentDay,
            ["sequence", "day", "enrolled"],
            select(literal(slug), _DAY, _MORE),
            ["sequence", "day"],
            lambda new: {"enrolled": col(EnrolmentDay.enrolled) + new.enrolled},
        ),
        look=work_for(next_ones, _MORNING),
    )


def admit(run: Run, segment: Segment, queue: Queue) -> tuple[int, bool]:
    """Let the head of the queue in as far as the day has room and this run has claimed it.

    How many entered, and whether the run had to do with the queue at all.
    """
    joined, dropped = run(queue.join).rowcount, run(queue.drop).rowcount
    if joined <= 0 and dropped <= 0 and run(queue.touched).first() is None:
        return 0, False
    room = _room(run, segment, queue)
    entered = max(int(run(queue.enter, room=room).rowcount), 0) if room else 0
    if entered:
        run(queue.entered)
        run(queue.count, day=_today(run), more=entered)
    return entered, True


def plan(run: Run, segment: Segment, queue: Queue) -> None:
    """Have those looked at who enter next: at once while the day has room, else at the next midnight."""
    room = _room(run, segment, queue)
    run(queue.look, room=room or segment.spec.enrol.limit, morning=run.now if room else _midnight(run))


def _room(run: Run, segment: Segment, queue: Queue) -> int:
    """How many more may enter today; until this transaction ends nobody else lets anybody in."""
    run(queue.know_day, day=_today(run))
    return max((segment.spec.enrol.limit or 0) - int(run(queue.day, day=_today(run)).scalar_one()), 0)


def _today(run: Run) -> int:
    return local_day(run.now, run.live.house.program.zone)


def _midnight(run: Run) -> datetime:
    """The instant at which the program's next day begins."""
    here = run.now.astimezone(ZoneInfo(run.live.house.program.zone))
    return (here.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=1)).astimezone(UTC)


def place(run: Run, slug: str, lead: int) -> tuple[int, datetime] | None:
    """A lead's place in the queue of `slug`, 1 for the first, and since when; None: it is not in it."""
    mine = (col(EnrolmentQueue.sequence) == slug) & (col(EnrolmentQueue.lead_id) == lead)
    since = run.link.execute(select(col(EnrolmentQueue.since)).where(mine)).scalar()
    if since is None:
        return None
    before = or_(
        col(EnrolmentQueue.since) < since,
        and_(col(EnrolmentQueue.since) == since, col(EnrolmentQueue.lead_id) < lead),
    )
    ahead = select(func.count()).where(col(EnrolmentQueue.sequence) == slug, before)
    return run.link.execute(ahead).scalar_one() + 1, since
