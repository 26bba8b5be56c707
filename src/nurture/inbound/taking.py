"""What is done with a message that came back: one transaction, and the same bytes are taken in once.

It is matched by a token or a Message-ID of ours alone, never by an address: who can quote one has had the message. What
matches nothing is parked and touches no lead.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine import doors, doubt
from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.inbound.returned import Returned, read
from nurture.mail.verp import touch_of
from nurture.records import Inbound, Outbox, Touch
from nurture.tokens import Keys

log = logging.getLogger("nurture.inbound")

#: Bytes of a message that are taken in; the rest is not read.
LARGEST = 10 << 20
#: A full mailbox and the like: the address is given up after this many days with one, within this time.
SOFT_DAYS, SOFT_WITHIN = 3, timedelta(days=15)


@dataclass(frozen=True)
class Taken:
    """What became of one message; `new`: False when it had been taken in before."""

    told: Returned
    outcome: str
    touch: int | None = None
    lead: int | None = None
    new: bool = True


def take(machine: Machine, data: bytes, recipients: Sequence[str] = ()) -> Taken:
    """Take in one message. `recipients`: of its envelope, where the mail server says them. Raises DatabaseFault."""
    data = data[:LARGEST]
    told = read(data)
    told = replace(told, addresses=(*recipients, *told.addresses))
    digest, now = hashlib.sha256(data).hexdigest(), machine.now()
    taken = machine.db.transact(lambda link: _take(link, machine, told, digest, now), door=True)
    if taken.outcome == "alarm" and taken.new:
        log.warning("bounce speaks about us, not the lead status=%s touch=%s", taken.told.status, taken.touch)
    return taken


def _take(link: Connection, machine: Machine, told: Returned, digest: str, now: datetime) -> Taken:
    touch, told = _match(link, machine.keys, told)
    possible = touch is not None and touch.sending_at is not None  # only what may have left can come back
    taken = Taken(told, "parked", touch.id, touch.lead_id) if possible else Taken(told, "parked")
    row = {
        "digest": digest, "received_at": now, "kind": told.kind, "touch_id": taken.touch, "lead_id": taken.lead,
        "severity": told.severity, "status": told.status, "outcome": taken.outcome, "detail": told.detail,
    }  # fmt: skip
    insert = upsert(link)(Inbound).values(**row).on_conflict_do_nothing().returning(col(Inbound.id))
    number = link.execute(insert).scalar()
    if number is None:
        known = select(col(Inbound.outcome), col(Inbound.touch_id), col(Inbound.lead_id))
        before = link.execute(known.where(col(Inbound.digest) == digest)).one()
        return Taken(told, before.outcome, before.touch_id, before.lead_id, new=False)
    if possible:
        outcome = _effect(link, machine.library.live(link), told, touch, digest, now)
    elif told.kind in ("bounce", "complaint") and _about_notice(link, told):
        outcome = "alarm"
    else:
        return taken
    link.execute(update(Inbound).where(col(Inbound.id) == number).values(outcome=outcome))
    return replace(taken, outcome=outcome)


def _match(link: Connection, keys: Keys, told: Returned) -> tuple[Any, Returned]:
    """(the touch that it answers or None, what it is once its address has been read)."""
    asked = select(col(Touch.id), col(Touch.lead_id), col(Touch.sending_at), col(Touch.address))
    for address in told.addresses:
        leaving = touch_of(address, keys, "unsubscribe")
        if leaving is not None and told.kind not in ("bounce", "complaint"):
            told = replace(told, kind="unsubscribe")
        number = leaving if leaving is not None else touch_of(address, keys)
        found = None if number is None else link.execute(asked.where(col(Touch.id) == number)).first()
        if found is not None:
            return found, told
    for address in told.quoted:  # a returned List-Unsubscribe asks for nothing
        number = touch_of(address, keys) or touch_of(address, keys, "unsubscribe")
        found = None if number is None else link.execute(asked.where(col(Touch.id) == number)).first()
        if found is not None:
            return found, told
    for message_id in told.message_ids:
        found = link.execute(asked.where(col(Touch.message_id) == message_id)).first()
        if found is not None:
            return found, told
    return None, told


def _about_notice(link: Connection, told: Returned) -> bool:
    """Whether it returns a notice to a salesperson: that one missed a hand-off, no lead did anything."""
    ours = [message_id for message_id in told.message_ids if message_id.startswith("<n.")]
    return (
        bool(ours) and link.execute(select(col(Outbox.id)).where(col(Outbox.message_id).in_(ours))).first() is not None
    )


def _effect(link: Connection, live: Live, told: Returned, touch: Any, digest: str, now: datetime) -> str:
    """What follows for the lead; the word for it."""
    doors.lock_lead(link, touch.lead_id, now)
    doubt.evidence(link, touch.id, f"{told.kind} came back", now)
    if told.kind == "bounce":
        if told.severity == "sender":
            return "alarm"
        suppress = told.severity == "hard" or given_up(link, touch, now)
        data = {"severity": told.severity, "status": told.status}
        doors.bounced(link, live, touch.id, now, key=digest, data=data, suppress=suppress)
        return "suppressed" if suppress else "counted"
    if told.kind == "complaint":
        doors.complained(link, live, touch.id, now, key=digest)
        return "suppressed"
    if told.kind == "unsubscribe":
        doors.unsubscribe(link, live, touch.id, now, source="mail")
        return "suppressed"
    if told.status is None and told.kind != "unclear":  # a status: a report on the way, nobody answered
        doors.reply(link, live, touch.id, now, automatic=told.kind == "automatic", key=digest)
    return "recorded"


def given_up(link: Connection, touch: Any, now: datetime) -> bool:
    """Whether the address has failed softly on so many days, this one included."""
    recent = (
        select(col(Inbound.received_at))
        .join_from(Inbound, Touch, col(Touch.id) == col(Inbound.touch_id))
        .where(
            col(Touch.lead_id) == touch.lead_id,
            col(Touch.address) == touch.address,
            col(Inbound.severity) == "soft",
            col(Inbound.received_at) > now - SOFT_WITHIN,
        )
    )
    return len({at.astimezone(UTC).date() for at in link.execute(recent).scalars()}) >= SOFT_DAYS
