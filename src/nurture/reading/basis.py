"""On which basis a lead may be written to and followed, in words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select
from sqlmodel import col

from nurture.records import Confirmation, Consent, Objection, Suppression
from nurture.steps.sms import e164

#: What each kind of objection ends.
_STOPS = {"profiling": "no marketing, no score, no audience", "sharing": "no audience"}
_PURPOSES = {"mail": "Mail", "sms": "Text messages", "tracking": "Tracking"}


def bases(link: Connection, lead: int, now: datetime) -> dict[str, str]:
    """For `mail` and `tracking` (and `sms`, if it was asked): the basis that holds, or what became of the last one."""
    columns = (
        Consent.purpose,
        Consent.basis,
        Consent.source,
        Consent.given_at,
        Consent.expires_at,
        Consent.withdrawn_at,
        Consent.withdrawn_by,
        Consent.confirmed_at,
        Consent.wording,
    )
    mine = select(*map(col, columns)).where(col(Consent.lead_id) == lead, col(Consent.given_at) <= now)
    rows = link.execute(mine.order_by(col(Consent.given_at), col(Consent.id))).all()
    asked = [purpose for purpose in _PURPOSES if purpose != "sms" or any(row.purpose == "sms" for row in rows)]
    since = (col(Objection.lead_id) == lead) & (col(Objection.kind) == "profiling") & (col(Objection.at) <= now)
    objected = link.execute(select(col(Objection.at)).where(since)).scalar()
    return {purpose: _said([row for row in rows if row.purpose == purpose], now, objected) for purpose in asked}


def _said(rows: list[Any], now: datetime, objected: datetime | None) -> str:
    if not rows:
        return "no basis was ever given"
    standing = [row for row in rows if _withdrawn(row, now) is None and not _expired(row, now)]
    valid = [row for row in standing if _carries(row) and not _objected(row, objected)]
    row = (valid or standing or rows)[-1]
    given = f"{row.basis.replace('_', ' ')}, given {row.given_at:%Y-%m-%d %H:%M}Z ({row.source})"
    if row.confirmed_at is not None and row.confirmed_at <= now:
        given += f", confirmed {row.confirmed_at:%Y-%m-%d %H:%M}Z"
    if row.wording:
        given += f", text {_version(row.wording)}"
    if valid:
        return given + (f", until {row.expires_at:%Y-%m-%d}" if row.expires_at else "")
    if _objected(row, objected):
        return f"none, objected to profiling {objected:%Y-%m-%d %H:%M}Z ({given})"
    if standing:
        return f"none, tracking asks for a yes of the person ({given})"
    withdrawn = _withdrawn(row, now)
    if withdrawn is not None:
        by = f" by {row.withdrawn_by}" if row.withdrawn_by else ""
        return f"none, withdrawn {withdrawn:%Y-%m-%d %H:%M}Z{by} ({given})"
    return f"none, expired {row.expires_at:%Y-%m-%d %H:%M}Z ({given})"


def _carries(row: Any) -> bool:
    """Whether the basis is one for its purpose: being followed asks for a yes."""
    return bool(row.purpose != "tracking" or row.basis == "consent")


def _objected(row: Any, objected: datetime | None) -> bool:
    """Whether an objection since ended it; what the mailbox confirmed after that stands."""
    return objected is not None and (row.confirmed_at is None or row.confirmed_at <= objected)


def _version(wording: str) -> str:
    """What names the text that was agreed to: all before the colon, or its beginning where a file brought it."""
    head, _, rest = wording.partition(": ")
    return head if rest and len(head) <= 40 else f"“{wording[:40]}{'…' if len(wording) > 40 else ''}”"


def objections(link: Connection, lead: int, now: datetime) -> list[str]:
    """What the lead objects to, and what it was asked to confirm and has not, in sentences."""
    said = []
    mine = select(Objection.__table__).where(col(Objection.lead_id) == lead, col(Objection.at) <= now)  # type: ignore[attr-defined]
    for row in link.execute(mine.order_by(col(Objection.kind))):
        since = f"since {row.at:%Y-%m-%d %H:%M}Z ({row.source})"
        said.append(f"Objects to {row.kind} {since}: {_STOPS[row.kind]}")
    asked = select(Confirmation.__table__).where(  # type: ignore[attr-defined]
        col(Confirmation.lead_id) == lead, col(Confirmation.asked_at) <= now,
        or_(col(Confirmation.confirmed_at).is_(None), col(Confirmation.confirmed_at) > now),
    )  # fmt: skip
    for row in link.execute(asked.order_by(col(Confirmation.asked_at).desc()).limit(1)):
        state = "waits until" if row.expires_at > now else "came to nothing on"
        asks = f"Asked to confirm {' and '.join(row.purposes)} on {row.asked_at:%Y-%m-%d %H:%M}Z ({row.source})"
        said.append(f"{asks}; that {state} {row.expires_at:%Y-%m-%d %H:%M}Z")
    return said


def _withdrawn(row: Any, now: datetime) -> datetime | None:
    at: datetime | None = row.withdrawn_at
    return at if at is not None and at <= now else None


def _expired(row: Any, now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def barred(link: Connection, lead: int, email: str, phone: str | None = None) -> list[str]:
    """Each entry of the suppression list that means this lead."""
    mine = [("lead", str(lead)), ("address", email), ("domain", email.rpartition("@")[2]), ("phone", e164(phone) or "")]
    return [
        f"{kind} suppressed ({row.reason}, by {row.source}, {row.at:%Y-%m-%d %H:%M}Z)"
        for kind, value in mine
        for row in link.execute(
            select(col(Suppression.reason), col(Suppression.source), col(Suppression.at)).where(
                col(Suppression.kind) == kind, col(Suppression.value) == value
            )
        )
    ]
