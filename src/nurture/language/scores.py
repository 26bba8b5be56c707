"""A lead's score at an instant, as one SQL expression: its cost does not grow with history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, SQLColumnExpression, case, cast, func, literal, select
from sqlmodel import col

from nurture.dialects import greatest, least
from nurture.records import Lead, ScoreSum
from nurture.records.types import NOW, micros

HOUR = 3_600_000_000
#: 2 ** -200 of anything is nothing; PostgreSQL raises when a power underflows.
_MOST_HALVINGS = 200.0


def faded(
    points: SQLColumnExpression[float],
    at: ColumnElement[int],
    now: ColumnElement[int],
    half_life_hours: SQLColumnExpression[Any],
) -> ColumnElement[float]:
    """`points` of the instant `at` as they stand at `now`: half after each half-life; 0 hours: they do not fade."""
    halvings = cast(now - at, Float) / (half_life_hours * literal(float(HOUR)))
    bounded = least(greatest(halvings, literal(-_MOST_HALVINGS)), literal(_MOST_HALVINGS))
    return case((half_life_hours <= 0, points), else_=points * func.power(literal(2.0), -bounded))


def fading(at: ColumnElement[int] = NOW) -> ColumnElement[float]:
    """What is left at `at` of a row of `score_sum`."""
    return faded(col(ScoreSum.total), micros(col(ScoreSum.as_of)), at, col(ScoreSum.half_life_hours))


def engagement(at: ColumnElement[int] = NOW) -> ColumnElement[float]:
    """The sum of a lead's engagement points faded to `at`, unrounded."""
    total = select(func.coalesce(func.sum(fading(at)), 0.0)).where(col(ScoreSum.lead_id) == col(Lead.id))
    return total.correlate(Lead).scalar_subquery()


def score(at: ColumnElement[int] = NOW) -> ColumnElement[int]:
    """The single score at an instant: engagement plus fit points, rounded half up, within 0 to 100."""
    raw = engagement(at) + col(Lead.fit_points)
    rounded = func.floor(raw + 0.500001)
    return cast(least(greatest(rounded, literal(0.0)), literal(100.0)), Integer)
