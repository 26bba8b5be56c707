"""What a dead worker left behind: claims are given back, and the journal tells what was on the wire."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, select, update
from sqlmodel import col

from nurture.channels.base import Receipt
from nurture.dialects import database_clock
from nurture.engine.recording import record
from nurture.engine.workers import Journals
from nurture.records import Touch

_EXPIRED = and_(col(Touch.lease_owner).is_not(None), col(Touch.lease_until) < database_clock())


def expired(link: Connection) -> bool:
    """Whether some worker's lease has ended with work in hand."""
    held = select(col(Touch.id)).where(col(Touch.state).in_(("claimed", "sending")), _EXPIRED).limit(1)
    return link.execute(held).first() is not None


def recover(link: Connection, journals: Journals, now: datetime) -> dict[str, int]:
    """Take back what expired leases hold; how many by what became of them.

    A touch that its worker's own journal does not know was never begun. Where that journal is not to be had, nothing
    is known, and the touch is uncertain.
    """
    given_back = link.execute(
        update(Touch)
        .where(col(Touch.state) == "claimed", _EXPIRED)
        .values(state="planned", reason="worker_gone", next_at=now, lease_owner=None, lease_until=None)
    ).rowcount
    rows = link.execute(
        select(col(Touch.id), col(Touch.lease_owner), col(Touch.kind)).where(col(Touch.state) == "sending", _EXPIRED)
    ).all()
    receipts = [_known(int(touch or 0), owner or "", kind, journals) for touch, owner, kind in rows]
    record(link, receipts, now)
    counts = {"given_back": given_back} if given_back else {}
    for receipt in receipts:
        counts[receipt.verdict] = counts.get(receipt.verdict, 0) + 1
    return counts


def _known(touch: int, owner: str, kind: str, journals: Journals) -> Receipt:
    if kind == "audience":  # telling a platform twice is harmless
        return Receipt(touch, "try_later", "worker gone; told again with the same key")
    noted = journals.last_of(touch, owner)
    if noted is None:
        return Receipt(touch, "not_started", "worker gone before the body")
    if noted == "started":
        return Receipt(touch, "unknown", "worker gone while the message was on the wire")
    return Receipt(touch, noted, "worker gone after the reply; read from its journal")
