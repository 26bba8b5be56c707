"""A list of keys as one parameter is looked up by an index, key by key."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert, select, text
from sqlmodel import col

from nurture.db import Database
from nurture.jsonsql import among, object_of
from nurture.records import Lead

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DATES = {"created_at": NOW, "changed_at": NOW}


def test_keys_are_looked_up(database: Database) -> None:
    """Not every row looked at; no key finds nobody."""
    rows = [{"draw": n, "email": f"{n}@acme.example", "stage": "lead", "status": "new", "fields": {}} for n in range(5)]
    with database.engine.begin() as link:
        link.execute(insert(Lead), [row | {"folded": {}, "fit_points": 0.0, **DATES} for row in rows])
        ids = [row.id or 0 for row in link.execute(select(col(Lead.id)).order_by(col(Lead.id)))]
        found = select(col(Lead.id)).where(among(col(Lead.id), [ids[3], ids[1], 10**9]))

        assert {row.id for row in link.execute(found)} == {ids[1], ids[3]}
        assert link.execute(select(col(Lead.id)).where(among(col(Lead.id), []))).all() == []
        if database.is_sqlite:
            sql = str(found.compile(link, compile_kwargs={"literal_binds": True}))
            plan = [str(row[-1]) for row in link.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
            assert any(line.startswith("SEARCH lead") for line in plan), plan
            assert not any(line.startswith("SCAN lead") for line in plan), plan


def test_an_object_of_columns(database: Database) -> None:
    """As the database's own JSON, whatever stands in the columns."""
    with database.engine.begin() as link:
        made = object_of(step=text("'ab\"c'"), none=text("NULL"))
        assert link.execute(select(made)).scalar_one() == {"step": 'ab"c', "none": None}
