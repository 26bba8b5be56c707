"""What a dead worker left behind: claims are given back, and the journal tells what was on the wire."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update
from sqlmodel import col

from nurture.channels.base import Receipt
from nurture.channels.journal import FileJournal
from nurture.db import Database
from nurture.dialects import database_clock
from nurture.engine.recording import call_off, record
from nurture.engine.workers import Journals, journal_file, worker_of
from nurture.errors import DatabaseFault
from nurture.records import Lease, Outbox, Touch
from nurture.steps import KEYED

log = logging.getLogger("nurture.recovery")
#: Uncertain ones keep the name of a holder who may yet come back with the answer.
_HELD = and_(col(Touch.lease_owner).is_not(None), col(Touch.state).in_(("claimed", "sending", "uncertain")))
_EXPIRED = col(Touch.lease_until) < database_clock()


def take_back(db: Database, journals: Journals, now: datetime) -> Counter[str]:
    """Take back what dead workers hold, and what leases that ran out hold; journals that are needed no more go."""
    _clear(db, journals, journals.left())
    with db.read() as link:
        dead, late = journals.dead_among(holders(link)), expired(link)
    if not dead and not late:
        return Counter()
    found = db.transact(lambda link: recover(link, journals, dead, now))
    _clear(db, journals, dead)
    return found


def _clear(db: Database, journals: Journals, dead: list[str]) -> None:
    """Remove the journals of those of the dead in whose name nothing is."""
    if dead:
        with db.read() as link:
            journals.clear([owner for owner in dead if not in_the_name_of(link, worker_of(owner))])


def put_away(db: Database, journal: FileJournal, folder: Path | None, worker: str) -> None:
    """Close a worker's own journal; the file goes if nothing is in its name any more, and the database can say so."""
    journal.close()
    try:
        with db.read() as link:
            held = in_the_name_of(link, worker)
    except DatabaseFault as fault:
        log.warning("the journal is kept: %s", fault)
        return
    if folder is not None and not held:
        journal_file(folder, worker).unlink(missing_ok=True)


def holders(link: Connection) -> list[str]:
    """Who holds touches now, dead or alive."""
    return [owner for owner in link.execute(select(col(Touch.lease_owner)).where(_HELD).distinct()).scalars() if owner]


def in_the_name_of(link: Connection, worker: str) -> bool:
    """Whether anything that may yet need the worker's journal is in its name: touches, leases, notices."""
    mine = [
        select(col(Touch.id)).where(_by(worker, Touch.lease_owner)),
        select(col(Lease.name)).where(_by(worker, Lease.owner)),
        select(col(Outbox.id)).where(_by(worker, Outbox.lease_owner), col(Outbox.done_at).is_(None)),
    ]
    return any(link.execute(one.limit(1)).first() is not None for one in mine)


def _by(worker: str, owner: Any) -> ColumnElement[bool]:
    return and_(col(owner).is_not(None), col(owner).startswith(f"{worker}/", autoescape=True))


def expired(link: Connection) -> bool:
    """Whether some worker's lease has ended with work in hand."""
    return link.execute(select(col(Touch.id)).where(_HELD, _EXPIRED).limit(1)).first() is not None


def recover(link: Connection, journals: Journals, dead: list[str], now: datetime) -> Counter[str]:
    """Take back what the `dead` and expired leases hold; how many by what became of them.

    A touch that its worker's own journal does not know was never begun. Where that journal is not to be had, nothing
    is known, and the touch is uncertain. The rows are locked before the journal is read: a worker that lives after
    all cannot put its lease off in between.
    """
    gone = and_(_HELD, or_(_EXPIRED, col(Touch.lease_owner).in_(dead)))
    counts: Counter[str] = Counter()
    rows = link.execute(
        select(col(Touch.id), col(Touch.lease_owner), col(Touch.kind), col(Touch.state))
        .where(gone)
        .order_by(col(Touch.id))
        .with_for_update(skip_locked=True)  # who is being recorded, or recovered by somebody else, needs nothing
    ).all()
    claimed = [row.id for row in rows if row.state == "claimed"]
    if claimed:
        back: ColumnElement[bool] = and_(col(Touch.id).in_(claimed), col(Touch.state) == "claimed")
        values = {"state": "planned", "reason": "worker_gone", "next_at": now, "lease_owner": None, "lease_until": None}
        counts["given_back"] = link.execute(update(Touch).where(back).values(**values)).rowcount
        call_off(link, claimed, now)
    receipts = [_known(row.id, row.lease_owner or "", row.kind, journals) for row in rows if row.state == "sending"]
    record(link, receipts, now, recovered=True)
    _read_late(link, [row for row in rows if row.state == "uncertain"], journals, now)
    counts.update(receipt.verdict for receipt in receipts)
    return counts


def _read_late(link: Connection, rows: Sequence[Any], journals: Journals, now: datetime) -> None:
    """Uncertain touches whose holder came back and died before it could record the answer: its journal has it."""
    noted = {row.id: journals.last_of(row.id, row.lease_owner) for row in rows}
    record(link, [Receipt(touch, "accepted", "") for touch, last in noted.items() if last == "accepted"], now)
    over = and_(col(Touch.id).in_(noted), col(Touch.state) == "uncertain")
    link.execute(update(Touch).where(over).values(lease_owner=None))


def _known(touch: int, owner: str, kind: str, journals: Journals) -> Receipt:
    if kind in KEYED:  # who is told twice under one key knows it
        return Receipt(touch, "try_later", "worker gone; told again with the same key")
    noted = journals.last_of(touch, owner)
    if noted is None:
        return Receipt(touch, "not_started", "worker gone before the body")
    if noted == "started":
        return Receipt(touch, "unknown", "worker gone while the message was on the wire")
    return Receipt(touch, noted, "worker gone after the reply; read from its journal")
