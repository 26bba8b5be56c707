"""The work list: which leads must be looked at, and from when. Written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, literal
from sqlmodel import col

from nurture.dialects import least, newer_rows, upsert
from nurture.records import Work
from nurture.records.types import NOW_AT, Instant, instant, micros


def put_work(link: Connection, leads: Iterable[int] | Select[Any], due_at: datetime) -> None:
    """Have these leads looked at from `due_at`, or earlier if that was planned already.

    `leads`: ids, or a SELECT of one column of ids.
    """
    if isinstance(leads, Select):
        link.execute(work_for(leads, literal(due_at, Instant())))
        return
    rows = [{"lead_id": lead, "due_at": due_at} for lead in sorted(set(leads))]
    if rows:
        insert = upsert(link)(Work)
        link.execute(insert.on_conflict_do_update(index_elements=["lead_id"], set_=_sooner(insert.excluded)), rows)


def work_for(leads: Select[Any], due_at: ColumnElement[datetime] = NOW_AT) -> Any:
    """The statement that has `leads` (a SELECT of ids) looked at from `due_at`."""
    return newer_rows(Work, ["lead_id", "due_at"], leads.add_columns(due_at), ["lead_id"], _sooner)


def _sooner(excluded: Any) -> dict[str, Any]:
    return {"due_at": instant(least(micros(col(Work.due_at)), micros(excluded.due_at)))}
