"""The work list: which leads must be looked at, and from when. Written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, literal, true
from sqlmodel import col

from nurture.dialects import least, upsert
from nurture.records import Work
from nurture.records.types import Instant, instant, micros


def put_work(link: Connection, leads: Iterable[int] | Select[Any], due_at: datetime) -> None:
    """Have these leads looked at from `due_at`, or earlier if that was planned already.

    `leads`: ids, or a SELECT of one column of ids.
    """
    insert = upsert(link)(Work)
    if isinstance(leads, Select):
        # WHERE true: SQLite would read ON CONFLICT as a join condition without it
        statement = insert.from_select(["lead_id", "due_at"], leads.add_columns(literal(due_at, Instant())).where(true()))
        link.execute(_earlier(statement))
        return
    rows = [{"lead_id": lead, "due_at": due_at} for lead in sorted(set(leads))]
    if rows:
        link.execute(_earlier(insert), rows)


def _earlier(insert: Any) -> Any:
    soonest = instant(least(micros(col(Work.due_at)), micros(insert.excluded.due_at)))
    return insert.on_conflict_do_update(index_elements=["lead_id"], set_={"due_at": soonest})
