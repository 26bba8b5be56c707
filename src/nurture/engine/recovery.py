"""What a dead worker left behind: claims are given back, and the journal tells what was on the wire."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, and_, select, update
from sqlmodel import col

from nurture.channels.base import Receipt
from nurture.channels.journal import State
from nurture.dialects import database_clock
from nurture.engine.recording import record
from nurture.records import Touch


_EXPIRED = and_(col(Touch.lease_owner).is_not(None), col(Touch.lease_until) < database_clock())


def expired(link: Connection) -> bool:
    """Whether some worker's lease has ended with work in hand."""
    held = select(col(Touch.id)).where(col(Touch.state).in_(("claimed", "sending")), _EXPIRED).limit(1)
    return link.execute(held).first() is not None


def recover(link: Connection, journal: Mapping[int, State], now: datetime) -> dict[str, int]:
    """Take back what expired leases hold; how many by what became of them.

    `journal`: touch to the last that this host noted of it. A touch that it does not know was never begun here; of
    another host's touches nothing is known, so they are uncertain.
    """
    given_back = link.execute(
        update(Touch)
        .where(col(Touch.state) == "claimed", _EXPIRED)
        .values(state="planned", reason="worker_gone", next_at=now, lease_owner=None, lease_until=None)
    ).rowcount
    rows = link.execute(
        select(col(Touch.id), col(Touch.lease_owner), col(Touch.kind)).where(col(Touch.state) == "sending", _EXPIRED)
    ).all()
    receipts = [_known(int(touch or 0), owner, kind, journal) for touch, owner, kind in rows]
    record(link, receipts, now)
    counts = {"given_back": given_back} if given_back else {}
    for receipt in receipts:
        counts[receipt.verdict] = counts.get(receipt.verdict, 0) + 1
    return counts


def _known(touch: int, owner: str | None, kind: str, journal: Mapping[int, State]) -> Receipt:
    here = (owner or "").split(":")[0] == socket.gethostname()
    if kind == "audience":  # telling a platform twice is harmless
        return Receipt(touch, "try_later", "worker gone; told again with the same key")
    if here and touch not in journal:
        return Receipt(touch, "not_started", "worker gone before the body")
    noted = journal.get(touch, "started")
    if here and noted != "started":
        return Receipt(touch, noted, "worker gone after the reply; read from its journal")
    return Receipt(touch, "unknown", "worker gone while the message was on the wire")
