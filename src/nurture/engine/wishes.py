"""What a lead chose in the preference centre, as the planner and the permit read it: topics, a pause, a pace.

It holds for marketing messages alone. Who chose nothing has no row, and costs one lookup by its key.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.program.load import Segment
from nurture.records import Lead, Preference, RefusedTopic, Touch
from nurture.records.types import micros
from nurture.steps import MESSAGES, Message, Sending
from nurture.zones import DAY

#: Touches that count against a cap and a pace.
COUNTED = ("sending", "sent", "uncertain")
#: The instant up to which a lead asked for silence; 0: it did not. Where `preference` is joined.
PAUSED_UNTIL: ColumnElement[int] = func.coalesce(micros(col(Preference.paused_until)), 0)


def topic_of(segment: Segment, step: Sending) -> str | None:
    """What a step's message is about: the step's own topic, else its sequence's; None: it has none."""
    own = step.topic if isinstance(step, Message) else None
    return own or segment.spec.topic


def refuses(topic: str) -> ColumnElement[bool]:
    """Whether the lead does not want to hear of `topic`."""
    mine = and_(col(RefusedTopic.lead_id) == col(Lead.id), col(RefusedTopic.topic) == topic)
    return select(1).where(mine).correlate(Lead).exists()


def free_again() -> ColumnElement[int]:
    """When the lead's pace lets the next message go, so many days of 24 hours after the last; 0: it set none.

    Where `preference` is joined; who set no pace is not asked what it had.
    """
    other = aliased(Touch)
    last = select(func.max(micros(col(other.sending_at)))).select_from(other).where(counted(other))
    pace = cast(col(Preference.every_days), BigInteger) * DAY
    after = last.correlate(Touch).scalar_subquery() + pace
    return case((col(Preference.every_days).is_(None), 0), else_=func.coalesce(after, 0))


def counted(other: Any) -> ColumnElement[bool]:
    """Whether `other` is a marketing message that the lead of a touch has had."""
    return and_(
        col(other.lead_id) == col(Touch.lead_id),
        col(other.purpose) == "marketing",
        col(other.kind).in_(MESSAGES),
        col(other.state).in_(COUNTED),
    )
