"""Tables and migrations say the same, and a program meets only tables of its own version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect, text
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel, col, select

from nurture.db import Database, migrate
from nurture.errors import DatabaseFault, SchemaMismatch
from nurture.records import Meta, Suppression
from nurture.records.types import EPOCH, from_micros, to_micros


def test_the_sum_of_the_migrations_is_the_tables(blank_database_url: str) -> None:
    """After all migrations nothing is left to do: no table, column, type, index or constraint differs."""
    migrate(blank_database_url)
    db = Database(blank_database_url)
    with db.engine.connect() as link:
        options = {"compare_type": True, "compare_server_default": True}
        found = compare_metadata(MigrationContext.configure(link, opts=options), SQLModel.metadata)
    db.dispose()

    assert found == []


def test_migrating_twice_is_migrating_once(blank_database_url: str) -> None:
    """`migrate` may be run at any time: what is there stays."""
    migrate(blank_database_url)
    db = Database(blank_database_url)
    db.transact(lambda link: link.execute(text("INSERT INTO meta (key, value) VALUES ('a', 'b')")))
    migrate(db)
    with db.read() as link:
        kept = link.execute(select(Meta.value).where(col(Meta.key) == "a")).scalar_one()
    db.dispose()

    assert kept == "b"


def test_an_empty_database_is_set_up(blank_database_url: str) -> None:
    """The first start makes the tables; the second finds them."""
    db = Database(blank_database_url)
    for _ in range(2):
        db.require_schema()
    tables = set(inspect(db.engine).get_table_names())
    db.dispose()

    assert set(SQLModel.metadata.tables) <= tables


def test_a_newer_schema_is_refused(database: Database) -> None:
    """Tables that a later version has changed are not touched: install the newer program."""
    database.transact(lambda link: link.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    with pytest.raises(
        SchemaMismatch, match=r"version 9999, newer than this program \(\w+\); install the newer nurture"
    ):
        database.require_schema()


def test_an_older_schema_is_refused_with_the_command_to_run(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables that an earlier version has made wait for `nurture migrate`."""
    monkeypatch.setattr(ScriptDirectory, "get_current_head", lambda self: "9998")

    with pytest.raises(SchemaMismatch, match=r"are of version .*, this program needs 9998; run 'nurture migrate'"):
        database.require_schema()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    """A path that cannot be opened is named, with the way out; nothing is created elsewhere."""
    db = Database(f"sqlite:///{tmp_path / 'missing' / 'nurture.db'}")

    with pytest.raises(DatabaseFault, match=r"nurture\.db"):
        db.require_schema()
    db.dispose()


NAIVE = datetime(2026, 3, 2, 9, 0)


def test_naive_datetimes_are_refused(database: Database) -> None:
    """An instant without a zone is written nowhere and compared with nothing."""
    row = {"kind": "lead", "value": "1", "reason": "r", "source": "s", "at": NAIVE}

    with pytest.raises(StatementError, match="has no zone"):
        database.transact(lambda link: link.execute(Suppression.__table__.insert(), [row]))  # type: ignore[attr-defined]
    with pytest.raises(StatementError, match="has no zone"), database.read() as link:
        link.execute(select(Suppression.id).where(col(Suppression.at) > NAIVE))
    with pytest.raises(ValueError, match="has no zone"):
        to_micros(NAIVE)


instants = st.datetimes(
    datetime(1, 1, 3),
    datetime(9999, 12, 29),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12, minutes=-45))]),
)


@given(at=instants)
def test_instants_come_back_as_they_went(at: datetime) -> None:
    """Microseconds lose nothing, whatever zone an instant was given in."""
    assert from_micros(to_micros(at)) == at
    assert from_micros(to_micros(at)).utcoffset() == timedelta()


@given(first=instants, second=instants)
def test_microseconds_are_in_the_order_of_time(first: datetime, second: datetime) -> None:
    """What is earlier is smaller, before 1970 too."""
    assert (to_micros(first) < to_micros(second)) == (first < second)
    assert (to_micros(first) < 0) == (first < EPOCH)


def test_instants_survive_the_database(database: Database) -> None:
    """Stored, read and compared as instants on both databases, to the microsecond."""
    at = datetime(2026, 10, 25, 1, 0, 0, 1, tzinfo=UTC)
    later = at.astimezone(timezone(timedelta(hours=5, minutes=45))) + timedelta(microseconds=1)
    rows = [
        {"kind": "lead", "value": str(n), "reason": "r", "source": "s", "at": when}
        for n, when in enumerate((at, later))
    ]
    database.transact(lambda link: link.execute(Suppression.__table__.insert(), rows))  # type: ignore[attr-defined]
    with database.read() as link:
        found = list(link.execute(select(Suppression.at).order_by(col(Suppression.at))).scalars())
        after = link.execute(select(Suppression.value).where(col(Suppression.at) > at)).scalar_one()

    assert found == [at, later]
    assert [when.tzinfo for when in found] == [UTC, UTC]
    assert after == "1"
