"""Hold, stop and resume: for everything, a segment or a lead. A permit reads it in its own transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, literal, select, true, update
from sqlmodel import col

from nurture.dialects import CONTROL, change, greatest, upsert
from nurture.records import Control, Touch
from nurture.records.types import instant, micros, to_micros


def hold(link: Connection, scope: str, by: str, now: datetime) -> None:
    """Stop sending in `scope` (`all`, `segment:<slug>`, `lead:<id>`); places are kept, waits go on."""
    change(link, CONTROL)
    row = upsert(link)(Control).values(scope=scope, state="hold", at=now, by=by)
    link.execute(row.on_conflict_do_update(index_elements=["scope"], set_={"state": "hold", "at": now, "by": by}))


def resume(link: Connection, scope: str, now: datetime) -> bool:
    """Send again; False if nothing was held. Lateness counts from now, and every rule is applied afresh."""
    if not link.execute(delete(Control).where(col(Control.scope) == scope)).rowcount:
        return False
    held = and_(_of(scope), col(Touch.state) == "planned", col(Touch.reason) == "paused")
    turn = func.row_number().over(partition_by=col(Touch.lead_id), order_by=(col(Touch.due_at), col(Touch.id)))
    letters = select(col(Touch.id), turn.label("turn")).where(
        held, col(Touch.purpose) == "marketing", col(Touch.kind) != "audience"
    )
    waiting = letters.subquery()
    later = select(waiting.c.id).where(waiting.c.turn > 1)  # a lead does not get a week's letters at once
    _release(link, and_(held, col(Touch.id).in_(later)), now + timedelta(days=1), "priority")
    _release(link, held, now, None)
    return True


def _release(link: Connection, which: ColumnElement[bool], at: datetime, reason: str | None) -> None:
    again = greatest(micros(col(Touch.allowed_at)), literal(to_micros(at)))
    link.execute(update(Touch).where(which).values(reason=reason, next_at=at, allowed_at=instant(again)))


def mark_paused(link: Connection, slug: str, now: datetime) -> int:
    """Say of each touch of a held segment that would go out now that it is paused; how many."""
    due = and_(col(Touch.sequence) == slug, col(Touch.next_at) <= now, col(Touch.state).in_(("planned", "retry_wait")))
    return link.execute(update(Touch).where(due).values(state="planned", reason="paused", next_at=None)).rowcount


def held_scopes(link: Connection) -> dict[str, datetime]:
    """What is on hold, since when."""
    return dict(link.execute(select(col(Control.scope), col(Control.at))).all())


def _of(scope: str) -> ColumnElement[bool]:
    kind, _, name = scope.partition(":")
    if kind == "segment":
        return col(Touch.sequence) == name
    return col(Touch.lead_id) == int(name) if kind == "lead" else true()
