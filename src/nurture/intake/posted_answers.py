"""What another system tells of sales' answers over the web: POST /answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.engine.live import Live
from nurture.errors import NotFound, Refused
from nurture.intake import values
from nurture.intake.answering import Given, answer_word, handoff_number, key_of, take
from nurture.intake.events import AHEAD
from nurture.intake.posted import Line, Report, Sender
from nurture.intake.shapes import as_text, quoted, snake
from nurture.intake.whose import leads_of
from nurture.records import Handoff

_KEYS = (
    "handoff", "email", "lead", "answer", "reason", "note", "value", "currency", "until", "at", "by", "id",
)  # fmt: skip


class _Wrong(ValueError):
    """Why one answer is not taken in."""


def take_answers(
    link: Connection, live: Live, facts: Sequence[Any], sender: Sender, now: datetime, first: int = 0
) -> Report:
    """Take the answers in their order; the caller settles. Each line says accepted, known, or why it is refused.

    `first`: the place of the first of them in what was sent.
    """
    report = Report([])
    for place, fact in enumerate(facts, first):
        line = Line("accepted")
        report.lines.append(line)
        try:
            given = _given(fact, sender, now, place)
            lead = _lead(link, given, sender)
            if not take(link, live, given, lead, now, "webhook"):
                line.status = "known"
                continue
            report.leads.add(lead)
        except (ValueError, NotFound, Refused) as problem:
            line.status, line.reason = "refused", str(problem)
    return report


def _lead(link: Connection, given: Given, sender: Sender) -> int:
    """Whose answer it is. Raises NotFound."""
    if given.handoff is not None:
        found = link.execute(select(col(Handoff.lead_id)).where(col(Handoff.id) == given.handoff)).scalar()
        if found is None:
            raise NotFound(f"there is no hand-off {given.handoff}")
        return int(found)
    whose = given.lead or (sender.source, None)
    row = [given.email, whose[1], *[None] * 5]
    leads = leads_of(link, [(0, row)], whose[0])
    lead = leads.get(given.email or whose)
    if lead is None:
        raise NotFound("names no lead that is known here; send it to /leads first")
    return lead


def _given(fact: Any, sender: Sender, now: datetime, place: int) -> Given:
    if not isinstance(fact, dict):
        raise _Wrong('is not an object; write {"handoff": 7, "answer": "accepted"}')
    odd = next((name for name in fact if name not in _KEYS), None)
    if odd is not None:
        raise _Wrong(f"{quoted(odd)} is not known here; keys are {', '.join(_KEYS)}")
    nested = next((name for name in _KEYS if name != "lead" and isinstance(fact.get(name), dict | list)), None)
    if nested is not None:
        raise _Wrong(f"{nested}: is not one word")
    whose = _whose(fact, sender)
    word = _read(fact, "answer", answer_word)
    if word is None:
        raise _Wrong("answer: is missing; say accepted, rejected, met, sql, opportunity, won, lost or recycled")
    dates = values.Dates(zone=sender.zone)
    at = _read(fact, "at", dates.instant)
    if at is not None and at > now + AHEAD:
        raise _Wrong("at: lies in the future; set the sender's clock, or its zone, right")
    own = _read(fact, "id", values.line_of_text)
    said = {name: _read(fact, name, values.line_of_text) for name in ("by", "note", "currency")}
    reason, value, until = _read(fact, "reason", snake), _read(fact, "value", _amount), _read(fact, "until", dates.day)
    if own is None and sender.delivery is not None:
        own = f"{sender.delivery}:{place}"
    key = key_of(sender.source, own, [*whose, word, reason, value, said["currency"], at])
    day = None if until is None else datetime.fromisoformat(until).date()
    return Given(word, at or now, key, *whose, **said, reason=reason, value=value, until=day)


def _whose(fact: Mapping[str, Any], sender: Sender) -> tuple[int | None, str | None, tuple[str, str] | None]:
    said = [name for name in ("handoff", "email", "lead") if fact.get(name) not in (None, "")]
    if len(said) != 1:
        raise _Wrong(f"names {'two' if said else 'nobody'}; say one of handoff, email and lead")
    if said == ["handoff"]:
        return _read(fact, "handoff", handoff_number), None, None
    if said == ["email"]:
        return None, _read(fact, "email", values.email), None
    parts = fact["lead"] if isinstance(fact["lead"], dict) else {"id": fact["lead"]}
    source, own = (as_text(parts.get(part)) for part in ("source", "id"))
    if not own:
        raise _Wrong('lead: says no id; write {"source": "crm", "id": "4711"}')
    return None, None, (source or sender.source, values.line_of_text(own))


def _amount(text: str) -> float:
    return float(values.number(text))


def _read(fact: Mapping[str, Any], name: str, read: Any) -> Any:
    text = as_text(fact.get(name)).strip()
    if not text:
        return None
    try:
        return read(text)
    except ValueError as problem:
        raise _Wrong(f"{name}: {quoted(text)} {problem}") from None
