"""What sales says of a hand-off, whichever door brings it: in which order, and once."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.core import get_global
from sqlalchemy import Connection, select, update
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine.answered import ENDS, PROGRESS, Said, follow, meeting_by
from nurture.engine.doors import add_event, forgotten, lock_lead, settle_one
from nurture.engine.live import Live
from nurture.errors import NotFound, Refused
from nurture.program.lifecycle import REJECTIONS
from nurture.program.load import House
from nurture.records import Handoff, HandoffAnswer, Lead

ANSWERS = ("accepted", "rejected", *PROGRESS)
#: The event that each answer leaves.
EVENTS = {
    "accepted": "handoff_accepted", "rejected": "handoff_rejected", "met": "handoff_met", "sql": "handoff_sql",
    "opportunity": "handoff_opportunity", "won": "deal_won", "lost": "deal_lost", "recycled": "handoff_recycled",
}  # fmt: skip
#: What a page's forms answer, as it stands in their links' tokens; below 16 are those of the notice. Only added to.
FORMS = {16 + place: word for place, word in enumerate((*PROGRESS, "rejected"))}
LONGEST_NOTE = 2_000
#: No deal is worth more, in whatever currency; beyond it thousandths are lost.
LARGEST_VALUE = 1e12
#: Of what people paste: control characters and halves of characters, which no database takes.
_UNKEPT = ("Cc", "Cs")


@dataclass(frozen=True)
class Outcome:
    """What a hand-off is after an answer. `news`: whether this answer made it so; else it was so before."""

    news: bool
    state: str
    reason: str | None
    progress: str | None
    by: str | None
    at: datetime | None


def answer(
    link: Connection, live: Live, handoff: int, answer: str, *, by: str | None, now: datetime, source: str, key: str,
    at: datetime | None = None, reason: str | None = None, note: str | None = None, value: float | None = None,
    currency: str | None = None, until: date | None = None, settle: bool = True,
) -> Outcome:  # fmt: skip
    """Take one answer to a hand-off in this transaction, and settle its lead at once, or leave that to the next tick.

    The same `source` and `key` twice is one answer. `by`: None is the hand-off's owner; `at`: when it was given, if
    before `now`; `value` in `currency` (ISO 4217); `until`: the first day on which the lead may be nurtured again.
    Raises NotFound, and Refused for what cannot follow on what was said before.
    """
    lead = link.execute(select(col(Handoff.lead_id)).where(col(Handoff.id) == handoff)).scalar()
    if lead is None:
        raise NotFound(f"there is no hand-off {handoff}; 'nurture handoffs' lists them")
    lock_lead(link, lead, now)
    if forgotten(link, lead):
        raise Refused(f"the lead of hand-off {handoff} was forgotten; nothing more is written of it")
    row = _row(link, handoff)
    known = select(col(HandoffAnswer.id)).where(col(HandoffAnswer.source) == source, col(HandoffAnswer.key) == key)
    if link.execute(known).first() is not None:
        return _outcome(row, news=False)
    said = _checked(
        live, row,
        Said(answer, by or row.owner, min(at or now, now), now, source, key, reason, note, value, currency, until),
    )  # fmt: skip
    if not _taken(link, live, row, said):
        return _outcome(_row(link, handoff), news=False)
    link.execute(update(Lead).where(col(Lead.id) == lead).values(changed_at=now))
    if settle:
        settle_one(link, live, lead, now)
    return _outcome(_row(link, handoff), news=True)


def the_handoff(link: Connection, lead: int, by: datetime) -> int | None:
    """The hand-off of a lead that an answer given `by` then is about: the latest that had been opened."""
    mine = select(col(Handoff.id)).where(col(Handoff.lead_id) == lead, col(Handoff.opened_at) <= by)
    return link.execute(mine.order_by(col(Handoff.id).desc()).limit(1)).scalar()


def day_of(house: House, at: datetime) -> date:
    """Which day it is for the program: what a lead may rest until is a later one."""
    return at.astimezone(ZoneInfo(house.program.zone)).date()


def successor(link: Connection, row: Any) -> Any:
    """The hand-off that stands instead of one that nobody answered, by way of others; the same one where none does."""
    following = select(Handoff.__table__).where(col(Handoff.instead_of) == row.id)  # type: ignore[attr-defined]
    found = link.execute(following.order_by(col(Handoff.id)).limit(1)).one_or_none()
    return row if found is None else successor(link, found)


def _row(link: Connection, handoff: int) -> Any:
    return link.execute(select(Handoff.__table__).where(col(Handoff.id) == handoff)).one()  # type: ignore[attr-defined]


def _outcome(row: Any, *, news: bool) -> Outcome:
    return Outcome(news, row.state, row.reason, row.progress, row.answered_by, row.progress_at or row.answered_at)


def _checked(live: Live, row: Any, said: Said) -> Said:
    """The answer with its parts in order. Raises Refused, saying what is wrong and what would do."""
    if said.answer not in ANSWERS:
        raise Refused(f"'{said.answer}' is no answer to a hand-off; say one of {', '.join(ANSWERS)}")
    reasons: dict[str, Sequence[str]] = {"rejected": REJECTIONS, "lost": tuple(live.house.lifecycle.lost_reasons)}
    if said.answer in reasons and said.reason not in reasons[said.answer]:
        what = f"'{said.reason}' is no reason" if said.reason else "no reason is said"
        raise Refused(f"{what} for '{said.answer}'; say one of {', '.join(reasons[said.answer])}")
    if said.answer not in reasons and said.reason:
        raise Refused(f"'{said.answer}' takes no reason; write it as a note")
    if said.value is not None and said.answer not in ("opportunity", "won"):
        raise Refused(f"'{said.answer}' takes no value; say it of an opportunity, or of a deal that is won")
    if said.value is not None and not 0 <= said.value <= LARGEST_VALUE:
        raise Refused(f"the value {said.value} is no amount; write a number such as 12000, up to {LARGEST_VALUE:,.0f}")
    currency = said.currency.strip().upper() if said.currency else None
    if currency is not None and (said.value is None or currency not in get_global("all_currencies")):
        raise Refused(
            f"'{said.currency}' has no value beside it" if said.value is None
            else f"'{said.currency}' is no currency; write its ISO 4217 code, such as EUR"
        )  # fmt: skip
    rests = said.answer in ("lost", "recycled") or said.reason == "premature"
    if said.until is not None and not rests:
        raise Refused(f"only a lead that goes back into nurture rests until a day, and '{said.answer}' is none such")
    if said.until is not None and said.until <= day_of(live.house, said.at):
        raise Refused(f"the lead cannot rest until {said.until}: that day has come; say a later one")
    note = "".join(one for one in said.note or "" if one in "\n\t" or unicodedata.category(one) not in _UNKEPT).strip()
    if len(note) > LONGEST_NOTE:
        raise Refused(f"the note has {len(note):,} characters; {LONGEST_NOTE:,} are kept, so say it shorter")
    return replace(said, at=max(said.at, row.opened_at), note=note or None, currency=currency)


def _taken(link: Connection, live: Live, row: Any, said: Said) -> bool:
    """Take the answer, or find that the hand-off is so already. Raises Refused where it cannot be."""
    if _already(link, row, said):
        return _revalued(link, row, said)
    if row.state == "open" and said.answer in PROGRESS:  # who has met the lead has taken it
        first = Said("accepted", said.by, said.at, said.now, said.source, f"{said.key}:accepted")
        if not _taken(link, live, row, first):
            return False
        row = _row(link, row.id)
    mine = (col(Handoff.id) == row.id) & (col(Handoff.state) == row.state)
    if link.execute(update(Handoff).where(mine).values(**_noted(live, row, said))).rowcount != 1:
        return _taken(link, live, _row(link, row.id), said)  # its deadline has passed meanwhile
    _write(link, row, said)
    data = {
        "handoff": row.id, "milestone": row.milestone, "reason": said.reason, "value": said.value,
        "currency": said.currency,
    }  # fmt: skip
    add_event(
        link, row.lead_id, EVENTS[said.answer], said.now, source="sales", key=f"handoff:{row.id}:{said.answer}",
        data={name: one for name, one in data.items() if one is not None}, actor="system", at=said.at,
    )  # fmt: skip
    follow(link, live, row, said)
    return True


def _already(link: Connection, row: Any, said: Said) -> bool:
    """Whether the hand-off is what the answer says, and nothing is to be done. Raises Refused for a wrong order."""
    was = f"hand-off {row.id} was {row.state}"
    by = f" by {row.answered_by} on {row.answered_at:%Y-%m-%d %H:%M}Z" if row.answered_by else ""
    if row.state in ("expired", "reassigned"):
        raise Refused(_whose(link, row))
    if row.state == "open":
        if said.answer == "recycled":
            raise Refused(f"hand-off {row.id} is open; a lead that nobody took is rejected, as premature")
        return False
    if row.state == "rejected":
        if (said.answer, said.reason) == ("rejected", row.reason):
            return True
        raise Refused(f"{was} ({row.reason}){by}; nothing was changed: its lead's next milestone opens another")
    if said.answer == "accepted":
        return True
    if row.progress is None:
        return False
    if row.progress == said.answer and said.reason == row.lost_reason:
        return True
    came = f"hand-off {row.id} is '{row.progress}' since {row.progress_at:%Y-%m-%d}"
    if row.progress in ENDS:
        raise Refused(f"{came}, which ends it; nothing was changed: its lead's next milestone opens another")
    if said.answer == "met":  # a further meeting
        return True
    if said.answer == "rejected":
        raise Refused(f"{came}, too late to reject it; say that it is lost, or recycled")
    if PROGRESS.index(said.answer) < PROGRESS.index(row.progress):
        left = PROGRESS[PROGRESS.index(row.progress) + 1 :]
        raise Refused(f"{came}, and does not go back to '{said.answer}'; what may follow is {', '.join(left)}")
    return False


def _whose(link: Connection, row: Any) -> str:
    """Why a hand-off that nobody answered takes no answer, and which one does."""
    last = successor(link, row)
    if last is row:
        return f"hand-off {row.id} is {row.state}; nothing was changed: its lead's next milestone opens another"
    return f"hand-off {row.id} went to {last.owner}, as hand-off {last.id}; answer that one"


def _revalued(link: Connection, row: Any, said: Said) -> bool:
    """The same answer again with another value of the deal: that is noted, and nothing else follows."""
    if said.value is None or row.progress != said.answer or (row.value, row.currency) == (said.value, said.currency):
        return False
    changed = update(Handoff).where(col(Handoff.id) == row.id)
    link.execute(changed.values(value=said.value, currency=said.currency))
    _write(link, row, said)
    return True


def _write(link: Connection, row: Any, said: Said) -> None:
    values = {
        "handoff_id": row.id, "lead_id": row.lead_id, "answer": said.answer, "at": said.at, "by": said.by,
        "reason": said.reason, "note": said.note, "value": said.value, "currency": said.currency,
        "source": said.source, "key": said.key,
    }  # fmt: skip
    link.execute(upsert(link)(HandoffAnswer).values(**values))


def _noted(live: Live, row: Any, said: Said) -> dict[str, Any]:
    """What the hand-off keeps of the answer."""
    noted: dict[str, Any] = {"next_at": None} | ({"note": said.note} if said.note else {})
    if said.answer in ("accepted", "rejected"):
        noted |= {"state": said.answer, "reason": said.reason, "answered_at": said.at, "answered_by": said.by}
    else:
        noted |= {"progress": said.answer, "progress_at": said.at}
    if said.answer == "accepted":
        noted["next_at"] = meeting_by(live, row, said)
    if said.answer == "lost":
        noted["lost_reason"] = said.reason
    if said.value is not None:
        noted |= {"value": said.value, "currency": said.currency}
    return noted
