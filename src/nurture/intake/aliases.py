"""Former names of leads: whoever a file calls by an old address or id is the lead that goes by another now."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.engine.renaming import EMAIL, ID
from nurture.records import LeadAlias

#: Kind, source (empty for an address) and value.
Name = tuple[str, str, str]


def address(email: str) -> Name:
    """The former name that an address is."""
    return EMAIL, "", email


def number(source: str | None, source_id: str) -> Name:
    """The former name that an id is, and whose."""
    return ID, source or "", source_id


def former(link: Connection, names: Iterable[Name]) -> dict[Name, int]:
    """Which of `names` are former ones, and of which lead; one statement for each kind and source."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for kind, source, value in names:
        wanted.setdefault((kind, source), set()).add(value)
    found: dict[Name, int] = {}
    for (kind, source), values in wanted.items():
        mine = (col(LeadAlias.kind) == kind, col(LeadAlias.source) == source, col(LeadAlias.value).in_(values))
        for value, lead in link.execute(select(col(LeadAlias.value), col(LeadAlias.lead_id)).where(*mine)):
            found[kind, source, value] = lead
    return found
