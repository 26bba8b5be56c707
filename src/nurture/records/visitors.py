"""Who came to the website, what a lead was called before, and the keys of systems that tell us things."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant

_KNOWN = text("lead_id IS NOT NULL")


class ApiKey(SQLModel, table=True):
    """A key that a website or a system sends facts with; the key itself is sealed from the row's id, never stored."""

    __tablename__ = "api_key"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    name: str = Field(unique=True)
    #: site (stands in a page for all to read: page views and the events of `website:`) or server (a secret: leads
    #: and every event).
    kind: str
    created_at: datetime = Field(sa_type=Instant)
    created_by: str
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)


class Visitor(SQLModel, table=True):
    """A browser that a website told us of; a person as soon as it is known whose it is."""

    __table_args__ = (
        Index("ix_visitor_lead", "lead_id", postgresql_where=_KNOWN, sqlite_where=_KNOWN),
        Index("ix_visitor_seen", "last_seen_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: Drawn by the page's snippet: 32 hexadecimal digits.
    key: str = Field(unique=True)
    lead_id: int | None = Field(default=None, foreign_key="lead.id", sa_type=BigKey)
    first_seen_at: datetime = Field(sa_type=Instant)
    last_seen_at: datetime = Field(sa_type=Instant)
    #: Sent `Sec-GPC: 1` at its latest visit.
    opted_out: bool = False


class Visit(SQLModel, table=True):
    """Something an unknown visitor did; it moves into the event log once the visitor is known."""

    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_visit_visitor", "visitor_id"),
        Index("ix_visit_recorded", "recorded_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    visitor_id: int = Field(foreign_key="visitor.id", sa_type=BigKey)
    name: str
    occurred_at: datetime = Field(sa_type=Instant)
    recorded_at: datetime = Field(sa_type=Instant)
    #: person or machine.
    actor: str = "person"
    classed_by: str | None = None
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    source: str
    key: str


class LeadAlias(SQLModel, table=True):
    """An address or id by which a lead was known before: whoever names it means this lead."""

    __tablename__ = "lead_alias"
    __table_args__ = (Index("ix_lead_alias_lead", "lead_id"),)

    #: email or id.
    kind: str = Field(primary_key=True)
    #: Of an id: whose; empty for an address.
    source: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    since: datetime = Field(sa_type=Instant)
    #: changed (the address) or merged.
    cause: str


class LeadMerge(SQLModel, table=True):
    """Two leads turned out to be one person: what became of the second."""

    __tablename__ = "lead_merge"
    __table_args__ = (Index("ix_lead_merge_lead", "lead_id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: The lead that stays.
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    #: The id of the lead that it took in.
    gone_id: int = Field(unique=True, sa_type=BigKey)
    at: datetime = Field(sa_type=Instant)
    by: str
    cause: str
    #: Counts of what moved, and the enrolments that ended; no personal data.
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
