"""What a CRM was told of leads and what we heard from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from nurture.records.people import Lead
from nurture.records.types import BigKey, Document, Instant

#: Leads that a CRM may know: those that sales has had, or that are further than leads. Written as the index has it.
TELLABLE = "stage NOT IN ('subscriber', 'lead') OR owner IS NOT NULL"

Index(
    "ix_lead_tellable",
    Lead.__table__.c.changed_at,  # type: ignore[attr-defined]
    postgresql_where=text(TELLABLE),
    sqlite_where=text(TELLABLE),
)


class CrmLink(SQLModel, table=True):
    """One record in the CRM: whose, by which names, what it was told last, and what we heard last.

    A lead that was merged with another has the records of both: its own is told, both are heard.
    """

    __tablename__ = "crm_link"
    __table_args__ = (Index("ix_crm_link_their_id", "their_id"), Index("ix_crm_link_lead_id", "lead_id"))

    #: Our name for it over there, the same for ever.
    our_key: str = Field(primary_key=True)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    #: The id of its record over there; NULL: not known yet.
    their_id: str | None = None
    #: SHA-256 of what it was told last; NULL: nothing yet.
    told: str | None = None
    told_at: datetime | None = Field(default=None, sa_type=Instant)
    #: Of what it was tried to tell last, if that was refused.
    tried: str | None = None
    #: When what was refused is tried again; NULL: nothing waits.
    next_at: datetime | None = Field(default=None, sa_type=Instant)
    attempt: int = 0
    last_error: str | None = None
    #: When their record took no more changes (a converted lead); it is told nothing since.
    closed_at: datetime | None = Field(default=None, sa_type=Instant)
    #: The deal that is followed, if it is known.
    deal_id: str | None = Field(default=None, index=True)
    #: Each field and deal of theirs as it was heard last, with its instant; the deal that a hand-off follows.
    heard: dict[str, Any] = Field(
        default_factory=dict, sa_type=Document, sa_column_kwargs={"server_default": text("'{}'")}
    )
    heard_at: datetime | None = Field(default=None, sa_type=Instant)
    #: What was not believed: an owner who is none of sales, an answer that cannot follow.
    note: str | None = None


class CrmState(SQLModel, table=True):
    """How far we are with telling (`push`) and hearing (`pull`), and when the CRM is asked next."""

    __tablename__ = "crm_state"

    #: push, or pull with what is read: `pull:contacts`, `pull:deals`.
    name: str = Field(primary_key=True)
    #: Of a pull: up to where it has come, in the words of the CRM.
    cursor: str | None = None
    #: When it was last done to the end.
    done_at: datetime | None = Field(default=None, sa_type=Instant)
    #: Of a push: when everybody was last looked at, not only those who changed.
    whole_at: datetime | None = Field(default=None, sa_type=Instant)
    #: Before that the CRM is not asked; NULL: at any time.
    next_at: datetime | None = Field(default=None, sa_type=Instant)
    attempt: int = 0
    last_error: str | None = None
