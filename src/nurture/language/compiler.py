"""The one compiler of conditions: a tree to one SQL expression about the row of `lead`, for both databases.

An unknown value makes a comparison false. `turns.py` says when time alone may change the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlmodel import col

from nurture.dialects import apart, flag_in, greatest, least, number_in, text_in, unset
from nurture.durations import Duration
from nurture.folding import fold
from nurture.language import conditions as c
from nurture.language.addresses import of_the_address
from nurture.language.levels import Levels, meaning
from nurture.language.scores import engaged, score
from nurture.language.words import BUILT_IN, GRADE_OF, LEVELS, OF_THE_ADDRESS, STATE
from nurture.records import Enrolment, Event, Lead, LeadList, LeadTag, Touch
from nurture.records.types import NOW, NOW_AT, micros, span_micros

CLICKS = ("email_clicked", "offer_viewed")


@dataclass(frozen=True)
class Scope:
    """What a condition may refer to besides the lead.

    `segment`: the sequence's standing rule. `enrolled`: the row of `enrolment` is at hand, for `clicked:` and
    `since: step`. `levels`: the rules of awareness, buying stage and MQL levels. `at`: the instant (microseconds) as
    of which events, scores, messages and passages count; fields, tags, lists, stages and the account's score are known
    as they are now.
    `recorded_by` (a wait's deadline): events recorded up to then count however long they rest, and what else is known
    of the lead counts only if it was last changed by then. `negated`: an odd number of `not` stand around.
    """

    fields: Mapping[str, str]
    sequence: str | None = None
    segment: c.Condition | None = None
    enrolled: bool = False
    levels: Levels = field(default_factory=dict)
    at: SQLColumnExpression[int] = NOW
    recorded_by: SQLColumnExpression[Any] | None = None
    negated: bool = False

    @property
    def is_now(self) -> bool:
        """Whether conditions are asked of the present, of which everything is known."""
        return self.at is NOW

    def within(self, condition: c.Condition) -> Scope:
        """The scope of what stands inside of `condition`."""
        return replace(self, negated=not self.negated) if isinstance(condition, c.Not | c.SegmentLeft) else self


def compile_condition(condition: c.Condition, scope: Scope) -> ColumnElement[bool]:
    """True for the leads of which `condition` holds at the scope's instant (NOW unless said); never NULL."""
    match condition:
        case c.All(parts):
            return and_(true(), *(compile_condition(part, scope) for part in parts))
        case c.Any_(parts):
            return or_(false(), *(compile_condition(part, scope) for part in parts))
        case c.Not(part):
            return ~compile_condition(part, scope.within(condition))
        case c.Field(name) if name in LEVELS:
            house = replace(scope, sequence=None, segment=None, enrolled=False)
            return compile_condition(meaning(condition, scope.levels), house)
        case c.Field("score"):
            return _known(_numbered(score(scope.at), condition))
        case c.Field("engagement"):
            return _known(_numbered(engaged(scope.at), condition))
        case c.Field("account_score"):
            return _in_time(_known(_numbered(col(Lead.account_score), condition)), scope)
        case c.Field():
            return _in_time(_known(_compare(condition, scope)), scope)
        case c.Tagged(tags):
            mine = (col(LeadTag.lead_id) == col(Lead.id)) & col(LeadTag.tag).in_([fold(tag) for tag in tags])
            return _in_time(exists(select(1).where(mine).correlate(Lead)), scope)
        case c.Listed(lists):
            here = (col(LeadList.lead_id) == col(Lead.id)) & col(LeadList.list).in_([fold(name) for name in lists])
            return _in_time(exists(select(1).where(here).correlate(Lead)), scope)
        case c.Did():
            return _did(condition, scope)
        case c.Answered(step, how):
            return _answered(step, how, scope)
        case c.Received(content):
            names = (content, f"{scope.sequence}/{content}")
            sent = (col(Touch.lead_id) == col(Lead.id)) & (col(Touch.state) == "sent")
            by_then = true() if scope.is_now else micros(col(Touch.ended_at)) <= scope.at
            return exists(select(1).where(sent, col(Touch.content).in_(names), by_then).correlate(Lead, Enrolment))
        case c.InSequence(sequence):
            return _inside(sequence, scope)
        case c.SegmentLeft():
            if scope.segment is None:
                return false()
            return ~compile_condition(scope.segment, scope.within(condition))
        case c.ByStep():
            return false()


def _known(comparison: ColumnElement[bool]) -> ColumnElement[bool]:
    return func.coalesce(comparison, false())


def _in_time(state: ColumnElement[bool], scope: Scope) -> ColumnElement[bool]:
    """`state`, of which no history is kept: with a deadline it counts only if the lead was last changed by then."""
    if scope.recorded_by is None:
        return state
    late = col(Lead.changed_at) > scope.recorded_by
    return or_(state, late) if scope.negated else and_(state, ~late)


def _inside(sequence: str, scope: Scope) -> ColumnElement[bool]:
    other = Enrolment.__table__.alias()  # type: ignore[attr-defined]
    there = (other.c.lead_id == col(Lead.id)) & (apart(other.c.sequence) == sequence)
    live = unset(other.c.ended_at)
    if not scope.is_now:
        live = and_(micros(other.c.started_at) <= scope.at, or_(live, micros(other.c.ended_at) > scope.at))
    return exists(select(1).where(there, live).correlate(Lead, Enrolment))


def _compare(test: c.Field, scope: Scope) -> ColumnElement[bool]:
    name, value = test.name, test.value
    if name == "fit" and test.operator == "known":
        return col(Lead.fit).is_not(None) if value else col(Lead.fit).is_(None)
    if name == "fit":
        grades = tuple(GRADE_OF[v] for v in value) if isinstance(value, tuple) else GRADE_OF.get(value, value)
        return _OPERATORS[test.operator](col(Lead.fit), grades)
    if name in OF_THE_ADDRESS:
        return of_the_address(test, _OPERATORS)
    kind = scope.fields.get(name, "text")
    if test.operator == "known":
        column: Any = getattr(Lead, name) if name in (*BUILT_IN, *STATE) else None
        stored = col(column) if column is not None else text_in(col(Lead.fields), name)
        return stored.is_not(None) if value else stored.is_(None)
    if name in STATE:
        return _OPERATORS[test.operator](col(getattr(Lead, name)), value)
    if kind == "number":
        return _OPERATORS[test.operator](number_in(col(Lead.fields), name), _numbers(value))
    if kind == "flag":
        return _OPERATORS[test.operator](flag_in(col(Lead.fields), name), value)
    if kind == "date":
        return _OPERATORS[test.operator](text_in(col(Lead.fields), name), _text(value))
    return _OPERATORS[test.operator](text_in(col(Lead.folded), name), _folded(value))


def _numbered(number: SQLColumnExpression[Any], test: c.Field) -> ColumnElement[bool]:
    if test.operator == "known":
        return number.is_not(None) if test.value else number.is_(None)
    return _OPERATORS[test.operator](number, _numbers(test.value))


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


def event_matches(did: c.Did, *, fresh: bool = False) -> ColumnElement[bool]:
    """The rows of `event` that `did` speaks of, whoever's and whenever; machines never count.

    `fresh`: only those are looked at that are not settled yet, and shall be found as such, not by their name among all
    that the lead ever did.
    """
    name = apart(col(Event.name)) if fresh else col(Event.name)
    tests = [name == did.name, col(Event.actor) != "machine"]
    for key, pattern in did.where:
        value = text_in(col(Event.data), key)
        if "*" in pattern:
            escaped = pattern.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_").replace("*", "%")
            tests.append(_known(value.like(escaped, escape="\\")))
        else:
            tests.append(_known(value == pattern))
    return and_(*tests)


def _counts(scope: Scope) -> ColumnElement[bool]:
    """The rows of `event` that count by the scope's instant, or that were recorded by its deadline."""
    if scope.recorded_by is not None:
        return and_(col(Event.ripe_at) <= NOW_AT, col(Event.recorded_at) <= scope.recorded_by)
    if scope.is_now:
        return col(Event.ripe_at) <= NOW_AT
    return and_(micros(col(Event.ripe_at)) <= scope.at, micros(col(Event.recorded_at)) <= scope.at)


def events_of(did: c.Did, scope: Scope) -> Select[Any]:
    """The lead's events that count for `did`, without a column list."""
    rows = select(1).where(col(Event.lead_id) == col(Lead.id), event_matches(did), _counts(scope))
    if did.within is not None:
        rows = rows.where(micros(col(Event.occurred_at)) > scope.at - span_micros(did.within.roughly))
    if isinstance(did.since, Duration):
        rows = rows.where(micros(col(Event.occurred_at)) > scope.at - span_micros(did.since.roughly))
    elif did.since == "step":
        rows = rows.where(col(Event.recorded_at) > col(Enrolment.entered_at))  # not what led here
    elif did.since == "enrolment":
        rows = rows.where(col(Event.recorded_at) > col(Enrolment.started_at))
    return rows.correlate(Lead, Enrolment)


def _did(did: c.Did, scope: Scope) -> ColumnElement[bool]:
    rows = events_of(did, scope)
    if did.at_least > 1:  # the last of so many is looked for: a count would go through all history
        rows = rows.offset(did.at_least - 1).limit(1).correlate(Lead, Enrolment)
    found = exists(rows)
    return ~found if did.negated else found


def _answered(step: str, how: str, scope: Scope) -> ColumnElement[bool]:
    return exists(_answers(step, how, scope)) if scope.enrolled else false()


def _answers(step: str, how: str, scope: Scope) -> Select[Any]:
    """Clicks in, or replies to, the message of a step of this enrolment, without a column list."""
    names = CLICKS if how == "clicked" else ("email_replied",)
    later = Touch.__table__.alias()  # type: ignore[attr-defined]
    turned = select(1).where(  # in a loop the message of the present turn is meant
        later.c.enrolment_id == col(Enrolment.id), later.c.step == step, later.c.occurrence > col(Touch.occurrence)
    )
    rows = (
        select(1)
        .select_from(Touch.__table__.join(Event.__table__, col(Event.touch_id) == col(Touch.id)))  # type: ignore[attr-defined]
        .where(
            col(Touch.enrolment_id) == col(Enrolment.id),
            col(Touch.step) == step,
            ~turned.correlate(Enrolment, Touch).exists(),
            col(Event.name).in_(names),
            col(Event.actor) == "person",
            _counts(scope),
        )
    )
    return rows.correlate(Enrolment, Lead)


def moment(condition: c.Condition, scope: Scope) -> ColumnElement[int] | None:
    """When `condition`, which holds, came to hold by an event (microseconds); None: not by events alone."""
    counts_from = greatest(micros(col(Event.recorded_at)), micros(col(Event.ripe_at)))
    match condition:
        case c.Did(negated=False):
            rows = events_of(condition, scope).with_only_columns(counts_from)
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
