"""Audiences as a wanted state: what the platforms were told is brought in line with what is wanted."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture.channels.base import Channel, Journal, Parcel
from nurture.db import Database
from nurture.records import AudienceMember, Lead

_BATCH = 500


def take_out(db: Database, channel: Channel, journal: Journal, now: datetime) -> int:
    """Tell the platforms who has left an audience; how many changes they took. Repeating is harmless."""
    told = 0
    with db.read() as link:
        waiting = _waiting(link)
    for audience in sorted({row[0] for row in waiting}):
        members = [(lead, email) for name, lead, email in waiting if name == audience][:_BATCH]
        hashes = sorted(hashlib.sha256(email.encode()).hexdigest() for _, email in members)
        payload = json.dumps({"audience": audience, "remove": hashes}).encode()
        key = "remove-" + hashlib.sha256(payload).hexdigest()[:32]
        receipt = channel.deliver([Parcel(0, key, "", audience, payload)], journal, lambda: False)[0]
        if receipt.verdict != "accepted":
            continue
        leads = [lead for lead, _ in members]
        told += len(leads)
        db.transact(lambda link, audience=audience, leads=leads: _note(link, audience, leads, now))  # type: ignore[misc]
    return told


def _waiting(link: Connection) -> list[tuple[str, int, str]]:
    query = (
        select(col(AudienceMember.audience), col(AudienceMember.lead_id), col(Lead.email))
        .join(Lead, col(Lead.id) == col(AudienceMember.lead_id))
        .where(col(AudienceMember.wanted).is_(False), col(AudienceMember.told).is_(True), col(Lead.email).is_not(None))
        .order_by(col(AudienceMember.lead_id))
        .limit(_BATCH * 4)
    )
    return [(name, lead, email) for name, lead, email in link.execute(query) if email]


def _note(link: Connection, audience: str, leads: list[int], now: datetime) -> None:
    mine = (col(AudienceMember.audience) == audience) & col(AudienceMember.lead_id).in_(leads)
    link.execute(
        update(AudienceMember).where(mine, col(AudienceMember.wanted).is_(False)).values(told=False, changed_at=now)
    )
