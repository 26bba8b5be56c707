"""One writer at a time on SQLite: doors go first, deadlocks are tried again, and a lock held too long is explained."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, text

from nurture.db import Database, take_lease
from nurture.errors import DatabaseFault

#: Bulk transactions after which the test gives up: a door that waits for all of them has lost.
MOST = 3000


def note(who: str) -> Callable[[Connection], Any]:
    return lambda link: link.execute(
        text("INSERT INTO routing_share (ring, person, owed) SELECT :who || count(*), '', 0 FROM routing_share"),
        {"who": who},
    )


def order(url: str) -> list[str]:
    """Who committed, in the order of commits."""
    db = Database(url)
    with db.read() as link:
        rows = link.execute(text("SELECT ring FROM routing_share ORDER BY rowid")).scalars().all()
    db.dispose()
    return [row.rstrip("0123456789") for row in rows]


def write_in_bulk(url: str, enough: Any) -> None:
    """What an import does, in a process of its own: transaction after transaction, without a pause."""
    db = Database(url)
    for _ in range(MOST):
        db.transact(note("bulk"))
        if enough.is_set():
            break
    db.dispose()


def test_doors_get_in_while_a_bulk_writer_loops(sqlite_url: str) -> None:
    """Twenty doors against an import that never pauses: each commits before its next rounds, not after them."""
    context = multiprocessing.get_context("spawn")
    enough = context.Event()
    bulk = context.Process(target=write_in_bulk, args=(sqlite_url, enough))
    bulk.start()
    db, passed = Database(sqlite_url), 0

    def rounds() -> int:
        with db.read() as link:
            return int(link.execute(text("SELECT count(*) FROM routing_share WHERE ring LIKE 'bulk%'")).scalar() or 0)

    for door in range(20):
        while rounds() < 5 * (door + 1):  # the import is at it
            pass
        before = rounds()
        db.transact(note("door"), door=True)
        passed += rounds() - before
    enough.set()
    bulk.join()
    db.dispose()

    assert bulk.exitcode == 0
    assert order(sqlite_url).count("door") == 20
    assert passed < 20 * 10


def test_a_lock_that_somebody_keeps_is_explained(sqlite_url: str) -> None:
    """Another program holds the file: nothing is changed, and the message says what to do."""
    db = Database(sqlite_url)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(db.engine.raw_connection()) as link:
            link.cursor().execute("PRAGMA busy_timeout = 10")  # instead of ten seconds
        with pytest.raises(DatabaseFault, match=r"another program has held the database locked .* nothing was changed"):
            db.transact(note("late"))
        other.execute("ROLLBACK")
    db.transact(note("after"))
    db.dispose()

    assert order(sqlite_url) == ["after"]


def test_sqlite_keeps_what_it_committed(sqlite_url: str) -> None:
    """WAL, FULL, foreign keys: a promise to a lead survives the loss of power."""
    db = Database(sqlite_url)
    with db.read() as link:
        found = {
            name: link.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    db.dispose()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_deadlock_is_tried_again(postgres_url: str) -> None:
    """Two transactions that took two rows crosswise: the one that is chosen to die is repeated, and both are done."""
    db = Database(postgres_url)
    db.transact(
        lambda link: link.execute(
            text("INSERT INTO routing_share (ring, person, owed) VALUES ('a', '', 0), ('b', '', 0)")
        )
    )
    both, tries = threading.Barrier(2), {"ab": 0, "ba": 0}

    def cross(way: str) -> None:
        def work(link: Connection) -> None:
            tries[way] += 1
            for number, ring in enumerate(way):
                link.execute(text("UPDATE routing_share SET owed = owed + 1 WHERE ring = :ring"), {"ring": ring})
                if number == 0 and tries[way] == 1:
                    both.wait()

        db.transact(work)

    threads = [threading.Thread(target=cross, args=(way,)) for way in tries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as link:
        turns = {row.ring: row.owed for row in link.execute(text("SELECT ring, owed FROM routing_share"))}
    db.dispose()

    assert turns == {"a": 2, "b": 2}
    assert sorted(tries.values()) == [1, 2]


def test_what_fails_leaves_nothing(database: Database) -> None:
    """A transaction whose work raises is undone as a whole."""

    def half(link: Connection) -> None:
        note("half")(link)
        raise LookupError

    with pytest.raises(LookupError):
        database.transact(half)

    with database.read() as link:
        assert link.execute(text("SELECT count(*) FROM routing_share")).scalar() == 0


def test_a_lease_has_one_holder(database: Database) -> None:
    """Free, one's own or run out: taken, with a token of its own each time; else refused."""

    def take(who: str, seconds: float = 60) -> int | None:
        return database.transact(lambda link: take_lease(link, "segment:a", who, seconds))

    first, again, other = take("one"), take("one"), take("two")
    database.transact(lambda link: link.execute(text("UPDATE lease SET until = 1")))
    after = take("two")

    assert (first, again, other, after) == (1, 2, None, 3)
