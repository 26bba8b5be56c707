"""Fit: what a lead is, as the house's rules weigh it; a letter, and points of the score."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, case, literal, or_, select, update
from sqlmodel import col

from nurture.dialects import FEW
from nurture.language.compiler import compile_condition
from nurture.language.objections import objects
from nurture.language.words import GRADE_OF
from nurture.program.load import House
from nurture.records import Lead

_LOWEST, _HIGHEST = min(GRADE_OF.values()), max(GRADE_OF.values())


def grade(house: House, leads: Select[Any]) -> list[Any]:
    """Fit of `leads` from their present fields: thirds summed, then clamped; unknown when no rule holds.

    Of who objects to profiling it stays unknown.
    """
    holds = [compile_condition(rule.when, house.scope) for rule in house.scoring.fit]
    if not holds:
        some = or_(col(Lead.fit).is_not(None), col(Lead.fit_points) != 0.0)
        return [update(Lead).where(col(Lead.id).in_(leads), some).values(fit=None, fit_points=0.0)]
    # OFFSET 0: whether a rule holds is looked up once; in most leads nothing changes
    said: Any = [case((rule, 1), else_=0).label(f"holds_{n}") for n, rule in enumerate(holds)]
    those = select(col(Lead.id), col(Lead.fit), col(Lead.fit_points), *said)
    lead = those.where(col(Lead.id).in_(leads), ~objects("profiling")).offset(0).subquery().c
    fit, points = _fit(house, [lead[each.name] == 1 for each in said])
    other = select(lead.id).prefix_with(FEW).where(or_(lead.fit.is_distinct_from(fit), lead.fit_points != points))
    fit, points = _fit(house, holds)
    return [update(Lead).where(col(Lead.id).in_(other)).values(fit=fit, fit_points=points)]


def _fit(house: House, holds: list[ColumnElement[bool]]) -> tuple[ColumnElement[Any], ColumnElement[float]]:
    """(fit, points) of a lead for whom these of the house's rules hold."""
    tests = list(zip(house.scoring.fit, holds, strict=True))
    thirds = sum((case((held, rule.thirds), else_=0) for rule, held in tests), literal(0))
    points = sum((case((held, rule.points), else_=0.0) for rule, held in tests), literal(0.0))
    clamped = case((thirds < _LOWEST, _LOWEST), (thirds > _HIGHEST, _HIGHEST), else_=thirds)
    known = or_(literal(False), *(held for rule, held in tests if rule.thirds))
    return case((known, clamped), else_=None), points
