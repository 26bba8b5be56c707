"""Whether the definitions that are live are those that were signed."""

from __future__ import annotations

from nurture.db import Database
from nurture.doctor.base import Check, wrong
from nurture.program.load import House
from nurture.reading.definition_page import person
from nurture.reading.signatures import VOID, editions, standings


def definitions(db: Database, house: House | None) -> list[Check]:
    """A line where a signature is void; nothing where all stand, or nobody signed."""
    if house is None:
        return []
    with db.read() as link:
        void = [person(one.signed) for one in standings(house, editions(link)) if one.state == VOID]
    if not void:
        return []
    said = f"what {', '.join(void)} signed has changed since; 'nurture definitions --live' says how, to be signed anew"
    return [wrong("definitions", said)]
