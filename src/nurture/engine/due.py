"""What is due, and when something will be: cheap questions, asked before work is taken."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.engine.control import STOPPED, state_of, wide
from nurture.records import Enrolment, Handoff, Touch, Work

#: States of a touch that a run may act on.
_WAITING = ("planned", "retry_wait")


def waiting(link: Connection, segment: str, now: datetime) -> dict[str, int]:
    """The steps of `segment` on which somebody stands due, or a touch whose time has come; how many.

    None while it is stopped.
    """
    if state_of(wide(link), segment) == STOPPED:
        return {}
    standing = (
        select(col(Enrolment.step), func.count())
        .where(col(Enrolment.sequence) == segment, col(Enrolment.due_at) <= now)
        .group_by(col(Enrolment.step))
    )
    touches = (
        select(col(Touch.step), func.count())
        .where(col(Touch.sequence) == segment, col(Touch.next_at) <= now, col(Touch.state).in_(_WAITING))
        .group_by(col(Touch.step))
    )
    found: Counter[str] = Counter()
    for query in (standing, touches):
        found.update({step: count for step, count in link.execute(query) if step})
    return dict(found)


def next_due(link: Connection, *others: datetime | None) -> datetime | None:
    """The next instant at which anything is due: work, a step, a touch, a hand-off, or one of `others`.

    What is stopped is not.
    """
    said = wide(link)
    of_sales = select(func.min(col(Handoff.next_at))).where(col(Handoff.state).in_(("open", "accepted")))
    found = [*others, *(link.execute(query).scalar() for query in (select(func.min(col(Work.due_at))), of_sales))]
    if state_of(said) != STOPPED:
        still = [scope.removeprefix("segment:") for scope, state in said.items() if state == STOPPED]
        steps = select(func.min(col(Enrolment.due_at))).where(col(Enrolment.sequence).not_in(still))
        tries = select(func.min(col(Touch.next_at))).where(
            col(Touch.state).in_(_WAITING), col(Touch.sequence).not_in(still)
        )
        found += [link.execute(query).scalar() for query in (steps, tries)]
    return min((at for at in found if at is not None), default=None)
