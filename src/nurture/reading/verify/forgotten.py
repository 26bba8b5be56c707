"""Who was forgotten has left a shell: no name, no address, no row that says more than that something happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, Text, and_, cast, or_, select
from sqlmodel import col

from nurture.reading.verify.base import Context, Invariant, offender
from nurture.records import Event, Lead, Touch
from nurture.records.types import micros
from nurture.rights.schema import FATES, TABLES

#: Rows that a shell may get again, since rules look at every lead, or that are between two looks.
_DERIVED = ("work", "holding", "refusal", "enrolment_queue", "score_entry", "score_sum")
#: Tables of which nothing stays, that name a lead by its number.
_PERSONAL = (
    "lead_tag",
    "lead_list",
    "lead_alias",
    "confirmation",
    "preference",
    "refused_topic",
    "objection",
    "visitor",
)
_GONE = col(Lead.forgotten_at).is_not(None)
assert not {*_PERSONAL, *_DERIVED} & FATES.keys()


def _left(_: Context) -> Iterator[Select[Any]]:
    named = [TABLES["lead"].c[name].is_not(None) for name, value in FATES["lead"].emptied.items() if value is None]
    filled = [cast(TABLES["lead"].c[name], Text) != "{}" for name in ("fields", "folded")]
    yield offender("lead", col(Lead.id), col(Lead.id), "was forgotten, and its row says who it was").where(
        _GONE, or_(*named, *filled)
    )
    for name in _PERSONAL:
        rows = TABLES[name].c
        theirs = select(1).where(rows.lead_id == col(Lead.id)).correlate(Lead).exists()
        yield offender("lead", col(Lead.id), col(Lead.id), f"was forgotten, and has rows in {name}").where(
            _GONE, theirs
        )
    forgotten = and_(col(Lead.id) == col(Touch.lead_id), _GONE)
    address = offender("touch", col(Touch.id), col(Touch.lead_id), "has an address of somebody who was forgotten")
    yield address.join_from(Touch, Lead, forgotten).where(col(Touch.address).is_not(None))
    before = micros(col(Event.recorded_at)) <= micros(col(Lead.forgotten_at))
    told = offender("event", col(Event.id), col(Event.lead_id), "has data of somebody who was forgotten")
    mine = and_(col(Lead.id) == col(Event.lead_id), _GONE)
    yield told.join_from(Event, Lead, mine).where(before, cast(col(Event.data), Text) != "{}")


INVARIANTS = [
    Invariant(
        "nothing is left of who was forgotten",
        "Something of these people is still here, though they were told that it is not.",
        "'nurture forget' their number again, and please report it.",
        _left,
    ),
]
