"""What the three weeks came to, asked of the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.program.load import Loaded
from nurture.records import Event, Handoff, Lead, Milestone, Outbox, Task, Touch
from nurture.steps.sending import Sending

_CLICKS = ("email_clicked", "offer_viewed")


@dataclass
class StepRow:
    """The touches of one step: how they ended, and why some did not go out."""

    segment: str
    step: str
    kind: str
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class HandoffRow:
    """One hand-off, from the milestone to the answer."""

    number: int
    lead: str
    email: str
    company: str
    milestone: str
    sequence: str
    owner: str
    score: int
    opened: datetime
    #: From the milestone to the notice.
    told_after: timedelta | None
    answer: str


def steps(link: Connection, loaded: Loaded, segments: list[str]) -> list[StepRow]:
    """Every step that sends, in the order of its sequence."""
    rows = {
        (slug, step.id): StepRow(slug, step.id, step.kind_word)
        for slug in segments
        for step in loaded.segments[slug].spec.steps
        if isinstance(step, Sending)
    }
    told = (col(Touch.sequence), col(Touch.step), col(Touch.state), col(Touch.reason))
    counted = select(*told, func.count()).group_by(*told)
    for slug, step, state, reason, count in link.execute(counted):
        row = rows[slug, step]
        row.states[state] += count
        if state != "sent":
            word = _WORD.get(state, state)
            row.reasons[f"{word}: {reason}" if reason else word] += count
    return list(rows.values())


_WORD = {"planned": "waits", "retry_wait": "tried again"}


def _waited(row: Any) -> timedelta:
    """From the milestone, or from when it was passed on, to the notice in the relay's hands."""
    since: datetime = (not row.instead_of and row.reached_at) or row.opened_at
    told: datetime = row.done_at
    return told - since


def handoffs(link: Connection) -> list[HandoffRow]:
    """All of them, in the order in which they were opened."""
    who = (col(Lead.first_name), col(Lead.last_name), col(Lead.email), col(Lead.company))
    asked = (col(Milestone.handoff_id) == col(Handoff.id)) & (col(Milestone.outcome) == "handed_off")
    reached = select(func.min(col(Milestone.reached_at))).where(asked).correlate(Handoff).scalar_subquery()
    query = (
        select(*Handoff.__table__.columns, *who, col(Outbox.done_at), reached.label("reached_at"))  # type: ignore[attr-defined]
        .join(Lead, col(Lead.id) == col(Handoff.lead_id))
        .join(
            Outbox,
            (col(Outbox.row_id) == col(Handoff.id)) & (col(Outbox.kind) == "handoff_notice"),
            isouter=True,
        )
        .order_by(col(Handoff.opened_at), col(Handoff.id))
    )
    return [
        HandoffRow(
            number=row.id,
            lead=" ".join(filter(None, (row.first_name, row.last_name))) or row.email,
            email=row.email or "",
            company=row.company or "",
            milestone=row.milestone,
            sequence=row.sequence or "",
            owner=row.owner,
            score=row.score,
            opened=row.opened_at,
            told_after=None if row.done_at is None else _waited(row),
            answer=row.state if row.reason is None else f"{row.state}: {row.reason}",
        )
        for row in link.execute(query)
    ]


def tasks(link: Connection) -> dict[str, tuple[int, int]]:
    """Owner to how many tasks there were, and how many of them are done."""
    query = select(col(Task.owner), func.count(), func.count(col(Task.done_at))).group_by(col(Task.owner))
    return {owner: (asked, done) for owner, asked, done in link.execute(query)}


def minutes_to_notice(rows: list[HandoffRow]) -> float | None:
    """The median over those whose notice left."""
    told = [row.told_after.total_seconds() / 60 for row in rows if row.told_after is not None]
    return median(told) if told else None


def clicks(link: Connection) -> Counter[str]:
    """Links followed, by who followed them: `person` or `machine`."""
    query = select(col(Event.actor), func.count()).where(col(Event.name).in_(_CLICKS)).group_by(col(Event.actor))
    return Counter({actor: count for actor, count in link.execute(query)})


def events(link: Connection, name: str) -> int:
    """How often it happened."""
    return link.execute(select(func.count()).where(col(Event.name) == name)).scalar_one()


def example(link: Connection, since: datetime) -> str | None:
    """The address of a lead whose story is worth reading: handed over, after letters and clicks."""
    query = (
        select(col(Lead.email))
        .join(Handoff, col(Handoff.lead_id) == col(Lead.id))
        .join(
            Event,
            (col(Event.lead_id) == col(Lead.id)) & col(Event.name).in_(_CLICKS) & (col(Event.actor) == "person"),
        )
        .where(col(Handoff.opened_at) >= since + timedelta(days=3), col(Handoff.state) == "accepted")
        .group_by(col(Lead.email))
        .order_by(func.count().desc(), col(Lead.email))
    )
    return link.execute(query.limit(1)).scalar()
