"""What sales knows already: its answers to earlier hand-offs of a lead, and the deals with others of the company."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.engine.reader import Reader, name_of
from nurture.program.load import House
from nurture.records import Handoff, Lead
from nurture.records.types import Instant

#: Days within which a deal of somebody else of the company is recent.
_RECENT = timedelta(days=90)
_OVER = ("won", "lost", "recycled")
_INSTEAD = select(col(Handoff.owner), col(Handoff.deadline_at), col(Handoff.answered_at)).where(
    col(Handoff.id) == bindparam("the_handoff")
)
_NEXT = aliased(Handoff)
#: When the hand-off that stands instead of this one was opened.
_WENT_ON = select(func.min(col(_NEXT.opened_at))).where(col(_NEXT.instead_of) == col(Handoff.id)).correlate(Handoff)
_EARLIER = (
    select(Handoff.__table__, _WENT_ON.scalar_subquery().label("went_on_at"))  # type: ignore[attr-defined]
    .where(
        col(Handoff.lead_id) == bindparam("the_lead"), col(Handoff.id) < bindparam("the_handoff"),
        col(Handoff.state) != "open",
    )
    .order_by(col(Handoff.id).desc())
    .limit(3)
)  # fmt: skip
_SAME = select(col(Lead.account)).where(col(Lead.id) == bindparam("the_lead")).scalar_subquery()
_LATEST = select(func.max(col(Handoff.id))).where(col(Handoff.lead_id) == col(Lead.id)).correlate(Lead)
_WORKS = or_(
    col(Handoff.state) == "open",
    (col(Handoff.state) == "accepted") & (col(Handoff.progress).is_(None) | col(Handoff.progress).not_in(_OVER)),
    (col(Handoff.progress_at) >= bindparam("recently", type_=Instant())) & col(Handoff.progress).in_(("won", "lost")),
)
_OTHERS = (
    select(
        col(Lead.first_name), col(Lead.last_name), col(Lead.email), col(Lead.title), col(Handoff.owner),
        func.coalesce(col(Handoff.progress), col(Handoff.state)).label("what"),
    )
    .join_from(Lead, Handoff, col(Handoff.lead_id) == col(Lead.id))
    .where(col(Lead.account) == _SAME, col(Lead.id) != bindparam("the_lead"), col(Lead.forgotten_at).is_(None), _WORKS)
    .where(col(Handoff.id) == _LATEST.scalar_subquery())
    .order_by(col(Handoff.opened_at).desc())
    .limit(5)
)  # fmt: skip


@dataclass(frozen=True)
class Before:
    """`instead`: who had the hand-off that this one took the place of; `late`: since they let its deadline pass.
    `earlier`: what sales said of this lead, the latest first. `account`: others of the same company with an open or a
    recent deal.
    """

    instead: str | None = None
    late: bool = False
    earlier: list[dict[str, str | None]] = field(default_factory=list)
    account: dict[str, Any] | None = None


def missed(deadline: datetime, went_on: datetime | None, answered: datetime | None = None) -> bool:
    """Whether nobody answered by the deadline; else the hand-off was given to somebody else, before it or `answered`.

    `went_on`: when the one that stands instead of it was opened; None where there is none, as of old ones.
    """
    return answered is None and (went_on is None or went_on > deadline)


def known_already(
    link: Connection, house: House, row: Any, company: str | None, reader: Reader, now: datetime
) -> Before:  # fmt: skip
    """What is known of the lead of the hand-off `row` as of `now`, told to `reader`."""
    others = _account(link, row, house, company, reader, now)
    earlier = _earlier(link, house, row, reader)
    before = link.execute(_INSTEAD, {"the_handoff": row.instead_of}).one_or_none() if row.instead_of else None
    if before is None:
        return Before(earlier=earlier, account=others)
    late = missed(before.deadline_at, row.opened_at, before.answered_at)
    return Before(name_of(house, before.owner), late, earlier, others)


def _earlier(link: Connection, house: House, row: Any, reader: Reader) -> list[dict[str, str | None]]:
    found = []
    for before in link.execute(_EARLIER, {"the_lead": row.lead_id, "the_handoff": row.id}):
        said, why = reader.say, before.lost_reason if before.progress == "lost" else before.reason
        word = before.progress or before.state
        at = before.progress_at or before.answered_at or before.deadline_at
        if before.state == "reassigned" and missed(before.deadline_at, before.went_on_at, before.answered_at):
            word = "expired"
        elif before.state == "reassigned":
            at = before.went_on_at
        what = said.get(word, word) + (f": {said.get(why, why.replace('_', ' '))}" if why else "")
        by = name_of(house, before.answered_by or before.owner)
        found.append({"when": reader.when(at, "d MMM y"), "by": by, "what": what, "note": before.note})
    return found


def _account(
    link: Connection, row: Any, house: House, company: str | None, reader: Reader, now: datetime
) -> dict[str, Any] | None:  # fmt: skip
    people = [
        {
            "who": " ".join(filter(None, (one.first_name, one.last_name))) or one.email or reader.say["a_lead"],
            "title": one.title,
            "what": _deal(one.what, name_of(house, one.owner), reader),
        }
        for one in link.execute(_OTHERS, {"the_lead": row.lead_id, "recently": now - _RECENT})
    ]
    if not people:
        return None
    return {"title": reader.filled("account", company=company or reader.say["the_same_company"]), "people": people}


def _deal(what: str, owner: str, reader: Reader) -> str:
    if f"deal_{what}" in reader.say:
        return reader.filled(f"deal_{what}", owner=owner)
    return reader.filled("deal_of", what=reader.say.get(what, what), owner=owner)
