"""The one compiler of conditions: a tree to one SQL expression about the row of `lead`, for both databases.

An unknown value makes a comparison false. `turns` says when time alone may change the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlmodel import col

from nurture.dialects import flag_in, greatest, least, number_in, text_in
from nurture.durations import Duration
from nurture.folding import fold
from nurture.language import conditions as c
from nurture.language.scores import fading, score
from nurture.records import Enrolment, Event, Lead, LeadTag, ScoreSum, Touch
from nurture.records.types import NOW, NOW_AT, micros, span_micros

CLICKS = ("email_clicked", "offer_viewed")


@dataclass(frozen=True)
class Scope:
    """What a condition may refer to besides the lead.

    `recorded_by`: only events recorded up to then count (a wait's deadline). `segment`: the sequence's
    standing rule. `enrolled`: the row of `enrolment` is at hand, for `clicked:` and `since: step`.
    """

    fields: Mapping[str, str]
    sequence: str | None = None
    segment: c.Condition | None = None
    enrolled: bool = False
    recorded_by: SQLColumnExpression[Any] | None = None


def compile_condition(condition: c.Condition, scope: Scope) -> ColumnElement[bool]:
    """True for the leads of which `condition` holds at the run's instant (the parameter NOW); never NULL."""
    match condition:
        case c.All(parts):
            return and_(true(), *(compile_condition(part, scope) for part in parts))
        case c.Any_(parts):
            return or_(false(), *(compile_condition(part, scope) for part in parts))
        case c.Not(part):
            return ~compile_condition(part, scope)
        case c.Field():
            return _known(_compare(condition, scope))
        case c.Tagged(tags):
            mine = col(LeadTag.lead_id) == col(Lead.id)
            return exists(select(1).where(mine, col(LeadTag.tag).in_([fold(tag) for tag in tags])).correlate(Lead))
        case c.Did():
            return _did(condition, scope)
        case c.Answered(step, how):
            return _answered(step, how, scope)
        case c.Received(content):
            names = (content, f"{scope.sequence}/{content}")
            sent = (col(Touch.lead_id) == col(Lead.id)) & (col(Touch.state) == "sent")
            return exists(select(1).where(sent, col(Touch.content).in_(names)).correlate(Lead))
        case c.InSequence(sequence):
            other = Enrolment.__table__.alias()  # type: ignore[attr-defined]
            live = (other.c.lead_id == col(Lead.id)) & (other.c.sequence == sequence) & other.c.ended_at.is_(None)
            return exists(select(1).where(live).correlate(Lead))
        case c.SegmentLeft():
            return ~compile_condition(scope.segment, scope) if scope.segment is not None else false()
        case c.ByStep():
            return false()


def _known(comparison: ColumnElement[bool]) -> ColumnElement[bool]:
    return func.coalesce(comparison, false())


def _compare(test: c.Field, scope: Scope) -> ColumnElement[bool]:
    name, value = test.name, test.value
    if name == "score":
        return _OPERATORS[test.operator](score(), _numbers(value))
    if name == "fit" and test.operator == "known":
        return col(Lead.fit).is_not(None) if value else col(Lead.fit).is_(None)
    if name == "fit":
        grades = tuple(c.GRADE_OF[v] for v in value) if isinstance(value, tuple) else c.GRADE_OF.get(value, value)
        return _OPERATORS[test.operator](col(Lead.fit), grades)
    kind = scope.fields.get(name, "text")
    if test.operator == "known":
        column: Any = getattr(Lead, name) if name in (*c.BUILT_IN, *c.STATE) else None
        stored = col(column) if column is not None else text_in(col(Lead.fields), name)
        return stored.is_not(None) if value else stored.is_(None)
    if name in c.STATE:
        return _OPERATORS[test.operator](col(getattr(Lead, name)), value)
    if kind == "number":
        return _OPERATORS[test.operator](number_in(col(Lead.fields), name), _numbers(value))
    if kind == "flag":
        return _OPERATORS[test.operator](flag_in(col(Lead.fields), name), value)
    if kind == "date":
        return _OPERATORS[test.operator](text_in(col(Lead.fields), name), _text(value))
    return _OPERATORS[test.operator](text_in(col(Lead.folded), name), _folded(value))


def _folded(value: Any) -> Any:
    return tuple(fold(str(v)) for v in value) if isinstance(value, tuple) else fold(str(value))


def _numbers(value: Any) -> Any:
    """All of one type: PostgreSQL takes a list's type from its first number."""
    return tuple(float(v) for v in value) if isinstance(value, tuple) else float(value)


def _text(value: Any) -> Any:
    return tuple(str(v) for v in value) if isinstance(value, tuple) else str(value)


_OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "is": lambda column, value: column == value,
    "not": lambda column, value: column.not_in(value) if isinstance(value, tuple) else column != value,
    "one_of": lambda column, value: column.in_(value if isinstance(value, tuple) else (value,)),
    "at_least": lambda column, value: column >= value,
    "at_most": lambda column, value: column <= value,
    "above": lambda column, value: column > value,
    "under": lambda column, value: column < value,
    "contains": lambda column, value: column.contains(value, autoescape=True),
    "starts_with": lambda column, value: column.startswith(value, autoescape=True),
    "before": lambda column, value: column < value,
    "after": lambda column, value: column > value,
}


def event_matches(did: c.Did) -> ColumnElement[bool]:
    """The rows of `event` that `did` speaks of, whoever's and whenever; machines never count."""
    tests = [col(Event.name) == did.name, col(Event.actor) != "machine"]
    for key, pattern in did.where:
        value = text_in(col(Event.data), key)
        if "*" in pattern:
            escaped = pattern.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_").replace("*", "%")
            tests.append(_known(value.like(escaped, escape="\\")))
        else:
            tests.append(_known(value == pattern))
    return and_(*tests)


def _events(did: c.Did, scope: Scope) -> Select[Any]:
    """The lead's events that count for `did`, without a column list."""
    rows = select(1).where(col(Event.lead_id) == col(Lead.id), event_matches(did), col(Event.ripe_at) <= NOW_AT)
    if did.within is not None:
        rows = rows.where(micros(col(Event.occurred_at)) > NOW - span_micros(did.within.roughly))
    if isinstance(did.since, Duration):
        rows = rows.where(micros(col(Event.occurred_at)) > NOW - span_micros(did.since.roughly))
    elif did.since == "step":
        rows = rows.where(col(Event.recorded_at) > col(Enrolment.entered_at))  # not what led here
    elif did.since == "enrolment":
        rows = rows.where(col(Event.recorded_at) > col(Enrolment.started_at))
    if scope.recorded_by is not None:
        rows = rows.where(col(Event.recorded_at) <= scope.recorded_by)
    return rows.correlate(Lead, Enrolment)


def _did(did: c.Did, scope: Scope) -> ColumnElement[bool]:
    rows = _events(did, scope)
    if did.at_least == 1:
        found: ColumnElement[bool] = exists(rows)
    else:
        count = rows.with_only_columns(func.count()).correlate(Lead, Enrolment).scalar_subquery()
        found = count >= did.at_least
    return ~found if did.negated else found


def _answered(step: str, how: str, scope: Scope) -> ColumnElement[bool]:
    return exists(_answers(step, how, scope)) if scope.enrolled else false()


def _answers(step: str, how: str, scope: Scope) -> Select[Any]:
    """Clicks in, or replies to, the message of a step of this enrolment, without a column list."""
    names = CLICKS if how == "clicked" else ("email_replied",)
    rows = (
        select(1)
        .select_from(Touch.__table__.join(Event.__table__, col(Event.touch_id) == col(Touch.id)))  # type: ignore[attr-defined]
        .where(
            col(Touch.enrolment_id) == col(Enrolment.id),
            col(Touch.step) == step,
            col(Event.name).in_(names),
            col(Event.actor) == "person",
            col(Event.ripe_at) <= NOW_AT,
        )
    )
    if scope.recorded_by is not None:
        rows = rows.where(col(Event.recorded_at) <= scope.recorded_by)
    return rows.correlate(Enrolment, Lead)


def moment(condition: c.Condition, scope: Scope) -> ColumnElement[int] | None:
    """When `condition`, which holds, came to hold by an event (microseconds); None: not by events alone."""
    counts_from = greatest(micros(col(Event.recorded_at)), micros(col(Event.ripe_at)))
    match condition:
        case c.Did(negated=False):
            rows = _events(condition, scope).with_only_columns(counts_from)
        case c.Answered(step, how):
            rows = _answers(step, how, scope).with_only_columns(counts_from)
        case c.Any_(parts) | c.All(parts):
            inner = [moment(part, scope) for part in parts]
            known = [at for at in inner if at is not None]
            if len(known) < len(inner):
                return None
            if isinstance(condition, c.All):
                return known[0] if len(known) == 1 else greatest(*known)
            never = literal(2**61)
            return known[0] if len(known) == 1 else least(*(func.coalesce(at, never) for at in known))
        case _:
            return None
    nth = condition.at_least - 1 if isinstance(condition, c.Did) else 0
    return rows.order_by(counts_from).offset(nth).limit(1).correlate(Lead, Enrolment).scalar_subquery()


def turning(condition: c.Condition) -> set[c.Condition]:
    """The parts of `condition` whose answer time alone may change, without what `turn` does not look at."""
    found: set[c.Condition] = set()
    for part in c.walk(condition):
        if isinstance(part, c.Did) and (part.within or isinstance(part.since, Duration)):
            spans = [span for span in (part.within, part.since) if isinstance(span, Duration)]
            span = min(spans, key=lambda span: span.roughly)
            found.add(c.Did(part.name, part.where, within=span))
        elif isinstance(part, c.Field) and part.name == "score" and isinstance(part.value, int | float):
            found.add(c.Field("score", "at_least", part.value))
    return found


def turn(part: c.Condition, scope: Scope) -> ColumnElement[int]:
    """The next instant after now (microseconds) at which `part`, one of `turning`, may change its answer; NULL: none.

    An event leaves its `within`; a fading score is looked at once a day while it stands above its bound, or while
    points below zero fade so that it rises.
    """
    if isinstance(part, c.Did) and part.within is not None:
        leaving = func.min(micros(col(Event.occurred_at))) + literal(span_micros(part.within.roughly))
        return _events(part, scope).with_only_columns(leaving).correlate(Lead).scalar_subquery()
    assert isinstance(part, c.Field)
    rising = exists(select(1).where(col(ScoreSum.lead_id) == col(Lead.id), fading() < -0.5).correlate(Lead))
    falling = and_(score() >= part.value, col(Lead.fit_points) < part.value)  # what fit alone holds up does not fall
    return case((or_(falling, rising), NOW + span_micros(timedelta(days=1))), else_=None)
