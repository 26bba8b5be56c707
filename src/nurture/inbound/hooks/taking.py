"""What is done with the reports of one request: each is taken in once, and what matches no message touches no lead.

A report is believed of a message that left or may have left, named by a token or a Message-ID of ours; whose address
it gives is not looked at. A text message that comes in is matched by the phone that Twilio signed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select, update
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine import classing, doors, doubt
from nurture.engine.machine import Machine
from nurture.inbound.hooks.shape import Posted, Report, Vendor, own_id
from nurture.inbound.returned import one_line
from nurture.inbound.taking import given_up
from nurture.mail.verp import touch_of
from nurture.records import Event, Inbound, Lead, Suppression, Touch
from nurture.tokens import BadToken, Keys
from nurture.worklist import put_work

log = logging.getLogger("nurture.hooks")
#: Reports that one transaction takes in: of those on the way or there, and of those from which more follows.
BATCH, FEW = 500, 20
#: States of a touch that left or may have.
_LEFT = ("sending", "sent", "uncertain")
#: Kinds that become an event of the house under their own name.
_NOTED = ("delivered", "rejected")
#: Kinds of reports that change nothing for a lead.
_ON_THE_WAY = ("sent", "deferred")
#: Kinds that are quickly taken in.
_LIGHT = (*_ON_THE_WAY, "delivered")
#: A report that its file cannot read is parked in these.
_STUMBLES = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def known(machine: Machine, vendor: Vendor, posted: Posted) -> bool:
    """Whether this very request has been taken in before. Raises what `request_id` does."""
    name = vendor.request_id(posted)
    if name is None:
        return False
    with machine.db.read() as link:
        first = select(col(Inbound.id)).where(col(Inbound.digest) == _digest(vendor, f"{name}:0"))
        return link.execute(first).first() is not None


def take(machine: Machine, vendor: Vendor, posted: Posted) -> Counter[str]:
    """Take in every event of a request; how many came to what. Raises ValueError for a body that holds none.

    No transaction holds up the others for long. Raises DatabaseFault, NotPublished: then the service tries again, and
    what had been taken in is known.
    """
    request, done = vendor.request_id(posted), Counter[str]()
    reports: list[Report] = []
    for index, event in enumerate(vendor.events(posted)):
        try:
            report = vendor.report(event)
        except _STUMBLES as problem:
            log.warning("an event of %s cannot be read: %s", vendor.name, type(problem).__name__)
            report = Report("unclear", "")
        if report is None:
            done["ignored"] += 1
            continue
        name = report.event_id or (f"{request}:{index}" if request else own_id(event))
        reports.append(replace(report, event_id=name[:500], detail=one_line(report.detail or "")))
    for light, most in ((True, BATCH), (False, FEW)):
        some = [report for report in reports if (report.kind in _LIGHT) is light]
        for start in range(0, len(some), most):
            part = some[start : start + most]
            done += machine.db.transact(lambda link, part=part: _take(link, machine, vendor, part), door=True)  # type: ignore[misc]
    return done


def _digest(vendor: Vendor, event_id: str) -> str:
    return hashlib.sha256(f"hook:{vendor.name}:{event_id}".encode()).hexdigest()


def _take(link: Connection, machine: Machine, vendor: Vendor, reports: Sequence[Report]) -> Counter[str]:
    now, source = machine.now(), f"hook:{vendor.name}"
    told: dict[str, Report] = {}
    for report in reports:
        told.setdefault(_digest(vendor, report.event_id), report)
    touches = _match(link, machine.keys, vendor, told)
    _hold(link, {touch.lead_id for digest, touch in touches.items() if told[digest].kind not in _ON_THE_WAY}, now)
    rows = [
        {
            "digest": digest, "source": source, "received_at": now, "kind": report.kind, "severity": report.severity,
            "status": (report.status or "")[:40] or None, "detail": report.detail,
            "touch_id": touches[digest].id if digest in touches else None,
            "lead_id": touches[digest].lead_id if digest in touches else None,
            "outcome": "recorded" if digest in touches else "parked",
        }
        for digest, report in told.items()
    ]  # fmt: skip
    if not rows:
        return Counter()
    insert = upsert(link)(Inbound).on_conflict_do_nothing().returning(col(Inbound.digest))
    new = set(link.execute(insert, rows).scalars())
    done = Counter({"known": len(reports) - len(new)})
    arrived = {digest: (told[digest], touches[digest]) for digest in touches if digest in new}
    _note(link, source, arrived, now)
    for digest in (digest for digest in told if digest in new):
        report, touch = told[digest], touches.get(digest)
        outcome = "parked"
        if touch is not None:
            outcome = _effect(link, machine, source, report, touch, digest, now)
        elif vendor.name == "twilio" and report.kind == "unsubscribe" and report.recipient:
            outcome = _silence(link, report.recipient, source, now)
        done[outcome] += 1
        if outcome not in ("recorded", "parked"):
            link.execute(update(Inbound).where(col(Inbound.digest) == digest).values(outcome=outcome))
    return done


def _match(link: Connection, keys: Keys, vendor: Vendor, told: dict[str, Report]) -> dict[str, Any]:
    """The touch that each report speaks of, where it left or may have."""
    numbers = {digest: [n for token in report.tokens if (n := _number(keys, token))] for digest, report in told.items()}
    columns = (
        col(Touch.id), col(Touch.lead_id), col(Touch.sending_at), col(Touch.address), col(Touch.message_id),
        col(Touch.kind), col(Touch.state),
    )  # fmt: skip
    ids = [name for report in told.values() for name in report.message_ids]
    phones = [report.recipient for report in told.values() if _came_in(vendor, report)]
    named = or_(
        col(Touch.id).in_([number for found in numbers.values() for number in found]),
        col(Touch.message_id).in_(ids),
        col(Touch.id).in_(
            select(func.max(col(Touch.id)))
            .where(col(Touch.address).in_(phones), col(Touch.kind) == "sms", col(Touch.sending_at).is_not(None))
            .group_by(col(Touch.address))
        )
        if phones
        else col(Touch.id).in_([]),
    )
    left = or_(col(Touch.state).in_(_LEFT), col(Touch.resent_at).is_not(None))
    found = link.execute(select(*columns).where(named, left, col(Touch.kind).in_(vendor.touches))).all()
    by_number, by_id = {row.id: row for row in found}, {row.message_id: row for row in found if row.message_id}
    by_phone = {row.address: row for row in found}
    matched = {}
    for digest, report in told.items():
        rows = [by_number.get(number) for number in numbers[digest]] + [by_id.get(name) for name in report.message_ids]
        rows += [by_phone.get(report.recipient)] if _came_in(vendor, report) else []
        if (row := next((row for row in rows if row is not None), None)) is not None:
            matched[digest] = row
    return matched


def _came_in(vendor: Vendor, report: Report) -> bool:
    """Whether it is a text message that a person wrote."""
    return "sms" in vendor.touches and report.event_id.endswith(":in") and bool(report.recipient)


def _number(keys: Keys, token: str) -> int | None:
    """The touch of a token, or of an address with one."""
    if "@" in token:
        return touch_of(token, keys)
    try:
        return keys.open_from_address("bounce", token.strip())
    except BadToken:
        return None


def _hold(link: Connection, leads: Iterable[int], now: datetime) -> None:
    """Hold the leads in the order in which permits do."""
    order = sorted(leads)
    if order:
        put_work(link, order, now)
        mine = select(col(Lead.id)).where(col(Lead.id).in_(order)).order_by(col(Lead.id))
        link.execute(mine.with_for_update(key_share=True))


def _note(link: Connection, source: str, told: dict[str, tuple[Report, Any]], now: datetime) -> None:
    """An event for each message that arrived, or that the service did not send; who was there before is unmasked."""
    rows = []
    for digest, (report, touch) in told.items():
        if report.kind in _NOTED:
            channel, at = "sms" if touch.kind == "sms" else "email", _between(touch.sending_at, report.at or now, now)
            rows.append({
                "lead_id": touch.lead_id, "name": f"{channel}_{report.kind}", "occurred_at": at, "recorded_at": now,
                "ripe_at": now, "actor": "system", "touch_id": touch.id, "source": source, "key": digest,
                "data": {"reason": report.detail} if report.kind == "rejected" else {},
            })  # fmt: skip
    if not rows:
        return
    link.execute(upsert(link)(Event).on_conflict_do_nothing(), rows)
    theirs = select(col(Event.touch_id)).where(
        col(Event.touch_id).in_({row["touch_id"] for row in rows}), col(Event.actor) == "person"
    )
    visited = set(link.execute(theirs).scalars())
    for _, (report, touch) in told.items():
        if report.kind == "delivered" and touch.id in visited:
            until = _between(touch.sending_at, report.at or now, now) + classing.BURST
            classing.unmask(link, touch.id, touch.sending_at, until, classing.SOON)


def _effect(
    link: Connection, machine: Machine, source: str, report: Report, touch: Any, digest: str, now: datetime
) -> str:  # fmt: skip
    """What follows for the lead; the word for it."""
    at = _between(touch.sending_at, report.at or now, now)
    if touch.state == "uncertain":
        doubt.evidence(link, touch.id, f"{source} reports it {report.kind}", now)
    if report.kind == "bounce":
        if report.severity == "sender":
            log.warning(
                "%s: a failure speaks about us, not the lead status=%s touch=%s", source, report.status, touch.id
            )
            return "alarm"
        suppress = report.severity == "hard" or given_up(link, touch, now)
        data = {"severity": report.severity, "status": report.status}
        doors.bounced(
            link,
            machine.library.live(link),
            touch.id,
            now,
            key=digest,
            data=data,
            suppress=suppress,
            source=source,
            at=at,
        )
        return "suppressed" if suppress else "counted"
    if report.kind == "complaint":
        doors.complained(link, machine.library.live(link), touch.id, now, key=digest, source=source, at=at)
        return "suppressed"
    if report.kind == "unsubscribe":
        doors.unsubscribe(link, machine.library.live(link), touch.id, now, source=source)
        return "suppressed"
    if report.kind in ("opened", "clicked"):
        _seen(link, machine, report, touch.id, at, now)
    if report.kind == "rejected":
        log.warning("%s did not send touch=%s: it is on a list there, or was refused", source, touch.id)
    return "recorded"


def _seen(link: Connection, machine: Machine, report: Report, touch: int, at: datetime, now: datetime) -> None:
    """The service's own counting of openings and links; those of our links are counted when they come to us."""
    why = report.machine or (classing.agent_reason(report.agent) if report.agent is not None else None)
    early = _delivered_after(link, touch, at)
    if report.kind == "opened":
        doors.opened(link, touch, now, machine=why or early, rest=machine.click_rest, at=at)
    elif report.link and not report.link.startswith(f"{machine.public_url}/"):
        place = hashlib.sha256(report.link.encode()).hexdigest()[:16]
        doors.click(link, touch, place, now, machine=why or early, rest=machine.click_rest, at=at)


def _delivered_after(link: Connection, touch: int, at: datetime) -> str | None:
    """The reason, if the recipient's server had not had the message for ten seconds."""
    later = select(col(Event.id)).where(
        col(Event.touch_id) == touch, col(Event.name) == "email_delivered", col(Event.occurred_at) > at - classing.BURST
    )
    return classing.SOON if link.execute(later).first() is not None else None


def _between(sent: datetime | None, said: datetime, now: datetime) -> datetime:
    """Nothing happens to a message before it left, or later than now."""
    return min(max(said, sent or said), now)


def _silence(link: Connection, phone: str, source: str, now: datetime) -> str:
    """A phone that asks for silence gets it, whoever's it is."""
    gone = {"kind": "phone", "value": phone[:40], "reason": "unsubscribed", "source": source, "at": now}
    link.execute(upsert(link)(Suppression).values(**gone).on_conflict_do_nothing())
    return "suppressed"
