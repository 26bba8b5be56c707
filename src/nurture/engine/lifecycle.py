"""Stages and milestones: one state machine for stages, whichever door a change comes by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlmodel import col

from nurture.dialects import upsert
from nurture.language import conditions as c
from nurture.language.compiler import Scope, compile_condition
from nurture.language.scores import score_at
from nurture.program.load import House
from nurture.records import Event, Holding, Lead, Milestone, StageTransition
from nurture.records.types import Instant, micros, to_micros

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
    "disqualified": ("recycled", "lead"),
}


def move_stage(
    link: Connection,
    leads: ColumnElement[bool],
    to: str,
    *,
    cause: str,
    author: str,
    now: datetime,
    version: int | None,
) -> int:
    """Bring the leads for which `leads` holds to stage `to` where the state machine allows it; how many moved."""
    allowed = col(Lead.stage).in_([stage for stage, ways in MOVES.items() if to in ways])
    rows = select(
        col(Lead.id), col(Lead.stage), literal(to), literal(now, Instant()), literal(cause), literal(author), literal(version)
    ).where(leads, allowed)
    columns = ["lead_id", "from_stage", "to_stage", "at", "cause", "author", "program_version_id"]
    link.execute(upsert(link)(StageTransition).from_select(columns, rows))
    return link.execute(update(Lead).where(leads, allowed).values(stage=to, changed_at=now)).rowcount


def become_mql(link: Connection, house: House, leads: Select[Any], now: datetime) -> int:
    """MQL on the transition into its condition; armed again below the stated score, or after recycling."""
    rule = house.lifecycle.mql
    if rule is None:
        return 0
    scope = Scope(now, house.fields)
    holds = compile_condition(rule.when, scope)
    mine = (col(Holding.lead_id) == col(Lead.id)) & (col(Holding.rule) == "mql")
    low = score_at(now) < rule.rearm_below if rule.rearm_below is not None else not_(holds)
    rearmed = select(col(Lead.id)).where(col(Lead.id).in_(leads), or_(low, col(Lead.stage) == "recycled"), not_(holds))
    link.execute(delete(Holding).where(col(Holding.rule) == "mql", col(Holding.lead_id).in_(rearmed)))
    armed = ~select(1).where(mine).correlate(Lead).exists()
    fresh = and_(col(Lead.id).in_(leads), holds, armed, col(Lead.stage).in_(("subscriber", "lead", "recycled")))
    moved = move_stage(link, fresh, "mql", cause="the MQL definition holds", author="rule", now=now, version=house.id)
    _hold(link, "mql", select(col(Lead.id)).where(col(Lead.id).in_(leads), holds), now)
    return moved


def _hold(link: Connection, rule: str, leads: Select[Any], now: datetime) -> None:
    rows = leads.add_columns(literal(rule), literal(now, Instant()))
    link.execute(upsert(link)(Holding).from_select(["lead_id", "rule", "since"], rows).on_conflict_do_nothing())


def reach_milestones(link: Connection, house: House, leads: Select[Any], now: datetime) -> dict[str, int]:
    """Note each milestone reached: on the transition into its condition, and by each further event it speaks of."""
    reached = {}
    for name, rule in house.lifecycle.milestones.items():
        if isinstance(rule.when, c.ByStep):
            continue
        count = _reach(link, name, rule.when, Scope(now, house.fields), leads, now)
        if count:
            reached[name] = count
    return reached


def _reach(link: Connection, name: str, when: Any, scope: Scope, leads: Select[Any], now: datetime) -> int:
    holds = compile_condition(when, scope)
    among = col(Lead.id).in_(leads)
    rule = f"milestone:{name}"
    held = select(1).where(col(Holding.lead_id) == col(Lead.id), col(Holding.rule) == rule).correlate(Lead).exists()
    names = [part.name for part in c.walk(when) if isinstance(part, c.Did) and not part.negated]
    fresh = and_(
        col(Event.lead_id) == col(Lead.id), col(Event.name).in_(names), col(Event.actor) != "machine",
        col(Event.settled_at).is_(None), col(Event.ripe_at) <= now,
    )  # fmt: skip
    latest = select(func.max(col(Event.id))).where(fresh).correlate(Lead).scalar_subquery()
    when_it_was = select(func.max(micros(col(Event.occurred_at)))).where(fresh).correlate(Lead).scalar_subquery()
    rows = select(
        col(Lead.id),
        literal(name),
        func.coalesce(when_it_was, literal(to_micros(now))),
        func.coalesce(latest, literal(-to_micros(now))),
    ).where(among, holds, or_(~held, latest.is_not(None)))
    columns = ["lead_id", "name", "reached_at", "event_id"]
    count = link.execute(upsert(link)(Milestone).from_select(columns, rows).on_conflict_do_nothing()).rowcount
    over = select(col(Lead.id)).where(among, not_(holds))
    link.execute(delete(Holding).where(col(Holding.rule) == rule, col(Holding.lead_id).in_(over)))
    _hold(link, rule, select(col(Lead.id)).where(among, holds), now)
    return count
