"""Events that pages and systems post: JSON, one or up to five hundred, with a word on each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, tuple_
from sqlmodel import col

from nurture.engine import visitors
from nurture.engine.live import Live
from nurture.errors import Refused
from nurture.intake import values
from nurture.intake.aliases import address, former, number
from nurture.intake.events import AHEAD, CLICKS
from nurture.intake.shapes import as_text, flat, quoted, snake
from nurture.intake.write import NewEvent, fits, put_events
from nurture.records import Lead
from nurture.records.types import to_micros

#: Characters of an event's id.
LONGEST_ID = 200
_KEYS = ("event", "at", "id", "visitor", "email", "lead", "data")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VISITOR = re.compile(r"[0-9a-f]{32}")


class _Wrong(ValueError):
    """One fact that cannot be taken in; says why."""


@dataclass
class Line:
    """What became of one fact."""

    #: Of an event accepted, known or refused; of a lead created, changed, unchanged or refused.
    status: str
    reason: str | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        more = {"reason": self.reason, "notes": self.notes}
        return {"status": self.status, **{name: said for name, said in more.items() if said}}


@dataclass(frozen=True)
class Told:
    """One event as it was posted; exactly one of `visitor`, `email` and `lead` (source, id) is known."""

    name: str
    at: datetime
    key: str
    data: dict[str, Any]
    visitor: str | None
    email: str | None
    lead: tuple[str, str] | None


@dataclass(frozen=True)
class Sender:
    """With whose facts we deal. `source`: the name of the key; `zone`: of instants without one."""

    source: str
    zone: str
    #: Of a Standard Webhooks delivery: the same id is the same delivery.
    delivery: str | None = None


@dataclass
class Report:
    """A line for each fact, and the leads that are to be settled."""

    lines: list[Line]
    leads: set[int] = field(default_factory=set)


def read_events(facts: Sequence[Any], sender: Sender, now: datetime) -> list[Told | Line]:
    """Each fact as an event, or as the line that refuses it."""
    read: list[Told | Line] = []
    for place, fact in enumerate(facts):
        try:
            read.append(_event(fact, sender, now, place))
        except ValueError as problem:
            read.append(Line("refused", str(problem)))
    return read


def take_events(
    link: Connection, live: Live, read: Sequence[Told | Line], sender: Sender, now: datetime, *, click_rest: timedelta,
    machine: str | None = None, opted_out: bool | None = None,
) -> Report:  # fmt: skip
    """Record what is new; the caller settles. Events of leads that are not known are refused, as an import does.

    `machine`: why the browser that sent them is known to be none of a person's; `opted_out`: its Sec-GPC.
    """
    told = [one for one in read if isinstance(one, Told)]
    known = visitors.known_keys(link, {(sender.source, one.key) for one in told})
    leads = _leads(link, told)
    report, seen, events, waiting = Report([]), [], [], {}
    for one in read:
        line = one if isinstance(one, Line) else Line("accepted")
        report.lines.append(line)
        if isinstance(one, Line):
            continue
        key = (sender.source, one.key)
        if key in known:
            line.status = "known"
        elif one.visitor is not None:
            seen.append(_seen(one, sender, machine))
            waiting[key] = line
        elif (lead := leads.get(one.email or one.lead)) is None:
            line.status, line.reason = "refused", "names no lead that is known here; send it to /leads first"
            continue
        else:
            ripe = one.at + click_rest if one.name in CLICKS else now
            events.append(NewEvent(lead, one.name, one.at, now, ripe, one.data, sender.source, one.key))
            report.leads.add(lead)
        known.add(key)
    put_events(link, events)
    taken = visitors.take(link, live, seen, now, opted_out=opted_out)
    report.leads.update(taken.leads)
    for key in waiting.keys() - taken.kept:
        waiting[key].status = "refused"
        waiting[key].reason = "its visitor is a lead that has not agreed to be followed"
    return report


def _seen(one: Told, sender: Sender, machine: str | None) -> visitors.Seen:
    actor = "machine" if machine else "person"
    return visitors.Seen(str(one.visitor), one.name, one.at, one.data, sender.source, one.key, actor, machine)


def _event(fact: Any, sender: Sender, now: datetime, place: int) -> Told:
    if not isinstance(fact, dict):
        raise _Wrong('is not an object; write {"event": …}')
    odd = next((name for name in fact if name not in _KEYS), None)
    if odd is not None:
        raise _Wrong(f"{quoted(odd)} is not known here; keys are {', '.join(_KEYS)}; what else is to be kept is data")
    cells = flat(json.dumps(fact))
    for word in ("event", "at", "id", "visitor", "email"):
        if isinstance(fact.get(word), dict | list):
            raise _Wrong(f"{word}: is not one word")
    name = snake(as_text(fact.get("event")))
    if not _NAME.fullmatch(name):
        raise _Wrong(f"event: {quoted(as_text(fact.get('event')))} is no name of an event, such as page_viewed")
    at = _at(fact.get("at"), sender, now)
    visitor, email, lead = _whose(fact, sender)
    data = _data(fact.get("data"), cells)
    key = _id(fact.get("id")) or _key([name, visitor, email, lead, data], at, sender, now, place)
    return Told(name, at or now, key, data, visitor, email, lead)


def _at(said: Any, sender: Sender, now: datetime) -> datetime | None:
    if not (text := as_text(said)):
        return None
    try:
        at = values.Dates(zone=sender.zone).instant(text)
    except ValueError:
        raise _Wrong(f"at: {quoted(text)} is no instant; write one such as 2026-03-02T09:00:00+02:00") from None
    if at > now + AHEAD:
        raise _Wrong(f"at: {quoted(text)} lies in the future; set the sender's clock, or its zone, right")
    return at


def _whose(fact: Mapping[str, Any], sender: Sender) -> tuple[str | None, str | None, tuple[str, str] | None]:
    said = [name for name in ("visitor", "email", "lead") if fact.get(name) not in (None, "")]
    if len(said) != 1:
        raise _Wrong(f"names {'two' if said else 'nobody'}; say one of visitor, email and lead")
    who = fact[said[0]]
    if said == ["visitor"]:
        if not isinstance(who, str) or not _VISITOR.fullmatch(who):
            raise _Wrong("visitor: is not 32 hexadecimal digits")
        return who, None, None
    if said == ["email"]:
        try:
            return None, values.email(as_text(who)), None
        except ValueError as problem:
            raise _Wrong(f"email: {quoted(as_text(who))} {problem}") from None
    parts = who if isinstance(who, dict) else {"id": who}
    source, own = (as_text(parts.get(part)) for part in ("source", "id"))
    if not own or not all(isinstance(part, str | int) for part in parts.values()):
        raise _Wrong('lead: says no id; write {"source": "crm", "id": "4711"}')
    return None, None, (source or sender.source, values.line_of_text(own))


def _data(said: Any, cells: Mapping[str, Any]) -> dict[str, Any]:
    """As an import has it: nested objects by dotted names, names as conditions write them, nothing empty."""
    if said is not None and not isinstance(said, dict):
        raise _Wrong("data: is not an object")
    data = {}
    for dotted, cell in cells.items():
        name = snake(dotted.removeprefix("data.")) if dotted.startswith("data.") else ""
        value = cell.strip() if isinstance(cell, str) else cell
        if name and value not in (None, ""):
            data[name] = value
    try:
        fits(data)
    except Refused as problem:
        raise _Wrong(f"data: {problem}") from None
    return data


def _id(said: Any) -> str | None:
    text = as_text(said)
    if len(text) > LONGEST_ID:
        raise _Wrong(f"id: has more than {LONGEST_ID} characters")
    try:
        return values.line_of_text(text) or None
    except ValueError as problem:
        raise _Wrong(f"id: {problem}") from None


def _key(meaning: list[Any], at: datetime | None, sender: Sender, now: datetime, place: int) -> str:
    """What an event without an id is known by: its delivery and place there, else what it says.

    One that names no instant either is one with its like of the same day (UTC): a repeated request counts once, and
    tomorrow's visit is another.
    """
    if sender.delivery is not None:
        return f"{sender.delivery}:{place}"
    when = now.date().isoformat() if at is None else to_micros(at)
    whole = json.dumps([*meaning, when], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()


def _leads(link: Connection, told: Sequence[Told]) -> dict[Any, int]:
    """Ids of leads by address and by (source, id); a former name means its lead, if nobody is called so now."""
    emails = {one.email for one in told if one.email}
    pairs = {one.lead for one in told if one.lead}
    names = {**{address(email): email for email in emails}, **{number(*pair): pair for pair in pairs}}
    found: dict[Any, Any] = {names[name]: lead for name, lead in former(link, names).items()}
    if emails:
        known = select(col(Lead.email), col(Lead.id)).where(col(Lead.email).in_(emails))
        found |= {email: lead for email, lead in link.execute(known)}
    if pairs:
        here = (col(Lead.source), col(Lead.source_id))
        theirs = select(*here, col(Lead.id)).where(tuple_(*here).in_(pairs))
        found |= {(whose, own): lead for whose, own, lead in link.execute(theirs)}
    return found
