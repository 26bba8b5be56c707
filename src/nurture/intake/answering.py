"""An answer of sales as another system gives it, and the hand-off that it is about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from nurture.engine.answers import ANSWERS, answer, the_handoff
from nurture.engine.live import Live
from nurture.errors import Refused
from nurture.folding import row_number
from nurture.intake.shapes import squeeze

#: Other systems' words, squeezed.
_WORDS = {
    "accept": "accepted", "reject": "rejected", "meeting": "met", "meetingheld": "met", "connected": "met",
    "qualified": "sql", "salesqualifiedlead": "sql", "deal": "opportunity", "closedwon": "won", "closedlost": "lost",
    "customer": "won", "recycle": "recycled", "nurture": "recycled",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """One answer as another system gives it. `key`: what it is known by there; of `handoff`, `email` and `lead` one."""

    answer: str
    at: datetime
    key: str
    handoff: int | None = None
    email: str | None = None
    #: (source, id there).
    lead: tuple[str, str] | None = None
    by: str | None = None
    reason: str | None = None
    note: str | None = None
    value: float | None = None
    currency: str | None = None
    until: date | None = None


def answer_word(text: str) -> str:
    """The answer that a word means. Raises ValueError with words that follow it."""
    word = squeeze(text)
    found = next((known for known in ANSWERS if squeeze(known) == word), _WORDS.get(word))
    if found is None:
        raise ValueError(f"is no answer to a hand-off; say one of {', '.join(ANSWERS)}")
    return found


def take(link: Connection, live: Live, given: Given, lead: int | None, now: datetime, source: str) -> bool:
    """Take the answer to the hand-off it names, or that `lead` had then; whether it is news. Raises Refused."""
    number = given.handoff
    if number is None and lead is not None:
        number = the_handoff(link, lead, given.at)
        if number is None:
            raise Refused("had no hand-off by then; only what was handed to sales is answered")
    assert number is not None
    outcome = answer(
        link, live, number, given.answer, by=given.by, now=now, at=given.at, source=source, key=given.key,
        reason=given.reason, note=given.note, value=given.value, currency=given.currency, until=given.until,
        settle=False,
    )  # fmt: skip
    return outcome.news


def handoff_number(text: str) -> int:
    """The number of a hand-off. Raises ValueError with words that follow it."""
    number = row_number(text)
    if number is None:
        raise ValueError("is no number of a hand-off; 'nurture handoffs' lists them")
    return number


def key_of(source: str, own: str | None, said: Sequence[Any]) -> str:
    """What an answer is known by: where it comes from, its id there, and what it says.

    The id alone is not enough: systems give that of the deal, of which they say more than one thing.
    """
    digest = hashlib.sha256(json.dumps(list(said), ensure_ascii=False, default=str).encode()).hexdigest()
    return f"{source}:{own}:{digest}" if own else f"{source}:{digest}"
