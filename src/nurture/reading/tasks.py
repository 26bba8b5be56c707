"""What salespeople were asked to do for leads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.reading.counts import written
from nurture.records import Lead, Task


def listed(machine: Machine, *, done: bool) -> list[dict[str, Any]]:
    """Tasks, oldest first, with whose they are; `done`: those that are done, too."""
    query = (
        select(
            col(Task.id), col(Task.text), col(Task.owner), col(Task.sequence), col(Task.step), col(Task.created_at),
            col(Task.due_at), col(Task.done_at), col(Task.done_by), col(Lead.first_name), col(Lead.last_name),
            col(Lead.email), col(Lead.company), col(Task.lead_id),
        )
        .join_from(Task, Lead, col(Lead.id) == col(Task.lead_id))
        .order_by(col(Task.id))
    )  # fmt: skip
    with machine.db.read() as link:
        rows = link.execute(query if done else query.where(col(Task.done_at).is_(None))).all()
    now = machine.now()
    return [
        {
            "id": row.id,
            "who": " ".join(filter(None, (row.first_name, row.last_name))) or row.email or f"lead {row.lead_id}",
            "company": row.company or "", "task": row.text, "owner": row.owner, "segment": row.sequence,
            "step": row.step, "asked": written(row.created_at), "due": written(row.due_at),
            "overdue": "overdue" if row.done_at is None and row.due_at is not None and row.due_at < now else "",
            "done": written(row.done_at), "done by": row.done_by or "",
        }
        for row in rows
    ]  # fmt: skip
