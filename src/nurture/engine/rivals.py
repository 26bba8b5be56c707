"""Two sequences that want the same lead: which others come first, and whether they want it, or have just had it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.engine.control import PAUSED, STOPPED
from nurture.program.load import Segment
from nurture.records import Enrolment, Touch
from nurture.records.types import NOW_AT, micros
from nurture.steps import MESSAGES, Sending

#: Step ids that write to a lead, by sequence.
Wanting = Mapping[str, set[str]]


def wanting(versions: Sequence[Segment], higher: Sequence[int]) -> dict[str, set[str]]:
    """Of the sequences of higher priority, the steps that write to a lead."""
    found: dict[str, set[str]] = {}
    for other in versions:
        if other.id in higher:
            letters = {s.id for s in other.spec.steps if isinstance(s, Sending) and s.is_message}
            found.setdefault(other.slug, set()).update(letters)
    return found


def wanted(wanting: Wanting) -> ColumnElement[bool]:
    """A sequence of higher priority wants this lead: it stands due there on a step that writes."""
    other, standing, theirs = aliased(Touch), aliased(Enrolment), aliased(Touch)
    waiting = and_(
        col(other.lead_id) == col(Touch.lead_id),
        col(other.sequence).in_(wanting),
        col(other.kind).in_(MESSAGES),
        col(other.state).in_(("planned", "claimed", "retry_wait", "sending")),
        col(other.due_at) <= NOW_AT,
        func.coalesce(col(other.reason), "").not_in((PAUSED, STOPPED)),  # such a sequence wants nobody
    )
    planned = and_(
        col(theirs.enrolment_id) == col(standing.id),
        col(theirs.step) == col(standing.step),
        col(theirs.occurrence) == col(standing.occurrence),
    )
    unplanned = and_(
        col(standing.lead_id) == col(Touch.lead_id),
        col(standing.due_at) <= NOW_AT,
        or_(*(and_(col(standing.sequence) == slug, col(standing.step).in_(steps)) for slug, steps in wanting.items())),
        ~select(1).select_from(theirs).where(planned).correlate(standing).exists(),
    )
    return or_(
        select(1).select_from(other).where(waiting).correlate(Touch).exists(),
        select(1).select_from(standing).where(unplanned).correlate(Touch).exists(),
    )


def next_try(wanting: Wanting) -> ColumnElement[int]:
    """When the sequence that comes first tries its message next, in microseconds; 0: it is at it."""
    other = aliased(Touch)
    waiting = and_(
        col(other.lead_id) == col(Touch.lead_id),
        col(other.sequence).in_(wanting),
        col(other.kind).in_(MESSAGES),
        col(other.state).in_(("planned", "retry_wait")),
    )
    first = select(func.max(micros(col(other.next_at)))).select_from(other).where(waiting)
    return func.coalesce(first.correlate(Touch).scalar_subquery(), 0)


def spoke(wanting: Wanting) -> ColumnElement[bool]:
    """A sequence of higher priority wrote to this lead while this message stood due: it waits for another day."""
    other = aliased(Touch)
    since = and_(
        col(other.lead_id) == col(Touch.lead_id),
        col(other.sequence).in_(wanting),
        col(other.kind).in_(MESSAGES),
        col(other.purpose) == "marketing",
        col(other.state).in_(("sending", "sent", "uncertain")),
        col(other.sending_at) >= col(Touch.allowed_at),
    )
    return select(1).select_from(other).where(since).correlate(Touch).exists()
