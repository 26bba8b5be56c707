"""How enrolments end: the wait is over at once, nothing planned goes out, audiences are left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update
from sqlmodel import col

from nurture.records import AudienceMember, Enrolment, Touch

#: States of a touch from which it can still be called off.
OPEN = ("planned", "held", "retry_wait")


def end_enrolments(
    link: Connection, which: ColumnElement[bool], outcome: str, now: datetime, at: ColumnElement[Any] | None = None
) -> int:
    """End the live enrolments for which `which` holds; how many. `at`: the instant, when it is not now."""
    ending = and_(col(Enrolment.ended_at).is_(None), which)
    ids = select(col(Enrolment.id)).where(ending)
    link.execute(
        update(Touch)
        .where(col(Touch.enrolment_id).in_(ids), col(Touch.state).in_(OPEN))
        .values(state="cancelled", reason=outcome, ended_at=now, next_at=None)
    )
    link.execute(
        update(AudienceMember)
        .where(col(AudienceMember.enrolment_id).in_(ids), col(AudienceMember.wanted))
        .values(wanted=False, changed_at=now)
    )
    return link.execute(
        update(Enrolment)
        .where(ending)
        .values(
            ended_at=now if at is None else at, outcome=outcome, due_at=None, listening=False, claim=None, step=None
        )
    ).rowcount
