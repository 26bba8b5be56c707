"""How enrolments end: the wait is over at once, nothing planned goes out, audiences are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlmodel import col

from nurture.dialects import unset
from nurture.engine.running import Run
from nurture.records import AudienceMember, Enrolment, Touch
from nurture.records.types import NOW_AT

#: States of a touch from which it can still be called off.
OPEN = ("planned", "held", "retry_wait")
#: Outcomes after which nothing more goes out, even what a person would have sent again.
CALLED_OFF = (
    "objective", "left", "unsubscribed", "suppressed", "disqualified", "discarded", "unenrolled", "objected", "merged",
    "forgotten",
)  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """The statements that end some live enrolments: is there any, call off, leave audiences, end."""

    anybody: Any
    touches: Any
    members: Any
    enrolments: Any


def ending(which: ColumnElement[bool], outcome: str, at: ColumnElement[Any] = NOW_AT) -> Ending:
    """How the live enrolments for which `which` holds end with `outcome` at `at`."""
    over = and_(unset(col(Enrolment.ended_at)), which)
    ids = select(col(Enrolment.id)).where(over)
    return Ending(
        ids.limit(1),
        update(Touch)
        .where(col(Touch.enrolment_id).in_(ids), col(Touch.state).in_(OPEN))
        .values(state="cancelled", reason=outcome, ended_at=NOW_AT, next_at=None),
        update(AudienceMember)
        .where(col(AudienceMember.enrolment_id).in_(ids), col(AudienceMember.wanted))
        .values(wanted=False, changed_at=NOW_AT),
        update(Enrolment)
        .where(over)
        .values(ended_at=at, outcome=outcome, due_at=None, listening=False, claim=None, step=None),
    )


def end(run: Run, how: Ending) -> int:
    """End them; how many."""
    if run(how.anybody).first() is None:
        return 0
    run(how.touches)
    run(how.members)
    return int(run(how.enrolments).rowcount)
