"""What follows for a lead from what sales says of it: its stage, its status, its rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlmodel import col

from nurture.engine.handoffs import WITH_SALES
from nurture.engine.live import Live
from nurture.engine.routing import business_deadline
from nurture.engine.running import Run
from nurture.engine.stages import move_stage, out_of_sequences, refusal, stage_moves
from nurture.engine.statuses import move_status, status_moves
from nurture.errors import Refused
from nurture.records import Holding, Lead, StageTransition, StatusChange
from nurture.records.types import NOW, instant
from nurture.zones import after, know_zones, lead_zone

#: What may come after an acceptance, in this order; the last three end it.
PROGRESS = ("met", "sql", "opportunity", "won", "lost", "recycled")
ENDS = ("won", "lost", "recycled")
#: Where a rejected lead goes: its stage, and its status.
_REJECTED = {
    "inaccurate_data": ("lead", "needs_repair"),
    "not_persona": ("disqualified", "unqualified"),
    "premature": ("recycled", "bad_timing"),
    "duplicate": ("disqualified", "unqualified"),
}
_STATUS_OF = {"recycled": "bad_timing", "disqualified": "unqualified"}
#: Which stage and status an answer brings the lead to; None: it keeps its own.
_REACHED: dict[str, tuple[str | None, str | None]] = {
    "accepted": ("sal", "open"), "met": (None, "connected"), "sql": ("sql", None),
    "opportunity": ("opportunity", "open_deal"), "won": ("customer", "connected"),
}  # fmt: skip
#: How the histories name an acceptance, and begin to name what came after it.
_ACCEPTED, _ANSWER = "accepted by sales", "hand-off "


@dataclass(frozen=True)
class Said:
    """One answer, checked."""

    answer: str
    by: str
    #: When it was given, and when we hear of it.
    at: datetime
    now: datetime
    source: str
    key: str
    reason: str | None = None
    note: str | None = None
    value: float | None = None
    currency: str | None = None
    until: date | None = None


def meeting_by(live: Live, row: Any, said: Said) -> datetime | None:
    """By when the lead is to be met, in the owner's working hours; None: nobody has promised it."""
    hours = live.house.lifecycle.sla.meet_within
    person = next((person for person in live.house.program.sales if person.email == row.owner), None)
    if hours is None or person is None:
        return None
    return business_deadline(person, live.house, said.at, hours)


def follow(link: Connection, live: Live, row: Any, said: Said) -> None:
    """Stage, status and rest of the lead, as the answer says; a customer remains one."""
    lead = int(row.lead_id)
    here = link.execute(select(col(Lead.stage)).where(col(Lead.id) == lead)).scalar_one()
    goes, status = _after(live, said)
    stage, customer = goes, _remains_customer(row, here, said)
    if customer:
        back = here in WITH_SALES
        stage = "customer" if back else None
        status = status if said.answer == "won" else _status_before(link, row) if back else None
    run, now = Run(link, live, _no_earlier(link, lead, said.at)), Run(link, live, said.now)
    because = _because(said)
    if stage is not None:
        _bring(run, now, lead, here, stage, because, said.by)
    status = live.house.lifecycle.status_named(status) if status is not None else None
    if status is not None:
        move_status(run, status_moves(col(Lead.id) == lead, status, cause=because, author=said.by))
    if goes == "recycled" and (not customer or said.until is not None):
        _rest(link, live, lead, said)


def _remains_customer(row: Any, here: str, said: Said) -> bool:
    """Whether the answer leaves a customer one: what it asked for came to nothing, or it is one by another way."""
    if row.stage_before == "customer":
        return said.answer in ("rejected", "lost", "recycled")
    return here == "customer"


def _status_before(link: Connection, row: Any) -> str | None:
    """The status that the lead had before answers to this hand-off changed it; None: they have not."""
    answered = or_(col(StatusChange.cause) == _ACCEPTED, col(StatusChange.cause).startswith(_ANSWER))
    since = (col(StatusChange.lead_id) == row.lead_id, col(StatusChange.at) >= row.opened_at, answered)
    first = select(col(StatusChange.from_status)).where(*since).order_by(col(StatusChange.at), col(StatusChange.id))
    return link.execute(first.limit(1)).scalar()


def _because(said: Said) -> str:
    """The answer, as the histories of stage and status name it."""
    because = f"{_ANSWER if said.answer in PROGRESS else ''}{said.answer}"
    because = f"{because}: {said.reason}" if said.reason else because
    return _ACCEPTED if said.answer == "accepted" else because


def _after(live: Live, said: Said) -> tuple[str | None, str | None]:
    lifecycle = live.house.lifecycle
    if said.answer == "rejected":
        return _REJECTED[said.reason or ""]
    if said.answer == "lost":
        goes = lifecycle.lost_reasons[said.reason or ""]
        return goes, _STATUS_OF[goes]
    if said.answer == "recycled":
        return "recycled", _STATUS_OF["recycled"]
    return _REACHED[said.answer]


def _bring(run: Run, now: Run, lead: int, here: str, to: str, cause: str, author: str) -> None:
    """To a stage, by way of SAL where a hand had moved elsewhere what sales has; with sales nobody goes back.

    `now`: when what belongs to the move is done, however long ago the answer was given. Raises Refused.
    """
    if here in WITH_SALES and to in WITH_SALES and WITH_SALES.index(to) <= WITH_SALES.index(here):
        return
    direct = refusal(here, to) is None or to not in (*WITH_SALES, "customer")
    for way in (to,) if direct else ("sal", to):
        if (why := refusal(here, way)) is not None:
            raise Refused(f"the answer cannot be taken: {why}")
        moves = stage_moves(col(Lead.id) == lead, way, cause=cause, author=author, version=run.live.house.id)
        move_stage(run, moves, then=now)
        here = way
    if to == "disqualified":  # it may have been before
        for statement in out_of_sequences(select(col(Lead.id)).where(col(Lead.id) == lead)):
            now(statement)


def _no_earlier(link: Connection, lead: int, at: datetime) -> datetime:
    """`at`, or the instant of the lead's last change if that is later: the chain of changes stays in its order."""
    latest = [
        link.execute(select(func.max(col(table.at))).where(col(table.lead_id) == lead)).scalar()
        for table in (StageTransition, StatusChange)
    ]
    return max([at, *(one for one in latest if one is not None)])


def _rest(link: Connection, live: Live, lead: int, said: Said) -> None:
    """Leave the lead alone until a day, or as long as `recycle:` says; then it comes to match its rules anew."""
    zone, mine = lead_zone(live.house.program.zone), col(Lead.id) == lead
    name = link.execute(select(zone).where(mine)).scalar_one()
    know_zones(link, [name])
    span = live.house.lifecycle.recycle.get("lost" if said.answer == "lost" else "premature")
    rests: Any = None
    if said.until is not None:
        rests = datetime.combine(said.until, time(), ZoneInfo(name))
    elif span is not None:
        rests = instant(after(NOW, span, zone))
    run = Run(link, live, said.at)
    run(update(Lead).where(mine).values(rests_until=rests))
    run(delete(Holding).where(col(Holding.lead_id) == lead, col(Holding.rule).startswith("enrol:")))
