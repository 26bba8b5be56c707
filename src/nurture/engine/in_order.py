"""Lines of the score ledger for events that come in order: each after all that its rule has counted, one at a time.

They are most of what comes. What such an event counts for follows from what is there, and nothing else counts otherwise
because of it: its line is written once, as it stays. Any other fresh event goes the way of `scoring` and `capping`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, case, cast, func, literal, null, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import apart
from nurture.language.compiler import event_matches
from nurture.language.objections import objects
from nurture.program.scoring import EngagementRule
from nurture.records import Event, Lead, ScoreEntry
from nurture.records.types import NOW_AT, micros
from nurture.zones import DAY, lead_zone, to_local


def lines_in_order(rule: EngagementRule, fresh: Select[Any], zone: str) -> Select[Any]:
    """(lead_id, event_id, at, day, counted, in_total) of the events in order among `fresh` (a SELECT of their ids)."""
    local = to_local(micros(col(Event.occurred_at)), lead_zone(zone)).label("local")
    named: tuple[Any, ...] = (col(Event.lead_id), col(Event.id).label("event_id"), col(Event.occurred_at).label("at"))
    speaks = and_(col(Event.id).in_(fresh), event_matches(rule.when), ~objects("profiling"))
    # OFFSET 0, here and below: the local time and what counts are worked out once, and PostgreSQL looks a lead's
    # lines up instead of joining all with all
    events = select(*named, local).join_from(Event, Lead, col(Lead.id) == col(Event.lead_id)).where(speaks).offset(0)
    clocked = events.subquery().c
    day = (clocked.local - clocked.local % literal(DAY)) // literal(DAY)
    mine = select(clocked.lead_id, clocked.event_id, clocked.at, day.label("day")).offset(0).subquery().c
    if not is_capped(rule):
        known = _lines(rule, mine).where(_LINE.event_id == mine.event_id).offset(0).exists()
        counted, limit = literal(rule.points), cast(null(), Integer)
        return _selected(mine, counted, limit).where(~known)
    # a day back: clocks that are put back just after midnight
    later = _lines(rule, mine).where(_LINE.day >= mine.day - 1, micros(_LINE.at) >= micros(mine.at)).offset(0).exists()
    return _selected(mine, *_counted(rule, mine)).where(~_accompanied(rule, mine), ~later, ~_given_back(rule, mine))


_LINE: Any = aliased(ScoreEntry)


def is_capped(rule: EngagementRule) -> bool:
    """Whether a cap may take points of this rule."""
    return bool(rule.points) and (rule.cap.per_day is not None or rule.cap.in_total is not None)


def _selected(mine: Any, counted: Any, limit: Any) -> Select[Any]:
    return select(
        mine.lead_id, mine.event_id, mine.at, mine.day, counted.label("counted"), limit.label("in_total")
    ).offset(0)  # fmt: skip


def _lines(rule: EngagementRule, mine: Any) -> Select[Any]:
    """The lines of `rule` that the lead of `mine` has."""
    return select(1).select_from(_LINE).where(_LINE.lead_id == mine.lead_id, _LINE.rule == rule.rule)


def _accompanied(rule: EngagementRule, mine: Any) -> ColumnElement[bool]:
    """Whether another fresh event of the lead may be of the same rule."""
    other: Any = aliased(Event)
    fresh = and_(other.settled_at.is_(None), other.ripe_at <= NOW_AT, apart(other.name) == rule.when.name)
    return select(1).where(other.lead_id == mine.lead_id, fresh, other.id != mine.event_id).offset(0).exists()


def _given_back(rule: EngagementRule, mine: Any) -> ColumnElement[bool]:
    """Whether the cap in all was spent by lines that are there no more (retention): all of the rule counts anew."""
    if (in_all := rule.cap.in_total) is None:
        return literal(False)
    counted = _limited(rule, mine).where(_LINE.counted == rule.points)
    return and_(func.coalesce(_last(rule, mine), rule.points) == 0.0, _there(counted, in_all).is_(None))


def _limited(rule: EngagementRule, mine: Any) -> Select[Any]:
    """The lines that are under the cap in all."""
    return _lines(rule, mine).where(_LINE.in_total.is_not(None))


def _there(lines: Select[Any], number: int) -> ColumnElement[Any]:
    """When the `number`-th of `lines` was; NULL: there are fewer. In EXISTS SQLite would not look in order."""
    nth = lines.with_only_columns(_LINE.at).order_by(_LINE.at).offset(number - 1)
    return nth.limit(1).scalar_subquery()


def _last(rule: EngagementRule, mine: Any) -> ColumnElement[Any]:
    """What the last of them counts."""
    newest = (_LINE.at.desc(), _LINE.event_id.desc())
    return _limited(rule, mine).with_only_columns(_LINE.counted).order_by(*newest).limit(1).scalar_subquery()


def _counted(rule: EngagementRule, mine: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What caps let the event count, which comes after all lines of its rule; and the cap in all, if it is under it."""
    a_day, in_all = rule.cap.per_day, rule.cap.in_total
    today = _lines(rule, mine).where(_LINE.day == mine.day, _LINE.points != 0.0)
    over: ColumnElement[bool] = today.offset(a_day - 1).limit(1).exists() if a_day is not None else literal(False)
    if in_all is None:
        return case((over, 0.0), else_=rule.points), cast(null(), Integer)
    # after one that did not count any more none does: what counted is not counted again
    spent = case(
        (func.coalesce(_last(rule, mine), rule.points) == 0.0, True),
        else_=_there(_limited(rule, mine), in_all).is_not(None),
    )
    return case((or_(over, spent), 0.0), else_=rule.points), case((over, cast(null(), Integer)), else_=in_all)
