"""When time alone may change the answer of a condition: an event leaves its `within`, a score fades or runs out.

The instant is compiled with the condition and kept as the time of the lead's next look, so that what turns by time
turns on time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from nurture.language.scores import BOUNDLESS, HOUR, ROUNDING, bounded, faded
from nurture.language.words import LEVELS, SCORES
from nurture.records import Event, Lead, ScoreEntry, ScoreSum
from nurture.records.types import NOW, NOW_AT, micros, span_micros

_SECOND = 1_000_000
#: A score that takes longer than this to fade past a bound is not waited for.
_FARTHEST = timedelta(days=36_500)
_NEVER = literal(2**62, BigInteger)
#: Longer than anything, in hours: where a score comes to no bound.
_NO_HOURS = literal(BOUNDLESS)


def turning(condition: c.Condition, scope: Scope) -> set[c.Condition]:
    """The parts of `condition` whose answer time alone may change, each in the plain form that `turn` looks at."""
    found: set[c.Condition] = set()
    for part in c.walk(condition):
        if isinstance(part, c.Did) and (part.within or isinstance(part.since, Duration)):
            spans = [span for span in (part.within, part.since) if isinstance(span, Duration)]
            span = min(spans, key=lambda span: span.roughly)
            found.add(c.Did(part.name, part.where, within=span))
        elif isinstance(part, c.Field) and part.name in SCORES:
            found |= {c.Field(part.name, "at_least", bound) for bound in _bounds(part) if 0 < bound <= 100}
        elif isinstance(part, c.Field) and part.name in LEVELS:
            found |= turning(meaning(part, scope.levels), scope)
        elif isinstance(part, c.SegmentLeft) and scope.segment is not None:
            found |= turning(scope.segment, scope)
    return found


def _bounds(test: c.Field) -> set[int]:
    """The whole numbers n such that `test` can turn only where "it is at least n" does."""
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    if test.operator in ("at_least", "under"):
        return {ceil(value) for value in values}
    if test.operator in ("above", "at_most"):
        return {floor(value) + 1 for value in values}
    return {bound for value in values for bound in (ceil(value), floor(value) + 1)}


def turns(parts: Iterable[c.Condition], scope: Scope) -> tuple[list[ColumnElement[int]], list[ColumnElement[int]]]:
    """The next instants after now (microseconds) at which `parts`, of `turning`, may turn; each NULL: none.

    First those of events, then one at most for all scores, whatever bounds are asked for: a lead's sums are added up
    once.
    """
    found: list[ColumnElement[int]] = []
    levels: list[ColumnElement[float]] = []
    for part in sorted(parts, key=repr):
        if isinstance(part, c.Field):
            fit = col(Lead.fit_points) if part.name == "score" else literal(0.0)
            levels.append(literal(part.value - ROUNDING) - fit)
        else:
            assert isinstance(part, c.Did)
            assert part.within is not None
            leaving = func.min(micros(col(Event.occurred_at))) + literal(span_micros(part.within.roughly))
            found.append(events_of(part, scope).with_only_columns(leaving).correlate(Lead).scalar_subquery())
    return found, [_crossing(levels)] if levels else []


def _crossing(levels: Sequence[ColumnElement[float]]) -> ColumnElement[int]:
    """No later than the instant at which "engagement is at least" one of `levels` next turns; at least a second from
    now.

    Let P and N be what is left of the points above and below zero that fade, and t a level less what does not fade.
    By convexity P fades no faster than at the mean of its rates, weighted by points: the score falls below t no sooner
    than P 2^(-rate x) = t + N, and rises to it no sooner than N 2^(-rate x) = P - t. With one half-life that is the
    instant itself; with several the lead is looked at again there, and each look comes nearer by far.

    A group beyond its bound stands still until it has faded to it, and points that run out do until the next one does:
    until the first of these instants the above holds, with both among what does not fade, and there we look again.
    The bound of all engagement turns nothing itself: below it the sum decides, and a level above it is never reached.
    """
    sums = _summed()
    most = func.coalesce(sums.c.most, BOUNDLESS)
    looks = [_comes(level, sums, most) for level in levels] + [sums.c.held]
    hours = least(*(func.coalesce(hours, _NO_HOURS) for hours in looks))
    soonest = least(func.coalesce(_in_hours(func.nullif(hours, _NO_HOURS)), _NEVER), func.coalesce(_runs_out(), _NEVER))
    lowest = least(*levels)
    return select(func.nullif(soonest, _NEVER)).where(lowest <= most).correlate(Lead).scalar_subquery()


def _comes(level: ColumnElement[float], sums: Any, most: ColumnElement[float]) -> ColumnElement[float]:
    """In how many hours engagement may come to `level`, or below it; NULL: never, while nothing else changes."""
    high, low, rest = sums.c.high, sums.c.low, level - sums.c.stays
    falls = _after(high, rest + low, sums.c.high_rate)
    rises = _after(low, high - rest, sums.c.low_rate)
    return case((level > most, null()), (high - low >= rest, falls), else_=rises)


def _summed() -> Any:
    """One row of a lead: what is left of its points that fade, above zero and below, with their rates by points; what
    does not fade now, in how many hours the first group comes back to its bound, and the bound of all.
    """
    left, hours = _left(), col(ScoreSum.half_life_hours)
    named: tuple[Any, ...] = (left.label("left"), bounded(left).label("worth"), hours.label("hours"))
    own: tuple[Any, ...] = (*named, col(ScoreSum.in_all_at_most))
    # OFFSET 0 keeps SQLite from writing each of these out wherever it is used
    rows = select(*own).where(col(ScoreSum.lead_id) == col(Lead.id)).offset(0).correlate(Lead).subquery().c
    zero, fades = literal(0.0), and_(rows.hours > 0, rows.worth == rows.left)
    above, below, rate = greatest(rows.left, zero), greatest(-rows.left, zero), case((fades, rows.hours), else_=1.0)
    held = and_(rows.hours > 0, rows.worth != rows.left, rows.worth != 0.0)
    back = func.ln(rows.left / case((held, rows.worth), else_=1.0)) / literal(log(2)) * rows.hours

    def summed(what: Any, which: Any = fades) -> ColumnElement[float]:
        return func.coalesce(func.sum(case((which, what), else_=0.0)), 0.0)

    found = {
        "high": summed(above), "low": summed(below), "stays": summed(rows.worth, ~fades),
        "high_rate": summed(above / rate), "low_rate": summed(below / rate),
        "held": func.min(case((held, back))), "most": func.max(rows.in_all_at_most),
    }  # fmt: skip
    return select(*(what.label(name) for name, what in found.items())).correlate(Lead).subquery()


def _left() -> ColumnElement[float]:
    """What a row of `score_sum` is worth now, before bounds; settling has just taken out what ran out."""
    return faded(col(ScoreSum.total), micros(col(ScoreSum.as_of)), NOW, col(ScoreSum.half_life_hours))


def _runs_out() -> ColumnElement[int]:
    """When the next of the lead's points expires; NULL: none does."""
    counts = and_(col(ScoreEntry.expires_at) > NOW_AT, col(ScoreEntry.counted) != 0.0)
    query = select(func.min(micros(col(ScoreEntry.expires_at)))).where(col(ScoreEntry.lead_id) == col(Lead.id), counts)
    return query.correlate_except(ScoreEntry).scalar_subquery()


def _after(amount: Any, rest: Any, rate: Any) -> ColumnElement[float]:
    """In how many hours `amount`, fading by `rate` (itself per half-life in hours) in all, is `rest`; NULL: never."""
    fades = and_(rest > 0, amount >= rest, rate > 0)
    return case((fades, func.ln(amount / case((fades, rest), else_=1.0)) / literal(log(2)) * amount / rate))


def _in_hours(hours: ColumnElement[float]) -> ColumnElement[int]:
    """The instant so many hours from now, at least a second; NULL of NULL."""
    farthest = literal(_FARTHEST / timedelta(hours=1))
    span = func.ceil(least(func.coalesce(hours, farthest), farthest) * literal(float(HOUR)))
    later = NOW + greatest(cast(span, BigInteger), literal(_SECOND, BigInteger))
    return case((hours.is_not(None), later))
