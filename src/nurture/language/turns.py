"""When time alone may change the answer of a condition: an event leaves its `within`, a score fades past a bound.

The instant is compiled with the condition and kept as the time of the lead's next look, so that what turns by time
turns on time.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil, floor, log
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, literal, null, select
from sqlmodel import col

from nurture.dialects import greatest, least
from nurture.durations import Duration
from nurture.language import conditions as c
from nurture.language.compiler import Scope, events_of
from nurture.language.levels import meaning
from nurture.language.scores import HOUR, ROUNDING, fading
from nurture.language.words import LEVELS
from nurture.records import Event, Lead, ScoreSum
from nurture.records.types import NOW, micros, span_micros

_SECOND = 1_000_000
#: A score that takes longer than this to fade past a bound is not waited for.
_FARTHEST = timedelta(days=36_500)


def turning(condition: c.Condition, scope: Scope) -> set[c.Condition]:
    """The parts of `condition` whose answer time alone may change, each in the plain form that `turn` looks at."""
    found: set[c.Condition] = set()
    for part in c.walk(condition):
        if isinstance(part, c.Did) and (part.within or isinstance(part.since, Duration)):
            spans = [span for span in (part.within, part.since) if isinstance(span, Duration)]
            span = min(spans, key=lambda span: span.roughly)
            found.add(c.Did(part.name, part.where, within=span))
        elif isinstance(part, c.Field) and part.name == "score":
            found |= {c.Field("score", "at_least", bound) for bound in _bounds(part) if 0 < bound <= 100}
        elif isinstance(part, c.Field) and part.name in LEVELS:
            found |= turning(meaning(part, scope.levels), scope)
        elif isinstance(part, c.SegmentLeft) and scope.segment is not None:
            found |= turning(scope.segment, scope)
    return found


def _bounds(test: c.Field) -> set[int]:
    """The whole numbers n such that `test` can turn only where "the score is at least n" does."""
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    if test.operator in ("at_least", "under"):
        return {ceil(value) for value in values}
    if test.operator in ("above", "at_most"):
        return {floor(value) + 1 for value in values}
    return {bound for value in values for bound in (ceil(value), floor(value) + 1)}


def turn(part: c.Condition, scope: Scope) -> ColumnElement[int]:
    """The next instant after now (microseconds) at which `part`, one of `turning`, may turn; NULL: none."""
    if isinstance(part, c.Did) and part.within is not None:
        leaving = func.min(micros(col(Event.occurred_at))) + literal(span_micros(part.within.roughly))
        return events_of(part, scope).with_only_columns(leaving).correlate(Lead).scalar_subquery()
    assert isinstance(part, c.Field)
    return _crossing(part.value)


def _crossing(bound: int) -> ColumnElement[int]:
    """No later than the instant at which "the score is at least `bound`" next turns; at least a second from now.

    Let P and N be what is left of the points above and below zero that fade, and t the bound less what does not fade.
    By convexity P fades no faster than at the mean of its rates, weighted by points: the score falls below t no sooner
    than P 2^(-rate x) = t + N, and rises to it no sooner than N 2^(-rate x) = P - t. With one half-life that is the
    instant itself; with several the lead is looked at again there, and each look comes nearer by far.
    """
    left, hours = fading(), col(ScoreSum.half_life_hours)
    fades, zero = hours > 0, literal(0.0)
    above, below = greatest(left, zero), greatest(-left, zero)

    def summed(what: ColumnElement[Any], which: ColumnElement[bool]) -> ColumnElement[float]:
        return func.coalesce(func.sum(case((which, what), else_=0.0)), 0.0)

    stays = summed(left, ~fades)
    level = literal(bound - ROUNDING) - col(Lead.fit_points) - stays
    high, low = summed(above, fades), summed(below, fades)
    falls = _after(high, level + low, summed(above / case((fades, hours), else_=1.0), fades))
    rises = _after(low, high - level, summed(below / case((fades, hours), else_=1.0), fades))
    holds = high - low >= level
    query = select(case((holds, falls), else_=rises)).where(col(ScoreSum.lead_id) == col(Lead.id))
    return query.correlate_except(ScoreSum).scalar_subquery()


def _after(amount: ColumnElement[float], rest: ColumnElement[float], rate: ColumnElement[float]) -> ColumnElement[int]:
    """When `amount`, fading by `rate` (itself per hour and half-life) in all, has come down to `rest`; NULL: never."""
    hours = func.ln(amount / rest) / literal(log(2)) * amount / rate
    span = least(hours, literal(_FARTHEST / timedelta(hours=1))) * literal(float(HOUR))
    at = NOW + greatest(cast(func.ceil(span), BigInteger), literal(_SECOND, BigInteger))
    return case((and_(rest > 0, amount >= rest), at), else_=null())
