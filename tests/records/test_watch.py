"""Whether anybody wrote since one looked, as each database says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from nurture.db import Database
from tests.engine.world import new_database

_END_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database with its tables."""
    return new_database(request)


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """It, opened."""
    with opened(url) as made:
        yield made


@pytest.fixture
def other(url: str) -> Iterator[Database]:
    """Somebody else's."""
    with opened(url) as made:
        yield made


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """For as long as it is asked."""
    made = Database(url)
    yield made
    made.dispose()


def put(link: Connection, key: str) -> None:
    link.execute(text("INSERT INTO meta (key, value) VALUES (:key, 'here')"), {"key": key})


def test_the_same_answer_twice_until_somebody_writes(db: Database, other: Database) -> None:
    first = db.written()
    with other.read() as link:
        link.execute(text("SELECT count(*) FROM lead"))
    assert db.written() == first
    other.transact(lambda link: put(link, "a"))
    second = db.written()
    assert second != first
    assert db.written() == second


def test_what_is_committed_after_a_look_changes_the_next(db: Database, other: Database) -> None:
    """It was written before, by a transaction that was still open."""

    def write(link: Connection) -> object:
        put(link, "a")
        return db.written()

    during = other.transact(write)
    assert db.written() != during


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_what_is_committed_beside_an_older_transaction_is_seen(db: Database, other: Database, url: str) -> None:
    """SQLite has one writer; here an import is open before, and after."""
    with opened(url) as third, other.engine.begin() as older:
        put(older, "a")
        before = db.written()
        third.transact(lambda link: put(link, "b"))
        after = db.written()
        assert after != before
        assert db.written() == after


def test_nothing_is_taken_for_unwritten_where_it_cannot_be_asked(db: Database, other: Database, url: str) -> None:
    known = db.written()
    if db.is_sqlite:
        assert db._watch._file is not None
        db._watch._file.close()
    else:
        with other.engine.begin() as link:
            assert link.execute(text(_END_ALL)).scalar_one()
    broken, anew = db.written(), db.written()
    assert len({known, broken, anew}) == 3
    assert db.written() == anew

    with opened(f"{url}-not-there") as nowhere:
        assert nowhere.written() != nowhere.written()
        assert not (nowhere.is_sqlite and Path(str(nowhere.url.database)).exists())


def test_a_database_in_memory_never_says_so() -> None:
    with opened("sqlite://") as memory:
        assert memory.written() != memory.written()
