"""What is older than its time goes: rows in short transactions, kept messages and refused rows as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, and_, delete, func, literal, select, update
from sqlmodel import SQLModel, col

from nurture.db import BULK_ROWS
from nurture.dialects import upsert
from nurture.engine.machine import Machine
from nurture.engine.scoring import without
from nurture.errors import NotPublished
from nurture.program.retention import Retention
from nurture.records import Confirmation, Event, Inbound, Meta, Outbox, ScoreEntry, Visit, Visitor
from nurture.records.types import Instant, to_micros
from nurture.rights import copies
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
    for kind, table, old in _old(periods, now):
        if dry_run:
            with machine.db.read() as link:
                done[kind] += link.execute(select(func.count()).select_from(table).where(old)).scalar_one()
            continue
        work = _REMOVERS.get(kind, _remove)
        while count := machine.db.transact(
            lambda link, table=table, old=old, work=work: work(link, table, old, now)  # type: ignore[misc]
        ):
            done[kind] += count
    if home is not None:
        done += _files(periods, home, now, dry_run)
        if not dry_run:
            done["mail_copies"] += copies.remove(copies.of_the_forgotten(machine.db, home))
    return +done


def daily(machine: Machine, home: Path, now: datetime) -> Counter[str] | None:
    """The same once a local day of the program, whoever comes first; None: it was done."""
    _, zone = rules(machine)
    today = now.astimezone(ZoneInfo(zone)).date().isoformat()
    with machine.db.read() as link:
        if link.execute(select(col(Meta.value)).where(col(Meta.key) == _DONE_ON)).scalar() == today:
            return None
    if not machine.db.transact(lambda link: _take(link, today)):
        return None
    return retain(machine, home, now)


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


def _old(periods: Retention, now: datetime) -> list[tuple[str, type[SQLModel], ColumnElement[bool]]]:
    """(what is counted, table, which rows) in the order in which they go."""
    found: list[tuple[str, type[SQLModel], ColumnElement[bool]]] = []

    def older(kind: str, period: timedelta | None, table: type[SQLModel], at: Any, *more: ColumnElement[bool]) -> None:
        if period is not None:
            found.append((kind, table, and_(at < now - period, *more)))

    quiet = ~select(1).where(col(Visit.visitor_id) == col(Visitor.id)).correlate(Visitor).exists()
    settled = col(Event.settled_at).is_not(None)
    older("events", periods.events, Event, col(Event.occurred_at), settled)
    older("inbound", periods.inbound, Inbound, col(Inbound.received_at))
    older("visits", periods.visits, Visit, col(Visit.recorded_at))
    older("visitors", periods.visits, Visitor, col(Visitor.last_seen_at), col(Visitor.lead_id).is_(None), quiet)
    unconfirmed = col(Confirmation.confirmed_at).is_(None)
    older("confirmations", periods.confirmations, Confirmation, col(Confirmation.expires_at), unconfirmed)
    return found


def _some(link: Connection, table: type[SQLModel], old: ColumnElement[bool]) -> list[int]:
    number = SQLModel.metadata.tables[str(table.__tablename__)].c.id
    return list(link.execute(select(number).where(old).order_by(number).limit(CHUNK)).scalars())


def _remove(link: Connection, table: type[SQLModel], old: ColumnElement[bool], now: datetime) -> int:  # noqa: ARG001
    number = SQLModel.metadata.tables[str(table.__tablename__)].c.id
    some = _some(link, table, old)
    return link.execute(delete(table).where(number.in_(some))).rowcount if some else 0


def _remove_events(link: Connection, table: type[SQLModel], old: ColumnElement[bool], now: datetime) -> int:
    """Events with their score lines, so that what is left still sums to the number; their leads are looked at."""
    some = _some(link, table, old)
    if not some:
        return 0
    leads = select(col(Event.lead_id)).where(col(Event.id).in_(some))
    put_work(link, sorted(set(link.execute(leads).scalars())), now)
    for statement in without(col(ScoreEntry.event_id).in_(some)):
        link.execute(statement, {"at_now": to_micros(now)})
    return link.execute(delete(Event).where(col(Event.id).in_(some))).rowcount


def _remove_confirmations(link: Connection, table: type[SQLModel], old: ColumnElement[bool], now: datetime) -> int:
    """Confirmations with the letters that asked for them, sent or not."""
    some = _some(link, table, old)
    if not some:
        return 0
    asked = and_(col(Outbox.kind) == "confirmation", col(Outbox.row_id).in_(some))
    over = {
        "next_at": None,
        "lease_owner": None,
        "done_at": func.coalesce(col(Outbox.done_at), literal(now, Instant())),
    }
    link.execute(update(Outbox).where(asked).values(**over))
    return link.execute(delete(Confirmation).where(col(Confirmation.id).in_(some))).rowcount


_Remover = Callable[[Connection, type[SQLModel], ColumnElement[bool], datetime], int]
_REMOVERS: dict[str, _Remover] = {"events": _remove_events, "confirmations": _remove_confirmations}


def _files(periods: Retention, home: Path, now: datetime, dry_run: bool) -> Counter[str]:
    old: dict[str, list[Path]] = {}
    if periods.mail_copies is not None:
        old["mail_copies"] = copies.aged(home, now - periods.mail_copies)
    if periods.refused_rows is not None:
        since = now - periods.refused_rows
        old["refused_rows"] = [file for file, at in copies.refused(home).items() if at < since]
    return Counter({kind: len(files) if dry_run else copies.remove(files) for kind, files in old.items()})
