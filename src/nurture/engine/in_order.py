"""Lines of the score ledger for fresh events, most of which come in order: each after all that its rule has counted,
one at a time.

What such an event counts for follows from what is there, and nothing else counts otherwise because of it: its line is
written once, as it stays. The line of any other event is not summed yet, and `capping` says what it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, Select, and_, case, cast, literal, null, or_, select, true
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import apart
from nurture.language.compiler import event_matches
from nurture.language.conditions import Did
from nurture.language.objections import objects
from nurture.program.scoring import EngagementRule
from nurture.records import Event, Lead, ScoreEntry
from nurture.records.types import NOW_AT, instant, micros
from nurture.zones import DAY, PUT_BACK, lead_zone, to_local

#: What becomes of an event: its line comes out of order, is over the cap of its day, over the cap in all, or counts.
_ELSEWHERE, _OVER, _SPENT, _COUNTS = range(4)


def is_capped(rule: EngagementRule) -> bool:
    """Whether a cap may take points of this rule."""
    return bool(rule.points) and (rule.cap.per_day is not None or rule.cap.in_total is not None)


def fresh_lines(rules: Sequence[EngagementRule], fresh: ColumnElement[bool], zone: str) -> list[Select[Any]]:
    """(lead_id, event_id, at, day, counted, summed, in_total) of the events that are `fresh`, for each of `rules`.

    All of them speak of events by one name.
    """
    events = _events(rules, fresh, zone)
    lines = []
    for number, rule in enumerate(rules):
        speaks = events.c[f"speaks_{number}"] if rule.when.where else true()
        lines.append(_capped(rule, events, speaks) if is_capped(rule) else _uncapped(rule, events, speaks))
    return lines


def _events(rules: Sequence[EngagementRule], fresh: ColumnElement[bool], zone: str) -> CTE:
    """The fresh events of these rules, each with its day on the lead's clock and an instant before that began, whether
    no other of its name is fresh, and whether it is one of those that a rule asks for by more than its name.

    Looked at once, whatever number of rules.
    """
    name = rules[0].when.name
    local = to_local(micros(col(Event.occurred_at)), lead_zone(zone)).label("local")
    asked = [event_matches(rule.when).label(f"speaks_{n}") for n, rule in enumerate(rules) if rule.when.where]
    alone = (~_accompanied(name)).label("alone")
    named: tuple[Any, ...] = (col(Event.lead_id), col(Event.id).label("event_id"), col(Event.occurred_at).label("at"))
    speaks = and_(event_matches(Did(name), fresh=True), ~objects("profiling"))
    # OFFSET 0, here and below: the local time and what counts are worked out once, and PostgreSQL looks a lead's
    # lines up instead of joining all with all
    rows = select(*named, local, alone, *asked).join_from(Event, Lead, col(Lead.id) == col(Event.lead_id))
    found = rows.where(fresh, speaks).offset(0).subquery().c
    passed = found.local % literal(DAY)
    day, began = (found.local - passed) // literal(DAY), instant(micros(found.at) - passed - literal(PUT_BACK))
    return select(*found, day.label("day"), began.label("began")).offset(0).cte("fresh")


def _accompanied(name: str) -> ColumnElement[bool]:
    """Whether another fresh event of the lead may be of the same rule."""
    other: Any = aliased(Event)
    fresh = and_(other.settled_at.is_(None), other.ripe_at <= NOW_AT, apart(other.name) == name)
    return select(1).where(other.lead_id == col(Event.lead_id), fresh, other.id != col(Event.id)).offset(0).exists()


def _uncapped(rule: EngagementRule, events: CTE, speaks: ColumnElement[bool]) -> Select[Any]:
    return _selected(events.c, literal(rule.points), literal(rule.points), cast(null(), Integer)).where(speaks)


def _capped(rule: EngagementRule, events: CTE, speaks: ColumnElement[bool]) -> Select[Any]:
    """Those out of order may count, and are not summed: `capping` looks at what is not."""
    fate = _fate(rule, events.c).label("fate")
    line = select(*(events.c[name] for name in _EVENT), fate).where(speaks).offset(0).subquery().c
    counted = case((line.fate.in_((_OVER, _SPENT)), 0.0), else_=rule.points)
    summed = case((line.fate == _COUNTS, rule.points), else_=0.0)
    limit = case((line.fate == _OVER, cast(null(), Integer)), else_=cast(literal(rule.cap.in_total), Integer))
    return _selected(line, counted, summed, limit)


_EVENT = ("lead_id", "event_id", "at", "day")
_LINE: Any = aliased(ScoreEntry)


def _selected(line: Any, counted: Any, summed: Any, limit: Any) -> Select[Any]:
    values = counted.label("counted"), summed.label("summed"), limit.label("in_total")
    return select(*(line[name] for name in _EVENT), *values)


def _fate(rule: EngagementRule, mine: Any) -> ColumnElement[int]:
    """What the caps make of the event `mine`."""
    a_day, in_all = rule.cap.per_day, rule.cap.in_total
    later = _lines(rule, mine).where(_LINE.at >= mine.at)
    elsewhere = or_(~mine.alone, later.offset(0).exists())
    today: list[tuple[Any, Any]] = []
    if a_day is not None:
        lines = _lines(rule, mine).where(_LINE.at >= mine.began, _LINE.day == mine.day, _LINE.points != 0.0)
        today = [(lines.offset(a_day - 1).limit(1).exists(), _OVER)]
    if in_all is None:
        return case((elsewhere, _ELSEWHERE), *today, else_=_COUNTS)
    full = _limited(rule, mine, rule.points).offset(in_all - 1).limit(1).exists()
    over = _limited(rule, mine, 0.0).offset(0).exists()
    # where lines that counted are there no more (retention), all of the rule counts anew
    after_all = case((~full, _ELSEWHERE), *today, else_=_SPENT)
    return case((elsewhere, _ELSEWHERE), (over, after_all), *today, (full, _SPENT), else_=_COUNTS)


def _lines(rule: EngagementRule, mine: Any) -> Select[Any]:
    """The lines of `rule` that the lead of `mine` has."""
    return select(1).select_from(_LINE).where(_LINE.lead_id == mine.lead_id, _LINE.rule == rule.rule)


def _limited(rule: EngagementRule, mine: Any, counted: float) -> Select[Any]:
    """Those that are under the cap in all and count so much: its number counts, and none of those that come after."""
    return _lines(rule, mine).where(_LINE.in_total.is_not(None), _LINE.counted == counted)
