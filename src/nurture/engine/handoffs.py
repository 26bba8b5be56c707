"""The SAL gate, routing and the hand-off: what a milestone leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlmodel import col

from nurture.dialects import new_rows
from nurture.engine.lifecycle import mql_level
from nurture.engine.routing import Routed, Routing, asked
from nurture.engine.running import Run
from nurture.engine.stages import move_stage, stage_moves
from nurture.engine.statuses import move_status, status_moves
from nurture.histories import Moves
from nurture.language.compiler import compile_condition
from nurture.language.conditions import ByStep, Did
from nurture.language.scores import score
from nurture.program.lifecycle import MilestoneRule
from nurture.program.load import House
from nurture.records import Enrolment, Handoff, Lead, Milestone, Outbox
from nurture.records.types import NOW, NOW_AT, micros, span_micros

#: A milestone this old when we learn of it is history (an import), not a call to sales.
HISTORY = timedelta(days=7)
#: Stages in which sales works on the lead already: a further milestone is evidence there.
WITH_SALES = ("sal", "sql", "opportunity")
#: Why a lead that sales gave back for a while is not handed over; it may still ask for us itself.
RESTING = "resting"
_WHILE_RESTING = ("ready", "service")
#: Kind of the letter to who has accepted a lead that asks again, followed by ':' and the milestone's number.
AGAIN = "handoff_evidence"


#: Of several milestones at once: the entrance that says most of what the lead wants opens the hand-off.
_PRECEDENCE = ("ready", "service", "product", "marketing")


@dataclass(frozen=True)
class _Decision:
    """The statements that decide undecided milestones, in order."""

    noted: Any
    any_left: Any
    again: Any
    evidence: Any
    reasons: Any
    repair: list[Moves]
    disqualify: list[Moves]
    refused: Any
    opening: Any


def decide(run: Run, among: str, leads: Select[Any]) -> int:
    """Decide every undecided milestone of `leads` (a SELECT of ids, `among` names it); hand-offs opened."""
    plan = run.plan(("decide", among), lambda: _decision(run.live.house, leads))
    run(plan.noted)
    if run(plan.any_left).first() is None:
        return 0
    run(plan.again)
    run(plan.evidence)
    run(plan.reasons)
    for moves in plan.repair:
        move_status(run, moves)
    for moves in plan.disqualify:
        move_stage(run, moves)
    run(plan.refused)
    opened = _open(run, run(plan.opening).all())
    run(plan.evidence)
    return opened


def _decision(house: House, leads: Select[Any]) -> _Decision:
    undecided = and_(col(Milestone.outcome).is_(None), col(Milestone.lead_id).in_(leads))
    rules = house.lifecycle.milestones
    calling = [name for name, rule in rules.items() if rule.handoff or isinstance(rule.when, ByStep)]
    history = micros(col(Milestone.reached_at)) < NOW - span_micros(HISTORY)
    noted = and_(undecided, or_(col(Milestone.name).not_in(calling), history))
    slow = [name for name in calling if rules[name].entrance not in _WHILE_RESTING]
    rests = and_(col(Milestone.name).in_(slow), col(Lead.rests_until) > NOW_AT)
    refusal = case((rests, literal(RESTING)), else_=gate_reason(house))
    reason = select(refusal).where(col(Lead.id) == col(Milestone.lead_id)).correlate(Milestone).scalar_subquery()
    current = _current(house)
    repairs: list[Moves] = []
    disqualified: list[Moves] = []
    for rule in house.lifecycle.gate:
        refused = select(col(Milestone.lead_id)).where(undecided, col(Milestone.reason) == rule.reason)
        theirs, cause = col(Lead.id).in_(refused), f"gate: {rule.reason}"
        if rule.then == "repair":
            repairs.append(status_moves(theirs, "needs_repair", cause=cause, author="rule"))
        elif rule.then == "disqualified":
            moves = stage_moves(theirs, "disqualified", cause=cause, author="rule", version=house.id)
            disqualified.append(moves)
    return _Decision(
        update(Milestone).where(noted).values(outcome="noted"),
        select(col(Milestone.id)).where(undecided).limit(1),
        _again(house, undecided, current),
        update(Milestone).where(undecided, current.is_not(None)).values(outcome="evidence", handoff_id=current),
        update(Milestone).where(undecided).values(reason=reason),
        repairs,
        disqualified,
        update(Milestone).where(undecided, col(Milestone.reason).is_not(None)).values(outcome="refused"),
        _opening(house, undecided),
    )


def _current(house: House) -> Any:
    """The hand-off in which a further milestone of its lead is evidence; NULL: nobody of the team has the lead."""
    team = [person.email for person in house.program.sales]
    works = and_(
        col(Handoff.state) == "accepted", col(Lead.stage).in_(WITH_SALES), col(Handoff.owner).in_(team)
    )  # fmt: skip
    return (
        select(func.max(col(Handoff.id)))
        .join(Lead, col(Lead.id) == col(Handoff.lead_id))
        .where(col(Handoff.lead_id) == col(Milestone.lead_id), or_(col(Handoff.state) == "open", works))
        .correlate(Milestone)
        .scalar_subquery()
    )


def _again(house: House, undecided: ColumnElement[bool], current: Any) -> Any:
    """Whoever has accepted a lead that now asks again itself is told."""
    asking = [name for name, rule in house.lifecycle.milestones.items() if asks_itself(rule)]
    letter = literal(f"{AGAIN}:") + cast(col(Milestone.id), String)
    rows = select(letter, col(Handoff.id), NOW_AT, NOW_AT).join_from(Milestone, Handoff, col(Handoff.id) == current)
    rows = rows.where(undecided, col(Milestone.name).in_(asking), col(Handoff.state) == "accepted")
    return new_rows(Outbox, ["kind", "row_id", "created_at", "next_at"], rows)


def asks_itself(rule: MilestoneRule) -> bool:
    """Whether the lead itself asks to be called: by its entrance, or by an event that is a request."""
    return rule.entrance in _WHILE_RESTING or (isinstance(rule.when, Did) and rule.when.name.endswith("_requested"))


def gate_reason(house: House) -> ColumnElement[Any]:
    """The reason of the first gate rule that refuses the lead for its milestone, or NULL.

    A rule with entrances is asked of milestones that come by these alone.
    """
    rules = []
    for rule in house.lifecycle.gate:
        refuses = compile_condition(rule.refuse, house.scope)
        if rule.entrances:
            by = [name for name, one in house.lifecycle.milestones.items() if one.entrance in rule.entrances]
            refuses = and_(col(Milestone.name).in_(by), refuses)
        rules.append((refuses, literal(rule.reason)))
    return case(*rules, else_=null()) if rules else null()


def _opening(house: House, undecided: ColumnElement[bool]) -> Any:
    """What is needed to open a hand-off for each lead: of its undecided milestones a request comes before what a lead
    merely shows, and else the first in lifecycle.yaml opens it.
    """
    milestones = house.lifecycle.milestones
    ranks = {name: _PRECEDENCE.index(rule.entrance) for name, rule in milestones.items()}
    rank = case(ranks, value=col(Milestone.name), else_=len(_PRECEDENCE)) if ranks else literal(0)
    turn = func.row_number().over(partition_by=col(Milestone.lead_id), order_by=(rank, col(Milestone.id)))
    ranked = select(col(Milestone.id).label("id"), turn.label("turn")).where(undecided).subquery()
    first = select(ranked.c.id).where(ranked.c.turn == 1)
    cycle = (
        select(func.coalesce(func.max(col(Handoff.cycle)), 0) + 1)
        .where(col(Handoff.lead_id) == col(Lead.id))
        .correlate(Lead)
        .scalar_subquery()
    )
    sequence = (
        select(col(Enrolment.sequence))
        .where(col(Enrolment.lead_id) == col(Lead.id))
        .order_by(col(Enrolment.ended_at).is_(None).desc(), col(Enrolment.started_at).desc())
        .limit(1)
        .correlate(Lead)
        .scalar_subquery()
    )
    return (
        select(
            col(Milestone.id).label("milestone_id"), col(Milestone.lead_id), col(Milestone.name), col(Lead.owner),
            col(Lead.country), col(Lead.language), col(Lead.stage), col(Lead.fit),
            func.coalesce(score(), 0).label("points"), mql_level(house).label("level"), cycle.label("cycle"),
            sequence.label("sequence"), *asked(house),
        )
        .join_from(Milestone, Lead, col(Lead.id) == col(Milestone.lead_id))
        .where(col(Milestone.id).in_(first))
        .order_by(col(Milestone.id))
    )  # fmt: skip


def _open(run: Run, rows: Sequence[Any]) -> int:
    """One open hand-off for each of `rows`, with owner, deadline and a notice in the outbox."""
    if not rows:
        return 0
    house = run.live.house
    routing = Routing(run, rows)
    opened = []
    for row in rows:
        routed = routing.owner(row)
        routing.take(row, routed.person)
        opened.append(
            {
                "lead_id": row.lead_id, "cycle": row.cycle, "milestone": row.name, "sequence": row.sequence,
                "entrance": house.lifecycle.milestones[row.name].entrance, "score": row.points, "fit": row.fit,
                "level": row.level, "stage_before": row.stage, "program_version_id": house.id,
                **term(run, routing, routed),
            }
        )  # fmt: skip
    routing.keep("hand-off")
    ids = put(run, opened)
    run.link.execute(_DECIDED, [{"the_milestone": row.milestone_id, "the_handoff": ids[row.lead_id]} for row in rows])
    if house.lifecycle.acceptance == "by_gate":
        moves = stage_moves(col(Lead.id).in_(ids), "sal", cause="handed to sales", author="rule", version=house.id)
        move_stage(run, moves)
    return len(opened)


def term(run: Run, routing: Routing, routed: Routed) -> dict[str, Any]:
    """Whose a hand-off of now is, why, until when, and when something is due about it."""
    person = routed.person
    return {
        "state": "open", "owner": person.email, "routed_by": routed.why, "opened_at": run.now,
        "deadline_at": routing.deadline(person), "next_at": routing.first_look(person),
    }  # fmt: skip


def put(run: Run, rows: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Open these hand-offs, one a lead: the lead is the owner's, who is told; their numbers by lead."""
    run.link.execute(Handoff.__table__.insert(), list(rows))  # type: ignore[attr-defined]
    leads = [row["lead_id"] for row in rows]
    found = select(col(Handoff.lead_id), col(Handoff.id)).where(
        col(Handoff.lead_id).in_(leads), col(Handoff.state) == "open"
    )
    ids = {lead: int(number or 0) for lead, number in run.link.execute(found)}
    run.link.execute(_OWNED, [{"the_lead": row["lead_id"], "the_owner": row["owner"]} for row in rows])
    notices = [
        {"kind": "handoff_notice", "row_id": ids[lead], "created_at": run.now, "next_at": run.now} for lead in leads
    ]
    run.link.execute(Outbox.__table__.insert(), notices)  # type: ignore[attr-defined]
    return ids


_DECIDED = (
    update(Milestone)
    .where(col(Milestone.id) == bindparam("the_milestone"))
    .values(outcome="handed_off", handoff_id=bindparam("the_handoff"))
)
_OWNED = update(Lead).where(col(Lead.id) == bindparam("the_lead")).values(owner=bindparam("the_owner"))
