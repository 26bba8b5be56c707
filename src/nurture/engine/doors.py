"""What happens when somebody comes through a door: one lead, one transaction, settled at once (the fast path)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import upsert
from nurture.engine import classing, doubt, settle, suppressing
from nurture.engine.ending import end, ending
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.mail.render import TRAP_PLACE
from nurture.records import Consent, Enrolment, Event, Lead, Suppression, Task, Touch
from nurture.records.types import to_micros
from nurture.worklist import put_work


def lock_lead(link: Connection, lead: int, due_at: datetime) -> None:
    """Put the lead on the work list, then hold its row, in this order: a permit waits, or is waited for.

    FOR NO KEY UPDATE: rows that name the lead may still be written, so a mover and a door do not deadlock.
    """
    put_work(link, [lead], due_at)
    link.execute(select(col(Lead.id)).where(col(Lead.id) == lead).with_for_update(key_share=True))


def forgotten(link: Connection, lead: int) -> bool:
    """Whether the lead's person was forgotten: nothing more is written of it. Asked under its lock."""
    query = select(col(Lead.id)).where(col(Lead.id) == lead, col(Lead.forgotten_at).is_not(None))
    return link.execute(query).first() is not None


def settle_one(link: Connection, live: Live, lead: int, now: datetime) -> settle.SettleReport:
    """Everything that follows for one lead, now."""
    run = Run(link, live, now, f"door:{clock.unguessable()}")
    put_work(link, [lead], now)
    settle.claim_lead(run, lead)
    return settle.settle(run)


def add_event(
    link: Connection,
    lead: int,
    name: str,
    now: datetime,
    *,
    source: str,
    key: str,
    data: Mapping[str, Any] | None = None,
    touch: int | None = None,
    actor: str = "person",
    classed_by: str | None = None,
    rest: timedelta = timedelta(),
    at: datetime | None = None,
) -> bool:
    """Record an event once; False when its source and key are known. It counts after `rest`; `at`: when it happened."""
    row = {
        "lead_id": lead, "name": name, "occurred_at": at or now, "recorded_at": now, "ripe_at": now + rest,
        "actor": actor, "classed_by": classed_by, "data": dict(data or {}), "touch_id": touch, "source": source,
        "key": key,
    }  # fmt: skip
    insert = upsert(link)(Event).values(**row).on_conflict_do_nothing().returning(col(Event.id))
    added = link.execute(insert).first() is not None
    if added:
        put_work(link, [lead], now + rest)
    return added


def click(
    link: Connection, touch: int, place: int | str, now: datetime, *, machine: str | None, rest: timedelta,
    name: str = "email_clicked", data: Mapping[str, Any] | None = None, at: datetime | None = None,
) -> None:  # fmt: skip
    """A link of a message was followed; it rests before it counts, and a scanner's burst unmasks the earlier ones.

    `place`: which link. `machine`: why the visitor is known to be one, or None. The link that no person sees unmasks
    what was done in this message ten minutes before and after.
    """
    columns = (col(Touch.lead_id), col(Touch.sending_at), col(Touch.tracked))
    row = link.execute(select(*columns).where(col(Touch.id) == touch)).one_or_none()
    if row is None or not row.tracked:
        return
    at = at or now
    lock_lead(link, row.lead_id, now + rest)
    if forgotten(link, row.lead_id):
        return
    if place == TRAP_PLACE:
        machine = classing.TRAPPED
        if classing.unmask(link, touch, at - classing.TRAP, at, machine):
            put_work(link, [row.lead_id], now)
    verdict = machine or classing.too_soon(at, row.sending_at) or classing.trapped(link, touch, at)
    recent = select(col(Event.id), col(Event.data)).where(
        col(Event.touch_id) == touch, col(Event.name).in_(("email_clicked", "offer_viewed")),
        col(Event.occurred_at) > at - classing.BURST, col(Event.occurred_at) < at + classing.BURST,
    )  # fmt: skip
    others = [event for event, seen in link.execute(recent) if seen.get("place") != place]
    if others:
        verdict = verdict or "several links within seconds"
        classing.machines(link, others, verdict)
    add_event(
        link, row.lead_id, name, now, source="click", key=f"{touch}:{place}:{clock.unguessable()}",
        data={"place": place, **(data or {})}, touch=touch, actor="machine" if verdict else "person",
        classed_by=verdict, rest=rest, at=at,
    )  # fmt: skip
    doubt.evidence(link, touch, "a link in it was followed", now)


def opened(
    link: Connection, touch: int, now: datetime, *, machine: str | None, rest: timedelta, at: datetime | None = None
) -> None:
    """The image of a tracked message was fetched; once an hour for persons and once for machines is kept."""
    columns = (col(Touch.lead_id), col(Touch.sending_at), col(Touch.tracked))
    row = link.execute(select(*columns).where(col(Touch.id) == touch)).one_or_none()
    if row is None or not row.tracked:
        return
    at = at or now
    verdict = machine or classing.too_soon(at, row.sending_at) or classing.trapped(link, touch, at)
    actor = "machine" if verdict else "person"
    key = f"{touch}:{actor}:{int(at.timestamp()) // 3600}"
    known = select(col(Event.id)).where(col(Event.source) == "open", col(Event.key) == key)
    if link.execute(known).first() is not None:
        return
    lock_lead(link, row.lead_id, now + rest)
    if forgotten(link, row.lead_id):
        return
    add_event(
        link, row.lead_id, "email_opened", now, source="open", key=key, touch=touch, actor=actor, classed_by=verdict,
        rest=rest, at=at,
    )  # fmt: skip
    doubt.evidence(link, touch, "it was opened", now)


def reply(link: Connection, live: Live, touch: int, now: datetime, *, automatic: bool, key: str | None = None) -> None:
    """A reply to a message came back; an automatic one counts for nothing. `key`: the same one is the same reply."""
    lead = link.execute(select(col(Touch.lead_id)).where(col(Touch.id) == touch)).scalar_one()
    lock_lead(link, lead, now)
    actor, why = ("machine", "Auto-Submitted") if automatic else ("person", None)
    add_event(
        link, lead, "email_replied", now, source="mailbox", key=key or f"{touch}:{clock.unguessable()}",
        touch=touch, actor=actor, classed_by=why,
    )  # fmt: skip
    settle_one(link, live, lead, now)


def bounced(
    link: Connection, live: Live, touch: int, now: datetime, *, key: str, data: Mapping[str, Any], suppress: bool,
    source: str = "mailbox", at: datetime | None = None,
) -> None:  # fmt: skip
    """A message came back undelivered. `suppress`: nothing more goes to the address that it was sent to.

    The lead is not unsubscribed and keeps its consents: with another address it is free again.
    """
    columns = (col(Touch.lead_id), col(Touch.address), col(Touch.kind))
    row = link.execute(select(*columns).where(col(Touch.id) == touch)).one()
    lock_lead(link, row.lead_id, now)
    kind, name = ("phone", "sms_bounced") if row.kind == "sms" else ("address", "email_bounced")
    if suppress and row.address:
        gone = {"kind": kind, "value": row.address, "reason": "bounced", "source": source, "at": now}
        suppressing.suppress(link, [gone])
    add_event(link, row.lead_id, name, now, source=source, key=key, data=data, touch=touch, actor="system", at=at)
    settle_one(link, live, row.lead_id, now)


def complained(
    link: Connection, live: Live, touch: int, now: datetime, *, key: str, source: str = "mailbox",
    at: datetime | None = None,
) -> None:  # fmt: skip
    """The recipient reported a message as spam: no further one, as if unsubscribed."""
    lead = link.execute(select(col(Touch.lead_id)).where(col(Touch.id) == touch)).scalar_one()
    lock_lead(link, lead, now)
    add_event(link, lead, "email_complained", now, source=source, key=key, touch=touch, at=at)
    unsubscribe(link, live, touch, now, source="complaint", reason="complained")


def unsubscribe(
    link: Connection, live: Live, touch: int, now: datetime, *, source: str, reason: str = "unsubscribed"
) -> bool:
    """No further message to this lead from now on; True if that is news. Takes the lead's lock before it writes."""
    columns = (col(Touch.lead_id), col(Touch.address), col(Touch.kind))
    row = link.execute(select(*columns).where(col(Touch.id) == touch)).one_or_none()
    if row is None:
        return False
    doubt.evidence(link, touch, "its unsubscribe link was used", now)
    if row.address:  # the address that was written to, which the lead may have changed since
        kind = "phone" if row.kind == "sms" else "address"
        gone = {"kind": kind, "value": row.address, "reason": reason, "source": source, "at": now}
        suppressing.suppress(link, [gone])
    return unsubscribe_lead(link, live, row.lead_id, now, source=source, touch=touch, reason=reason)


def unsubscribe_lead(
    link: Connection, live: Live, lead: int, now: datetime, *, source: str, touch: int | None = None,
    reason: str = "unsubscribed",
) -> bool:  # fmt: skip
    """Suppress the lead and its address, withdraw its consents, end its sequences, in this transaction."""
    lock_lead(link, lead, now)
    email = link.execute(select(col(Lead.email)).where(col(Lead.id) == lead)).scalar()
    rows = [{"kind": "lead", "value": str(lead), "reason": reason, "source": source, "at": now}]
    if email:
        rows.append({"kind": "address", "value": email, "reason": reason, "source": source, "at": now})
    known = select(col(Suppression.id)).where(col(Suppression.kind) == "lead", col(Suppression.value) == str(lead))
    news = link.execute(known).first() is None
    suppressing.suppress(link, rows)
    link.execute(
        update(Consent)
        .where(col(Consent.lead_id) == lead, col(Consent.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_by=source)
    )
    end(Run(link, live, now), ending(col(Enrolment.lead_id) == lead, "unsubscribed"))
    key = goodbye_keys(link, [lead])[lead]
    add_event(link, lead, "unsubscribed", now, source="unsubscribe", key=key, touch=touch)
    settle_one(link, live, lead, now)
    return news


def goodbye_keys(link: Connection, leads: Sequence[int]) -> dict[int, str]:
    """The key of each lead's goodbye: after each yes that its mailbox confirmed it may say one more."""
    last = (
        select(col(Consent.lead_id), func.max(col(Consent.confirmed_at)))
        .where(col(Consent.lead_id).in_(leads), col(Consent.confirmed_at).is_not(None))
        .group_by(col(Consent.lead_id))
    )
    back = {lead: f"lead:{lead}:{to_micros(at)}" for lead, at in link.execute(last) if at is not None}
    return {lead: back.get(lead, f"lead:{lead}") for lead in leads}


def done(link: Connection, live: Live, task: int, by: str | None, now: datetime) -> str:
    """A task is done; by whom it counts. Raises NotFound, Refused when it was done before."""
    mine = col(Task.id) == task
    lead = link.execute(select(col(Task.lead_id)).where(mine)).scalar()
    if lead is None:
        raise NotFound(f"there is no task {task}; 'nurture tasks' lists them")
    lock_lead(link, lead, now)
    row = link.execute(
        select(col(Task.owner), col(Task.done_at), col(Task.done_by), col(Task.step), col(Task.sequence)).where(mine)
    ).one()
    if row.done_at is not None:
        raise Refused(f"task {task} was done by {row.done_by} on {row.done_at:%Y-%m-%d %H:%M}Z; nothing was changed")
    link.execute(update(Task).where(mine).values(done_at=now, done_by=by or row.owner))
    data = {"task": task, "step": row.step, "sequence": row.sequence, "by": by or row.owner}
    add_event(link, lead, "task_done", now, source="sales", key=f"task:{task}", data=data, actor="system")
    settle_one(link, live, lead, now)
    return by or row.owner
