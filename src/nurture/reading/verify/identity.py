"""Identity: a name means one lead, and a lead that was merged is one no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select
from sqlmodel import col

from nurture.reading.verify.base import Context, Invariant, offender
from nurture.records import Lead, LeadAlias, LeadMerge, Touch


def before_merge() -> ColumnElement[bool]:
    """Whether a touch began before two leads were found to be one: until then each had its own consents and caps."""
    mine = and_(col(LeadMerge.lead_id) == col(Touch.lead_id), col(LeadMerge.at) > col(Touch.sending_at))
    return select(1).where(mine).correlate(Touch).exists()


def _names(_: Context) -> Iterator[Select[Any]]:
    address = and_(col(LeadAlias.kind) == "email", col(LeadAlias.value) == col(Lead.email))
    number = and_(
        col(LeadAlias.kind) == "id",
        col(LeadAlias.source) == col(Lead.source),
        col(LeadAlias.value) == col(Lead.source_id),
    )
    said = literal("its present name is also a former one: ") + col(LeadAlias.kind)
    yield offender("lead", col(Lead.id), col(LeadAlias.lead_id), said).join_from(Lead, LeadAlias, or_(address, number))


def _gone(_: Context) -> Iterator[Select[Any]]:
    query = offender("lead", col(Lead.id), col(LeadMerge.lead_id), "was merged into another, and is still there")
    yield query.join_from(LeadMerge, Lead, col(Lead.id) == col(LeadMerge.gone_id))


INVARIANTS = [
    Invariant(
        "a name means one lead",
        "An import or a form that names them may mean either of two leads.",
        "If they are one person, 'nurture merge' them; else please report it.",
        _names,
    ),
    Invariant(
        "a lead that was merged is gone",
        "Facts may still be recorded of a lead that nobody looks at.",
        "Somebody changed a table by hand: restore a backup, or please report it.",
        _gone,
    ),
]
