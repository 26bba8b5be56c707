"""The SAL gate, routing and the hand-off: what a milestone leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, literal, null, or_, select, update
from sqlmodel import col

from nurture.engine.ending import end, ending
from nurture.engine.lifecycle import move_stage, stage_moves
from nurture.engine.routing import Routing
from nurture.engine.running import Run
from nurture.language.compiler import compile_condition
from nurture.language.conditions import ByStep
from nurture.language.scores import score
from nurture.program.load import House
from nurture.records import Enrolment, Handoff, Lead, Milestone, Outbox
from nurture.records.types import NOW, NOW_AT, instant, micros, span_micros
from nurture.zones import after, know_zones, lead_zone

#: A milestone this old when we learn of it is history (an import), not a call to sales.
HISTORY = timedelta(days=7)
#: Stages in which sales works on the lead already: a further milestone is evidence there.
WITH_SALES = ("sal", "sql", "opportunity")


@dataclass(frozen=True)
class _Decision:
    """The statements that decide undecided milestones, in order."""

    noted: Any
    any_left: Any
    evidence: Any
    reasons: Any
    repair: Any
    disqualify: list[tuple[Any, Any]]
    refused: Any
    opening: Any


def decide(run: Run, among: str, leads: Select[Any]) -> int:
    """Decide every undecided milestone of `leads` (a SELECT of ids, `among` names it); hand-offs opened."""
    plan = run.plan(("decide", among), lambda: _decision(run.live.house, leads))
    run(plan.noted)
    if run(plan.any_left).first() is None:
        return 0
    run(plan.evidence)
    run(plan.reasons)
    run(plan.repair)
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
    reason = (
        select(gate_reason(house)).where(col(Lead.id) == col(Milestone.lead_id)).correlate(Milestone).scalar_subquery()
    )
    repairs, disqualified = [], []
    for rule in house.lifecycle.gate:
        refused = select(col(Milestone.lead_id)).where(undecided, col(Milestone.reason) == rule.reason)
        if rule.then == "repair":
            repairs.append(rule.reason)
        elif rule.then == "disqualified":
            cause = f"gate: {rule.reason}"
            moves = stage_moves(col(Lead.id).in_(refused), "disqualified", cause=cause, author="rule", version=house.id)
            disqualified.append(moves)
    to_repair = select(col(Milestone.lead_id)).where(undecided, col(Milestone.reason).in_(repairs))
    return _Decision(
        update(Milestone).where(noted).values(outcome="noted"),
        select(col(Milestone.id)).where(undecided).limit(1),
        _evidence(undecided),
        update(Milestone).where(undecided).values(reason=reason),
        update(Lead).where(col(Lead.id).in_(to_repair)).values(status="needs_repair", changed_at=NOW_AT),
        disqualified,
        update(Milestone).where(undecided, col(Milestone.reason).is_not(None)).values(outcome="refused"),
        _opening(undecided),
    )


def _evidence(undecided: ColumnElement[bool]) -> Any:
    """A milestone of a lead that sales already has is evidence in that hand-off."""
    current = (
        select(func.max(col(Handoff.id)))
        .join(Lead, col(Lead.id) == col(Handoff.lead_id))
        .where(
            col(Handoff.lead_id) == col(Milestone.lead_id),
            (col(Handoff.state) == "open") | ((col(Handoff.state) == "accepted") & col(Lead.stage).in_(WITH_SALES)),
        )
        .correlate(Milestone)
        .scalar_subquery()
    )
    return update(Milestone).where(undecided, current.is_not(None)).values(outcome="evidence", handoff_id=current)


def gate_reason(house: House) -> ColumnElement[Any]:
    """The reason of the first gate rule that refuses the lead, or NULL."""
    rules = [(compile_condition(rule.refuse, house.scope), literal(rule.reason)) for rule in house.lifecycle.gate]
    return case(*rules, else_=null()) if rules else null()


def _opening(undecided: ColumnElement[bool]) -> Any:
    """What is needed to open a hand-off for each lead: its first undecided milestone opens it."""
    first = select(func.min(col(Milestone.id))).where(undecided).group_by(col(Milestone.lead_id))
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
            col(Milestone.id), col(Milestone.lead_id), col(Milestone.name), col(Lead.owner), col(Lead.country),
            col(Lead.language), col(Lead.stage), col(Lead.fit), func.coalesce(score(), 0), cycle, sequence,
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
    routing = Routing(run)
    opened = []
    for milestone, lead, name, owner, country, language, stage, fit, points, cycle, slug in rows:
        person = routing.owner(owner, country, language)
        opened.append(
            {
                "lead_id": lead, "cycle": cycle, "milestone": name, "sequence": slug, "state": "open",
                "owner": person.email, "score": points, "fit": fit, "stage_before": stage, "opened_at": run.now,
                "deadline_at": routing.deadline(person), "program_version_id": house.id, "milestone_id": milestone,
            }
        )  # fmt: skip
    routing.keep()
    run.link.execute(
        Handoff.__table__.insert(),  # type: ignore[attr-defined]
        [{key: value for key, value in row.items() if key != "milestone_id"} for row in opened],
    )
    leads = [row["lead_id"] for row in opened]
    found = select(col(Handoff.lead_id), col(Handoff.id)).where(
        col(Handoff.lead_id).in_(leads), col(Handoff.state) == "open"
    )
    ids = {lead: number for lead, number in run.link.execute(found)}
    run.link.execute(
        _DECIDED, [{"the_milestone": row["milestone_id"], "the_handoff": ids[row["lead_id"]]} for row in opened]
    )
    run.link.execute(_OWNED, [{"the_lead": row["lead_id"], "the_owner": row["owner"]} for row in opened])
    notices = [
        {"kind": "handoff_notice", "row_id": ids[lead], "created_at": run.now, "next_at": run.now} for lead in leads
    ]
    run.link.execute(Outbox.__table__.insert(), notices)  # type: ignore[attr-defined]
    if house.lifecycle.acceptance == "by_gate":
        moves = stage_moves(col(Lead.id).in_(leads), "sal", cause="handed to sales", author="rule", version=house.id)
        move_stage(run, moves)
    return len(opened)


_DECIDED = (
    update(Milestone)
    .where(col(Milestone.id) == bindparam("the_milestone"))
    .values(outcome="handed_off", handoff_id=bindparam("the_handoff"))
)
_OWNED = update(Lead).where(col(Lead.id) == bindparam("the_lead")).values(owner=bindparam("the_owner"))


#: Where a rejected lead goes: its stage, and a status for the repair.
_AFTER = {
    "inaccurate_data": ("lead", "needs_repair"),
    "not_persona": ("disqualified", "unqualified"),
    "premature": ("recycled", "bad_timing"),
    "duplicate": ("disqualified", "unqualified"),
}


def answer(run: Run, handoff: int, verdict: str, reason: str | None, by: str) -> bool:
    """Accept or reject an open hand-off; False when it was answered before (nothing changes then)."""
    house = run.live.house
    changed = run(
        update(Handoff)
        .where(col(Handoff.id) == handoff, col(Handoff.state) == "open")
        .values(state=verdict, reason=reason, answered_at=run.now, answered_by=by)
    ).rowcount
    if changed != 1:
        return False
    number = run(select(col(Handoff.lead_id)).where(col(Handoff.id) == handoff)).scalar_one()
    lead = col(Lead.id) == number
    if verdict == "accepted":
        if house.lifecycle.acceptance == "by_sales":
            move_stage(run, stage_moves(lead, "sal", cause="accepted by sales", author=by, version=house.id))
        run(update(Lead).where(lead).values(status="open", changed_at=run.now))
        return True
    assert reason is not None
    stage, status = _AFTER[reason]
    move_stage(run, stage_moves(lead, stage, cause=f"rejected: {reason}", author=by, version=house.id))
    values: dict[str, Any] = {"status": status, "changed_at": run.now}
    pause = house.lifecycle.recycle.get("premature")
    if reason == "premature" and pause is not None:
        zone = lead_zone(house.program.zone)
        know_zones(run.link, run(select(zone).where(lead)).scalars())
        values["rests_until"] = instant(after(NOW, pause, zone))
    run(update(Lead).where(lead).values(**values))
    if stage == "disqualified":
        end(run, ending(col(Enrolment.lead_id) == number, "disqualified"))
    return True
