"""Many leads with a past, written by one statement a table: two million rows take seconds, not minutes.

    with crowd.in_bulk(db) as bulk:
        bulk.leads(range(1, 1_000_001), START, fields="'{\"industry\": \"saas\"}'")
        bulk.events(range(1, 1_000_001), START, name="'clicked'")

Columns are SQL of `n`, the number of the row; numbers, None and instants are written as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from nurture.channels.base import Channel
from nurture.db import Database
from nurture.engine.press import Press
from nurture.engine.workers import open_journal
from nurture.records.types import to_micros
from nurture.rehearse.stage import Stage, set_stage

#: What is filled in bulk: their indexes are made after their rows.
TABLES = ("lead", "consent", "enrolment", "touch", "event", "score_entry", "score_sum", "work")
#: Whose rows are numbered by PostgreSQL itself.
_NUMBERED = ("lead", "consent", "enrolment", "touch", "event", "score_entry")


def series(sqlite: bool, count: int, name: str, first: int = 0) -> str:
    """A table of `count` numbers from `first` on, as `every_NAME`."""
    last = first + count - 1
    if not sqlite:
        return f"(SELECT generate_series(CAST({first} AS BIGINT), {last}) AS {name}) AS every_{name}"
    recursive = (
        f"WITH RECURSIVE up({name}) AS (SELECT {first} UNION ALL SELECT {name} + 1 FROM up WHERE {name} < {last})"
    )
    return f"({recursive} SELECT {name} FROM up) AS every_{name}"


class Bulk:
    """Rows by the million. Each method takes the numbers of its rows and columns that replace or add to the usual."""

    def __init__(self, cursor: Any, sqlite: bool) -> None:
        self.cursor, self.sqlite = cursor, sqlite

    def execute(self, statement: str) -> None:
        """Any statement, as it is written."""
        self.cursor.execute(statement)

    def put(self, table: str, numbers: range, columns: Mapping[str, Any]) -> None:
        """One row a number."""
        if not numbers:
            return
        made = ", ".join(sql(value) for value in columns.values())
        source = series(self.sqlite, len(numbers), "n", numbers.start)
        self.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {made} FROM {source}")

    def leads(self, numbers: range, at: datetime, **columns: Any) -> None:
        """Lead n, lead<n>@bench.example, known since `at`."""
        usual = {
            "id": "n", "draw": "n * 48271 % 2147483647", "email": "'lead' || n || '@bench.example'", "zone": "'UTC'",
            "stage": "'lead'", "status": "'new'", "fields": "'{}'", "folded": "'{}'", "fit_points": 0.0,
            "created_at": at, "changed_at": at,
        }  # fmt: skip
        self.put("lead", numbers, usual | columns)

    def consents(self, numbers: range, at: datetime, purpose: str = "mail", **columns: Any) -> None:
        """Lead n has agreed."""
        usual = {
            "lead_id": "n", "purpose": f"'{purpose}'", "basis": "'consent'", "source": "'bench'", "given_at": at,
            "evidence": "'{}'",
        }  # fmt: skip
        self.put("consent", numbers, usual | columns)

    def enrolments(
        self, numbers: range, at: datetime, version: int, slug: str, step: str, due: datetime | None, **columns: Any
    ) -> None:
        """Enrolment n, of lead n, stands on `step` since `at`."""
        usual = {
            "id": "n", "lead_id": "n", "sequence": f"'{slug}'", "version_id": version, "rotation": 1,
            "enrolled_by": "'rule'", "step": f"'{step}'", "occurrence": 1, "path": f"'/{step}/'", "entered_at": at,
            "due_at": due, "listening": "false", "started_at": at,
        }  # fmt: skip
        self.put("enrolment", numbers, usual | columns)

    def touches(self, numbers: range, at: datetime, version: int, slug: str, letter: str, **columns: Any) -> None:
        """Touch n, of lead n and enrolment n: a letter of `at`, from the step of its name, sent."""
        usual = {
            "id": "n", "lead_id": "n", "enrolment_id": "n", "sequence": f"'{slug}'", "version_id": version,
            "step": f"'{letter}'", "occurrence": 1, "kind": "'email'", "purpose": "'marketing'",
            "content": f"'{slug}/{letter}.j2'", "state": "'sent'", "due_at": at, "allowed_at": at, "attempt": 1,
            "tracked": "false", "planned_at": at, "sending_at": at, "ended_at": at,
        }  # fmt: skip
        self.put("touch", numbers, usual | columns)

    def events(self, numbers: range, at: datetime | str, name: str, **columns: Any) -> None:
        """Event n, of lead n, a person's, long since settled."""
        usual = {
            "id": "n", "lead_id": "n", "name": name, "occurred_at": at, "recorded_at": at, "ripe_at": at,
            "settled_at": at, "actor": "'person'", "data": "'{}'", "source": "'past'", "key": "CAST(n AS TEXT)",
        }  # fmt: skip
        self.put("event", numbers, usual | columns)

    def work(self, numbers: range, due: datetime) -> None:
        """Lead n is to be looked at from `due` on."""
        self.put("work", numbers, {"lead_id": "n", "due_at": due})


def sql(value: Any) -> str:
    """A value as it is written in a statement; text is SQL already."""
    if isinstance(value, datetime):
        return str(to_micros(value))
    return "NULL" if value is None else str(value)


@contextmanager
def in_bulk(db: Database, *, anew: bool = True) -> Iterator[Bulk]:
    """Writes rows, each statement on its own, unseen by triggers and foreign keys; `anew`: before their indexes."""
    raw = db.engine.raw_connection()
    link = raw.cursor()
    tables = str(TABLES)
    if db.is_sqlite:
        for setting in ("synchronous = OFF", "cache_size = -500000", "foreign_keys = OFF"):
            link.execute(f"PRAGMA {setting}")
        query = "SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL AND tbl_name IN "
    else:
        raw.driver_connection.autocommit = True  # type: ignore[union-attr]
        link.execute("SET session_replication_role = replica")  # no triggers, and foreign keys are not looked up
        link.execute("SET maintenance_work_mem = '256MB'")
        query = (
            "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE indexname NOT IN"
            " (SELECT conname FROM pg_constraint) AND tablename IN "
        )
    link.execute(query + tables)
    aside = link.fetchall() if anew else []
    for kind, name, _ in aside:
        link.execute(f"DROP {kind} {name}")
    yield Bulk(link, db.is_sqlite)
    for _, _, statement in aside:
        link.execute(statement)
    if not db.is_sqlite:
        for table in _NUMBERED:  # numbers were given; the next is drawn behind them
            link.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        link.execute("VACUUM ANALYZE")
    raw.invalidate()  # its settings go with it


def vacuum(db: Database) -> None:
    """PostgreSQL: clear away what was replaced, as its autovacuum would, and count anew; nothing on SQLite."""
    if not db.is_sqlite:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
            link.exec_driver_sql("VACUUM ANALYZE")


def house(url: str, start: datetime, files: Mapping[str, str]) -> Stage:
    """A stage on a database of its own with a program published, whose clock stands at `start`."""
    stage = set_stage(start, url)
    stage.publish(files)
    stage.machine.settle(start)
    return stage


def at_work(stage: Stage, folder: Path, email: Channel) -> None:
    """Let the stage's machine send by `email`, keep a journal in `folder` and have letters made, as a home's does."""
    machine = stage.machine
    machine.email, machine.journal_folder = email, folder
    machine.journal = open_journal(folder, machine.worker)
    machine.leases.journals = machine.journals
    machine.press = Press(1)
