"""What is older than its time goes: rows in short transactions, kept messages and refused rows as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, literal, select, text, tuple_, update
from sqlmodel import col

from nurture.db import BULK_ROWS, Database
from nurture.dialects import upsert
from nurture.engine.machine import Machine
from nurture.engine.scoring import without
from nurture.errors import NotPublished
from nurture.program.retention import Retention
from nurture.records import Confirmation, Event, Meta, Outbox, ScoreEntry, Visit, Visitor
from nurture.records.people import EVENTS_BY_TIME
from nurture.records.types import Instant, to_micros
from nurture.rights import copies
from nurture.rights.schema import TABLES
from nurture.windows import forget_openings
from nurture.worklist import put_work

#: Rows of one transaction; an event takes its score lines, sums and a work row along.
CHUNK = BULK_ROWS // 5
_DONE_ON = "retention"


def rules(machine: Machine) -> tuple[Retention, str]:
    """The published program's periods and zone; before the first publish, what holds where nothing is said."""
    try:
        program = machine.live().house.program
    except NotPublished:
        return Retention(), "UTC"
    return program.retention, program.zone


def retain(machine: Machine, home: Path | None, now: datetime, *, dry_run: bool = False) -> Counter[str]:
    """Remove what is older than its time; how many of each. `dry_run`: only count. `home`: where files are kept."""
    periods, _ = rules(machine)
    done: Counter[str] = Counter()
    for kind, at, old in _old(periods, now):
        if dry_run:
            with machine.db.read() as link:
                done[kind] += link.execute(select(func.count()).select_from(at.table).where(old)).scalar_one()
            continue
        work = _REMOVERS.get(kind, _remove)
        for some in _pages(machine.db, at, old):
            done[kind] += machine.db.transact(
                lambda link, at=at, old=old, work=work, some=some: work(link, at.table, old, some, now)  # type: ignore[misc]
            )
    if home is not None:
        done += _files(periods, home, now, dry_run)
        if not dry_run:
            done["mail_copies"] += copies.remove(copies.of_the_forgotten(machine.db, home))
    return +done


def daily(machine: Machine, home: Path, now: datetime) -> Counter[str] | None:
    """The same once a local day of the program, whoever comes first, and past openings; None: it was done."""
    _, zone = rules(machine)
    today = now.astimezone(ZoneInfo(zone)).date().isoformat()
    with machine.db.read() as link:
        if link.execute(select(col(Meta.value)).where(col(Meta.key) == _DONE_ON)).scalar() == today:
            return None
    if not machine.db.transact(lambda link: _take(link, today)):
        return None
    done = retain(machine, home, now)
    forget_openings(machine.db, now)
    return done


def local_day(machine: Machine, now: datetime) -> tuple[datetime, datetime]:
    """When the program's local day of `now` began, and when the next one does."""
    zone = ZoneInfo(rules(machine)[1])
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return midnight.astimezone(UTC), following.astimezone(UTC)


def _take(link: Connection, today: str) -> bool:
    """Whether today's pass is ours: nobody has begun it."""
    row = upsert(link)(Meta).values(key=_DONE_ON, value=today)
    taken = row.on_conflict_do_update(index_elements=["key"], set_={"value": today}, where=col(Meta.value) != today)
    return link.execute(taken.returning(col(Meta.key))).first() is not None


def _old(periods: Retention, now: datetime) -> list[tuple[str, Any, ColumnElement[bool]]]:
    """(what is counted, the column of its time, which rows) in the order in which they go."""
    found: list[tuple[str, Any, ColumnElement[bool]]] = []

    def older(kind: str, period: timedelta | None, table: str, name: str, *more: ColumnElement[bool]) -> None:
        if period is not None:
            at = TABLES[table].c[name]
            found.append((kind, at, and_(at < now - period, *more)))

    quiet = ~select(1).where(col(Visit.visitor_id) == col(Visitor.id)).correlate(Visitor).exists()
    settled = and_(col(Event.settled_at).is_not(None), text(EVENTS_BY_TIME))
    older("events", periods.events, "event", "occurred_at", settled)
    older("inbound", periods.inbound, "inbound", "received_at")
    older("visits", periods.visits, "visit", "recorded_at")
    older("visitors", periods.visits, "visitor", "last_seen_at", col(Visitor.lead_id).is_(None), quiet)
    unconfirmed = col(Confirmation.confirmed_at).is_(None)
    older("confirmations", periods.confirmations, "confirmation", "expires_at", unconfirmed)
    return found


def _pages(db: Database, at: Any, old: ColumnElement[bool]) -> Iterator[list[int]]:
    """The numbers of old rows in the order of their time, which has an index; nobody waits for this."""
    number = at.table.c.id
    query = select(at, number).where(old).order_by(at, number).limit(CHUNK)
    following = query
    while True:
        with db.read() as link:
            rows = link.execute(following).all()
        if rows:
            yield [row[1] for row in rows]
        if len(rows) < CHUNK:
            return
        last = (literal(rows[-1][0], at.type), literal(rows[-1][1], number.type))
        following = query.where(at >= last[0], tuple_(at, number) > tuple_(*last))


def _remove(
    link: Connection, table: Table, old: ColumnElement[bool], some: list[int], now: datetime  # noqa: ARG001
) -> int:  # fmt: skip
    """Those of `some` that are still old."""
    return link.execute(delete(table).where(table.c.id.in_(some), old)).rowcount


def _remove_events(
    link: Connection, table: Table, old: ColumnElement[bool], some: list[int], now: datetime  # noqa: ARG001
) -> int:  # fmt: skip
    """Events with their score lines, so that what is left still sums to the number; their leads are looked at."""
    whose = select(col(Event.lead_id)).where(col(Event.id).in_(some)).distinct()
    leads = set[int]()
    while more := set(link.execute(whose).scalars()) - leads:  # a merge may have been first
        put_work(link, sorted(more), now)
        leads |= more
    for statement in without(and_(col(ScoreEntry.lead_id).in_(sorted(leads)), col(ScoreEntry.event_id).in_(some))):
        link.execute(statement, {"at_now": to_micros(now)})
    return link.execute(delete(Event).where(col(Event.id).in_(some))).rowcount


def _remove_confirmations(
    link: Connection, table: Table, old: ColumnElement[bool], some: list[int], now: datetime
) -> int:
    """Confirmations with the letters that asked for them, sent or not."""
    number = col(Confirmation.id)
    gone = list(link.execute(delete(table).where(number.in_(some), old).returning(number)).scalars())
    over = {
        "next_at": None,
        "lease_owner": None,
        "done_at": func.coalesce(col(Outbox.done_at), literal(now, Instant())),
    }
    asked = and_(col(Outbox.kind) == "confirmation", col(Outbox.row_id).in_(gone))
    link.execute(update(Outbox).where(asked).values(**over))
    return len(gone)


_Remover = Callable[[Connection, Table, ColumnElement[bool], list[int], datetime], int]
_REMOVERS: dict[str, _Remover] = {"events": _remove_events, "confirmations": _remove_confirmations}


def _files(periods: Retention, home: Path, now: datetime, dry_run: bool) -> Counter[str]:
    old: dict[str, list[Path]] = {}
    if periods.mail_copies is not None:
        old["mail_copies"] = copies.aged(home, now - periods.mail_copies)
    if periods.refused_rows is not None:
        since = now - periods.refused_rows
        old["refused_rows"] = [file for file, at in copies.refused(home).items() if at < since]
    return Counter({kind: len(files) if dry_run else copies.remove(files) for kind, files in old.items()})
