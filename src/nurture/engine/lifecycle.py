"""Stages and milestones: one state machine for stages, whichever door a change comes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, false, func, literal, not_, or_, select, update
from sqlmodel import col

from nurture.dialects import new_rows
from nurture.engine.running import CLAIMED, Run
from nurture.engine.scoring import FRESH
from nurture.language import conditions as c
from nurture.language.compiler import Scope, compile_condition, event_matches
from nurture.language.objections import objects
from nurture.language.scores import score
from nurture.program.lifecycle import Mql
from nurture.program.load import House
from nurture.records import Event, Holding, Lead, Milestone, StageTransition
from nurture.records.types import NOW, NOW_AT, micros

#: Where a lead may go from each stage; anything else is refused with the reason.
MOVES: dict[str, tuple[str, ...]] = {
    "subscriber": ("lead", "mql", "sal", "customer", "disqualified"),
    "lead": ("mql", "sal", "customer", "disqualified", "recycled"),
    "mql": ("lead", "sal", "recycled", "disqualified", "customer"),
    "sal": ("sql", "mql", "lead", "recycled", "disqualified", "opportunity", "customer"),
    "sql": ("opportunity", "recycled", "disqualified", "customer"),
    "opportunity": ("customer", "recycled", "disqualified"),
    "customer": ("sal",),
    "recycled": ("lead", "mql", "sal", "disqualified", "customer"),
    "disqualified": ("recycled", "lead", "sal"),  # who asks for us is heard
}
_AMONG = col(Lead.id).in_(CLAIMED)


def stage_moves(
    leads: ColumnElement[bool], to: str, *, cause: str, author: str, version: int | None
) -> tuple[Any, Any]:
    """The statements that bring the leads for which `leads` holds to stage `to`, where the machine allows it."""
    moving = and_(leads, col(Lead.stage).in_([stage for stage, ways in MOVES.items() if to in ways]))
    rows = select(
        col(Lead.id), col(Lead.stage), literal(to), NOW_AT, literal(cause), literal(author), literal(version)
    ).where(moving)
    columns = ["lead_id", "from_stage", "to_stage", "at", "cause", "author", "program_version_id"]
    return (
        new_rows(StageTransition, columns, rows),
        update(Lead).where(moving).values(stage=to, changed_at=NOW_AT),
    )


def move_stage(run: Run, moves: tuple[Any, Any]) -> int:
    """Note the transitions, then make them; how many."""
    run(moves[0])
    return int(run(moves[1]).rowcount)


@dataclass(frozen=True)
class _Mql:
    rearm: Any
    moves: tuple[Any, Any]
    hold: Any


def become_mql(run: Run, *, everybody: bool = False) -> int:
    """MQL on the transition into its condition; armed again below the stated score, or after recycling.

    Of the claimed leads, or of everybody after the rules have changed.
    """
    rule = run.live.house.lifecycle.mql
    if rule is None:
        return 0
    among = col(Lead.forgotten_at).is_(None) if everybody else _AMONG
    plan = run.plan(("mql", everybody), lambda: _mql(run.live.house, among))
    run(plan.rearm)
    moved = move_stage(run, plan.moves)
    run(plan.hold)
    return moved


def _mql(house: House, among: ColumnElement[bool]) -> _Mql:
    rule = house.lifecycle.mql
    assert rule is not None
    holds = compile_condition(rule.condition, house.scope)
    level = rearm_level(rule)
    low = score() < level if level is not None else not_(holds)
    rearmed = select(col(Lead.id)).where(among, or_(low, col(Lead.stage) == "recycled"), not_(holds))
    newly = and_(~_held("mql"), col(Lead.stage).in_(("subscriber", "lead", "recycled")))
    fresh = and_(among, holds, newly, ~objects("profiling"))
    return _Mql(
        delete(Holding).where(col(Holding.rule) == "mql", col(Holding.lead_id).in_(rearmed)),
        stage_moves(fresh, "mql", cause="the MQL definition holds", author="rule", version=house.id),
        hold("mql", select(col(Lead.id)).where(among, holds)),
    )


def rearm_level(rule: Mql) -> float | None:
    """The score below which a lead may become MQL anew: as said, else ten below the rule's own; None: no score."""
    if rule.rearm_below is not None:
        return rule.rearm_below
    bounds = [
        part.value
        for part in c.walk(rule.condition)
        if isinstance(part, c.Field) and part.name == "score" and part.operator in ("at_least", "above")
    ]
    return min(bounds) - 10 if bounds else None


def hold(rule: str, leads: Select[Any]) -> Any:
    """The statement that remembers that `rule` holds for `leads`."""
    return new_rows(Holding, ["lead_id", "rule", "since"], leads.add_columns(literal(rule), NOW_AT))


def _held(rule: str) -> ColumnElement[bool]:
    mine = (col(Holding.lead_id) == col(Lead.id)) & (col(Holding.rule) == rule)
    return select(1).where(mine).correlate(Lead).exists()


def release(rule: str, leads: Select[Any]) -> Any:
    """The statement that forgets it, so that the rule may be come into anew."""
    return delete(Holding).where(col(Holding.rule) == rule, col(Holding.lead_id).in_(leads))


def reach_milestones(run: Run) -> dict[str, int]:
    """Note each milestone reached: on the transition into its condition, and by each further event it speaks of."""
    reached = {}
    for name, rule in run.live.house.lifecycle.milestones.items():
        if isinstance(rule.when, c.ByStep):
            continue
        note, over, on = run.plan(
            ("milestone", name),
            lambda name=name, when=rule.when: _milestone(name, when, run.live.house.scope),  # type: ignore[misc]
        )
        count = run(note).rowcount
        run(over)
        run(on)
        if count > 0:
            reached[name] = count
    return reached


def _milestone(name: str, when: Any, scope: Scope) -> tuple[Any, Any, Any]:
    holds = compile_condition(when, scope)
    rule = f"milestone:{name}"
    deeds = [event_matches(part) for part in c.walk(when) if isinstance(part, c.Did) and not part.negated]
    fresh = and_(col(Event.lead_id) == col(Lead.id), FRESH, or_(false(), *deeds))
    latest = select(func.max(col(Event.id))).where(fresh).correlate(Lead).scalar_subquery()
    when_it_was = select(func.max(micros(col(Event.occurred_at)))).where(fresh).correlate(Lead).scalar_subquery()
    rows = select(col(Lead.id), literal(name), func.coalesce(when_it_was, NOW), func.coalesce(latest, -NOW)).where(
        _AMONG, holds, or_(~_held(rule), latest.is_not(None))
    )
    return (
        new_rows(Milestone, ["lead_id", "name", "reached_at", "event_id"], rows),
        release(rule, select(col(Lead.id)).where(_AMONG, not_(holds))),
        hold(rule, select(col(Lead.id)).where(_AMONG, holds)),
    )
