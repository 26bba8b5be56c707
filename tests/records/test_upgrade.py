"""What an older database brings along is still so after its upgrade."""

from __future__ import annotations

from alembic import command
from sqlalchemy import text

from nurture.db import Database, _alembic, migrate

#: In microseconds: long past, and far ahead.
LATE, AHEAD = 1_500_000_000_000_000, 4_000_000_000_000_000


def test_hand_offs_from_before_terms(blank_database_url: str) -> None:
    """Those that are long overdue stay with whom they are; of the others the deadline is kept. Constraints keep names."""
    db = Database(blank_database_url)
    with db.engine.begin() as link:
        command.upgrade(_alembic(link), "0004")
        for lead, deadline in ((1, LATE), (2, AHEAD)):
            lead_row = {"id": lead, "draw": 0, "stage": "sal", "status": "new", "created_at": LATE, "changed_at": LATE}
            _put(link, "lead", lead_row | {"fields": "{}", "folded": "{}", "fit_points": 0})
            _put(link, "handoff", {
                "id": lead, "lead_id": lead, "cycle": 1, "milestone": "demo", "state": "open", "owner": "a@b.example",
                "score": 0, "stage_before": "lead", "opened_at": LATE, "deadline_at": deadline, "program_version_id": 1,
            })  # fmt: skip
    migrate(db)
    with db.read() as link:
        looks = link.execute(text("SELECT id, next_at FROM handoff ORDER BY id")).all()
        waiting = link.execute(text("SELECT lead_id FROM work ORDER BY lead_id")).scalars().all()
        names = [] if db.is_sqlite else link.execute(
            text("SELECT conname FROM pg_constraint WHERE conrelid = 'score_sum'::regclass AND contype IN ('p', 'f')")
        ).scalars().all()  # fmt: skip
    db.dispose()

    assert waiting == [1, 2]  # for an account, which settling derives
    assert looks == [(1, None), (2, AHEAD)]
    assert sorted(names) == ([] if db.is_sqlite else ["fk_score_sum_lead_id_lead", "pk_score_sum"])


def _put(link: object, table: str, row: dict[str, object]) -> None:
    columns = ", ".join(row)
    link.execute(text(f"INSERT INTO {table} ({columns}) VALUES (:{', :'.join(row)})"), row)  # type: ignore[attr-defined]
