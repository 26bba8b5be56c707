"""Whether a lead objects, as SQL."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import ColumnElement, select
from sqlmodel import col

from nurture.records import Lead, Objection

#: profiling (GDPR article 21: no mail, no score, no audience) or sharing (CCPA, Global Privacy Control: no audience).
Kind = Literal["profiling", "sharing"]


def objects(*kinds: Kind) -> ColumnElement[bool]:
    """Whether an objection of one of `kinds` stands for a lead."""
    mine = (col(Objection.lead_id) == col(Lead.id)) & col(Objection.kind).in_(kinds)
    return select(1).where(mine).correlate(Lead).exists()
