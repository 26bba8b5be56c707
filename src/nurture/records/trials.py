"""What a sequence asks of people, and what its experiments found."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant

_UNDONE = text("done_at IS NULL")


class Task(SQLModel, table=True):
    """Something a salesperson is asked to do for a lead by a `task` step; once per passage of the step."""

    __table_args__ = (
        UniqueConstraint("enrolment_id", "step", "occurrence"),
        Index("ix_task_lead", "lead_id"),
        Index("ix_task_undone", "owner", postgresql_where=_UNDONE, sqlite_where=_UNDONE),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    enrolment_id: int = Field(foreign_key="enrolment.id", sa_type=BigKey)
    sequence: str
    version_id: int = Field(sa_type=BigKey)
    step: str
    occurrence: int
    #: E-mail of the salesperson who is asked.
    owner: str
    #: As rendered for the lead.
    text: str
    created_at: datetime = Field(sa_type=Instant)
    #: Until when it should be done; NULL: nothing was said.
    due_at: datetime | None = Field(default=None, sa_type=Instant)
    done_at: datetime | None = Field(default=None, sa_type=Instant)
    done_by: str | None = None


class WebhookBody(SQLModel, table=True):
    """What a webhook's first attempt said, for as long as it is tried: every attempt under one key says the same."""

    __tablename__ = "webhook_body"

    touch_id: int = Field(primary_key=True, sa_type=BigKey)
    body: str


class Experiment(SQLModel, table=True):
    """What was found of the arms of a step's message, once per text of the arms."""

    __table_args__ = (UniqueConstraint("sequence", "step", "arms_hash"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    sequence: str
    step: str
    #: SHA-256 over the arms' letters.
    arms_hash: str
    #: When the engine compared them last.
    looked_at: datetime = Field(sa_type=Instant)
    #: The arm that newcomers get; NULL: none could be told from the others yet.
    winner: str | None = None
    decided_at: datetime | None = Field(default=None, sa_type=Instant)
    #: As of the last look: exposed and converted per arm, always-valid p, by what, confidence.
    figures: dict[str, Any] = Field(sa_type=Document)
