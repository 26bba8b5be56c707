"""Reading the past for a backtest: ours, with leads, sorted, and a bare scan of the same events by somebody else.

On SQLite that is duckdb, where it has its extension for it, else a cursor of `sqlite3`; on PostgreSQL COPY in binary.
In turn, three rounds, medians. `bench_backtest_reading.py 10000000` reads so many on SQLite alone.
"""

from __future__ import annotations

import json
import platform
import resource
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from bench_backtest import END, POINTS, SPAN, engine_of_columns, house_of, leads_of, timed

from nurture.backtest.history import read_history
from nurture.backtest.model import model_of
from nurture.db import Database, migrate
from nurture.records.types import to_micros

EVENTS, ROUNDS = 2_000_000, 3
#: Gives how many events there are, and the sum of their instants.
Scan = Callable[[], tuple[int, int]]
_NAMES = ", ".join(f"'{name}'" for name in POINTS)
_BITS = " ".join(f"WHEN '{name}' THEN {1 << bit}" for bit, name in enumerate(POINTS))
_COLUMNS = f"SELECT lead_id, occurred_at, CASE name {_BITS} END"
_WHERE = f"WHERE name IN ({_NAMES}) AND actor <> 'machine' AND ripe_at <= {to_micros(END)}"


def fill(db: Database, events: int) -> None:
    """Leads and events as an import leaves them, by one statement each: spread by multiplication, alike everywhere."""
    leads, begins = leads_of(events), to_micros(END - SPAN)
    names = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(POINTS))
    moment = f"{begins} + {_left('n * 2246822519', SPAN // timedelta(microseconds=1))}"

    def put(link: Any) -> None:
        link.exec_driver_sql(
            f"{_series(leads)} INSERT INTO lead (id, draw, email, stage, status, fields, folded, fit_points,"
            f" created_at, changed_at) SELECT n, 0, n || '@bench.example', 'lead', 'new', '{{}}', '{{}}', 0,"
            f" {begins}, {begins} FROM series"
        )
        link.exec_driver_sql(
            f"{_series(events)} INSERT INTO event (lead_id, name, occurred_at, recorded_at, ripe_at, settled_at, actor,"
            f" data, source, key) SELECT 1 + {_left('n * 2654435761', leads)},"
            f" CASE {_left('n', len(POINTS))} {names} END, moment, moment, moment, moment, 'person', '{{}}', 'bench', n"
            f" FROM (SELECT n, {moment} AS moment FROM series) AS made"
        )

    db.transact(put)


def _series(last: int) -> str:
    return f"WITH RECURSIVE series(n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM series WHERE n < {last})"


def _left(number: str, by: int) -> str:
    """What a division leaves."""
    return f"(({number}) - ({number}) / {by} * {by})"


def by_cursor(db: Database) -> tuple[int, int]:
    """A cursor of `sqlite3` into an array."""
    assert db.url.database is not None
    with closing(sqlite3.connect(db.url.database)) as link:
        rows = link.execute(f"{_COLUMNS} FROM event {_WHERE}")
        found = np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 3)
    return len(found), int(found[:, 1].sum())


def by_copy(db: Database) -> tuple[int, int]:
    """PostgreSQL's binary COPY, whose rows all have one length here."""
    fields = [("n", ">i2"), ("a", ">i4"), ("lead", ">i8"), ("b", ">i4"), ("at", ">i8"), ("c", ">i4"), ("word", ">i4")]
    statement = f"COPY ({_COLUMNS} FROM event {_WHERE}) TO STDOUT (FORMAT binary)"
    with closing(db.engine.raw_connection()) as link, link.cursor() as cursor, cursor.copy(statement) as told:
        packed = b"".join(told)
    found = np.frombuffer(packed[19:-2], np.dtype(fields))
    return len(found), int(found["at"].sum())


def by_duckdb(db: Database, link: Any) -> tuple[int, int]:
    """duckdb's scanner of SQLite."""
    source = f"sqlite_scan('{db.url.database}', 'event')"
    _, at, _ = link.execute(f"{_COLUMNS} FROM {source} {_WHERE}").fetchnumpy().values()
    return len(at), int(at.sum())


def other_side(db: Database) -> tuple[str, Scan]:
    """Who else reads, and how."""
    if not db.is_sqlite:
        return "COPY in binary", lambda: by_copy(db)
    link = engine_of_columns()
    if link is None:
        print("duckdb is not installed: pip install duckdb")
        return "a cursor of sqlite3", lambda: by_cursor(db)
    link.execute("SET autoinstall_known_extensions = false")  # nothing is fetched for a benchmark
    try:
        link.execute("LOAD sqlite")
    except link_error() as problem:
        print(f"duckdb has no extension for SQLite here: {str(problem).splitlines()[0]}")
        return "a cursor of sqlite3", lambda: by_cursor(db)
    return "duckdb's scan of SQLite", lambda: by_duckdb(db, link)


def link_error() -> type[Exception]:
    """What duckdb raises; it is installed where this is asked."""
    import duckdb  # type: ignore[import-not-found, unused-ignore]

    return duckdb.Error  # type: ignore[no-any-return, unused-ignore]


def compare(url: str, events: int) -> dict[str, Any]:
    """Median seconds of either side."""
    migrate(url)
    db = Database(url)
    filling, _ = timed(lambda: fill(db, events))
    name, scan = other_side(db)
    patterns: list[Any] = []
    facts: dict[str, Any] = {}
    model_of(house_of(POINTS), patterns, facts)
    ours: list[float] = []
    others: list[float] = []
    megabytes = 0.0
    for _ in range(ROUNDS):
        seconds, read = timed(lambda: read_history(db, patterns, facts, END, "UTC"))
        ours.append(seconds)
        megabytes = megabytes or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        mine = len(read.at) - len(read.people.ids), int(read.at.sum()) - int(read.at[read.first[:-1]].sum())
        del read
        seconds, theirs = timed(scan)
        others.append(seconds)
        assert mine == theirs, (mine, theirs)
        assert mine[0] == events, (mine, events)
    db.dispose()
    return {
        "database": "SQLite" if db.is_sqlite else "PostgreSQL", "events": events, "ours": statistics.median(ours),
        "other side": name, "theirs": statistics.median(others), "filling": filling, "megabytes": megabytes,
        "ratio": statistics.median(mine / theirs for mine, theirs in zip(ours, others, strict=True)),
    }  # fmt: skip


def main() -> None:
    """Print a line for each database, and the same as JSON."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.postgres import server as postgres  # the tests' own: started here, ended here

    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    results = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        results.append(compare(f"sqlite:///{folder}/bench.db", events))
        if len(sys.argv) == 1:
            server = stack.enter_context(postgres())
            results.append(compare(server.url(server.create(name="bench_reading")), events))
    print(f"reading, with {leads_of(events):,} leads, and in order; seconds, medians of {ROUNDS} rounds in turn")
    for row in results:
        print(
            f"{row['database']:12}{row['events']:>12,} events  ours {row['ours']:.2f}  {row['other side']}, events "
            f"alone, in no order {row['theirs']:.2f}  ratio {row['ratio']:.2f}  at most {row['megabytes']:,.0f} MB"
        )
    versions = {"python": platform.python_version(), "numpy": np.__version__, "system": platform.platform()}
    print(json.dumps({**versions, "sqlite": sqlite3.sqlite_version, "results": results}))


if __name__ == "__main__":
    main()
