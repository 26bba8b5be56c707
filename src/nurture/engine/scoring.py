"""The score ledger, kept in step with the event log: new events only, caps of the touched days only.

Entries are derived: an event and a rule make one entry, whatever is replayed. The sum of each group is moved along,
so the cost of a touched lead does not grow with its history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    cast,
    delete,
    literal,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import FEW, new_rows
from nurture.engine.capping import capping
from nurture.engine.grading import grade
from nurture.engine.in_order import fresh_lines, is_capped
from nurture.engine.running import CLAIMED, Run
from nurture.engine.sums import last_line, run_out, sum_up, sums
from nurture.language.compiler import event_matches
from nurture.language.objections import objects
from nurture.program.load import House
from nurture.program.scoring import EngagementRule, Group
from nurture.records import Event, Lead, ScoreEntry, ScoreSum
from nurture.records.types import NOW_AT, instant, micros, span_micros
from nurture.worklist import work_for
from nurture.zones import know_zones, lead_zone, local_day

#: Events that count by now and were not taken in yet.
FRESH = and_(col(Event.settled_at).is_(None), col(Event.ripe_at) <= NOW_AT)
#: Of a rule that is in no group.
_ALONE = Group()
_OURS = and_(col(Event.lead_id).in_(CLAIMED), FRESH)
_FRESH_IDS = select(col(Event.id)).prefix_with(FEW).where(_OURS)
_OF_ANOTHER_ZONE = col(Lead.scored_zone).is_distinct_from(col(Lead.zone))
#: Claimed leads whose clock is not the one by whose days their lines are kept.
_MOVED = select(col(Lead.id)).where(col(Lead.id).in_(CLAIMED), _OF_ANOTHER_ZONE)
_ANY_MOVED = _MOVED.limit(1)
#: Rules with lines of claimed leads that came out of order: what they count is not known yet.
_UNSUMMED = (
    select(col(ScoreEntry.rule))
    .where(col(ScoreEntry.lead_id).in_(CLAIMED), col(ScoreEntry.counted) != col(ScoreEntry.summed))
    .distinct()
)
#: Rules whose lines one statement writes.
_RULES = 50
_EVERYBODY: Select[Any] = select(col(Lead.id)).where(col(Lead.forgotten_at).is_(None))


def score(run: Run) -> None:
    """Bring ledger, sums and fit of the claimed leads up to their fresh events and present fields."""
    if any(group.expires is not None for group in run.live.house.scoring.groups.values()):
        run(run.plan(("run out",), lambda: run_out(CLAIMED)))
    if run(_ANY_MOVED).first() is not None:
        _run_all(run, run.plan(("moved",), lambda: _moved(run.live.house)))
    fresh = run(run.plan(("fresh",), lambda: _names(CLAIMED, FRESH).add_columns(col(Event.actor) == "machine"))).all()
    disowned = False
    if any(machine for _, machine in fresh):
        disown, forget_disowned = run.plan(("disown",), lambda: _disown(run.live.house))
        disowned = run(disown).rowcount > 0
    _take_in(run, {name for name, _ in fresh}, disowned)
    if disowned:
        run(forget_disowned)
    _run_all(run, run.plan(("grade",), lambda: grade(run.live.house, CLAIMED)))


def _take_in(run: Run, names: set[str], disowned: bool) -> None:
    """Lines for the claimed leads' fresh events: those in order as they stay, then what makes others count anew."""
    house = run.live.house
    if not (rules := _earning(house, names)):
        return
    if disowned:
        anew = {rule.rule for rule in rules}
        for rule in rules:
            run(run.plan(("entry", rule.rule), lambda rule=rule: _inserted(house, rule, CLAIMED, FRESH)))  # type: ignore[misc]
    else:
        last = last_line(run)
        for each in _alike(rules):
            key = ("fresh lines", *(rule.rule for rule in each))
            run(run.plan(key, lambda each=each: _fresh(house, each)))  # type: ignore[misc]
        sum_up(run, last)
        anew = set(run(_UNSUMMED).scalars())
    for rule in rules:
        if rule.rule in anew:
            _run_all(run, run.plan(("caps", rule.rule), lambda rule=rule: _caps(rule, CLAIMED, FRESH)))  # type: ignore[misc]
    if anew:
        _run_all(run, run.plan(("sums",), lambda: sums(CLAIMED, house)))


def _earning(house: House, names: set[str]) -> list[EngagementRule]:
    return [rule for rule in house.scoring.engagement if rule.when.name in names]


def _alike(rules: list[EngagementRule]) -> list[list[EngagementRule]]:
    """Those that speak of events by one name together, as many as one statement writes the lines of."""
    named: dict[str, list[EngagementRule]] = {}
    for rule in rules:
        named.setdefault(rule.when.name, []).append(rule)
    return [each[first : first + _RULES] for each in named.values() for first in range(0, len(each), _RULES)]


def _fresh(house: House, rules: list[EngagementRule]) -> Any:
    """Write the lines of `rules`, which speak of events by one name, for the claimed leads' fresh events."""
    lines = []
    for rule, rows in zip(rules, fresh_lines(rules, _OURS, house.program.zone), strict=True):
        found = rows.subquery().c
        line = _line(rule, house, found.lead_id, found.event_id, found.at, found.day,
                     counted=found.counted, summed=found.summed, in_total=found.in_total)  # fmt: skip
        lines.append(select(*line))
    return new_rows(ScoreEntry, _COLUMNS, lines[0] if len(lines) == 1 else select(union_all(*lines).subquery()))


def _moved(house: House) -> list[Any]:
    """Whose clock is another now has other days: all its lines and their caps are put in them."""
    day = select(local_day(micros(col(ScoreEntry.at)), lead_zone(house.program.zone)))
    day = day.where(col(Lead.id) == col(ScoreEntry.lead_id)).correlate(ScoreEntry)
    found: list[Any] = [update(ScoreEntry).where(col(ScoreEntry.lead_id).in_(_MOVED)).values(day=day.scalar_subquery())]
    for rule in house.scoring.engagement:
        if rule.cap.per_day is not None and rule.points:
            found += capping(rule, _MOVED, None)
    return [*found, *sums(_MOVED, house), _counted_by_zone(col(Lead.id).in_(CLAIMED))]


def _counted_by_zone(leads: ColumnElement[bool]) -> Any:
    return update(Lead).where(leads, _OF_ANOTHER_ZONE).values(scored_zone=col(Lead.zone))


def _disown(house: House) -> tuple[Any, Any]:
    """Take back what events earned that turned out to be a machine's; who unmasked them has them looked at anew.

    Their lines stay, worth nothing, until the caps of their days are derived; then they go.
    """
    line, rules = aliased(ScoreEntry), [rule.rule for rule in house.scoring.engagement]
    its = and_(
        col(line.lead_id) == col(Event.lead_id), col(line.rule).in_(rules), col(line.at) == col(Event.occurred_at),
        col(line.event_id) == col(Event.id),
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
    _enter(run, _EVERYBODY, taken, set(run(_names(_EVERYBODY, taken)).scalars()))
    _run_all(run, grade(house, _EVERYBODY))
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
    _run_all(run, [*sums(mine, house), *grade(house, mine)])


def rescore_claimed(run: Run) -> None:
    """Derive the ledger of the claimed leads anew from all their events that count by now, as after changed rules."""
    run(delete(ScoreEntry).where(col(ScoreEntry.lead_id).in_(CLAIMED)))
    run(delete(ScoreSum).where(col(ScoreSum.lead_id).in_(CLAIMED)))
    taken = col(Event.ripe_at) <= NOW_AT
    _enter(run, CLAIMED, taken, set(run(_names(CLAIMED, taken)).scalars()))


def forget_scores(run: Run, lead: int) -> None:
    """Take away the ledger of a lead that is one no more; its events are another's."""
    run(delete(ScoreEntry).where(col(ScoreEntry.lead_id) == lead))
    run(delete(ScoreSum).where(col(ScoreSum.lead_id) == lead))


def without(lines: ColumnElement[bool]) -> list[Any]:
    """The statements that take lines out of the ledger, and what they are worth by now out of the sums.

    What other lines count stays as it is; the lead's next event has a number in all, that they had reached, count anew.
    """
    leads = select(col(ScoreEntry.lead_id)).where(lines)
    nothing = update(ScoreEntry).where(lines).values(counted=0.0)
    return [run_out(leads), nothing, *sums(leads), delete(ScoreEntry).where(lines)]


def _run_all(run: Run, statements: list[Any]) -> None:
    for statement in statements:
        run(statement)


def _names(leads: Select[Any], which: ColumnElement[bool]) -> Any:
    return select(col(Event.name)).where(col(Event.lead_id).in_(leads), which).distinct()


def _enter(run: Run, leads: Select[Any], which: ColumnElement[bool], names: set[str]) -> None:
    """Lines of the events `which` of `leads`, whose ledger is empty, and their sums."""
    house = run.live.house
    for rule in (earning := _earning(house, names)):
        _run_all(run, _entries(house, rule, leads, which))
    if earning:
        _run_all(run, sums(leads, house))


def rule_hours(rule: EngagementRule, house: House) -> float:
    """The half-life of a rule, in hours; 0: its points do not fade, they run out."""
    group = _group(rule, house)
    if group.expires is not None:
        return 0.0
    return (group.half_life or rule.half_life or house.scoring.half_life).roughly.total_seconds() / 3600


def _group(rule: EngagementRule, house: House) -> Group:
    return house.scoring.groups.get(rule.group or "", _ALONE)


_COLUMNS = [
    "lead_id", "event_id", "at", "day", "counted", "summed", "in_total", "rule", "dimension", "points", "group_name",
    "half_life_hours", "expires_at", "program_version_id",
]  # fmt: skip


def _line(
    rule: EngagementRule, house: House, lead: Any, event: Any, at: Any, day: Any, *, counted: Any, summed: Any,
    in_total: Any,
) -> list[Any]:  # fmt: skip
    """One line of `rule`, labelled as its columns are."""
    expires = _group(rule, house).expires
    until = instant(micros(at) + span_micros(expires.roughly)) if expires is not None else cast(null(), BigInteger)
    values = (
        lead, event, at, day, counted, summed, in_total, literal(rule.rule), literal("engagement"),
        literal(rule.points), literal(rule.group or ""), literal(rule_hours(rule, house)), until, literal(house.id),
    )  # fmt: skip
    return [value.label(name) for name, value in zip(_COLUMNS, values, strict=True)]


def _entries(house: House, rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> list[Any]:
    """A line for each event that `rule` speaks of, and what the caps of the rule let count of them."""
    return [_inserted(house, rule, leads, which), *_caps(rule, leads, which)]


def _caps(rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> list[Any]:
    fresh = _these(leads, which) if which is FRESH else None
    return capping(rule, leads, fresh) if is_capped(rule) else []


def _inserted(house: House, rule: EngagementRule, leads: Select[Any], which: ColumnElement[bool]) -> Any:
    """A line for each event that `rule` speaks of; where it is capped, the line counts nothing yet."""
    day = local_day(micros(col(Event.occurred_at)), lead_zone(house.program.zone))
    line = _line(
        rule, house, col(Event.lead_id), col(Event.id), col(Event.occurred_at), day,
        counted=literal(0.0 if is_capped(rule) else rule.points), summed=literal(0.0),
        in_total=literal(rule.cap.in_total, Integer),
    )  # fmt: skip
    rows = select(*line).join_from(Event, Lead, col(Lead.id) == col(Event.lead_id))
    rows = rows.where(_these(leads, which), event_matches(rule.when), ~objects("profiling"))
    return new_rows(ScoreEntry, _COLUMNS, rows)


def _these(leads: Select[Any], which: ColumnElement[bool]) -> ColumnElement[bool]:
    """The events `which` of `leads`; fresh ones are found as such, not among all that the lead ever did."""
    return col(Event.id).in_(_FRESH_IDS) if which is FRESH else and_(col(Event.lead_id).in_(leads), which)
