"""How SQLite goes about what it is asked: tables that it reads from end to end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from nurture.db import Database

Asked = list[tuple[str, Any]]


def listened(db: Database) -> Asked:
    """Every statement from now on, with its values, as it comes."""
    asked: Asked = []
    event.listen(
        db.engine, "before_cursor_execute", lambda *said: None if said[5] else asked.append((said[2], said[3]))
    )
    return asked


def scans(db: Database, asked: Asked, *tables: str) -> list[str]:
    """Of the statements that were asked, the plans that read one of these tables from end to end."""
    found = []
    with db.read() as link:
        for statement, values in [one for one in asked if one[0].startswith(("SELECT", "UPDATE", "DELETE", "WITH"))]:
            plan = [row.detail for row in link.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            found += [
                f"{line}: {statement}" for line in plan if line.split()[0] == "SCAN" and line.split()[1] in tables
            ]
    return found
