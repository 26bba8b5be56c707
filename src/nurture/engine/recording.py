"""Recording: receipts to states, and on with the enrolments whose touch has ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    case,
    cast,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlmodel import col

from nurture import clock
from nurture.channels.base import Receipt
from nurture.dialects import FEW, new_rows, unset
from nurture.jsonsql import KEYS, among, listed, object_of
from nurture.records import Enrolment, Event, Touch
from nurture.records.types import Instant
from nurture.worklist import work_for

log = logging.getLogger("nurture.recording")
#: First pause after "try later"; three times as long at each further try.
BACKOFF = timedelta(minutes=5)
#: Pause before a channel that was down is tried again.
CHANNEL_PAUSE = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(days=1)
AFTER: dict[str, str] = {
    "accepted": "sent", "refused": "failed", "try_later": "retry_wait", "unknown": "uncertain",
    "not_started": "planned",
}  # fmt: skip
ENDED = ("sent", "failed", "suppressed", "expired", "uncertain", "cancelled")


def record(
    link: Connection, receipts: Sequence[Receipt], now: datetime, owner: str | None = None, *, recovered: bool = False
) -> int:
    """Receipts to states, an event for each accepted message, a look at each lead, and on with the enrolment; how many
    of those that wait again were called off instead, since their enrolment has ended.

    `owner`: only what it still holds. `recovered`: told by somebody else than the holder, who may yet come back with
    the answer: its name stays on what is uncertain.
    """
    whose = {} if owner is None else {"the_owner": owner}
    statements = _statements(owner is not None, recovered)
    keys = listed(receipt.touch_id for receipt in receipts)
    known = {
        touch: (attempt, state) for touch, attempt, state in link.execute(statements.known, {"keys": keys, **whose})
    }
    if len(known) < len(receipts):
        log.warning("receipts without a claim, taken over by another worker: %d", len(receipts) - len(known))
    sent: list[int] = []
    rows: list[dict[str, Any]] = []
    for receipt in receipts:
        if receipt.touch_id not in known:
            continue
        attempt, state = known[receipt.touch_id]
        if receipt.verdict == "accepted":
            sent.append(receipt.touch_id)
        elif state == "uncertain":
            log.warning("late answer to an uncertain touch=%d verdict=%s", receipt.touch_id, receipt.verdict)
            # its lead has gone on; a person decides
        else:
            rows.append(_otherwise(receipt, attempt, now, recovered))
    if sent:
        link.execute(statements.sent, {"keys": listed(sent), "at_now": now, **whose})
        _tell(link, sent, now)
    if rows:
        link.execute(statements.otherwise, [row | whose for row in rows])
    over = call_off(link, [row["the_touch"] for row in rows if row["new_next"] is not None], now)
    let_go(link, [*sent, *(row["the_touch"] for row in rows if row["new_state"] in ENDED)])
    return over


@dataclass(frozen=True)
class _Statements:
    """What is held of the touches `keys`; that they were sent; what else became of one."""

    known: Any
    sent: Any
    otherwise: Any


@lru_cache
def _statements(owned: bool, recovered: bool) -> _Statements:
    """Of what is on its way or uncertain; `owned`: by `the_owner` alone."""
    held: ColumnElement[bool] = or_(col(Touch.state) == "sending", col(Touch.state) == "uncertain")
    if owned:
        held = and_(held, col(Touch.lease_owner) == bindparam("the_owner"))
    mine, one = and_(among(col(Touch.id), KEYS), held), and_(col(Touch.id) == bindparam("the_touch"), held)
    known = select(col(Touch.id), col(Touch.attempt), col(Touch.state)).where(mine).order_by(col(Touch.id))
    sent = update(Touch).where(mine).values(
        state="sent", reason=None, next_at=None, ended_at=bindparam("at_now", type_=Instant()), lease_until=None,
        lease_owner=None,
    )  # fmt: skip
    kept = col(Touch.lease_owner) if recovered else null()
    otherwise = update(Touch).where(one).values(
        state=bindparam("new_state"), reason=bindparam("new_reason"), next_at=bindparam("new_next"),
        ended_at=bindparam("new_ended"), attempt=bindparam("new_attempt"), lease_until=None,
        lease_owner=case((bindparam("new_state") == "uncertain", kept), else_=None),
    )  # fmt: skip
    return _Statements(known.with_for_update(), sent, otherwise)


def _otherwise(receipt: Receipt, tried: int, now: datetime, recovered: bool) -> dict[str, Any]:
    """What becomes of a touch that was not accepted; `tried`: how often it was tried again so far."""
    state = AFTER[receipt.verdict]
    at_once = timedelta() if recovered else CHANNEL_PAUSE  # a dead worker says nothing of the way out
    pause = {"retry_wait": BACKOFF * 3**tried * clock.jitter(0.2), "planned": at_once}.get(state)
    if pause is not None and receipt.wait is not None:  # as the other side asks, a day at most
        pause = max(pause, timedelta(seconds=min(receipt.wait, _LONGEST_WAIT.total_seconds())))
    return {
        "the_touch": receipt.touch_id,
        "new_state": state,
        "new_reason": receipt.detail[:200] or receipt.verdict,
        "new_next": None if pause is None else now + pause,
        "new_ended": now if state in ENDED else None,
        "new_attempt": tried + (state == "retry_wait"),
    }


def call_off(link: Connection, touches: Sequence[int], now: datetime) -> int:
    """Those of `touches` that wait again and whose enrolment has ended meanwhile; the permit judges what is resent."""
    if not touches:
        return 0
    over = select(col(Enrolment.id)).where(col(Enrolment.ended_at).is_not(None))
    return link.execute(
        update(Touch)
        .where(among(col(Touch.id), touches), col(Touch.enrolment_id).in_(over), col(Touch.resent_at).is_(None))
        .values(state="cancelled", reason="ended", ended_at=now, next_at=None)
    ).rowcount


def sent_after_all(link: Connection, touches: Sequence[int], reason: str, now: datetime) -> None:
    """Uncertain touches that turn out to have left. Their enrolments went on when they became uncertain."""
    values = {"state": "sent", "reason": reason, "lease_owner": None}
    doubtful = (among(col(Touch.id), touches)) & (col(Touch.state) == "uncertain")
    link.execute(update(Touch).where(doubtful).values(**values))
    _tell(link, list(touches), now)


def _tell(link: Connection, touches: list[int], now: datetime) -> None:
    """An event of the house for each touch that left, so that scores and conditions see it; each lead is looked at."""
    if touches:
        for statement in _telling():
            link.execute(statement, {"keys": listed(touches), "at_now": now})


@lru_cache
def _telling() -> tuple[Any, Any]:
    mine, at = among(col(Touch.id), KEYS), bindparam("at_now", type_=Instant())
    name = case((col(Touch.kind) == "audience", "audience_changed"), else_=col(Touch.kind) + "_sent")
    data = object_of(step=col(Touch.step), sequence=col(Touch.sequence), content=col(Touch.content))
    event = {
        "lead_id": col(Touch.lead_id), "name": name, "occurred_at": at, "recorded_at": at, "ripe_at": at,
        "actor": literal("system"), "touch_id": col(Touch.id), "data": data, "source": literal("nurture"),
        "key": literal("touch:") + cast(col(Touch.id), String) + ":sent",
    }  # fmt: skip
    leads = select(col(Touch.lead_id)).where(mine).distinct().order_by(col(Touch.lead_id))
    told = select(*event.values()).where(mine).order_by(col(Touch.id))
    return new_rows(Event, list(event), told), work_for(leads, at)


def let_go(link: Connection, touches: list[int]) -> None:
    """Enrolments that stand on the step of an ended touch leave it at that instant; those that have gone on stay."""
    if touches:
        link.execute(_letting_go(), {"keys": listed(touches)})


@lru_cache
def _letting_go() -> Any:
    ended = (
        select(col(Touch.ended_at))
        .where(
            col(Touch.enrolment_id) == col(Enrolment.id),
            col(Touch.step) == col(Enrolment.step),
            col(Touch.occurrence) == col(Enrolment.occurrence),
        )
        .correlate(Enrolment)
        .scalar_subquery()
    )
    mine = select(col(Touch.enrolment_id)).prefix_with(FEW).where(among(col(Touch.id), KEYS))
    left = update(Enrolment).where(col(Enrolment.id).in_(mine), unset(col(Enrolment.ended_at)), ended.is_not(None))
    return left.values(due_at=ended).execution_options(synchronize_session=False)
