"""Scores, stages, milestones, and what the house tells its own people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant

_UNSUMMED = text("counted <> summed")
_EXPIRES = text("expires_at IS NOT NULL")
_LIMITED = text("in_total IS NOT NULL")


class ScoreEntry(SQLModel, table=True):
    """One line of the score ledger; derived from the event log, so it may be rebuilt at any time."""

    __tablename__ = "score_entry"
    __table_args__ = (
        # an event happens once, so `at` only orders: what a rule's caps ask is found in this index as well
        UniqueConstraint("lead_id", "rule", "at", "event_id"),
        Index("ix_score_entry_unsummed", "lead_id", postgresql_where=_UNSUMMED, sqlite_where=_UNSUMMED),
        Index("ix_score_entry_expires", "lead_id", "expires_at", postgresql_where=_EXPIRES, sqlite_where=_EXPIRES),
        Index(
            "ix_score_entry_counted",
            "lead_id",
            "rule",
            "counted",
            "at",
            "in_total",
            postgresql_where=_LIMITED,
            sqlite_where=_LIMITED,
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    #: The rule's sentence.
    rule: str
    #: engagement or fit.
    dimension: str
    #: The event that earned it; 0 for a fit rule.
    event_id: int = Field(sa_type=BigKey)
    points: float
    #: 0 when a cap took it; else `points`.
    counted: float = 0
    #: What of it is in `score_sum` already.
    summed: float = 0
    #: The rule's group; empty: none.
    group_name: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    #: Hours after which half of it is left; NULL: does not fade.
    half_life_hours: float | None = None
    #: From when it is worth nothing; NULL: it does not run out.
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    #: How many lines of the rule count in all, of those that a day's cap lets count; NULL: any number, or not of these.
    in_total: int | None = None
    at: datetime = Field(sa_type=Instant)
    #: The lead's local day, days since 1970; caps count per day.
    day: int
    program_version_id: int = Field(sa_type=BigKey)


class ScoreSum(SQLModel, table=True):
    """Sum of counted points of one group and half-life, as it stood at `as_of`; one row however long the history."""

    __tablename__ = "score_sum"

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    #: Empty: of the rules that are in no group.
    group_name: str = Field(primary_key=True, default="")
    #: 0: does not fade; what runs out is taken out.
    half_life_hours: float = Field(primary_key=True)
    total: float
    #: What the group counts for at least and at most; NULL: no bound.
    at_least: float | None = None
    at_most: float | None = None
    #: What all engagement counts for at most, the same in each row of the lead; NULL: no bound.
    in_all_at_most: float | None = None
    as_of: datetime = Field(sa_type=Instant)


class StageTransition(SQLModel, table=True):
    """A lead's step from one lifecycle stage to another: dated, with cause and author."""

    __tablename__ = "stage_transition"
    __table_args__ = (Index("ix_stage_transition_lead", "lead_id", "at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    from_stage: str
    to_stage: str
    at: datetime = Field(sa_type=Instant)
    cause: str
    #: rule, import, or a person's address.
    author: str
    program_version_id: int | None = Field(default=None, sa_type=BigKey)


class StatusChange(SQLModel, table=True):
    """What sales is doing about a lead became something else: dated, with cause and author."""

    __tablename__ = "status_change"
    __table_args__ = (Index("ix_status_change_lead", "lead_id", "at"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    from_status: str
    to_status: str
    at: datetime = Field(sa_type=Instant)
    cause: str
    #: rule, import, or a person's address.
    author: str


class Milestone(SQLModel, table=True):
    """A milestone a lead reached, and what came of it."""

    __table_args__ = (
        UniqueConstraint("lead_id", "name", "event_id"),
        Index("ix_milestone_lead", "lead_id", "name", "reached_at"),
        Index(
            "ix_milestone_open",
            "lead_id",
            postgresql_where=text("outcome IS NULL"),
            sqlite_where=text("outcome IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    name: str
    reached_at: datetime = Field(sa_type=Instant)
    #: The event that reached it; negative: minus the enrolment whose step did, or minus the instant of the transition.
    event_id: int = Field(sa_type=BigKey)
    #: noted, handed_off, evidence or refused; NULL: not decided yet.
    outcome: str | None = None
    #: The gate's reason when refused.
    reason: str | None = None
    handoff_id: int | None = Field(default=None, sa_type=BigKey)


class Outbox(SQLModel, table=True):
    """A message of the house to its own people, sent at least once with one Message-ID."""

    __table_args__ = (
        UniqueConstraint("kind", "row_id"),
        Index("ix_outbox_due", "next_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: handoff_notice, handoff_reminder, handoff_escalation or meeting_reminder (said again: with ':' and the day),
    #: handoff_evidence (with ':' and the milestone), task_notice or confirmation; with `_chat` in it, the same by chat.
    kind: str
    row_id: int = Field(sa_type=BigKey)
    created_at: datetime = Field(sa_type=Instant)
    #: When it is tried next; NULL: done.
    next_at: datetime | None = Field(default=None, sa_type=Instant)
    attempt: int = 0
    lease_owner: str | None = None
    message_id: str | None = None
    done_at: datetime | None = Field(default=None, sa_type=Instant)
    last_error: str | None = None


class Refusal(SQLModel, table=True):
    """Why a lead that met a trigger was not enrolled; what `explain` answers with."""

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    sequence: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Instant)
    reason: str
    detail: dict[str, Any] | None = Field(default=None, sa_type=Document)
