"""The tables. Import from here; the files group them by what they tell of."""

from nurture.records.house import Control, Lease, Meta, Opening, ZoneSpan
from nurture.records.outcomes import (
    Handoff,
    Milestone,
    Outbox,
    Refusal,
    RoutingTurn,
    ScoreEntry,
    ScoreSum,
    StageTransition,
)
from nurture.records.passages import AudienceMember, Enrolment, EnrolmentDay, EnrolmentQueue, Holding, Touch
from nurture.records.people import Consent, Event, Lead, LeadList, LeadTag, Suppression, Work
from nurture.records.programs import ProgramVersion, SequenceVersion
from nurture.records.trials import Experiment, Task, WebhookBody
from nurture.records.trust import Audit, Hold, Inbound, Volume

__all__ = [
    "AudienceMember",
    "Audit",
    "Consent",
    "Control",
    "Enrolment",
    "EnrolmentDay",
    "EnrolmentQueue",
    "Event",
    "Experiment",
    "Handoff",
    "Hold",
    "Holding",
    "Inbound",
    "Lead",
    "LeadList",
    "LeadTag",
    "Lease",
    "Meta",
    "Milestone",
    "Opening",
    "Outbox",
    "ProgramVersion",
    "Refusal",
    "RoutingTurn",
    "ScoreEntry",
    "ScoreSum",
    "SequenceVersion",
    "StageTransition",
    "Suppression",
    "Task",
    "Touch",
    "Volume",
    "WebhookBody",
    "Work",
    "ZoneSpan",
]
