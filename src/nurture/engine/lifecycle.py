"""What the rules of lifecycle.yaml say of leads: who is a lead, who is an MQL, and which milestones are reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    delete,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
)
from sqlmodel import col

from nurture.dialects import new_rows
from nurture.engine.running import CLAIMED, Run
from nurture.engine.scoring import FRESH
from nurture.engine.stages import move_stage, stage_moves
from nurture.histories import Moves
from nurture.language import conditions as c
from nurture.language.compiler import Scope, compile_condition, event_matches
from nurture.language.levels import Levels, meaning
from nurture.language.objections import objects
from nurture.language.words import LEVELS, SCORES
from nurture.program.lifecycle import Mql, Rule
from nurture.program.load import House
from nurture.records import Event, Holding, Lead, Milestone
from nurture.records.types import NOW, NOW_AT, micros

_AMONG = col(Lead.id).in_(CLAIMED)


def become_lead(run: Run, *, everybody: bool = False) -> int:
    """Subscribers of whom `lead:` of lifecycle.yaml holds are leads; of the claimed, or of everybody."""
    rule = run.live.house.lifecycle.lead
    if rule is None:
        return 0
    among = col(Lead.forgotten_at).is_(None) if everybody else _AMONG
    return move_stage(run, run.plan(("lead", everybody), lambda: _lead(run.live.house, rule, among)))


def _lead(house: House, rule: Rule, among: ColumnElement[bool]) -> Moves:
    holds = compile_condition(rule.when, house.scope)
    subscribers = and_(among, col(Lead.stage) == "subscriber", holds)
    return stage_moves(subscribers, "lead", cause="the definition of a lead holds", author="rule", version=house.id)


@dataclass(frozen=True)
class _Mql:
    rearm: Any
    anybody: Any
    moves: Moves
    hold: Any


def become_mql(run: Run, *, everybody: bool = False) -> int:
    """MQL on the transition into its condition; armed again below the stated score, or after recycling.

    Of the claimed leads, or of everybody after the rules have changed.
    """
    rule = run.live.house.lifecycle.mql
    if rule is None:
        return 0
    plan = run.plan(("mql", everybody), lambda: _mql(run.live.house, everybody))
    run(plan.rearm)
    if run(plan.anybody).first() is None:
        return 0
    moved = move_stage(run, plan.moves)
    run(plan.hold)
    return moved


def _mql(house: House, everybody: bool) -> _Mql:
    rule = house.lifecycle.mql
    assert rule is not None
    among = col(Lead.forgotten_at).is_(None) if everybody else _AMONG
    holds = compile_condition(rule.condition, house.scope)
    below = rearm(rule, house.scope.levels)
    low = compile_condition(below, house.scope) if below is not None else not_(holds)
    rearmed = and_(or_(low, col(Lead.stage) == "recycled"), not_(holds))
    newly = and_(among, ~held("mql"), holds)
    open_to_it = and_(col(Lead.stage).in_(("subscriber", "lead", "recycled")), ~objects("profiling"))
    return _Mql(
        over("mql", rearmed, everybody=everybody),
        select(col(Lead.id)).where(newly).limit(1),
        stage_moves(and_(newly, open_to_it), "mql", cause=_mql_cause(house), author="rule", version=house.id),
        hold("mql", select(col(Lead.id)).where(newly)),
    )


def mql_level(house: House) -> ColumnElement[str | None]:
    """The MQL level that a lead is at, by name; NULL: at none, or there are none."""
    levels = house.lifecycle.mql.levels if house.lifecycle.mql is not None else {}
    tests = [(compile_condition(when, house.scope), literal(name)) for name, when in levels.items()]
    return case(*tests, else_=null()) if tests else cast(null(), String)


def _mql_cause(house: House) -> ColumnElement[str]:
    """Why a lead becomes an MQL, with the level that it is at."""
    said = "the MQL definition holds"
    return func.coalesce(literal(f"{said}: ") + mql_level(house), literal(said))


def rearm(rule: Mql, levels: Levels) -> c.Condition | None:
    """When a lead of whom the rule holds no more may become MQL anew: below all of `rearm_levels`; None: at once."""
    low = tuple(c.Field(name, "under", level) for name, level in rearm_levels(rule, levels).items())
    return c.All(low) if low else None


def rearm_levels(rule: Mql, levels: Levels) -> dict[str, float]:
    """`score`, as said, else both of score and engagement that the rule asks for, with ten below what it asks."""
    if rule.rearm_below is not None:
        return {"score": rule.rearm_below}
    bounds: dict[str, list[float]] = {}
    for part in _written_out(rule.condition, levels):
        if isinstance(part, c.Field) and part.name in SCORES and part.operator in ("at_least", "above"):
            bounds.setdefault(part.name, []).append(part.value)
    return {name: max(min(values) - 10, 1) for name, values in bounds.items()}


def _written_out(condition: c.Condition, levels: Levels) -> Iterator[c.Condition]:
    """`condition` and everything in it, and in the rules of the levels that it names."""
    for part in c.walk(condition):
        yield part
        if isinstance(part, c.Field) and part.name in LEVELS:
            yield from _written_out(meaning(part, levels), levels)


def hold(rule: str, leads: Select[Any]) -> Any:
    """The statement that remembers that `rule` holds for `leads`."""
    return new_rows(Holding, ["lead_id", "rule", "since"], leads.add_columns(literal(rule), NOW_AT))


def held(rule: str) -> ColumnElement[bool]:
    """Whether `rule` held for a lead when it was last looked at."""
    mine = (col(Holding.lead_id) == col(Lead.id)) & (col(Holding.rule) == rule)
    return select(1).where(mine).correlate(Lead).exists()


def release(rule: str, leads: Select[Any]) -> Any:
    """The statement that forgets it, so that the rule may be come into anew."""
    return delete(Holding).where(col(Holding.rule) == rule, col(Holding.lead_id).in_(leads))


def over(rule: str, which: ColumnElement[bool], *, everybody: bool = False) -> Any:
    """The statement that forgets it of those claimed leads (or all that are known) for which `which` holds.

    It looks at no lead of whom it is not remembered.
    """
    theirs = select(1).where(col(Lead.id) == col(Holding.lead_id), col(Lead.forgotten_at).is_(None), which)
    mine = and_(col(Holding.rule) == rule, theirs.correlate(Holding).exists())
    return delete(Holding).where(mine if everybody else and_(mine, col(Holding.lead_id).in_(CLAIMED)))


def reach_milestones(run: Run) -> dict[str, int]:
    """Note each milestone reached: on the transition into its condition, and by each further event it speaks of."""
    reached = {}
    for name, rule in run.live.house.lifecycle.milestones.items():
        if isinstance(rule.when, c.ByStep):
            continue
        plan = run.plan(
            ("milestone", name),
            lambda name=name, when=rule.when: _milestone(name, when, run.live.house.scope),  # type: ignore[misc]
        )
        run(plan.over)
        if run(plan.anybody).first() is None:
            continue
        count = run(plan.note).rowcount
        run(plan.hold)
        if count > 0:
            reached[name] = count
    return reached


@dataclass(frozen=True)
class _Reached:
    over: Any
    anybody: Any
    note: Any
    hold: Any


def _milestone(name: str, when: Any, scope: Scope) -> _Reached:
    holds = compile_condition(when, scope)
    rule = f"milestone:{name}"
    deeds = [event_matches(part, fresh=True) for part in c.walk(when) if isinstance(part, c.Did) and not part.negated]
    fresh = and_(col(Event.lead_id) == col(Lead.id), FRESH, or_(false(), *deeds))
    latest = select(func.max(col(Event.id))).where(fresh).correlate(Lead).scalar_subquery()
    when_it_was = select(func.max(micros(col(Event.occurred_at)))).where(fresh).correlate(Lead).scalar_subquery()
    reaching = and_(_AMONG, or_(~held(rule), select(1).where(fresh).correlate(Lead).exists()), holds)
    rows = select(col(Lead.id), literal(name), func.coalesce(when_it_was, NOW), func.coalesce(latest, -NOW))
    return _Reached(
        over(rule, not_(holds)),
        select(col(Lead.id)).where(reaching).limit(1),
        new_rows(Milestone, ["lead_id", "name", "reached_at", "event_id"], rows.where(reaching)),
        hold(rule, select(col(Lead.id)).where(_AMONG, ~held(rule), holds)),
    )
