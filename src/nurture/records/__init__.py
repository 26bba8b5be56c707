"""The tables. Import from here; the files group them by what they tell of."""

from nurture.records.crm import CrmLink, CrmState
from nurture.records.house import Control, Lease, Meta, Opening, ZoneSpan
from nurture.records.outcomes import (
    Milestone,
    Outbox,
    Refusal,
    ScoreEntry,
    ScoreSum,
    StageTransition,
    StatusChange,
)
from nurture.records.passages import AudienceMember, Enrolment, EnrolmentDay, EnrolmentQueue, Holding, Touch
from nurture.records.people import Consent, Event, Lead, LeadList, LeadTag, Suppression, Work
from nurture.records.programs import ProgramVersion, SequenceVersion
from nurture.records.sales import Absence, Account, Handoff, HandoffAnswer, MailDomain, RoutingShare
from nurture.records.trials import Experiment, Task, WebhookBody
from nurture.records.trust import Audit, Hold, Inbound, Volume
from nurture.records.visitors import ApiKey, LeadAlias, LeadMerge, Visit, Visitor
from nurture.records.wishes import Confirmation, Erasure, Objection, Preference, RefusedTopic

__all__ = [
    "Absence",
    "Account",
    "ApiKey",
    "AudienceMember",
    "Audit",
    "Confirmation",
    "Consent",
    "Control",
    "CrmLink",
    "CrmState",
    "Enrolment",
    "EnrolmentDay",
    "EnrolmentQueue",
    "Erasure",
    "Event",
    "Experiment",
    "Handoff",
    "HandoffAnswer",
    "Hold",
    "Holding",
    "Inbound",
    "Lead",
    "LeadAlias",
    "LeadList",
    "LeadMerge",
    "LeadTag",
    "Lease",
    "MailDomain",
    "Meta",
    "Milestone",
    "Objection",
    "Opening",
    "Outbox",
    "Preference",
    "ProgramVersion",
    "Refusal",
    "RefusedTopic",
    "RoutingShare",
    "ScoreEntry",
    "ScoreSum",
    "SequenceVersion",
    "StageTransition",
    "StatusChange",
    "Suppression",
    "Task",
    "Touch",
    "Visit",
    "Visitor",
    "Volume",
    "WebhookBody",
    "Work",
    "ZoneSpan",
]
