"""What a salesperson says in a form of the hand-off's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from babel.core import get_global
from babel.numbers import get_territory_currencies

from nurture.engine.answers import FORMS, LARGEST_VALUE, LONGEST_NOTE
from nurture.engine.telling_sales import ACCEPT, ANSWERS, PAGE
from nurture.intake import values
from nurture.program.lifecycle import REJECTIONS, Lifecycle
from nurture.program.models import ProgramFile


@dataclass(frozen=True)
class Choice:
    """What a link stands for. `answer`: None is the page with all choices; `form`: it is one of that page's own."""

    item: int
    answer: str | None
    reason: str | None = None
    form: bool = False


class Wrong(ValueError):
    """A field that cannot be read: its name."""


def choice_of(item: int) -> Choice | None:
    """What the item of a token stands for; None: nothing."""
    if item == PAGE:
        return Choice(item, None)
    if item == ACCEPT:
        return Choice(item, "accepted")
    if item in ANSWERS:
        return Choice(item, "rejected", ANSWERS[item])
    return Choice(item, FORMS[item], form=True) if item in FORMS else None


def read(choice: Choice, said: Mapping[str, str], lifecycle: Lifecycle, today: date) -> dict[str, Any]:
    """What goes with the answer, of what was sent. Raises Wrong."""
    found: dict[str, Any] = {"reason": choice.reason}
    note = said.get("note", "").strip()
    if len(note) > LONGEST_NOTE:
        raise Wrong("note")
    found["note"] = note or None
    if choice.form and choice.answer in ("rejected", "lost"):
        known = REJECTIONS if choice.answer == "rejected" else tuple(lifecycle.lost_reasons)
        found["reason"] = said.get("reason", "")
        if found["reason"] not in known:
            raise Wrong("reason")
    if choice.answer in ("lost", "recycled") or found["reason"] == "premature":
        found["until"] = _day(said.get("until", "").strip(), today)
    if choice.answer in ("opportunity", "won"):
        found |= _worth(said.get("value", "").strip(), said.get("currency", "").strip().upper())
    return found


def _day(text: str, today: date) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        raise Wrong("until") from None
    if day is not None and day <= today:
        raise Wrong("until")
    return day


def _worth(value: str, currency: str) -> dict[str, Any]:
    if not value:
        return {}
    try:
        number = float(values.number(value))
    except ValueError:
        raise Wrong("value") from None
    if not 0 <= number <= LARGEST_VALUE:
        raise Wrong("value")
    if currency and currency not in get_global("all_currencies"):
        raise Wrong("currency")
    return {"value": number, "currency": currency or None}


def plain(value: float | None) -> str:
    """An amount as it is entered: no exponent, and thousandths at most."""
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def usual_currency(program: ProgramFile, now: datetime) -> str:
    """What people of the program's country pay with; empty where it names none."""
    country = program.country
    found = get_territory_currencies(country, now.astimezone(UTC).date()) if country else []
    return str(found[0]) if found else ""
