"""Audiences as a wanted state: what the platforms were told is brought in line with what is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, null, or_, select, update
from sqlmodel import col

from nurture.channels.audience import hashed, membership
from nurture.channels.base import Channel, Journal, Parcel
from nurture.db import Database
from nurture.records import AudienceMember, Lead, Touch

_BATCH = 500
#: Who should be out and is not known to be: an add whose answer was lost counts as in.
_OUT = and_(
    col(AudienceMember.wanted).is_(False), or_(col(AudienceMember.told).is_(None), col(AudienceMember.told).is_(True))
)
_AUDIENCES = select(col(AudienceMember.audience)).where(_OUT).distinct().order_by(col(AudienceMember.audience))
#: Of a forgotten lead the platform's own name for it is kept until the platform has taken it out.
_MEMBERS = (
    select(col(AudienceMember.lead_id), col(Lead.email), col(AudienceMember.hashes))
    .join(Lead, col(Lead.id) == col(AudienceMember.lead_id))
    .where(
        _OUT,
        col(AudienceMember.audience) == bindparam("the_audience"),
        or_(col(Lead.email).is_not(None), col(AudienceMember.hashes).is_not(None)),
    )
    .order_by(col(AudienceMember.lead_id))
    .limit(_BATCH)
)
#: An add that is on its way may yet arrive, and is to be taken back.
_ON_ITS_WAY = select(1).where(
    col(Touch.lead_id) == col(AudienceMember.lead_id),
    col(Touch.kind) == "audience",
    col(Touch.state).in_(("claimed", "sending")),
)
_DONE_WITH = (
    update(AudienceMember)
    .where(
        col(AudienceMember.hashes).is_not(None),
        col(AudienceMember.wanted).is_(False),
        col(AudienceMember.told).is_(False),
        ~_ON_ITS_WAY.correlate(AudienceMember).exists(),
    )
    .values(hashes=null())
    .execution_options(synchronize_session=False)
)


def take_out(db: Database, channel: Channel, journal: Journal, now: datetime, stopped: Callable[[], bool]) -> int:
    """Tell the platforms who has left an audience; how many changes they took. Repeating is harmless.

    `stopped` is looked at before each call.
    """
    told = 0
    with db.read() as link:
        audiences = link.execute(_AUDIENCES).scalars().all()
    for audience in audiences:
        with db.read() as link:
            found = link.execute(_MEMBERS, {"the_audience": audience}).all()
        members = [
            (lead, sorted({*([hashed(email)] if email else []), *(hashes or ())})) for lead, email, hashes in found
        ]
        if not members or stopped():
            continue
        payload = membership(audience, remove_hashes=[one for _, hashes in members for one in hashes])
        key = "remove-" + hashlib.sha256(payload).hexdigest()[:32]
        receipt = channel.deliver([Parcel(0, key, "", audience, payload)], journal, lambda *_: stopped())[0]
        if receipt.verdict != "accepted":
            continue
        leads = [lead for lead, _ in members]
        told += len(leads)
        db.transact(lambda link, audience=audience, leads=leads: _note(link, audience, leads, now))  # type: ignore[misc]
    return told


def _note(link: Connection, audience: str, leads: list[int], now: datetime) -> None:
    mine = (col(AudienceMember.audience) == audience) & col(AudienceMember.lead_id).in_(leads)
    link.execute(
        update(AudienceMember).where(mine, col(AudienceMember.wanted).is_(False)).values(told=False, changed_at=now)
    )
    link.execute(_DONE_WITH)
