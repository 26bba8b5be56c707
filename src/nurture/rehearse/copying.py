"""A copy of the real database in memory: read only, at one instant, with the numbers that its rows have there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import JSON, BigInteger, Column, Connection, Text, cast, select, text, type_coerce, update
from sqlmodel import SQLModel, col

from nurture.channels.base import Receipt
from nurture.db import Database, migrate
from nurture.engine.recording import record
from nurture.errors import DatabaseFault, SchemaMismatch
from nurture.records import Lease, SequenceVersion, Touch
from nurture.records.types import Instant

#: What a published program is kept in.
PROGRAM = ("program_version", "sequence_version")
#: Rows that are carried over at a time.
_ROWS = 20_000


def copied(url: str, tables: tuple[str, ...] | None = None) -> Database:
    """A database in memory with what stands in `url`; `tables`: only these, else all.

    Nothing is written there: SQLite opens the file read only, PostgreSQL a read-only transaction. A database that is
    not there yet is an empty one. Raises DatabaseFault, SchemaMismatch.
    """
    real, copy = Database(url), Database("sqlite://")
    try:
        if real.is_sqlite:
            _from_file(Path(str(real.url.database)), real.name, copy, tables)
        else:
            _from_postgres(real, copy, tables)
    finally:
        real.dispose()
    return copy


def duplicate(copy: Database) -> Database:
    """The same once more, independent of the first."""
    twin = Database("sqlite://")
    raw_of(copy).backup(raw_of(twin))
    return twin


def keep(copy: Database, file: Path) -> None:
    """Write the copy to a new file that its owner alone may read. Raises DatabaseFault."""
    try:
        file.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(file)) as kept:
            raw_of(copy).backup(kept)
    except FileExistsError:
        raise DatabaseFault(f"{file}: is there already; name a new file") from None
    except (OSError, sqlite3.Error) as problem:
        raise DatabaseFault(f"{file}: cannot be written ({problem}); check the folder's rights and space") from None


def take_over(copy: Database, now: datetime) -> int:
    """Let go of what workers of the real database had in hand; how many messages were on their way.

    What was claimed is planned again; what was being sent counts as sent, since nobody here will hear otherwise.
    """

    def work(link: Connection) -> int:
        later = update(SequenceVersion).where(col(SequenceVersion.published_at) > now)
        link.execute(later.values(published_at=now))  # the made-up weeks may begin before today
        link.execute(Lease.__table__.delete())  # type: ignore[attr-defined]
        claimed = update(Touch).where(col(Touch.state) == "claimed")
        link.execute(claimed.values(state="planned", lease_owner=None, lease_until=None))
        going = link.execute(select(col(Touch.id)).where(col(Touch.state) == "sending").order_by(col(Touch.id)))
        receipts = [Receipt(int(touch or 0), "accepted", "on its way when the copy was taken") for (touch,) in going]
        record(link, receipts, now)
        return len(receipts)

    return copy.transact(work)


def raw_of(db: Database) -> sqlite3.Connection:
    """The one connection of a database in memory."""
    raw: sqlite3.Connection = db.engine.raw_connection().driver_connection  # type: ignore[assignment]
    return raw


def _from_file(file: Path, name: str, copy: Database, tables: tuple[str, ...] | None) -> None:
    migrate(copy)
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as real:
            if not real.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                return
            found = real.execute("SELECT version_num FROM alembic_version").fetchone()
            if found is None:
                return
            _require(name, found[0], copy)
            if tables is None:
                real.backup(raw_of(copy))
                return
            for table in tables:
                rows = real.execute(f'SELECT {_names(table)} FROM "{table}"')
                _put(copy, table, iter(lambda rows=rows: rows.fetchmany(_ROWS), []))  # type: ignore[misc]
    except sqlite3.Error as problem:
        raise DatabaseFault(f"{name}: cannot be read ({problem}); check the file's rights, or its folder's") from None


def _from_postgres(real: Database, copy: Database, tables: tuple[str, ...] | None) -> None:
    migrate(copy)
    with real.read() as link:
        frozen = link.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        found = MigrationContext.configure(frozen).get_current_revision()
        if found is None:
            return
        _require(real.name, found, copy)
        for table in SQLModel.metadata.sorted_tables:
            if tables is None or table.name in tables:
                query = select(*(_plain(column) for column in table.columns))
                rows = frozen.execution_options(stream_results=True, max_row_buffer=_ROWS).execute(query)
                _put(copy, table.name, rows.partitions(_ROWS))


def _require(name: str, found: str, copy: Database) -> None:
    with copy.read() as link:
        own = MigrationContext.configure(link).get_current_revision()
    if found != own:
        raise SchemaMismatch(
            f"{name}: the tables are of version {found}, this program needs {own}; run 'nurture migrate' "
            "with the program that is to run it"
        )


def _plain(column: Column[Any]) -> Any:
    """A column as SQLite keeps it: instants as numbers, documents as text."""
    if isinstance(column.type, Instant):
        return type_coerce(column, BigInteger)
    if isinstance(column.type, JSON):
        return cast(column, Text)
    return column


def _names(table: str) -> str:
    return ", ".join(f'"{column.name}"' for column in SQLModel.metadata.tables[table].columns)


def _put(copy: Database, table: str, parts: Iterator[Any]) -> None:
    """Write rows as they are; the rule that a touch begins as planned is for newcomers."""
    raw = raw_of(copy)
    marks = ", ".join("?" * len(SQLModel.metadata.tables[table].columns))
    insert = f'INSERT INTO "{table}" ({_names(table)}) VALUES ({marks})'

    def work(link: Connection) -> None:
        rule = link.execute(text("SELECT sql FROM sqlite_master WHERE name = 'touch_begins'")).scalar_one()
        link.execute(text("DROP TRIGGER touch_begins"))
        for rows in parts:
            raw.executemany(insert, [tuple(row) for row in rows])
        link.execute(text(rule))

    copy.transact(work)
