"""The score of an account, one formula for conditions and for reports: its best lead's, and a little for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, select
from sqlalchemy.sql.util import ClauseAdapter

from nurture.dialects import greatest, least
from nurture.language.scores import score
from nurture.records import Lead

#: What each further lead adds whose own score is at least WARM; all together at most MOST.
FURTHER, WARM, MOST = 5, 20, 100


def account_scores(among: Callable[[ColumnElement[str]], ColumnElement[bool]]) -> Select[Any]:
    """(account, score) now of the accounts `among`, each worked out once; NULL: all its leads object to profiling."""
    other = Lead.__table__.alias("colleague")  # type: ignore[attr-defined]
    theirs: ColumnElement[int] = ClauseAdapter(other).traverse(score())
    own = select(other.c.account.label("account"), theirs.label("score"))
    # OFFSET 0 keeps SQLite from working out a lead's score wherever it is used below
    each = own.where(other.c.account.is_not(None), other.c.forgotten_at.is_(None), among(other.c.account)).offset(0)
    one = each.subquery().c
    warm = func.sum(case((one.score >= WARM, 1), else_=0))
    further = greatest(warm - 1, literal(0)) * FURTHER
    whole = least(func.coalesce(func.max(one.score), literal(0)) + further, literal(MOST))
    return select(one.account, case((func.count(one.score) > 0, whole)).label("score")).group_by(one.account)


def counted(scores: Sequence[int | None]) -> list[int]:
    """What each of an account's leads, best first, adds to its score; they sum to it."""
    parts: list[int] = []
    for place, points in enumerate(scores):
        part = (points or 0) if not place else FURTHER if (points or 0) >= WARM else 0
        parts.append(min(part, MOST - sum(parts)))
    return parts
