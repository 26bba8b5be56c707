"""Reading the past for a backtest: ours, with leads, sorted, and a bare scan of the same events by somebody else.

On SQLite that is duckdb, where it has its extension for it, else a cursor of `sqlite3`; on PostgreSQL COPY in binary.
In turn, three rounds, medians. `bench_backtest_reading.py small` reads 100,000 events; a number reads so many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import chain
from typing import Any

import common
import crowd
import numpy as np
from bench_backtest import END, POINTS, SPAN, engine_of_columns, house_of, leads_of
from common import timed

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
    """Leads and events as an import leaves them: spread by multiplication, alike everywhere."""
    leads = leads_of(events)
    names = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(POINTS))
    moment = f"{to_micros(END - SPAN)} + {_left('n * 2246822519', SPAN // timedelta(microseconds=1))}"
    with crowd.in_bulk(db) as bulk:
        bulk.leads(range(1, leads + 1), END - SPAN)
        who = f"1 + {_left('n * 2654435761', leads)}"
        bulk.events(range(1, events + 1), moment, f"CASE {_left('n', len(POINTS))} {names} END", lead_id=who)


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


def compare(kind: str, url: str, events: int) -> dict[str, Any]:
    """Median seconds of either side."""
    migrate(url)
    db = Database(url)
    fill(db, events)
    name, scan = other_side(db)
    patterns: list[Any] = []
    facts: dict[str, Any] = {}
    model_of(house_of(POINTS), patterns, facts)
    said: list[tuple[int, int]] = []
    megabytes: list[float] = []

    def we() -> float:
        seconds, read = timed(lambda: read_history(db, patterns, facts, END, "UTC"))
        megabytes.append(common.peak_mb())
        said.append((len(read.at) - len(read.people.ids), int(read.at.sum()) - int(read.at[read.first[:-1]].sum())))
        return seconds

    def they() -> float:
        seconds, theirs = timed(scan)
        assert said[-1] == theirs, (said[-1], theirs)
        assert theirs[0] == events, (theirs, events)
        return seconds

    found = common.rounds(we, they, ROUNDS)
    db.dispose()
    return {
        "database": kind, "events": events, "ours s": found.ours, "other side": name, "theirs s": found.theirs,
        "ratio": found.ratio, "MB at most": megabytes[0],
    }  # fmt: skip


def main() -> None:
    """Print a line for each database."""
    with common.bench(__doc__) as b:
        b.versions["numpy"] = np.__version__
        events = b.size(100_000, EVENTS)
        rows = [compare(kind, url, events) for kind, url in b.databases("reading")]
        title = f"reading events with {leads_of(events):,} leads, in order, beside events alone, in no order"
        b.table(f"{title}; medians of {ROUNDS} rounds in turn", rows)


if __name__ == "__main__":
    main()
