"""The machine of stages: which ways there are, how each move is noted, and what belongs to it, for one lead or many.

Whichever door a change comes by, `move_stage` makes it: rules, the gate, answers of sales, files and forms, a hand.
Newcomers have no way behind them, and two leads that are one person have been there all along: `histories` notes both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlmodel import col

from nurture.engine.ending import ending
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.histories import VISITOR, Moves, stage_change
from nurture.program.lifecycle import STAGES
from nurture.records import Enrolment, Handoff, Lead, Outbox
from nurture.records.types import NOW_AT

#: Where a lead may go from each stage; anything else is refused with the reason. Whoever comes in may be at any stage.
#: A customer who asks for more is handed over (entrance `service`); what does not become a deal leaves it a customer,
#: neither recycled nor disqualified: the way back to it leads from each stage with sales.
MOVES: dict[str, tuple[str, ...]] = {
    VISITOR: STAGES,
    "subscriber": ("lead", "mql", "sal", "recycled", "disqualified", "customer"),
    "lead": ("mql", "sal", "customer", "disqualified", "recycled"),
    "mql": ("lead", "sal", "recycled", "disqualified", "customer"),
    "sal": ("sql", "mql", "lead", "recycled", "disqualified", "opportunity", "customer"),
    "sql": ("opportunity", "lead", "recycled", "disqualified", "customer"),
    "opportunity": ("customer", "lead", "recycled", "disqualified"),
    "customer": ("sal",),
    "recycled": ("lead", "mql", "sal", "disqualified", "customer"),
    "disqualified": ("recycled", "lead", "sal"),  # who asks for us is heard
}
#: How far a lead has come. What sales decided of it counts for more than what marketing did, and for less than what
#: sales is doing with it now. A file, or a lead that turns out to be the same person, brings nobody back.
FURTHER = ("subscriber", "lead", "mql", "recycled", "disqualified", "sal", "sql", "opportunity", "customer")
assert set(FURTHER) == set(STAGES)
_WITH_AN = ("mql", "sal", "sql", "opportunity")


def refusal(before: str, to: str) -> str | None:
    """Why a lead of stage `before` does not become `to`, in a sentence; None: it does, or is there."""
    if before == to or to in MOVES.get(before, ()):
        return None
    if to not in STAGES:
        return f"there is no stage '{to}'; stages are {', '.join(STAGES)}"
    ways = ", ".join(MOVES.get(before, ())) or "nowhere"
    article = {name: "an" if name in _WITH_AN else "a" for name in (before, to)}
    what = f"{article[before]} {before} does not become {article[to]} {to}"
    return f"{what}; from {before} the ways lead to {ways}"


def stage_moves(leads: ColumnElement[bool], to: str, *, cause: Any, author: str, version: int | None) -> Moves:
    """The statements that bring the leads for which `leads` holds to stage `to`, where there is such a way.

    Note it, what belongs to it, and the move itself. `cause`: in words, or for a stage that nothing belongs to an
    expression as well.
    """
    moving = and_(leads, col(Lead.stage).in_([stage for stage, ways in MOVES.items() if to in ways]))
    note, move = stage_change(moving, to, cause=cause, author=author, version=version)
    return note, *_belonging(moving, to, cause, author), move


def move_stage(run: Callable[[Any], Any], moves: Moves, then: Callable[[Any], Any] | None = None) -> int:
    """Run what `stage_moves` made, with NOW as its parameter; how many leads moved.

    `then`: runs what belongs to the move, which is done now, where the move itself is dated back.
    """
    noted, *belonging, move = moves
    if run(noted).rowcount == 0:
        return 0
    for statement in belonging:
        (then or run)(statement)
    return int(run(move).rowcount)


def move_lead(run: Run, lead: int, to: str, *, cause: str, author: str) -> str:
    """One lead to stage `to`, under its lock; the stage before, which may be the same.

    Raises Refused with the reason where the machine has no such way, and NotFound.
    """
    mine = col(Lead.id) == lead
    before = run(select(col(Lead.stage)).where(mine)).scalar()
    if before is None:
        raise NotFound(f"there is no lead {lead}")
    if (why := refusal(before, to)) is not None:
        raise Refused(why)
    move_stage(run, stage_moves(mine, to, cause=cause, author=author, version=run.live.house.id))
    return str(before)


def _belonging(leads: ColumnElement[bool], to: str, cause: Any, author: str) -> tuple[Any, ...]:
    """What goes with the move of `leads` to a stage, before it is made."""
    theirs = select(col(Lead.id)).where(leads)
    if to == "disqualified":
        return *out_of_sequences(theirs), *_closed(theirs, cause, author, state="rejected", reason="not_persona")
    if to == "customer":
        return _closed(theirs, cause, author, state="accepted")
    return ()


def out_of_sequences(leads: Any) -> tuple[Any, ...]:
    """The statements that end every passage of `leads` (a SELECT of ids), since they are disqualified."""
    how = ending(col(Enrolment.lead_id).in_(leads), "disqualified")
    return how.touches, how.members, how.enrolments


def _closed(leads: Any, cause: str, author: str, *, state: str, reason: str | None = None) -> tuple[Any, ...]:
    """Nobody waits for an answer of sales any more: an open hand-off has one, and nothing is due about an accepted one.

    A customer's own request stays, whoever says once more that it is a customer.
    """
    asked = and_(col(Handoff.lead_id).in_(leads), col(Handoff.state) == "open")
    taken = and_(col(Handoff.lead_id).in_(leads), col(Handoff.state) == "accepted", col(Handoff.next_at).is_not(None))
    if state == "accepted":
        asked, taken = (and_(which, col(Handoff.stage_before) != "customer") for which in (asked, taken))
    untold = and_(
        col(Outbox.kind).startswith("handoff_", autoescape=True), col(Outbox.done_at).is_(None),
        col(Outbox.row_id).in_(select(col(Handoff.id)).where(asked)),
    )  # fmt: skip
    answer = {"state": state, "reason": reason, "note": cause, "answered_at": NOW_AT, "answered_by": author}
    return (
        update(Outbox).where(untold).values(done_at=NOW_AT, next_at=None, lease_owner=None, last_error=cause),
        update(Handoff).where(taken).values(next_at=None),
        update(Handoff).where(asked).values(next_at=None, **answer),
    )
