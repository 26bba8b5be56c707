"""A lead's passage through a sequence, and what reached it on the way."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant

_LIVE = text("ended_at IS NULL")
_CLAIMED = text("claim IS NOT NULL")
_OUT = text("NOT wanted")
_HELD = text("state = 'held'")
_RESENT = text("resent_at IS NOT NULL AND next_at IS NOT NULL")
_UNCERTAIN = text("state = 'uncertain'")
_ARMED = text("arm IS NOT NULL")


class Holding(SQLModel, table=True):
    """A rule that held for a lead when last looked at; its appearance is the transition into the rule."""

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    #: `enrol:<sequence>`, `milestone:<name>` or `mql`.
    rule: str = Field(primary_key=True)
    since: datetime = Field(sa_type=Instant)


class EnrolmentQueue(SQLModel, table=True):
    """A lead that came to match a sequence whose limit of the day was reached; it enters in order while it matches."""

    __tablename__ = "enrolment_queue"
    __table_args__ = (Index("ix_enrolment_queue_since", "sequence", "since", "lead_id"),)

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    sequence: str = Field(primary_key=True)
    since: datetime = Field(sa_type=Instant)


class EnrolmentDay(SQLModel, table=True):
    """How many a sequence with a limit has let in by its rule on one local day of the program."""

    __tablename__ = "enrolment_day"

    sequence: str = Field(primary_key=True)
    #: Days since 1970 on the program's clock.
    day: int = Field(primary_key=True)
    enrolled: int


class Enrolment(SQLModel, table=True):
    """One passage of one lead through one version of a sequence."""

    __table_args__ = (
        UniqueConstraint("lead_id", "sequence", "rotation"),
        Index("uq_enrolment_live", "lead_id", "sequence", unique=True, postgresql_where=_LIVE, sqlite_where=_LIVE),
        Index("ix_enrolment_due", "sequence", "due_at", "version_id", "step"),
        Index("ix_enrolment_version", "version_id", postgresql_where=_LIVE, sqlite_where=_LIVE),
        Index("ix_enrolment_claim", "claim", postgresql_where=_CLAIMED, sqlite_where=_CLAIMED),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    sequence: str
    version_id: int = Field(foreign_key="sequence_version.id", sa_type=BigKey)
    #: 1 for the first passage of this lead through this sequence.
    rotation: int
    #: `rule`, or who enrolled it by hand.
    enrolled_by: str = "rule"
    step: str | None
    #: Passages of this step in this enrolment; 1 for the first.
    occurrence: int = 1
    #: Every step entered, in order, between slashes: `/welcome/engaged/`.
    path: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    #: Logical instant of entry into the step: no drift, however late the tick.
    entered_at: datetime = Field(sa_type=Instant)
    #: When the step acts next; NULL: it waits for its touch, or for nothing.
    due_at: datetime | None = Field(default=None, sa_type=Instant)
    #: When the step stops waiting for an event; only on steps that wait for one.
    deadline_at: datetime | None = Field(default=None, sa_type=Instant)
    #: True while an event may end the wait.
    listening: bool = False
    started_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    #: objective, left, completed, an exit's word, unsubscribed …
    outcome: str | None = None
    #: The run that places it or brings it along to another version, inside that run's transaction only.
    claim: str | None = None


class Touch(SQLModel, table=True):
    """One thing that reaches (or was to reach) a lead from outside; its states are guarded by a trigger."""

    __table_args__ = (
        UniqueConstraint("enrolment_id", "step", "occurrence"),
        Index("ix_touch_due", "sequence", "next_at", "version_id", "step"),
        Index("ix_touch_lead", "lead_id", "sending_at"),
        Index("ix_touch_message", "message_id"),
        Index(
            "ix_touch_claim",
            "lease_owner",
            postgresql_where=text("lease_owner IS NOT NULL"),
            sqlite_where=text("lease_owner IS NOT NULL"),
        ),
        Index("ix_touch_held", "sequence", "version_id", postgresql_where=_HELD, sqlite_where=_HELD),
        Index("ix_touch_resent", "version_id", postgresql_where=_RESENT, sqlite_where=_RESENT),
        Index("ix_touch_uncertain", "ended_at", postgresql_where=_UNCERTAIN, sqlite_where=_UNCERTAIN),
        Index("ix_touch_arm", "sequence", "step", "version_id", postgresql_where=_ARMED, sqlite_where=_ARMED),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    lead_id: int = Field(foreign_key="lead.id", sa_type=BigKey)
    enrolment_id: int = Field(foreign_key="enrolment.id", sa_type=BigKey)
    sequence: str
    version_id: int = Field(sa_type=BigKey)
    step: str
    occurrence: int
    #: email, offer, sms, audience or webhook.
    kind: str
    #: marketing (capped, needs consent) or operational.
    purpose: str = "marketing"
    #: What the lead receives: `<sequence>/<message>` or an offer's key; the same is not sent twice.
    content: str | None = None
    #: planned, held, claimed, sending, retry_wait, uncertain; sent, failed, suppressed, cancelled, expired.
    state: str = "planned"
    #: Why it is where it is: no_consent, window, cap, objective, 550 …
    reason: str | None = None
    #: When the step fell due.
    due_at: datetime = Field(sa_type=Instant)
    #: First instant at which window, cap and hold allowed it; lateness counts from here.
    allowed_at: datetime = Field(sa_type=Instant)
    #: When it is tried next; NULL in end states.
    next_at: datetime | None = Field(default=None, sa_type=Instant)
    attempt: int = 0
    #: Who has it, `host:boot:process:random/claim`: drawn anew at each claim, so a write that names it is fenced.
    lease_owner: str | None = None
    #: The database's clock; put off while its holder lives.
    lease_until: datetime | None = Field(default=None, sa_type=Instant)
    address: str | None = None
    message_id: str | None = None
    payload_sha256: str | None = None
    #: Whether its links are tracked, as the consent stood when it was rendered.
    tracked: bool = False
    #: The program version it was rendered with.
    program_version_id: int | None = Field(default=None, sa_type=BigKey)
    #: File of the language variant that was rendered; its links are what tokens count.
    variant: str | None = None
    #: The arm of the experiment that the step's message is one of; NULL: the step has no variants.
    arm: str | None = None
    planned_at: datetime = Field(sa_type=Instant)
    sending_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    #: When a person or the sequence's policy had an uncertain one sent again; at most once by policy.
    resent_at: datetime | None = Field(default=None, sa_type=Instant)
    #: Task run (or command) that acted on it last.
    run_id: str | None = None


class AudienceMember(SQLModel, table=True):
    """Membership of a lead in a retargeting audience, as wanted and as told to the platform."""

    __tablename__ = "audience_member"
    __table_args__ = (
        Index("ix_audience_member_out", "audience", "lead_id", postgresql_where=_OUT, sqlite_where=_OUT),
        Index("ix_audience_member_enrolment", "enrolment_id"),
    )

    lead_id: int = Field(foreign_key="lead.id", primary_key=True, sa_type=BigKey)
    audience: str = Field(primary_key=True)
    wanted: bool
    #: What the platform was last told and accepted; NULL: nothing yet.
    told: bool | None = None
    #: The enrolment that wants it; it leaves with that enrolment.
    enrolment_id: int | None = Field(default=None, sa_type=BigKey)
    #: Of a forgotten lead: SHA-256 of its addresses, until the platform has taken them out.
    hashes: list[str] | None = Field(default=None, sa_type=Document)
    changed_at: datetime = Field(sa_type=Instant)
