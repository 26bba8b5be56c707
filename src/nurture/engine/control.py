"""Pause and resume, stop and start: for everything, a segment or a lead. Permits and movement read it as they commit.

Paused: places are kept, waits and branches go on, what would be sent waits, and the wait is forgiven. Stopped: nothing
leaves and nobody moves, and what is late afterwards expires.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, func, literal, select, true, update
from sqlmodel import col

from nurture.dialects import CONTROL, change, greatest, hold_still, upsert
from nurture.engine.audit import note
from nurture.records import Control, Touch
from nurture.records.types import instant, micros, to_micros
from nurture.steps import MESSAGES
from nurture.zones import DAY

PAUSED, STOPPED = "paused", "stopped"


@dataclass(frozen=True)
class Said:
    """What an operator said of a scope: `paused` or `stopped`, since when, and who."""

    state: str
    since: datetime
    by: str


def pause(link: Connection, scope: str, by: str, now: datetime) -> bool:
    """Keep back what would be sent in `scope` (`all`, `segment:<slug>`, `lead:<id>`); False if nothing goes there."""
    return _say(link, scope, PAUSED, by, now)


def stop(link: Connection, scope: str, by: str, now: datetime) -> bool:
    """Let nothing leave in `scope`; it holds for every permit after this commits. False if it was stopped before."""
    return _say(link, scope, STOPPED, by, now)


def _say(link: Connection, scope: str, state: str, by: str, now: datetime) -> bool:
    change(link, CONTROL)
    known = link.execute(select(col(Control.state)).where(col(Control.scope) == scope)).scalar()
    if known == STOPPED or (known is not None and state == PAUSED):
        return False
    row = upsert(link)(Control).values(scope=scope, state=state, at=now, by=by)
    link.execute(row.on_conflict_do_update(index_elements=["scope"], set_={"state": state, "at": now, "by": by}))
    note(link, state, scope, by, now)
    return True


def resume(link: Connection, scope: str, by: str, now: datetime) -> bool:
    """End a pause; False if there was none. Lateness counts from now, and every rule is applied afresh.

    Of the letters that waited for one lead the first may go now and each further one a day after the one before.
    """
    if not _unsay(link, scope, col(Control.state) != STOPPED):
        return False
    held = and_(_of(scope), col(Touch.state) == "planned", col(Touch.reason) == PAUSED)
    turn = func.row_number().over(partition_by=col(Touch.lead_id), order_by=(col(Touch.due_at), col(Touch.id)))
    letters = (
        select(col(Touch.id), turn.label("turn"))
        .where(held, col(Touch.purpose) == "marketing", col(Touch.kind).in_(MESSAGES))
        .subquery()
    )
    later = and_(col(Touch.id) == letters.c.id, letters.c.turn > 1)
    _release(link, later, to_micros(now) + (letters.c.turn - 1) * DAY, "priority")
    _release(link, held, literal(to_micros(now)), None)
    note(link, "resumed", scope, by, now)
    return True


def _release(link: Connection, which: ColumnElement[bool], at: ColumnElement[int], reason: str | None) -> None:
    again = greatest(micros(col(Touch.allowed_at)), at)
    link.execute(update(Touch).where(which).values(reason=reason, next_at=instant(at), allowed_at=instant(again)))


def start(link: Connection, scope: str, by: str, now: datetime) -> bool:
    """End a stop; False if there was none. Nothing is forgiven: what has waited longer than its `max_late` expires."""
    if not _unsay(link, scope, col(Control.state) == STOPPED):
        return False
    held = and_(_of(scope), col(Touch.state) == "planned", col(Touch.reason).in_((PAUSED, STOPPED)))
    link.execute(update(Touch).where(held).values(reason=None, next_at=now))
    note(link, "started", scope, by, now)
    return True


def _unsay(link: Connection, scope: str, which: ColumnElement[bool]) -> bool:
    change(link, CONTROL)
    return bool(link.execute(delete(Control).where(col(Control.scope) == scope, which)).rowcount)


def mark_paused(link: Connection, slug: str, now: datetime) -> int:
    """Say of each touch of a segment that would go out now that it is paused; how many. Resumed meanwhile: none."""
    if state_of(wide(link, firm=True), slug) != PAUSED:
        return 0
    due = and_(col(Touch.sequence) == slug, col(Touch.next_at) <= now, col(Touch.state).in_(("planned", "retry_wait")))
    return link.execute(update(Touch).where(due).values(state="planned", reason=PAUSED, next_at=None)).rowcount


_WIDE = select(col(Control.scope), col(Control.state)).where(~col(Control.scope).startswith("lead:"))


def wide(link: Connection, *, firm: bool = False) -> dict[str, str]:
    """The state of `all` and of each segment of which something was said; `firm`: until this transaction ends."""
    if firm:
        hold_still(link, CONTROL)
    return {scope: STOPPED if state == STOPPED else PAUSED for scope, state in link.execute(_WIDE)}


def state_of(said: Mapping[str, str], slug: str | None = None) -> str | None:
    """`stopped`, `paused` or None for a segment (None: for the house itself), from what `wide` found."""
    found = {said.get("all"), said.get(f"segment:{slug}")}
    return STOPPED if STOPPED in found else PAUSED if PAUSED in found else None


def controls(link: Connection) -> dict[str, Said]:
    """Everything that is paused or stopped, by scope."""
    rows = link.execute(select(col(Control.scope), col(Control.state), col(Control.at), col(Control.by)))
    return {scope: Said(STOPPED if state == STOPPED else PAUSED, at, by) for scope, state, at, by in rows}


def _of(scope: str) -> ColumnElement[bool]:
    kind, _, name = scope.partition(":")
    if kind == "segment":
        return col(Touch.sequence) == name
    return col(Touch.lead_id) == int(name) if kind == "lead" else true()
