"""The score ledger, kept in step with the event log: new events only, caps of the touched days only.

Entries are derived: an event and a rule make one entry, whatever is replayed. The sum of each group is moved along,
so the cost of a touched lead does not grow with its history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import FEW, greatest, new_rows, newer_rows
from nurture.engine.capping import capping
from nurture.engine.running import CLAIMED, Run
from nurture.language.compiler import compile_condition, event_matches
from nurture.language.objections import objects
from nurture.language.scores import expired, faded, hours_of_line
from nurture.language.words import GRADE_OF
from nurture.program.load import House
from nurture.program.scoring import EngagementRule, Group, Scoring
from nurture.records import Event, Lead, ScoreEntry, ScoreSum
from nurture.records.types import NOW, NOW_AT, instant, micros, span_micros
from nurture.worklist import work_for
from nurture.zones import know_zones, lead_zone, local_day

_LOWEST, _HIGHEST = min(GRADE_OF.values()), max(GRADE_OF.values())
#: Events that count by now and were not taken in yet.
FRESH = and_(col(Event.settled_at).is_(None), col(Event.ripe_at) <= NOW_AT)
#: Of a rule that is in no group.
_ALONE = Group()
_FRESH_IDS = select(col(Event.id)).prefix_with(FEW).where(col(Event.lead_id).in_(CLAIMED), FRESH)
_OF_ANOTHER_ZONE = col(Lead.scored_zone).is_distinct_from(col(Lead.zone))
#: Claimed leads whose clock is not the one by whose days their lines are kept.
_MOVED = select(col(Lead.id)).where(col(Lead.id).in_(CLAIMED), _OF_ANOTHER_ZONE)
_ANY_MOVED = _MOVED.limit(1)
_EVERYBODY: Select[Any] = select(col(Lead.id)).where(col(Lead.forgotten_at).is_(None))


def score(run: Run) -> None:
    """Bring ledger, sums and fit of the claimed leads up to their fresh events and present fields."""
    if any(group.expires is not None for group in run.live.house.scoring.groups.values()):
        run(run.plan(("run out",), lambda: _run_out(CLAIMED)))
    if run(_ANY_MOVED).first() is not None:
        _run_all(run, run.plan(("moved",), lambda: _moved(run.live.house)))
    names = run.plan(("fresh names",), lambda: _names(CLAIMED, FRESH))
    fresh = set(run(names).scalars())
    if fresh:
        disown, forget_disowned = run.plan(("disown",), lambda: _disown(run.live.house))
        disowned = run(disown).rowcount
        _enter(run, "claimed", CLAIMED, FRESH, fresh)
        if disowned:
            run(forget_disowned)
    _run_all(run, run.plan(("grade",), lambda: _grade(run.live.house, CLAIMED)))


def _moved(house: House) -> list[Any]:
    """Whose clock is another now has other days: all its lines and their caps are put in them."""
    day = select(local_day(micros(col(ScoreEntry.at)), lead_zone(house.program.zone)))
    day = day.where(col(Lead.id) == col(ScoreEntry.lead_id)).correlate(ScoreEntry)
    found: list[Any] = [update(ScoreEntry).where(col(ScoreEntry.lead_id).in_(_MOVED)).values(day=day.scalar_subquery())]
    for rule in house.scoring.engagement:
        if rule.cap.per_day is not None and rule.points:
            found += capping(rule, _MOVED, None)
    return [*found, *_sums(_MOVED, house), _counted_by_zone(col(Lead.id).in_(CLAIMED))]


def _counted_by_zone(leads: ColumnElement[bool]) -> Any:
    return update(Lead).where(leads, _OF_ANOTHER_ZONE).values(scored_zone=col(Lead.zone))


def _disown(house: House) -> tuple[Any, Any]:
    """Take back what events earned that turned out to be a machine's; who unmasked them has them looked at anew.

    Their lines stay, worth nothing, until the caps of their days are derived; then they go.
    """
    line, rules = aliased(ScoreEntry), [rule.rule for rule in house.scoring.engagement]
    its = and_(
        col(line.lead_id) == col(Event.lead_id), col(line.rule).in_(rules), col(line.event_id) == col(Event.id)
    )  # fmt: skip
    machine = and_(col(Event.id).in_(_FRESH_IDS), col(Event.actor) == "machine")
    theirs = col(ScoreEntry.id).in_(select(col(line.id)).join_from(Event, line, its).where(machine))
    nothing = {"points": 0.0, "counted": 0.0, "in_total": None}
    return update(ScoreEntry).where(theirs).values(**nothing), delete(ScoreEntry).where(theirs)


def rescore_everybody(run: Run) -> None:
    """Derive the whole ledger anew, after the rules changed; every lead is looked at again."""
    house = run.live.house
    know_zones(run.link, run(select(lead_zone(house.program.zone)).distinct()).scalars())
    run(delete(ScoreEntry))
    run(delete(ScoreSum))
    taken = col(Event.ripe_at) <= NOW_AT
    _enter(run, "everybody", _EVERYBODY, taken, set(run(_names(_EVERYBODY, taken)).scalars()))
    _run_all(run, _grade(house, _EVERYBODY))
    run(_counted_by_zone(col(Lead.forgotten_at).is_(None)))
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
    _run_all(run, [*_sums(mine, house), *_grade(house, mine)])


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
    """The statements that take lines out of the ledger, and what they are worth by now out of the sums.

    What other lines count stays as it is: of a day, or a number in all, that had been reached nothing is given back.
    """
    leads = select(col(ScoreEntry.lead_id)).where(lines)
    nothing = update(ScoreEntry).where(lines).values(counted=0.0)
    return [_run_out(leads), nothing, *_sums(leads), delete(ScoreEntry).where(lines)]


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
        _run_all(run, run.plan(("sums", whose), lambda: _sums(leads, house)))


def rule_hours(rule: EngagementRule, house: House) -> float:
    """The half-life of a rule, in hours; 0: its points do not fade, they run out."""
    group = _group(rule, house)
    if group.expires is not None:
        return 0.0
    return (group.half_life or rule.half_life or house.scoring.half_life).roughly.total_seconds() / 3600


def _group(rule: EngagementRule, house: House) -> Group:
    return house.scoring.groups.get(rule.group or "", _ALONE)


def _entries(house: House, rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> list[Any]:
    """A line for each event that `rule` speaks of, and what the caps of the rule let count of them."""
    expires, at = _group(rule, house).expires, micros(col(Event.occurred_at))
    capped = rule.cap.per_day is not None or rule.cap.in_total is not None
    rows = (
        select(
            col(Event.lead_id), literal(rule.rule), literal("engagement"), col(Event.id), literal(rule.points),
            literal(0.0 if capped else rule.points), literal(0.0), literal(rule.group or ""),
            literal(rule_hours(rule, house)),
            instant(at + span_micros(expires.roughly)) if expires is not None else null(),
            literal(rule.cap.in_total, Integer), col(Event.occurred_at),
            local_day(at, lead_zone(house.program.zone)), literal(house.id),
        )
        .join_from(Event, Lead, col(Lead.id) == col(Event.lead_id))
        .where(_these(leads, which), event_matches(rule.when), ~objects("profiling"))
    )  # fmt: skip
    columns = [
        "lead_id", "rule", "dimension", "event_id", "points", "counted", "summed", "group_name", "half_life_hours",
        "expires_at", "in_total", "at", "day", "program_version_id",
    ]  # fmt: skip
    fresh = _these(leads, which) if which is FRESH else None
    return [new_rows(ScoreEntry, columns, rows), *(capping(rule, leads, fresh) if capped and rule.points else [])]


def _these(leads: Select[Any], which: ColumnElement[bool]) -> ColumnElement[bool]:
    """The events `which` of `leads`; fresh ones are found as such, not among all that the lead ever did."""
    return col(Event.id).in_(_FRESH_IDS) if which is FRESH else and_(col(Event.lead_id).in_(leads), which)


def _run_out(leads: Select[Any]) -> Any:
    """Take out of the sums what has run out since they were moved last."""
    gone = expired()
    since = exists(
        select(1).where(
            col(ScoreEntry.lead_id) == col(ScoreSum.lead_id), micros(col(ScoreEntry.expires_at)) <= NOW,
            micros(col(ScoreEntry.expires_at)) > micros(col(ScoreSum.as_of)),
        )
    )  # fmt: skip
    of_these = and_(col(ScoreSum.lead_id).in_(leads), col(ScoreSum.half_life_hours) <= 0, since)
    return update(ScoreSum).where(of_these).values(total=col(ScoreSum.total) - gone, as_of=NOW_AT)


def _sums(leads: Select[Any], house: House | None = None) -> list[Any]:
    """Move what is not summed yet into the sums, everything faded to now, where what ran out is out already; or to
    when they were moved last, if that was later by another's clock: a sum never goes back.

    `house` says the bounds of sums that are new.
    """
    unsummed = and_(col(ScoreEntry.lead_id).in_(leads), col(ScoreEntry.counted) != col(ScoreEntry.summed))
    hours = hours_of_line()
    then = greatest(func.coalesce(micros(col(ScoreSum.as_of)), NOW), NOW)
    change = faded(col(ScoreEntry.counted) - col(ScoreEntry.summed), micros(col(ScoreEntry.at)), then, hours)
    lasts = or_(col(ScoreEntry.expires_at).is_(None), micros(col(ScoreEntry.expires_at)) > then)
    fields: tuple[Any, ...] = (
        col(ScoreEntry.lead_id).label("lead_id"), col(ScoreEntry.group_name).label("group_name"), hours.label("hours"),
        func.sum(case((lasts, change), else_=0.0)).label("total"), func.max(then).label("then"),
    )  # fmt: skip
    group = (col(ScoreEntry.lead_id), col(ScoreEntry.group_name), hours)
    its_sum = and_(
        col(ScoreSum.lead_id) == col(ScoreEntry.lead_id), col(ScoreSum.group_name) == col(ScoreEntry.group_name),
        col(ScoreSum.half_life_hours) == hours,
    )  # fmt: skip
    lines = select(*fields).join_from(ScoreEntry, ScoreSum, its_sum, isouter=True)
    changes = lines.where(unsummed).group_by(*group).subquery()
    scoring = house.scoring if house is not None else Scoring()
    bounds = [_bound(changes.c.group_name, scoring, name) for name in ("at_least", "at_most")]
    in_all = literal(scoring.at_most, Float)
    key_of = (changes.c.lead_id, changes.c.group_name, changes.c.hours)
    rows = select(*key_of, changes.c.total, *bounds, in_all, changes.c.then)
    key = ["lead_id", "group_name", "half_life_hours"]
    moved = newer_rows(
        ScoreSum,
        [*key, "total", "at_least", "at_most", "in_all_at_most", "as_of"],
        rows,
        key,
        lambda new: {"total": _onwards(new.as_of) + new.total, "as_of": new.as_of},
    )
    return [moved, update(ScoreEntry).where(unsummed).values(summed=col(ScoreEntry.counted))]


def _onwards(to: Any) -> ColumnElement[float]:
    """What a row of `score_sum` holds, faded on to the instant `to`."""
    return faded(col(ScoreSum.total), micros(col(ScoreSum.as_of)), micros(to), col(ScoreSum.half_life_hours))


def _bound(group: Any, scoring: Scoring, which: str) -> ColumnElement[float | None]:
    """The bound of the group that `group` names; NULL: it has none."""
    said = {name: bound for name, one in scoring.groups.items() if (bound := getattr(one, which)) is not None}
    return cast(case(said, value=group, else_=null()) if said else null(), Float)


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
