"""A lead's scores at an instant, each as one SQL expression: what they cost does not grow with history.

A row of `score_sum` holds what a group's points were worth at its `as_of`, and the group's bounds, which clamp it here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    SQLColumnExpression,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlmodel import col

from nurture.dialects import greatest, least
from nurture.language.objections import objects
from nurture.records import Event, Lead, ScoreEntry, ScoreSum
from nurture.records.types import NOW, micros

HOUR = 3_600_000_000
#: 2 ** -200 of anything is nothing; PostgreSQL raises when a power underflows.
_MOST_HALVINGS = 200.0
#: Added before the fraction is cut off: half up, and what the databases add up differently is the same.
ROUNDING = 0.500001
#: More points than anybody has: where no bound is set.
BOUNDLESS = 1e300


def faded(
    points: SQLColumnExpression[float],
    at: SQLColumnExpression[int],
    now: SQLColumnExpression[int],
    half_life_hours: SQLColumnExpression[Any],
) -> ColumnElement[float]:
    """`points` of the instant `at` as they stand at `now`: half after each half-life; 0 hours: they do not fade."""
    halvings = cast(now - at, Float) / (half_life_hours * literal(float(HOUR)))
    bounded = least(greatest(halvings, literal(-_MOST_HALVINGS)), literal(_MOST_HALVINGS))
    return case((half_life_hours <= 0, points), else_=points * func.power(literal(2.0), -bounded))


def expired(at: SQLColumnExpression[int] = NOW) -> ColumnElement[float]:
    """What has run out of a row of `score_sum` since its `as_of`, until `at`."""
    since = and_(
        micros(col(ScoreEntry.expires_at)) > micros(col(ScoreSum.as_of)), micros(col(ScoreEntry.expires_at)) <= at
    )
    gone = select(func.coalesce(func.sum(col(ScoreEntry.summed)), 0.0)).where(_of_its_group(), since)
    return gone.correlate_except(ScoreEntry).scalar_subquery()


def bounded(points: Any, group: Any = ScoreSum) -> ColumnElement[float]:
    """`points` of a row of `score_sum` within the bounds of its group."""
    most = least(points, func.coalesce(group.at_most, BOUNDLESS))
    return greatest(most, func.coalesce(group.at_least, -BOUNDLESS))


def engagement(at: SQLColumnExpression[int] = NOW) -> ColumnElement[float]:
    """A lead's engagement points at `at`, unrounded: each group within its bounds, then all within theirs.

    What was learnt after `at` is left out; caps count first what happened first, as far as is known by now.
    """
    columns = (_left(at).label("left"), col(ScoreSum.at_least), col(ScoreSum.at_most), col(ScoreSum.in_all_at_most))
    mine = select(*columns).where(col(ScoreSum.lead_id) == col(Lead.id))
    rows = mine.correlate_except(ScoreSum).subquery().c  # a table of its own: SQLite's parser has a small stack
    total = func.coalesce(func.sum(bounded(rows.left, rows)), 0.0)
    return select(least(total, func.coalesce(func.max(rows.in_all_at_most), BOUNDLESS))).scalar_subquery()


def _left(at: SQLColumnExpression[int]) -> ColumnElement[float]:
    """What a row of `score_sum` is worth at `at`, before bounds."""
    total, as_of, hours = col(ScoreSum.total), micros(col(ScoreSum.as_of)), col(ScoreSum.half_life_hours)
    onwards = case((hours <= 0, total - expired(at)), else_=faded(total, as_of, at, hours))
    return onwards if at is NOW else case((as_of > at, _then(at)), else_=onwards)


def _then(at: SQLColumnExpression[int]) -> ColumnElement[float]:
    """What a row of `score_sum` that has moved on since was worth at `at`: its lines, of events that counted then."""
    points = func.sum(faded(col(ScoreEntry.summed), micros(col(ScoreEntry.at)), at, hours_of_line()))
    lasts = or_(col(ScoreEntry.expires_at).is_(None), micros(col(ScoreEntry.expires_at)) > at)
    lines = (
        select(func.coalesce(points, 0.0))
        .join_from(ScoreEntry, Event, col(Event.id) == col(ScoreEntry.event_id))
        .where(_of_its_group(), hours_of_line() == col(ScoreSum.half_life_hours), known_by(at), lasts)
    )
    return lines.correlate_except(ScoreEntry, Event).scalar_subquery()


def known_by(at: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """Whether an event counted by the instant `at`."""
    return greatest(micros(col(Event.recorded_at)), micros(col(Event.ripe_at))) <= at


def _of_its_group() -> ColumnElement[bool]:
    group = col(ScoreEntry.group_name) == col(ScoreSum.group_name)
    return and_(col(ScoreEntry.lead_id) == col(ScoreSum.lead_id), group)


def hours_of_line() -> ColumnElement[float]:
    """The half-life of a line, as its row of `score_sum` has it."""
    return func.coalesce(col(ScoreEntry.half_life_hours), 0.0)


def score(at: SQLColumnExpression[int] = NOW) -> ColumnElement[int]:
    """The single score at an instant: engagement plus fit points, rounded half up, within 0 to 100.

    NULL, unknown, for a lead that objects to profiling.
    """
    return _number(engagement(at) + col(Lead.fit_points))


def engaged(at: SQLColumnExpression[int] = NOW) -> ColumnElement[int]:
    """Engagement alone as a number, rounded as the score is, within 0 to 100; NULL: the lead objects to profiling."""
    return _number(engagement(at))


def _number(raw: ColumnElement[float]) -> ColumnElement[int]:
    rounded = func.floor(raw + ROUNDING)
    number = cast(least(greatest(rounded, literal(0.0)), literal(100.0)), Integer)
    return case((objects("profiling"), null()), else_=number)
