"""On which basis a lead may be written to and followed, in words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.records import Consent, Suppression
from nurture.steps.sms import e164

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
    )
    mine = select(*map(col, columns)).where(col(Consent.lead_id) == lead, col(Consent.given_at) <= now)
    rows = link.execute(mine.order_by(col(Consent.given_at), col(Consent.id))).all()
    asked = [purpose for purpose in _PURPOSES if purpose != "sms" or any(row.purpose == "sms" for row in rows)]
    return {purpose: _said([row for row in rows if row.purpose == purpose], now) for purpose in asked}


def _said(rows: list[Any], now: datetime) -> str:
    if not rows:
        return "no basis was ever given"
    valid = [row for row in rows if _withdrawn(row, now) is None and not _expired(row, now)]
    row = (valid or rows)[-1]
    given = f"{row.basis.replace('_', ' ')}, given {row.given_at:%Y-%m-%d %H:%M}Z ({row.source})"
    if valid:
        return given + (f", until {row.expires_at:%Y-%m-%d}" if row.expires_at else "")
    withdrawn = _withdrawn(row, now)
    if withdrawn is not None:
        return f"none, withdrawn {withdrawn:%Y-%m-%d %H:%M}Z ({given})"
    return f"none, expired {row.expires_at:%Y-%m-%d %H:%M}Z ({given})"


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
