"""What makes sending trustworthy: questions to a person, what came back, who did what, how much went out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant

_OPEN = text("answered_at IS NULL")


class Hold(SQLModel, table=True):
    """Sends that wait: for the first few of a version to prove harmless, or for a person's answer."""

    __table_args__ = (
        Index("ix_hold_version", "version_id"),
        Index("ix_hold_open", "sequence", postgresql_where=_OPEN, sqlite_where=_OPEN),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: canary (a version's first send) or growth (far more than usual).
    kind: str
    sequence: str
    version_id: int = Field(foreign_key="sequence_version.id", sa_type=BigKey)
    #: watching (a canary is out), asked (a person must answer), passed (by itself), released, discarded (by a person).
    state: str
    #: Touches that are concerned: what a person repeats to release them.
    audience: int
    #: Canary: how many may go out while it is watched.
    allowance: int | None = None
    #: Canary: watched until then.
    until: datetime | None = Field(default=None, sa_type=Instant)
    #: The figures that it was decided by.
    figures: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    asked_at: datetime = Field(sa_type=Instant)
    answered_at: datetime | None = Field(default=None, sa_type=Instant)
    answered_by: str | None = None


class Volume(SQLModel, table=True):
    """Marketing messages that a sequence began to send on one local day of the program; what "usual" is measured by."""

    sequence: str = Field(primary_key=True)
    #: Days since 1970 on the program's clock.
    day: int = Field(primary_key=True)
    messages: int


class Inbound(SQLModel, table=True):
    """A message that came back or a report of one, once, whatever became of it."""

    __table_args__ = (Index("ix_inbound_touch", "touch_id"), Index("ix_inbound_received", "received_at"))

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: SHA-256 of the message as it came: the same bytes are taken in once.
    digest: str = Field(unique=True)
    #: mail, or `hook:` and the service that reported it.
    source: str = Field(default="mail", sa_column_kwargs={"server_default": text("'mail'")})
    received_at: datetime = Field(sa_type=Instant)
    #: bounce, complaint, automatic, reply, unsubscribe or unclear; of hooks also sent, delivered, deferred, opened,
    #: clicked or rejected.
    kind: str
    #: What it answers; NULL: nothing of ours, it is parked and concerns no lead.
    touch_id: int | None = Field(default=None, sa_type=BigKey)
    lead_id: int | None = Field(default=None, sa_type=BigKey)
    #: Bounces: hard, soft or sender (our own fault); else NULL.
    severity: str | None = None
    #: RFC 3463 status such as 5.1.1, where one was given.
    status: str | None = None
    #: What was done: suppressed, counted, recorded, parked, alarm.
    outcome: str
    detail: str | None = None


class Audit(SQLModel, table=True):
    """What a person decided: append-only."""

    __table_args__ = (Index("ix_audit_subject", "subject"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    at: datetime = Field(sa_type=Instant)
    by: str
    #: paused, resumed, stopped, started, uncertain_sent, uncertain_resent, hold_released, hold_discarded, adopted …
    act: str
    #: `all`, `segment:<slug>`, `lead:<id>`, `touch:<id>`, `hold:<id>`, `database`.
    subject: str
    detail: dict[str, Any] | None = Field(default=None, sa_type=Document)
