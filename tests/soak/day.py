"""What a day left behind: in the engine's process, on the disk, and in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, text
from sqlmodel import SQLModel, col

from nurture.db import Database
from nurture.records import Control, Enrolment, Hold, Lease, Outbox, Touch, Work

_DAY = timedelta(days=1)


@dataclass
class Day:
    """One day, by name of figure. `tables`: rows of each."""

    number: int
    held: dict[str, float]
    disk: dict[str, float]
    stuck: dict[str, int]
    tables: dict[str, int] = field(default_factory=dict)


def look(db: Database, home: Path, number: int, held: Mapping[str, float], now: datetime) -> Day:
    """Look at everything that may have grown or been left."""
    with db.read() as link:
        return Day(number, dict(held), _disk(db, link, home), _stuck(link, now), _tables(link))


def _disk(db: Database, link: Connection, home: Path) -> dict[str, float]:
    journals = list((home / "journal").glob("*"))
    found = {"journals": len(journals), "journal_mb": _megabytes(journals)}
    found["home_files"] = sum(1 for file in home.rglob("*") if file.is_file())
    if not db.is_sqlite:
        return found | {"db_mb": link.execute(text("SELECT pg_database_size(current_database())")).scalar_one() / 1e6}
    file = Path(db.url.database or "")
    size, free = (link.exec_driver_sql(f"PRAGMA {word}").scalar_one() for word in ("page_size", "freelist_count"))
    found |= {"db_mb": _megabytes([file]), "free_mb": size * free / 1e6}
    return found | {"wal_mb": _megabytes([file.with_name(f"{file.name}-wal")])}


def _megabytes(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files if file.exists()) / 1e6


def _tables(link: Connection) -> dict[str, int]:
    every = SQLModel.metadata.sorted_tables
    return {table.name: link.execute(select(func.count()).select_from(table)).scalar_one() for table in every}


def _stuck(link: Connection, now: datetime) -> dict[str, int]:
    """Rows that should have gone on a day ago; leases and claims of anybody; what waits for a person."""
    old = now - _DAY
    asked: dict[str, tuple[Any, ColumnElement[bool]]] = {
        "in hand": (Touch, col(Touch.state).in_(("claimed", "sending")) & (col(Touch.planned_at) < old)),
        "tried again": (Touch, (col(Touch.state) == "retry_wait") & (col(Touch.next_at) < old)),
        "planned late": (Touch, (col(Touch.state) == "planned") & (col(Touch.next_at) < old)),
        "uncertain": (Touch, col(Touch.state) == "uncertain"),
        "held": (Touch, (col(Touch.state) == "held") & (col(Touch.planned_at) < old)),
        "work overdue": (Work, col(Work.due_at) < old),
        "places overdue": (Enrolment, col(Enrolment.ended_at).is_(None) & (col(Enrolment.due_at) < old)),
        "places waiting for an ended touch": (Enrolment, _left_behind()),
        "notices unsent": (Outbox, col(Outbox.done_at).is_(None) & (col(Outbox.created_at) < old)),
        "leases": (Lease, col(Lease.name).is_not(None)),
        "holds": (Hold, (col(Hold.state) == "asked") & (col(Hold.asked_at) < old)),
        "controls": (Control, col(Control.scope).is_not(None)),
    }
    count = select(func.count())
    return {
        name: link.execute(count.select_from(table).where(which)).scalar_one() for name, (table, which) in asked.items()
    }


def _left_behind() -> ColumnElement[bool]:
    """Stands on a step without an instant while its touch there has ended."""
    here = (col(Touch.enrolment_id) == col(Enrolment.id)) & (col(Touch.step) == col(Enrolment.step))
    ended = select(1).where(here, col(Touch.occurrence) == col(Enrolment.occurrence), col(Touch.ended_at).is_not(None))
    return col(Enrolment.ended_at).is_(None) & col(Enrolment.due_at).is_(None) & ended.exists()
