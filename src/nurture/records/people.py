"""Leads and the facts known of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant

_IN_ACCOUNT = text("account IS NOT NULL")
#: Of every event; said by whoever looks for events by their time alone, among everybody's. Nobody else may find them
#: so: PostgreSQL knows nothing of the last minutes, and would read all that happened in them for each lead.
EVENTS_BY_TIME = "id + 0 > 0"
_BY_TIME = text(EVENTS_BY_TIME)


class Lead(SQLModel, table=True):
    """One person. Its key is the canonical e-mail, or a source and the id it has there."""

    __table_args__ = (
        UniqueConstraint("source", "source_id"),
        Index("ix_lead_stage", "stage"),
        Index("ix_lead_account", "account", postgresql_where=_IN_ACCOUNT, sqlite_where=_IN_ACCOUNT),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: Random 31 bits, drawn at creation: splits and holdouts pick by it.
    draw: int
    email: str | None = Field(default=None, unique=True)
    source: str | None = None
    source_id: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    title: str | None = None
    phone: str | None = None
    #: ISO 3166 alpha-2, upper case.
    country: str | None = None
    #: BCP 47, lower-case language first: `ar`, `en-GB`.
    language: str | None = None
    #: As it was given; `zone` is what is used.
    timezone: str | None = None
    #: A valid IANA zone, or NULL: the program's.
    zone: str | None = None
    stage: str = "lead"
    status: str = "new"
    #: E-mail of the salesperson who has this lead.
    owner: str | None = None
    #: The company that it belongs to: a key of `account`; derived from address and company when the lead is settled.
    account: str | None = None
    #: That company's score when this lead was looked at last, where a rule asks for it.
    account_score: int | None = None
    #: Custom fields, typed as program.yaml declares them; dates as ISO text.
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    #: Folded shadow of every text field, built-in and custom.
    folded: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    #: A lead that sales called premature rests until then.
    rests_until: datetime | None = Field(default=None, sa_type=Instant)
    #: Thirds of a letter above (or below) D; NULL: unknown.
    fit: int | None = None
    #: Fit points of the single score; changes with fields, never with time.
    fit_points: float = 0
    #: The `zone` by whose days the caps of its score were counted.
    scored_zone: str | None = None
    created_at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)
    #: When its person was erased: what is left is a shell that keeps the counts right.
    forgotten_at: datetime | None = Field(default=None, sa_type=Instant)


class LeadTag(SQLModel, table=True):
    """A tag a lead carries."""

    __tablename__ = "lead_tag"

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    #: Folded.
    tag: str = Field(primary_key=True)


class LeadList(SQLModel, table=True):
    """A lead's place on a static list: guests of an event, a partner's customers."""

    __tablename__ = "lead_list"

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    #: Folded.
    list: str = Field(primary_key=True)


class Event(SQLModel, table=True):
    """Something that happened, append-only; the log that scores are derived from."""

    __table_args__ = (
        UniqueConstraint("source", "key"),
        Index("ix_event_lead_name", "lead_id", "name", "occurred_at"),
        Index("ix_event_occurred", "occurred_at", postgresql_where=_BY_TIME, sqlite_where=_BY_TIME),
        Index(
            "ix_event_unsettled",
            "lead_id",
            postgresql_where=text("settled_at IS NULL"),
            sqlite_where=text("settled_at IS NULL"),
        ),
        Index(
            "ix_event_touch",
            "touch_id",
            postgresql_where=text("touch_id IS NOT NULL"),
            sqlite_where=text("touch_id IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    name: str
    occurred_at: datetime = Field(sa_type=Instant)
    recorded_at: datetime = Field(sa_type=Instant)
    #: From when it counts: a click rests until its class is certain.
    ripe_at: datetime = Field(sa_type=Instant)
    #: When settle took it in; NULL: not yet.
    settled_at: datetime | None = Field(default=None, sa_type=Instant)
    #: person, machine (a scanner, a proxy) or system (the house itself).
    actor: str = "person"
    #: Why it was classed so; NULL: nothing spoke against a person.
    classed_by: str | None = None
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    touch_id: int | None = Field(default=None, sa_type=BigKey)
    #: Where it came from, and its id there: the same pair twice is the same event.
    source: str
    key: str


class Consent(SQLModel, table=True):
    """A basis on which a lead may be written to (`mail`, `sms`) or followed (`tracking`)."""

    __table_args__ = (Index("ix_consent_lead", "lead_id", "purpose"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    #: mail, sms or tracking.
    purpose: str
    #: consent, contract, legitimate_interest or soft_opt_in.
    basis: str
    source: str
    #: Version of the text the person agreed to.
    wording: str | None = None
    given_at: datetime = Field(sa_type=Instant)
    expires_at: datetime | None = Field(default=None, sa_type=Instant)
    withdrawn_at: datetime | None = Field(default=None, sa_type=Instant)
    #: How it was withdrawn: one click, preference centre, import, …
    withdrawn_by: str | None = None
    #: When the mailbox itself said yes again (double opt-in).
    confirmed_at: datetime | None = Field(default=None, sa_type=Instant)
    #: What proves it: the address, the form or page, keyed digests of network address and User-Agent.
    evidence: dict[str, Any] = Field(
        default_factory=dict, sa_type=Document, sa_column_kwargs={"server_default": text("'{}'")}
    )


class Suppression(SQLModel, table=True):
    """An address, a domain, a phone or a lead that is never written to; stronger than everything."""

    __table_args__ = (UniqueConstraint("kind", "value"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: address, domain, phone or lead.
    kind: str
    #: Canonical address, domain, phone (E.164), or the lead's id as text.
    value: str
    reason: str
    source: str
    at: datetime = Field(sa_type=Instant)


class Work(SQLModel, table=True):
    """The work list: this lead must be looked at from `due_at`. One row per lead at most."""

    __table_args__ = (
        Index("ix_work_due", "due_at"),
        Index(
            "ix_work_claim", "claim", postgresql_where=text("claim IS NOT NULL"), sqlite_where=text("claim IS NOT NULL")
        ),
    )

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    due_at: datetime = Field(sa_type=Instant)
    #: The settle run that has it, inside that run's transaction only.
    claim: str | None = None
