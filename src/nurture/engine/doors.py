"""What happens when somebody comes through a door: one lead, one transaction, settled at once (the fast path)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import upsert
from nurture.engine import doubt, handoffs, settle
from nurture.engine.ending import end, ending
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.records import Consent, Enrolment, Event, Handoff, Lead, Suppression, Task, Touch
from nurture.worklist import put_work

#: A second distinct link this soon after another, or a hit this soon after delivery, is a scanner's.
BURST = timedelta(seconds=10)


def lock_lead(link: Connection, lead: int, due_at: datetime) -> None:
    """Put the lead on the work list, then hold its row, in this order: a permit waits, or is waited for.

    FOR NO KEY UPDATE: rows that name the lead may still be written, so a mover and a door do not deadlock.
    """
    put_work(link, [lead], due_at)
    link.execute(select(col(Lead.id)).where(col(Lead.id) == lead).with_for_update(key_share=True))


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
) -> bool:
    """Record an event once; False when its source and key are known. It counts after `rest`."""
    row = {
        "lead_id": lead, "name": name, "occurred_at": now, "recorded_at": now, "ripe_at": now + rest, "actor": actor,
        "classed_by": classed_by, "data": dict(data or {}), "touch_id": touch, "source": source, "key": key,
    }  # fmt: skip
    insert = upsert(link)(Event).values(**row).on_conflict_do_nothing().returning(col(Event.id))
    added = link.execute(insert).first() is not None
    if added:
        put_work(link, [lead], now + rest)
    return added


def click(
    link: Connection, touch: int, place: int, now: datetime, *, machine: str | None, rest: timedelta,
    name: str = "email_clicked", data: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """A link of a message was followed; it rests before it counts, and a scanner's burst unmasks the earlier ones.

    `machine`: why the visitor is known to be one, or None.
    """
    row = link.execute(
        select(col(Touch.lead_id), col(Touch.sending_at), col(Touch.tracked)).where(col(Touch.id) == touch)
    ).one_or_none()
    if row is None or not row.tracked:
        return
    lock_lead(link, row.lead_id, now + rest)
    verdict = machine
    if verdict is None and row.sending_at is not None and now - row.sending_at < BURST:
        verdict = "sooner after delivery than a person reads"
    recent = select(col(Event.id), col(Event.data)).where(
        col(Event.touch_id) == touch, col(Event.name).in_(("email_clicked", "offer_viewed")),
        col(Event.occurred_at) > now - BURST,
    )  # fmt: skip
    others = [event for event, seen in link.execute(recent) if seen.get("place") != place]
    if others:
        verdict = verdict or "several links within seconds"
        reclass = {"actor": "machine", "classed_by": verdict}
        link.execute(update(Event).where(col(Event.id).in_(others)).values(**reclass))
    add_event(
        link, row.lead_id, name, now, source="click", key=f"{touch}:{place}:{clock.unguessable()}",
        data={"place": place, **(data or {})}, touch=touch, actor="machine" if verdict else "person",
        classed_by=verdict, rest=rest,
    )  # fmt: skip
    doubt.evidence(link, touch, "a link in it was followed", now)


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
    link: Connection, live: Live, touch: int, now: datetime, *, key: str, data: Mapping[str, Any], suppress: bool
) -> None:
    """A message came back undelivered. `suppress`: nothing more goes to the address that it was sent to.

    The lead is not unsubscribed and keeps its consents: with another address it is free again.
    """
    row = link.execute(select(col(Touch.lead_id), col(Touch.address)).where(col(Touch.id) == touch)).one()
    lock_lead(link, row.lead_id, now)
    if suppress and row.address:
        gone = {"kind": "address", "value": row.address, "reason": "bounced", "source": "mailbox", "at": now}
        link.execute(upsert(link)(Suppression).values(**gone).on_conflict_do_nothing())
    add_event(
        link, row.lead_id, "email_bounced", now, source="mailbox", key=key, data=data, touch=touch, actor="system"
    )
    settle_one(link, live, row.lead_id, now)


def complained(link: Connection, live: Live, touch: int, now: datetime, *, key: str) -> None:
    """The recipient reported a message as spam: no further one, as if unsubscribed."""
    lead = link.execute(select(col(Touch.lead_id)).where(col(Touch.id) == touch)).scalar_one()
    lock_lead(link, lead, now)
    add_event(link, lead, "email_complained", now, source="mailbox", key=key, touch=touch)
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
        link.execute(upsert(link)(Suppression).values(**gone).on_conflict_do_nothing())
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
    link.execute(upsert(link)(Suppression).on_conflict_do_nothing(), rows)
    link.execute(
        update(Consent)
        .where(col(Consent.lead_id) == lead, col(Consent.withdrawn_at).is_(None))
        .values(withdrawn_at=now)
    )
    end(Run(link, live, now), ending(col(Enrolment.lead_id) == lead, "unsubscribed"))
    add_event(link, lead, "unsubscribed", now, source="unsubscribe", key=f"lead:{lead}", touch=touch)
    settle_one(link, live, lead, now)
    return news


def answer_handoff(
    link: Connection, live: Live, handoff: int, verdict: str, reason: str | None, by: str, now: datetime
) -> bool:
    """A salesperson's answer; False when it had been answered before."""
    lead = link.execute(select(col(Handoff.lead_id)).where(col(Handoff.id) == handoff)).scalar()
    if lead is None:
        return False
    lock_lead(link, lead, now)
    if not handoffs.answer(Run(link, live, now), handoff, verdict, reason, by):
        return False
    name = f"handoff_{verdict}"
    add_event(
        link,
        lead,
        name,
        now,
        source="sales",
        key=f"handoff:{handoff}",
        data={"reason": reason} if reason else {},
        actor="system",
    )
    settle_one(link, live, lead, now)
    return True


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
