"""A lead's score at an instant, as one SQL expression: its cost does not grow with history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, SQLColumnExpression, case, cast, func, literal, null, select
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


def fading(at: SQLColumnExpression[int] = NOW) -> ColumnElement[float]:
    """What is left at `at` of a row of `score_sum`."""
    return faded(col(ScoreSum.total), micros(col(ScoreSum.as_of)), at, col(ScoreSum.half_life_hours))


def engagement(at: SQLColumnExpression[int] = NOW) -> ColumnElement[float]:
    """The sum of a lead's engagement points faded to `at`, unrounded; what was learnt after `at` is left out."""
    total = select(func.coalesce(func.sum(fading(at)), 0.0)).where(col(ScoreSum.lead_id) == col(Lead.id))
    whole: ColumnElement[float] = total.correlate_except(ScoreSum).scalar_subquery()
    return whole if at is NOW else whole - _learnt_after(at)


def _learnt_after(at: SQLColumnExpression[int]) -> ColumnElement[float]:
    """What the sums hold, as of `at`, of events that count only since then; without cost where no sum moved since."""
    newest = select(func.max(micros(col(ScoreSum.as_of)))).where(col(ScoreSum.lead_id) == col(Lead.id))
    hours = func.coalesce(col(ScoreEntry.half_life_hours), 0.0)
    points = func.sum(faded(col(ScoreEntry.summed), micros(col(ScoreEntry.at)), at, hours))
    later = (
        select(func.coalesce(points, 0.0))
        .join_from(ScoreEntry, Event, col(Event.id) == col(ScoreEntry.event_id))
        .where(
            col(ScoreEntry.lead_id) == col(Lead.id),
            greatest(micros(col(Event.recorded_at)), micros(col(Event.ripe_at))) > at,
        )
        .correlate_except(ScoreEntry, Event)
        .scalar_subquery()
    )
    return case((newest.correlate_except(ScoreSum).scalar_subquery() > at, later), else_=0.0)


def score(at: SQLColumnExpression[int] = NOW) -> ColumnElement[int]:
    """The single score at an instant: engagement plus fit points, rounded half up, within 0 to 100.

    NULL, unknown, for a lead that objects to profiling.
    """
    raw = engagement(at) + col(Lead.fit_points)
    rounded = func.floor(raw + ROUNDING)
    number = cast(least(greatest(rounded, literal(0.0)), literal(100.0)), Integer)
    return case((objects("profiling"), null()), else_=number)
