"""What happens between marketing and sales: hand-offs, their answers, whose turn it is, and accounts."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Instant

_TIMED = text("next_at IS NOT NULL")


class Handoff(SQLModel, table=True):
    """A lead asked of sales: an owner, a deadline, one answer."""

    __table_args__ = (
        UniqueConstraint("lead_id", "cycle"),
        Index(
            "uq_handoff_open",
            "lead_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
            sqlite_where=text("state = 'open'"),
        ),
        Index("ix_handoff_owner", "owner", "state"),
        Index("ix_handoff_next", "next_at", postgresql_where=_TIMED, sqlite_where=_TIMED),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    cycle: int
    milestone: str
    #: The sequence that nurtured it, if one did.
    sequence: str | None = None
    #: open, accepted, rejected, expired or reassigned.
    state: str = "open"
    #: Of a rejection: inaccurate_data, not_persona, premature or duplicate.
    reason: str | None = None
    #: What the salesperson wrote about the answer.
    note: str | None = None
    #: By which way the lead came: marketing, product, service or ready.
    entrance: str = Field(default="marketing", sa_column_kwargs={"server_default": text("'marketing'")})
    #: The level of the MQL matrix that it was at.
    level: str | None = None
    owner: str
    #: Why this owner, in words.
    routed_by: str | None = None
    score: int
    fit: int | None = None
    stage_before: str
    opened_at: datetime = Field(sa_type=Instant)
    deadline_at: datetime = Field(sa_type=Instant)
    answered_at: datetime | None = Field(default=None, sa_type=Instant)
    answered_by: str | None = None
    #: When something is to be done about it next: a reminder, or its expiry; NULL: nothing.
    next_at: datetime | None = Field(default=None, sa_type=Instant)
    reminded_at: datetime | None = Field(default=None, sa_type=Instant)
    escalated_at: datetime | None = Field(default=None, sa_type=Instant)
    #: The hand-off that nobody answered, which this one took the place of.
    instead_of: int | None = Field(default=None, sa_type=BigKey)
    #: What came of it after the acceptance: met, sql, opportunity, won, lost or recycled; NULL: nothing yet.
    progress: str | None = None
    progress_at: datetime | None = Field(default=None, sa_type=Instant)
    #: Why it was lost.
    lost_reason: str | None = None
    #: Of the deal, in `currency` (ISO 4217).
    value: float | None = None
    currency: str | None = None
    program_version_id: int = Field(sa_type=BigKey)


class HandoffAnswer(SQLModel, table=True):
    """What sales said of a hand-off, append-only; the hand-off itself keeps the latest."""

    __tablename__ = "handoff_answer"
    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_handoff_answer_lead", "lead_id", "at"),
        Index("ix_handoff_answer_handoff", "handoff_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    handoff_id: int = Field(foreign_key="handoff.id", sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    #: accepted, rejected, met, sql, opportunity, won, lost or recycled.
    answer: str
    at: datetime = Field(sa_type=Instant)
    #: A person's address, or what spoke for it.
    by: str
    #: Of a rejection or a loss.
    reason: str | None = None
    note: str | None = None
    value: float | None = None
    currency: str | None = None
    #: link, command, import, webhook or crm, and its id there: the same pair twice is the same answer.
    source: str
    key: str


class RoutingShare(SQLModel, table=True):
    """Whose turn it is among those who may take the same leads: who is owed most is next."""

    __tablename__ = "routing_share"

    ring: str = Field(primary_key=True)
    #: E-mail of the salesperson.
    person: str = Field(primary_key=True)
    #: What this person is owed, in weights.
    owed: int = 0


class Absence(SQLModel, table=True):
    """Days on which somebody of the sales team does not work, noted by a command; both included."""

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: E-mail of the salesperson.
    person: str = Field(index=True)
    first: date
    last: date
    noted_at: datetime = Field(sa_type=Instant)
    noted_by: str


class MailDomain(SQLModel, table=True):
    """What kind of domain people's addresses are at, as far as it was looked up; derived, may be emptied."""

    __tablename__ = "mail_domain"

    domain: str = Field(primary_key=True)
    #: company, free, disposable or academic.
    kind: str


class Account(SQLModel, table=True):
    """A company whose leads have one owner."""

    #: A company's domain, or its folded name where people write from elsewhere.
    key: str = Field(primary_key=True)
    #: E-mail of the salesperson who has it; NULL: nobody yet.
    owner: str | None = None
    since: datetime | None = Field(default=None, sa_type=Instant)
    #: Why this owner: a hand-off, or who said so.
    cause: str | None = None
