"""Facts into the database, one or many, each with its row of the work list in the same transaction.

Locks are taken in the order of the house: work, lead, event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlmodel import SQLModel

from nurture.dialects import upsert
from nurture.engine.suppressing import suppress
from nurture.errors import Refused
from nurture.intake.people import put_people
from nurture.intake.person import Outcome, Person
from nurture.worklist import put_work

__all__ = [
    "MAX_DATA",
    "NewEvent",
    "Outcome",
    "Person",
    "put_event",
    "put_events",
    "put_lead",
    "put_people",
    "put_work",
]

#: Bytes of an event's data as JSON.
MAX_DATA = 16_384
#: Events after which a person is never written to again.
GOODBYES = ("unsubscribed", "complained")
_EVENT = SQLModel.metadata.tables["event"]
_LEAD = SQLModel.metadata.tables["lead"]
_CONSENT = SQLModel.metadata.tables["consent"]


@dataclass(slots=True)
class NewEvent:
    """An event about to be recorded; `ripe_at` is from when it counts, (source, key) says which one it is."""

    lead_id: int
    name: str
    occurred_at: datetime
    recorded_at: datetime
    ripe_at: datetime
    data: dict[str, Any]
    source: str
    key: str
    actor: str = "person"
    touch_id: int | None = None
    classed_by: str | None = None

    @property
    def due_at(self) -> datetime:
        """When its lead must be looked at."""
        return max(self.recorded_at, self.ripe_at)

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def put_lead(
    link: Connection, values: dict[str, Any], *, now: datetime, source: str, source_id: str | None = None,
    tags: Iterable[str] = (), lists: Iterable[str] = (), consent: str | None = None, tracking: str | None = None,
    sms: str | None = None, changed_addresses: bool = False,
) -> tuple[int, str]:  # fmt: skip
    """Create or complete one lead: its id, and `created`, `changed` or `unchanged`.

    `values` holds built-in columns and custom fields by name, already typed; `consent`, `tracking` and `sms` a basis
    or `no`; `changed_addresses`: an id known with another address tells of a change of address. Raises Refused when
    e-mail and id belong to two leads. The caller's transaction is a door's.
    """
    person = Person.of(
        values, source=source, source_id=source_id, tags=tags, lists=lists, mail=consent, tracking=tracking, sms=sms
    )
    outcome = put_people(link, [person], now=now, origin=source, changed_addresses=changed_addresses)[0]
    if outcome.lead_id is None:
        raise Refused(outcome.problem or "the lead was not written")
    return outcome.lead_id, outcome.state


def put_event(
    link: Connection, lead_id: int, name: str,
    occurred_at: datetime, recorded_at: datetime, ripe_at: datetime,
    data: dict[str, Any], source: str, key: str, actor: str = "person", touch_id: int | None = None,
    classed_by: str | None = None,
) -> int | None:  # fmt: skip
    """Record one event under its lead's lock and put the lead on the work list; None: it was known already.

    Raises Refused when `data` is larger than MAX_DATA.
    """
    fits(data)
    event = NewEvent(
        lead_id, name, occurred_at, recorded_at, ripe_at, data, source, key, actor, touch_id, classed_by
    )  # fmt: skip
    new = put_events(link, [event])
    return new[0] if new else None


def fits(data: dict[str, Any]) -> None:
    """Raise Refused if an event's data is too large to keep."""
    size = len(json.dumps(data, ensure_ascii=False).encode())
    if size > MAX_DATA:
        raise Refused(f"an event's data may have {MAX_DATA:,} bytes; this has {size:,}")


def put_events(link: Connection, events: Sequence[NewEvent]) -> list[int]:
    """Record those of `events` that are not known yet; the ids of the new ones."""
    known = _known_keys(link, events)
    said = _said_goodbyes(link, events)
    new = {
        (event.source, event.key): event
        for event in reversed(events)
        if (event.source, event.key) not in known and (event.lead_id, event.name, event.occurred_at) not in said
    }
    if not new:
        return []
    fresh = list(reversed(new.values()))
    by_due: dict[datetime, set[int]] = {}
    for event in fresh:
        by_due.setdefault(event.due_at, set()).add(event.lead_id)
    for due_at, leads in sorted(by_due.items()):
        put_work(link, select(_LEAD.c.id).where(_LEAD.c.id.in_(leads)), due_at)
    if link.dialect.name != "sqlite":
        ids = sorted({event.lead_id for event in fresh})
        link.execute(select(_LEAD.c.id).where(_LEAD.c.id.in_(ids)).order_by(_LEAD.c.id).with_for_update(key_share=True))
    statement = upsert(link)(_EVENT).on_conflict_do_nothing(index_elements=["source", "key"]).returning(_EVENT.c.id)
    ids = list(link.execute(statement, [event.row() for event in fresh]).scalars())
    _goodbyes(link, fresh)
    return ids


def _known_keys(link: Connection, events: Sequence[NewEvent]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for source in {event.source for event in events}:
        keys = [event.key for event in events if event.source == source]
        known = select(_EVENT.c.key).where(_EVENT.c.source == source, _EVENT.c.key.in_(keys))
        found |= {(source, key) for key in link.execute(known).scalars()}
    return found


def _said_goodbyes(link: Connection, events: Sequence[NewEvent]) -> set[tuple[int, str, datetime]]:
    """Of the goodbyes among `events` those that are in the log, whatever they are called there: one instant, one no."""
    instants = {event.occurred_at for event in events if event.name in GOODBYES}
    if not instants:
        return set()
    leads = {event.lead_id for event in events if event.name in GOODBYES}
    known = select(_EVENT.c.lead_id, _EVENT.c.name, _EVENT.c.occurred_at).where(
        _EVENT.c.lead_id.in_(leads), _EVENT.c.name.in_(GOODBYES), _EVENT.c.occurred_at.in_(instants)
    )
    return {(row.lead_id, row.name, row.occurred_at) for row in link.execute(known)}


def _goodbyes(link: Connection, events: Sequence[NewEvent]) -> None:
    """Whoever said goodbye elsewhere is not written to here: suppressed, and consents withdrawn."""
    said = [event for event in events if event.name in GOODBYES]
    if not said:
        return
    leads = sorted({event.lead_id for event in said})
    known = select(_LEAD.c.id, _LEAD.c.email).where(_LEAD.c.id.in_(leads))
    emails: dict[int, str | None] = {row.id: row.email for row in link.execute(known)}
    rows = [
        {"kind": kind, "value": value, "reason": event.name, "source": event.source, "at": event.occurred_at}
        for event in said
        for kind, value in (("lead", str(event.lead_id)), ("address", emails[event.lead_id]))
        if value
    ]
    suppress(link, rows)
    theirs = _CONSENT.c.lead_id.in_(leads) & _CONSENT.c.withdrawn_at.is_(None)
    link.execute(update(_CONSENT).where(theirs).values(withdrawn_at=said[0].recorded_at, withdrawn_by=said[0].source))
