"""A ledger from before its leaner indexes is the same after the upgrade, and they are as partial as they were."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from nurture.db import Database, _alembic, migrate

LINE = {
    "id": 7, "lead_id": 1, "rule": "read", "dimension": "engagement", "event_id": 3, "points": 5.0, "counted": 5.0,
    "summed": 5.0, "group_name": "clicks", "half_life_hours": 336.0, "expires_at": None, "in_total": 20, "at": 9,
    "day": 0, "program_version_id": 1,
}  # fmt: skip


def test_the_ledger_is_kept(blank_database_url: str) -> None:
    """All its columns with their values, and what its indexes leave out."""
    db = Database(blank_database_url)
    with db.engine.begin() as link:
        command.upgrade(_alembic(link), "0006")
        link.execute(
            text(
                "INSERT INTO lead (id, draw, stage, status, created_at, changed_at, fields, folded, fit_points)"
                " VALUES (1, 0, 'lead', 'new', 0, 0, '{}', '{}', 0)"
            )
        )
        columns = ", ".join(LINE)
        link.execute(text(f"INSERT INTO score_entry ({columns}) VALUES (:{', :'.join(LINE)})"), LINE)
    migrate(db)
    with db.read() as link:
        kept = dict(link.execute(text("SELECT * FROM score_entry")).one()._mapping)
        indexes = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = 'score_entry'"
            if db.is_sqlite
            else "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'score_entry' AND indexname LIKE 'ix%'"
        )
        partial = {name: " WHERE " in definition for name, definition in link.execute(text(indexes))}
    with pytest.raises(IntegrityError), db.engine.begin() as link:
        link.execute(text(f"INSERT INTO score_entry ({columns}) VALUES (:{', :'.join(LINE)})"), LINE | {"id": 8})
    db.dispose()

    assert kept == LINE
    assert partial == {f"ix_score_entry_{name}": True for name in ("counted", "expires", "unsummed")}
