"""How the CRM stands: what was told and heard, what waits, and why. Counts and reasons, no person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.crm import state
from nurture.engine.machine import Machine
from nurture.program.crm import Crm
from nurture.records import CrmLink

_NAMES = {state.PUSH: "told"}


def status(machine: Machine, crm: Crm) -> dict[str, Any]:
    """For people and programs."""
    with machine.db.read() as link:
        rounds = [_round(row) for row in state.states(link)]
        return {
            "kind": crm.kind, "url": crm.address, "rounds": rounds,
            "linked": link.execute(select(func.count(col(CrmLink.lead_id).distinct()))).scalar_one(),
            "refused": _counted(link, col(CrmLink.last_error)), "noted": _counted(link, col(CrmLink.note)),
        }  # fmt: skip


def waits(link: Connection) -> str | None:
    """Why the CRM could not be asked last, and from when on it is asked again; None: nothing is in the way."""
    stuck = [row for row in state.states(link) if row.last_error is not None]
    if not stuck:
        return None
    last = max(stuck, key=lambda row: row.attempt)
    return f"{last.last_error}; tried {last.attempt} times, the next time at {last.next_at:%Y-%m-%d %H:%M}Z"


def _counted(link: Connection, column: Any) -> dict[str, int]:
    query = select(column, func.count()).where(column.is_not(None)).group_by(column).order_by(func.count().desc())
    return {str(said): count for said, count in link.execute(query.limit(20))}


def _round(row: Any) -> dict[str, Any]:
    return {
        "what": _NAMES.get(row.name, row.name.replace("pull:", "heard: ")), "done": _written(row.done_at),
        "next": _written(row.next_at), "tries": row.attempt, "why": row.last_error or "",
    }  # fmt: skip


def _written(at: Any) -> str:
    return at.isoformat().replace("+00:00", "Z") if at is not None else ""
