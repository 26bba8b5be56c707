"""Whose a row is that names a lead by address or id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from nurture.intake.aliases import address, former, number

_LEAD = SQLModel.metadata.tables["lead"]


def leads_of(link: Connection, rows: Sequence[tuple[int, Any]], source: str | None) -> dict[Any, int]:
    """Ids of leads by address, and by (source, id there); `source`: whose ids they are unless a row says so."""
    emails = {row[0] for _, row in rows if row[0]}
    ids = {(row[6][1] if row[6] else source, row[1]) for _, row in rows if row[1]}
    found: dict[Any, int] = {}
    if emails:
        known = select(_LEAD.c.email, _LEAD.c.id).where(_LEAD.c.email.in_(emails))
        found |= {email: lead for email, lead in link.execute(known)}
    for whose in {whose for whose, _ in ids}:
        theirs = [source_id for other, source_id in ids if other == whose]
        here = select(_LEAD.c.source_id, _LEAD.c.id).where(_LEAD.c.source == whose, _LEAD.c.source_id.in_(theirs))
        found |= {(whose, source_id): lead for source_id, lead in link.execute(here)}
    names = [*map(address, emails - found.keys()), *(number(*one) for one in ids - found.keys())]
    for (kind, whose, value), lead in former(link, names).items():  # a present name comes before a former one
        found[value if kind == "email" else (whose or None, value)] = lead
    return found
