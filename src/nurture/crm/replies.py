"""What a status or a deal of theirs says of a hand-off, and to which hand-off it is said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, select
from sqlmodel import col

from nurture.crm.base import Deal
from nurture.engine.answers import answer, successor
from nurture.engine.joining import BY as MERGE
from nurture.engine.live import Live
from nurture.errors import Refused
from nurture.folding import fold
from nurture.program.crm import Crm
from nurture.program.crm import Reply as Written
from nurture.records import Handoff
from nurture.records.types import to_micros

#: Who answers a hand-off when the record names none of sales.
BY = "crm"


@dataclass(frozen=True)
class Reply:
    """One answer of theirs. `amount` of a deal, in `currency`."""

    answer: str
    reason: str | None = None
    amount: float | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Asked:
    """The hand-off that is answered. `first`: the one that it stands instead of, if it was passed on; `at`: its day."""

    handoff: int
    first: int
    at: datetime


def meaning(crm: Crm, word: str) -> str | Written | None:
    """What a status of theirs means by `answers:`."""
    return next((said for their, said in crm.answers.items() if fold(their) == fold(word)), None)


def of_status(crm: Crm, word: str) -> Reply | None:
    """What a status says; None: nothing."""
    said = meaning(crm, word)
    if isinstance(said, Written):
        return Reply("rejected" if said.rejected else "lost", said.rejected or said.lost)
    return Reply(said) if said is not None else None


def of_deal(crm: Crm, deal: Deal) -> Reply:
    """What a deal says, as it is."""
    if deal.won is False:
        return Reply("lost", crm.deals.reasons.get(deal.reason or "", crm.deals.otherwise))
    said = "won" if deal.won else crm.deals.stages.get(deal.stage, "opportunity")
    return Reply(said, None, deal.amount, deal.currency) if said in ("won", "opportunity") else Reply(said)


def asked(link: Connection, lead: int, at: datetime) -> Asked | None:
    """What sales had been asked of a lead at that instant; None: nothing yet.

    Of the hand-offs of two leads that were merged the one that goes on, not the one that this closed.
    """
    mine = select(Handoff.__table__).where(col(Handoff.lead_id) == lead, col(Handoff.opened_at) <= at)  # type: ignore[attr-defined]
    closed = case(((col(Handoff.state) == "rejected") & (col(Handoff.answered_by) == MERGE), 1), else_=0)
    row = link.execute(mine.order_by(closed, col(Handoff.id).desc()).limit(1)).one_or_none()
    if row is None:
        return None
    first: Any = row
    while first.instead_of is not None:
        first = _row(link, first.instead_of)
    now_is = successor(link, row) if row.state in ("expired", "reassigned") else row
    return Asked(now_is.id, first.id, first.opened_at)


def give(
    link: Connection, live: Live, about: Asked, said: Reply, *, lead: int, by: str | None, at: datetime, now: datetime
) -> tuple[bool, str | None]:  # fmt: skip
    """Take the answer; its lead is left to be settled. Whether it is news, and what was not believed of it.

    An amount or a currency that we do not take is left out. Raises Refused where the answer itself is not taken.
    """
    worths = list(dict.fromkeys([(said.amount, said.currency), (said.amount, None), (None, None)]))
    key = ":".join(str(one) for one in (lead, to_micros(at), said.answer, said.reason, said.amount, said.currency))
    problem = None
    for amount, currency in worths:
        try:
            outcome = answer(
                link, live, about.handoff, said.answer, by=by or BY, now=now, at=at, source=BY,
                key=key, reason=said.reason, value=amount, currency=currency,
                settle=False,
            )  # fmt: skip
        except Refused as refused:
            problem = refused
            continue
        return outcome.news, f"left out of '{said.answer}': {problem}" if problem else None
    assert problem is not None
    raise problem


def _row(link: Connection, handoff: int) -> Any:
    return link.execute(select(Handoff.__table__).where(col(Handoff.id) == handoff)).one()  # type: ignore[attr-defined]
