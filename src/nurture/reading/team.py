"""The sales team: who is away, and how much each has open."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case, func, select
from sqlmodel import col

from nurture.engine.absences import Absences
from nurture.engine.machine import Machine
from nurture.engine.routing import day_of
from nurture.records import Handoff


def team(machine: Machine) -> list[dict[str, Any]]:
    """Each salesperson in the order of program.yaml; of an absence that is not over, its days as ISO dates."""
    now = machine.now()
    late = func.sum(case((col(Handoff.deadline_at) < now, 1), else_=0))
    query = select(col(Handoff.owner), func.count(), late).where(col(Handoff.state) == "open")
    with machine.db.read() as link:
        house = machine.library.live(link).house
        counts = {owner: (count, int(overdue)) for owner, count, overdue in link.execute(query.group_by(Handoff.owner))}
        absences = Absences.of(link, house, now)
    rows = []
    for person in house.program.sales:
        count, overdue = counts.get(person.email, (0, 0))
        today = day_of(person, house, now)
        ahead = [span for span in absences.spans.get(person.email, ()) if span[1] >= today]
        rows.append({
            "name": person.name, "e-mail": person.email, "open": count, "overdue": overdue,
            "capacity": person.capacity or "", "away": ", ".join(f"{first} to {last}" for first, last in ahead),
            "away now": bool(absences.until(person.email, today)),
        })  # fmt: skip
    return rows
