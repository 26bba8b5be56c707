"""The score ledger, kept in step with the event log: new events only, caps of the touched days only.

Entries are derived: an event and a rule make one entry, whatever is replayed. The sum per half-life is moved along,
so the cost of a touched lead does not grow with its history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import new_rows, newer_rows
from nurture.engine.running import CLAIMED, Run
from nurture.language.compiler import compile_condition, event_matches
from nurture.language.objections import objects
from nurture.language.scores import faded
from nurture.language.words import GRADE_OF
from nurture.program.load import House
from nurture.program.scoring import EngagementRule
from nurture.records import Event, Lead, ScoreEntry, ScoreSum
from nurture.records.types import NOW, NOW_AT, micros
from nurture.worklist import work_for
from nurture.zones import know_zones, lead_zone, local_day

_LOWEST, _HIGHEST = min(GRADE_OF.values()), max(GRADE_OF.values())
#: Events that count by now and were not taken in yet.
FRESH = and_(col(Event.settled_at).is_(None), col(Event.ripe_at) <= NOW_AT)
_EVERYBODY: Select[Any] = select(col(Lead.id)).where(col(Lead.forgotten_at).is_(None))


def score(run: Run) -> None:
    """Bring ledger, sums and fit of the claimed leads up to their fresh events and present fields."""
    names = run.plan(("fresh names",), lambda: _names(CLAIMED, FRESH))
    fresh = set(run(names).scalars())
    if fresh:
        _disown(run)
        _enter(run, "claimed", CLAIMED, FRESH, fresh)
    _run_all(run, run.plan(("grade",), lambda: _grade(run.live.house, CLAIMED)))


def _disown(run: Run) -> None:
    """Take back what events earned that turned out to be a machine's; who unmasked them has them looked at anew."""
    machine = select(col(Event.id)).where(col(Event.lead_id).in_(CLAIMED), FRESH, col(Event.actor) == "machine")
    theirs = and_(col(ScoreEntry.lead_id).in_(CLAIMED), col(ScoreEntry.event_id).in_(machine))
    if run(run.plan(("disown",), lambda: update(ScoreEntry).where(theirs).values(counted=0.0))).rowcount:
        _run_all(run, run.plan(("sums", "claimed"), lambda: _sums(CLAIMED)))
        run(run.plan(("disowned",), lambda: delete(ScoreEntry).where(theirs)))


def rescore_everybody(run: Run) -> None:
    """Derive the whole ledger anew, after the rules changed; every lead is looked at again."""
    house = run.live.house
    know_zones(run.link, run(select(lead_zone(house.program.zone)).distinct()).scalars())
    run(delete(ScoreEntry))
    run(delete(ScoreSum))
    taken = col(Event.ripe_at) <= NOW_AT
    _enter(run, "everybody", _EVERYBODY, taken, set(run(_names(_EVERYBODY, taken)).scalars()))
    _run_all(run, _grade(house, _EVERYBODY))
    run(work_for(_EVERYBODY))


def forget(run: Run, lead: int) -> None:
    """Remove the score of a lead that objects to profiling; from then on nothing here counts it."""
    run(delete(ScoreEntry).where(col(ScoreEntry.lead_id) == lead))
    run(delete(ScoreSum).where(col(ScoreSum.lead_id) == lead))
    run(update(Lead).where(col(Lead.id) == lead).values(fit=None, fit_points=0.0))


def derive(run: Run, lead: int) -> None:
    """The whole score of one lead from its events and fields, as if it had been kept all along."""
    house, mine = run.live.house, select(col(Lead.id)).where(col(Lead.id) == lead)
    know_zones(run.link, run(select(lead_zone(house.program.zone)).where(col(Lead.id) == lead)).scalars())
    taken = col(Event.settled_at).is_not(None)
    for rule in house.scoring.engagement:
        _run_all(run, _entries(house, rule, mine, taken))
    _run_all(run, [*_sums(mine), *_grade(house, mine)])


def rescore_claimed(run: Run) -> None:
    """Derive the ledger of the claimed leads anew from all their events that count by now, as after changed rules."""
    run(delete(ScoreEntry).where(col(ScoreEntry.lead_id).in_(CLAIMED)))
    run(delete(ScoreSum).where(col(ScoreSum.lead_id).in_(CLAIMED)))
    taken = col(Event.ripe_at) <= NOW_AT
    _enter(run, "claimed anew", CLAIMED, taken, set(run(_names(CLAIMED, taken)).scalars()))


def forget_scores(run: Run, lead: int) -> None:
    """Take away the ledger of a lead that is one no more; its events are another's."""
    run(delete(ScoreEntry).where(col(ScoreEntry.lead_id) == lead))
    run(delete(ScoreSum).where(col(ScoreSum.lead_id) == lead))


def without(lines: ColumnElement[bool]) -> list[Any]:
    """The statements that take lines out of the ledger, and what they are worth by now out of the sums."""
    leads = select(col(ScoreEntry.lead_id)).where(lines)
    return [update(ScoreEntry).where(lines).values(counted=0.0), *_sums(leads), delete(ScoreEntry).where(lines)]


def _run_all(run: Run, statements: list[Any]) -> None:
    for statement in statements:
        run(statement)


def _names(leads: Select[Any], which: ColumnElement[bool]) -> Any:
    return select(col(Event.name)).where(col(Event.lead_id).in_(leads), which).distinct()


def _enter(run: Run, whose: str, leads: Select[Any], which: ColumnElement[bool], names: set[str]) -> None:
    house = run.live.house
    earning = [rule for rule in house.scoring.engagement if rule.when.name in names]
    for rule in earning:
        _run_all(run, run.plan(("entries", whose, rule.rule), lambda rule=rule: _entries(house, rule, leads, which)))  # type: ignore[misc]
    if earning:
        _run_all(run, run.plan(("sums", whose), lambda: _sums(leads)))


def rule_hours(rule: EngagementRule, house: House) -> float:
    """The half-life of a rule, in hours."""
    return (rule.half_life or house.scoring.half_life).roughly.total_seconds() / 3600


def _entries(house: House, rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> list[Any]:
    """A line for each event that `rule` speaks of, and the caps of the days they fall on."""
    rows = (
        select(
            col(Event.lead_id), literal(rule.rule), literal("engagement"), col(Event.id), literal(rule.points),
            literal(rule.points if rule.cap.per_day is None else 0.0), literal(0.0), literal(""),
            literal(rule_hours(rule, house)),
            col(Event.occurred_at), local_day(micros(col(Event.occurred_at)), lead_zone(house.program.zone)),
            literal(house.id),
        )
        .join_from(Event, Lead, col(Lead.id) == col(Event.lead_id))
        .where(col(Event.lead_id).in_(leads), which, event_matches(rule.when), ~objects("profiling"))
    )  # fmt: skip
    columns = [
        "lead_id", "rule", "dimension", "event_id", "points", "counted", "summed", "group_name", "half_life_hours",
        "at", "day", "program_version_id",
    ]  # fmt: skip
    statements = [new_rows(ScoreEntry, columns, rows)]
    if rule.cap.per_day is not None:
        statements.append(_cap(rule, leads, which))
    return statements


def _cap(rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> Any:
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
    return (
        update(mine)
        .where(col(mine.lead_id).in_(leads), col(mine.rule) == rule.rule, touched.exists())
        .values(counted=case((before < rule.cap.per_day, col(mine.points)), else_=0.0))
    )


def _sums(leads: Select[Any]) -> list[Any]:
    """Move what is not summed yet into the sums, everything faded to now."""
    unsummed = and_(col(ScoreEntry.lead_id).in_(leads), col(ScoreEntry.counted) != col(ScoreEntry.summed))
    hours = func.coalesce(col(ScoreEntry.half_life_hours), 0.0)
    change = faded(col(ScoreEntry.counted) - col(ScoreEntry.summed), micros(col(ScoreEntry.at)), NOW, hours)
    fields: tuple[Any, ...] = (
        col(ScoreEntry.lead_id).label("lead_id"),
        hours.label("hours"),
        func.sum(change).label("total"),
    )
    changes = select(*fields).where(unsummed).group_by(col(ScoreEntry.lead_id), hours).subquery()
    rows = select(changes.c.lead_id, literal(""), changes.c.hours, changes.c.total, NOW_AT)
    old = faded(col(ScoreSum.total), micros(col(ScoreSum.as_of)), NOW, col(ScoreSum.half_life_hours))
    moved = newer_rows(
        ScoreSum,
        ["lead_id", "group_name", "half_life_hours", "total", "as_of"],
        rows,
        ["lead_id", "group_name", "half_life_hours"],
        lambda new: {"total": old + new.total, "as_of": new.as_of},
    )
    return [moved, update(ScoreEntry).where(unsummed).values(summed=col(ScoreEntry.counted))]


def _grade(house: House, leads: Select[Any]) -> list[Any]:
    """Fit of `leads` from their present fields: thirds summed, then clamped; unknown when no rule holds.

    Of who objects to profiling it stays unknown.
    """
    tests = [(rule, compile_condition(rule.when, house.scope)) for rule in house.scoring.fit]
    if not tests:
        return [update(Lead).where(col(Lead.id).in_(leads)).values(fit=None, fit_points=0.0)]
    thirds = sum((case((holds, rule.thirds), else_=0) for rule, holds in tests), literal(0))
    points = sum((case((holds, rule.points), else_=0.0) for rule, holds in tests), literal(0.0))
    clamped = case((thirds < _LOWEST, _LOWEST), (thirds > _HIGHEST, _HIGHEST), else_=thirds)
    known = or_(literal(False), *(holds for rule, holds in tests if rule.thirds))
    values = {"fit": case((known, clamped), else_=None), "fit_points": points}
    return [update(Lead).where(col(Lead.id).in_(leads), ~objects("profiling")).values(**values)]
