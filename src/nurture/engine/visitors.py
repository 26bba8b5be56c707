"""Visitors of a website: what a browser did stays apart until it is known whose it is, then it is the lead's.

A visit moves into the event log with its own instant. Whoever is known and has not agreed to be followed leaves none.
Locks are taken in the order of the house: work, lead, then the visitor, then the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, or_, select, update
from sqlmodel import col

from nurture.dialects import greatest, new_rows, upsert
from nurture.engine import consents, doors
from nurture.engine.live import Live
from nurture.engine.objecting import has_consent, objects
from nurture.engine.running import Run
from nurture.histories import began_as_visitor
from nurture.records import Consent, Event, Lead, Visit, Visitor
from nurture.records.types import NOW_AT, instant, micros
from nurture.worklist import put_work

#: Whence an objection comes that a browser sends by itself (Global Privacy Control).
GPC = "Sec-GPC"
_KEYS: Any = bindparam("keys", expanding=True)
_THESE = col(Visitor.key).in_(_KEYS)
_OF_LEADS = select(col(Visitor.id)).where(_THESE, col(Visitor.lead_id).is_not(None))
_MOVED_AWAY = delete(Visit).where(col(Visit.visitor_id).in_(_OF_LEADS))
_COLUMNS = (
    "lead_id", "name", "occurred_at", "recorded_at", "ripe_at", "actor", "classed_by", "data", "source", "key",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that a browser did; `visitor` is its key, (`source`, `key`) say which deed it is."""

    visitor: str
    name: str
    occurred_at: datetime
    data: dict[str, Any]
    source: str
    key: str
    actor: str = "person"
    classed_by: str | None = None


@dataclass(frozen=True)
class Taken:
    """What became of visits: the leads whose they turned out to be, and the keys of those that are kept."""

    leads: list[int] = field(default_factory=list)
    #: (source, key) of the visits that are kept; the others were of leads who have not agreed.
    kept: set[tuple[str, str]] = field(default_factory=set)


def stitch(link: Connection, live: Live, key: str, lead: int, now: datetime) -> int:
    """This browser is `lead`'s from now on: its visits become the lead's events; how many they were.

    They are ripe at once; the caller settles. Of a lead that has not agreed to be followed nothing is taken, and the
    browser is nobody's; its Sec-GPC is heeded all the same. A browser that was another lead's leaves that lead what it
    did until now.
    """
    run = Run(link, live, now)
    doors.lock_lead(link, lead, now)
    if run(run.plan(("followed", "one"), lambda: _one(live)), lead=lead).first() is None:
        mine = col(Visitor.key) == key
        opted_out = link.execute(select(col(Visitor.opted_out)).where(mine).with_for_update()).scalar()
        link.execute(update(Visitor).where(mine, col(Visitor.lead_id) != lead).values(lead_id=None))
        if opted_out:
            consents.object_to(link, live, lead, "sharing", now, GPC)
        return 0
    row = {"key": key, "lead_id": lead, "first_seen_at": now, "last_seen_at": now}
    put = upsert(link)(Visitor).values(**row)
    put = put.on_conflict_do_update(index_elements=["key"], set_={"lead_id": lead})
    opted_out = link.execute(put.returning(col(Visitor.opted_out))).scalar_one()
    run(_CAME_AS_VISITOR, key=key, lead=lead)
    moved = _move(run, [key])
    if opted_out:
        consents.object_to(link, live, lead, "sharing", now, GPC)
    return moved


def _came_as_visitor() -> Any:
    """The statement that notes that a lead was a visitor, if its browser was here before it said who it is."""
    earlier = select(1).where(
        col(Visit.visitor_id) == col(Visitor.id), col(Visitor.key) == bindparam("key"),
        col(Visit.occurred_at) < col(Lead.created_at),
    )  # fmt: skip
    return began_as_visitor(and_(col(Lead.id) == bindparam("lead"), earlier.correlate(Lead).exists()))


_CAME_AS_VISITOR = _came_as_visitor()


def take(link: Connection, live: Live, seen: Sequence[Seen], now: datetime, *, opted_out: bool | None = None) -> Taken:
    """Record visits once each; those of known visitors become events at once, and their leads are put to work.

    `opted_out`: what the browser says of the sale of its data (Sec-GPC); None: nobody said. The caller settles.
    """
    if not seen:
        return Taken()
    run, keys = Run(link, live, now), sorted({one.visitor for one in seen})
    known = _lock(link, _owners(link, keys), now)
    _put_visitors(link, keys, now, opted_out)
    numbers: dict[str, int] = {}
    owners: set[int] = set()
    for number, key, lead in link.execute(_found(keys)):
        numbers[key] = number
        owners |= {lead} - {None}
    _lock(link, owners - known, now)  # somebody told us whose they are meanwhile: a deadlock is tried again
    rows = [
        {"visitor_id": numbers[one.visitor], "name": one.name, "occurred_at": one.occurred_at, "recorded_at": now,
         "actor": one.actor, "classed_by": one.classed_by, "data": one.data, "source": one.source, "key": one.key}
        for one in seen
    ]  # fmt: skip
    link.execute(upsert(link)(Visit).on_conflict_do_nothing(), rows)
    if owners:
        _move(run, keys)
    if opted_out:
        for lead in sorted(owners):
            consents.object_to(link, live, lead, "sharing", now, GPC)
    return Taken(sorted(owners), known_keys(link, {(one.source, one.key) for one in seen}))


def known_keys(link: Connection, keys: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of `keys` (source, key) that are an event's or a visit's."""
    found: set[tuple[str, str]] = set()
    for source in {source for source, _ in keys}:
        mine = [key for whose, key in keys if whose == source]
        for table in (Event, Visit):
            query = select(col(table.key)).where(col(table.source) == source, col(table.key).in_(mine))
            found |= {(source, key) for key in link.execute(query).scalars()}
    return found


def _owners(link: Connection, keys: Sequence[str]) -> set[int]:
    query = select(col(Visitor.lead_id)).where(col(Visitor.key).in_(keys), col(Visitor.lead_id).is_not(None))
    return {lead for lead in link.execute(query).scalars() if lead is not None}


def _found(keys: Sequence[str]) -> Any:
    return select(col(Visitor.id), col(Visitor.key), col(Visitor.lead_id)).where(col(Visitor.key).in_(keys))


def _lock(link: Connection, leads: set[int], now: datetime) -> set[int]:
    """Put `leads` on the work list, then hold their rows."""
    if leads:
        put_work(link, leads, now)
        mine = select(col(Lead.id)).where(col(Lead.id).in_(sorted(leads))).order_by(col(Lead.id))
        link.execute(mine.with_for_update(key_share=True))
    return leads


def _put_visitors(link: Connection, keys: Sequence[str], now: datetime, opted_out: bool | None) -> None:
    """Make sure that their rows are there, and hold them."""
    rows = [
        {"key": key, "first_seen_at": now, "last_seen_at": now, "opted_out": bool(opted_out)} for key in keys
    ]  # fmt: skip
    put = upsert(link)(Visitor)
    seen = instant(greatest(micros(col(Visitor.last_seen_at)), micros(put.excluded.last_seen_at)))
    said = {} if opted_out is None else {"opted_out": opted_out}
    link.execute(put.on_conflict_do_update(index_elements=["key"], set_={"last_seen_at": seen, **said}), rows)


def _move(run: Run, keys: list[str]) -> int:
    """The visits of these visitors become events of their leads, or nothing where those have not agreed."""
    moved = run(run.plan(("visits",), lambda: _into_events(run.live)), keys=keys).rowcount
    run(_MOVED_AWAY, keys=keys)
    return int(moved)


def _into_events(live: Live) -> Any:
    rows = (
        select(
            col(Visitor.lead_id), col(Visit.name), col(Visit.occurred_at), NOW_AT, NOW_AT, col(Visit.actor),
            col(Visit.classed_by), col(Visit.data), col(Visit.source), col(Visit.key),
        )
        .join_from(Visit, Visitor, col(Visitor.id) == col(Visit.visitor_id))
        .join(Lead, col(Lead.id) == col(Visitor.lead_id))
        .where(_THESE, followed(live))
        .order_by(col(Visit.id))
    )  # fmt: skip
    return new_rows(Event, _COLUMNS, rows)


def _one(live: Live) -> Any:
    return select(col(Lead.id)).where(col(Lead.id) == bindparam("lead"), followed(live))


def followed(live: Live) -> ColumnElement[bool]:
    """Whether the lead's visits may be kept, by what program.yaml says of consent; an objection outweighs it."""
    agreed: ColumnElement[bool] = has_consent("tracking")
    if live.house.program.website.consent == "implied":
        said_no = select(1).where(
            col(Consent.lead_id) == col(Lead.id), col(Consent.purpose) == "tracking",
            col(Consent.withdrawn_at).is_not(None),
        )  # fmt: skip
        agreed = or_(agreed, and_(~said_no.correlate(Lead).exists(), ~objects("profiling")))
    return and_(agreed, col(Lead.forgotten_at).is_(None))
