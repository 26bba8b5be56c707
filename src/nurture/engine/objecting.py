"""What a lead agreed to and what it objects to, as SQL: the permit, enrolment and scores ask the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, func, or_, select
from sqlmodel import col

from nurture.language.objections import objects
from nurture.records import Confirmation, Consent, Lead, Objection
from nurture.records.types import NOW_AT, micros

__all__ = ["has_consent", "objects", "shut_out", "unconfirmed_until"]


def has_consent(purpose: str) -> ColumnElement[bool]:
    """Whether the lead has a valid basis for `mail`, `sms` or `tracking`: given, not withdrawn, not run out.

    Tracking asks for a yes of the person, `consent`; the other bases do not carry it (ePrivacy Directive, 5(3)). What
    was agreed to before an objection to profiling holds no more; what the mailbox confirmed since then does.
    """
    objected = select(1).where(
        col(Objection.lead_id) == col(Consent.lead_id),
        col(Objection.kind) == "profiling",
        or_(col(Consent.confirmed_at).is_(None), col(Consent.confirmed_at) <= col(Objection.at)),
    )
    valid = and_(
        col(Consent.lead_id) == col(Lead.id),
        col(Consent.purpose) == purpose,
        col(Consent.given_at) <= NOW_AT,
        col(Consent.withdrawn_at).is_(None),
        or_(col(Consent.expires_at).is_(None), col(Consent.expires_at) > NOW_AT),
        ~objected.correlate(Consent).exists(),
        *([col(Consent.basis) == "consent"] if purpose == "tracking" else []),
    )
    return select(1).where(valid).correlate(Lead).exists()


def shut_out() -> ColumnElement[bool]:
    """Whether an objection keeps the lead out of sequences: one to profiling, and no yes to mail confirmed since."""
    return and_(objects("profiling"), ~has_consent("mail"))


def unconfirmed_until(purpose: str) -> ColumnElement[Any]:
    """Until when the lead's mailbox may say its second yes to `purpose`, in microseconds; NULL: it is not asked."""
    asked = and_(
        col(Confirmation.lead_id) == col(Lead.id),
        col(Confirmation.confirmed_at).is_(None),
        col(Confirmation.expires_at) > NOW_AT,
        col(Confirmation.address) == col(Lead.email),
        cast(col(Confirmation.purposes), String).contains(f'"{purpose}"'),
    )
    latest = select(func.max(micros(col(Confirmation.expires_at)))).where(asked)
    return latest.correlate(Lead).scalar_subquery()
