"""The score ledger, kept in step with the event log: new events only, caps of the touched days only.

Entries are derived: an event and a rule make one entry, whatever is replayed. The sum per half-life is moved along,
so the cost of a touched lead does not grow with its history.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import upsert
from nurture.language.compiler import Scope, compile_condition, event_matches
from nurture.language.conditions import GRADE_OF
from nurture.language.scores import faded
from nurture.program.load import House
from nurture.program.models import EngagementRule
from nurture.records import Event, Lead, ScoreEntry, ScoreSum
from nurture.records.types import Instant, micros, to_micros
from nurture.worklist import put_work
from nurture.zones import know_zones, lead_zone, local_day

_LOWEST, _HIGHEST = min(GRADE_OF.values()), max(GRADE_OF.values())


def score(link: Connection, house: House, leads: Select[Any], now: datetime) -> None:
    """Bring ledger, sums and fit of `leads` (a SELECT of ids) up to their unsettled events and present fields."""
    fresh = and_(col(Event.settled_at).is_(None), col(Event.ripe_at) <= now)
    _enter(link, house, leads, fresh)
    _sum(link, leads, now)
    grade(link, house, leads, now)


def rescore_everybody(link: Connection, house: House, now: datetime) -> None:
    """Derive the whole ledger anew, after the rules changed; every lead is looked at again."""
    link.execute(delete(ScoreEntry))
    link.execute(delete(ScoreSum))
    everybody = select(col(Lead.id))
    know_zones(link, link.execute(select(lead_zone(house.program.zone)).distinct()).scalars())
    _enter(link, house, everybody, col(Event.settled_at).is_not(None))
    _sum(link, everybody, now)
    grade(link, house, everybody, now)
    put_work(link, everybody, now)


def _enter(link: Connection, house: House, leads: Select[Any], which: ColumnElement[bool]) -> None:
    names = set(
        link.execute(select(col(Event.name)).where(col(Event.lead_id).in_(leads), which).distinct()).scalars()
    )
    for rule in house.scoring.engagement:
        if rule.when.name not in names:
            continue
        hours = rule_hours(rule, house)
        rows = (
            select(
                col(Event.lead_id), literal(rule.rule), literal("engagement"), col(Event.id), literal(rule.points),
                literal(rule.points if rule.cap is None else 0.0), literal(0.0), literal(hours), col(Event.occurred_at),
                local_day(micros(col(Event.occurred_at)), lead_zone(house.program.zone)), literal(house.id),
            )
            .join_from(Event, Lead, col(Lead.id) == col(Event.lead_id))
            .where(col(Event.lead_id).in_(leads), which, event_matches(rule.when))
        )  # fmt: skip
        columns = [
            "lead_id", "rule", "dimension", "event_id", "points", "counted", "summed", "half_life_hours", "at", "day",
            "program_version_id",
        ]  # fmt: skip
        link.execute(upsert(link)(ScoreEntry).from_select(columns, rows).on_conflict_do_nothing())
        if rule.cap is not None:
            _cap(link, rule, leads, which)


def rule_hours(rule: EngagementRule, house: House) -> float:
    """The half-life of a rule, in hours."""
    return (rule.half_life or house.scoring.half_life).roughly.total_seconds() / 3600


def _cap(link: Connection, rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> None:
    """The first `cap` of each touched day count, by time and then id; the others are lines worth nothing."""
    mine, new, earlier = ScoreEntry, aliased(ScoreEntry), aliased(ScoreEntry)
    touched = (
        select(1)
        .select_from(new)
        .join(Event, col(Event.id) == col(new.event_id))
        .where(col(new.lead_id) == col(mine.lead_id), col(new.rule) == rule.rule, col(new.day) == col(mine.day), which)
        .correlate(mine)
    )
    before = (
        select(func.count())
        .select_from(earlier)
        .where(
            col(earlier.lead_id) == col(mine.lead_id),
            col(earlier.rule) == rule.rule,
            col(earlier.day) == col(mine.day),
            or_(
                col(earlier.at) < col(mine.at),
                and_(col(earlier.at) == col(mine.at), col(earlier.event_id) < col(mine.event_id)),
            ),
        )
        .correlate(mine)
        .scalar_subquery()
    )
    link.execute(
        update(mine)
        .where(col(mine.lead_id).in_(leads), col(mine.rule) == rule.rule, touched.exists())
        .values(counted=case((before < rule.cap, col(mine.points)), else_=0.0))
    )


def _sum(link: Connection, leads: Select[Any], now: datetime) -> None:
    """Move what is not summed yet into the sums, everything faded to `now`."""
    unsummed = and_(col(ScoreEntry.lead_id).in_(leads), col(ScoreEntry.counted) != col(ScoreEntry.summed))
    hours = func.coalesce(col(ScoreEntry.half_life_hours), 0.0)
    change = faded(
        col(ScoreEntry.counted) - col(ScoreEntry.summed), micros(col(ScoreEntry.at)), literal(to_micros(now)), hours
    )
    rows = (
        select(col(ScoreEntry.lead_id), hours, func.sum(change), literal(now, Instant()))
        .where(unsummed)
        .group_by(col(ScoreEntry.lead_id), hours)
    )
    insert = upsert(link)(ScoreSum).from_select(["lead_id", "half_life_hours", "total", "as_of"], rows)
    old = faded(col(ScoreSum.total), micros(col(ScoreSum.as_of)), literal(to_micros(now)), col(ScoreSum.half_life_hours))
    link.execute(
        insert.on_conflict_do_update(
            index_elements=["lead_id", "half_life_hours"],
            set_={"total": old + insert.excluded.total, "as_of": insert.excluded.as_of},
        )
    )
    link.execute(update(ScoreEntry).where(unsummed).values(summed=col(ScoreEntry.counted)))


def grade(link: Connection, house: House, leads: Select[Any], now: datetime) -> None:
    """Fit of `leads` from their present fields: thirds summed, then clamped; unknown when no rule holds."""
    scope = Scope(now, house.fields)
    tests = [(rule, compile_condition(rule.when, scope)) for rule in house.scoring.fit]
    if not tests:
        return
    thirds = sum((case((holds, rule.thirds), else_=0) for rule, holds in tests), literal(0))
    points = sum((case((holds, rule.points), else_=0.0) for rule, holds in tests), literal(0.0))
    clamped = case((thirds < _LOWEST, _LOWEST), (thirds > _HIGHEST, _HIGHEST), else_=thirds)
    known = or_(*(holds for rule, holds in tests if rule.thirds))
    link.execute(
        update(Lead)
        .where(col(Lead.id).in_(leads))
        .values(fit=case((known, clamped), else_=None), fit_points=points)
        .execution_options(synchronize_session=False)
    )
