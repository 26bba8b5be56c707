"""What a lead was, is, and why: the only place that writes a row of a history, of stages or of statuses.

Which moves there are, and what belongs to them, is the machine's (`engine/stages.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal, select, update
from sqlmodel import SQLModel, col

from nurture.dialects import least, new_rows
from nurture.records import Lead, StageTransition, StatusChange
from nurture.records.types import NOW_AT, instant, micros

#: How a history begins: whom nobody knew. No row of a lead has this stage.
VISITOR = "visitor"
#: Statements that note a change, first, and make it, last; what belongs to it stands between.
Moves = tuple[Any, ...]
_HISTORIES = {name: SQLModel.metadata.tables[table] for name, table in
              (("stage", "stage_transition"), ("status", "status_change"))}  # fmt: skip


def stage_change(leads: ColumnElement[bool], to: str, *, cause: Any, author: str, version: int | None) -> Moves:
    """The statements that note that the leads for which `leads` holds come to stage `to`, and bring them there.

    `cause`: in words, or an expression that gives them for each lead.
    """
    why = cause if isinstance(cause, ColumnElement) else literal(cause)
    rows = select(col(Lead.id), col(Lead.stage), literal(to), NOW_AT, why, literal(author), literal(version)).where(
        leads
    )
    columns = ["lead_id", "from_stage", "to_stage", "at", "cause", "author", "program_version_id"]
    return new_rows(StageTransition, columns, rows), update(Lead).where(leads).values(stage=to, changed_at=NOW_AT)


def status_moves(leads: ColumnElement[bool], to: str, *, cause: str, author: str) -> Moves:
    """The same for a status, which whoever has it already keeps without a row."""
    moving = and_(leads, col(Lead.status) != to)
    rows = select(col(Lead.id), col(Lead.status), literal(to), NOW_AT, literal(cause), literal(author)).where(moving)
    columns = ["lead_id", "from_status", "to_status", "at", "cause", "author"]
    return new_rows(StatusChange, columns, rows), update(Lead).where(moving).values(status=to, changed_at=NOW_AT)


def note(
    link: Connection, name: str, rows: Iterable[tuple[int, str, str]], now: datetime, *, cause: str, author: str,
    version: int | None = None,
) -> None:  # fmt: skip
    """Note in the history of `name` (stage or status) what leads, (id, from, to), were and are without a move.

    They are new, or were another lead until now.
    """
    ours = {"at": now, "cause": cause, "author": author} | ({"program_version_id": version} if version else {})
    noted = [{"lead_id": lead, f"from_{name}": before, f"to_{name}": to, **ours} for lead, before, to in rows]
    if noted:
        link.execute(_HISTORIES[name].insert(), noted)


def began_as_visitor(leads: ColumnElement[bool]) -> Any:
    """The statement that notes that the leads for which `leads` holds were visitors before anything else, once.

    At the instant of saying who it is, or a microsecond before whatever is noted of it first.
    """
    mine = col(StageTransition.lead_id) == col(Lead.id)
    in_order = (col(StageTransition.at), col(StageTransition.id))
    began = select(col(StageTransition.from_stage)).where(mine).order_by(*in_order).limit(1)
    first = began.correlate(Lead).scalar_subquery()
    noted = select(func.min(micros(col(StageTransition.at)))).where(mine).correlate(Lead).scalar_subquery()
    born = micros(col(Lead.created_at))
    at = instant(least(born, func.coalesce(noted - 1, born)))
    known = select(1).where(mine, col(StageTransition.from_stage) == VISITOR).correlate(Lead).exists()
    to, said = func.coalesce(first, col(Lead.stage)), literal("said who it is")
    rows = select(col(Lead.id), literal(VISITOR), to, at, said, literal("rule")).where(leads, ~known)
    return new_rows(StageTransition, ["lead_id", "from_stage", "to_stage", "at", "cause", "author"], rows)
