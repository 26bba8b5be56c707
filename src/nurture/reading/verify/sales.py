"""Nobody forgets a hand-off: something is due about each open one, and each that was passed on has a successor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, String, cast, func, literal, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.reading.verify.base import Context, Invariant
from nurture.reading.verify.people import handoff
from nurture.records import Handoff


def _looked_at(_: Context) -> Iterator[Select[Any]]:
    timeless = col(Handoff.next_at).is_(None)
    # those from before hand-offs had terms are known by this: nobody wrote down why they are their owner's
    of_now = col(Handoff.routed_by).is_not(None)
    yield handoff("is open, and nobody will ever be reminded", col(Handoff.state) == "open", timeless, of_now)
    over = col(Handoff.state).not_in(("open", "accepted"))
    yield handoff(literal("is ") + col(Handoff.state) + literal(", and something is due about it"), over, ~timeless)


def _succeeded(_: Context) -> Iterator[Select[Any]]:
    other = aliased(Handoff)
    here = (col(other.lead_id) == col(Handoff.lead_id)) & (col(other.state) == "reassigned")
    before = select(1).select_from(other).where(here, col(other.id) == col(Handoff.instead_of)).correlate(Handoff)
    said = literal("stands instead of ") + cast(col(Handoff.instead_of), String) + literal(", which was not passed on")
    yield handoff(said, col(Handoff.instead_of).is_not(None), ~before.exists())
    mine = col(other.instead_of) == col(Handoff.id)
    after = select(func.count()).select_from(other).where(mine).correlate(Handoff).scalar_subquery()
    said = literal("was passed on to ") + cast(after, String) + literal(" others")
    yield handoff(said, col(Handoff.state) == "reassigned", after != 1)


INVARIANTS = [
    Invariant(
        "something is due about every open hand-off, and about none that is over",
        "A lead may wait for an answer that nobody is reminded of.",
        "Answer these, or give them to somebody with 'nurture reassign', and please report it.",
        _looked_at,
    ),
    Invariant(
        "a hand-off that was passed on has one in its place",
        "A lead was taken from its owner and given to nobody, or to two.",
        "Look at the lead with 'nurture explain', give it to somebody, and please report it.",
        _succeeded,
    ),
]
