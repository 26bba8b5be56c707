"""What people want of us: how often and about what, what they object to, what they have yet to confirm."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant


class Preference(SQLModel, table=True):
    """What a lead chose in the preference centre; no row: it chose nothing."""

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    #: Days between two marketing messages at least; NULL: as the caps say.
    every_days: int | None = None
    #: No marketing before then.
    paused_until: datetime | None = Field(default=None, sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


class RefusedTopic(SQLModel, table=True):
    """A topic of program.yaml that a lead does not want to hear of."""

    __tablename__ = "refused_topic"

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    topic: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Instant)


class Objection(SQLModel, table=True):
    """What a lead objected to; it stands until the lead itself takes it back."""

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    #: profiling (GDPR article 21: no mail, no score, no audience) or sharing (GPC, CCPA: no audience).
    kind: str = Field(primary_key=True)
    at: datetime = Field(sa_type=Instant)
    source: str


class Confirmation(SQLModel, table=True):
    """A consent that was given in a form and waits for its second yes, from the mailbox itself."""

    #: No number is given twice, not even by SQLite after a removal: a link in somebody's letter names it.
    __table_args__ = (Index("ix_confirmation_lead", "lead_id", "asked_at"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    #: The address that must confirm.
    address: str
    #: Of PURPOSES, what is agreed to: ["mail", "tracking"].
    purposes: list[str] = Field(default_factory=list, sa_type=Document)
    source: str
    #: purpose to version and text that was agreed to.
    wording: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    evidence: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    language: str | None = None
    asked_at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    confirmed_at: datetime | None = Field(default=None, sa_type=Instant)


class Erasure(SQLModel, table=True):
    """Somebody was forgotten: what remains, so that the same address stays out and a restored backup forgets again."""

    __table_args__ = (Index("ix_erasure_digest", "digest"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: HMAC-SHA256 of the canonical address (or `source id`) under the installation's pepper, hexadecimal.
    digest: str
    at: datetime = Field(sa_type=Instant)
    by: str
    #: Rows removed or emptied, by table.
    counts: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
