"""What sales said: hand-offs by milestone, and what the gate kept from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

from sqlalchemy import case, func, select
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.reading.counts import Row
from nurture.records import Handoff, Milestone


def answers(machine: Machine, now: datetime | None = None) -> list[Row]:
    """By milestone: handed over, accepted, given back by reason, and of those that wait, how many are overdue.

    One that expired and went to somebody else is one hand-over.
    """
    now = now or machine.now()
    late = func.sum(case((col(Handoff.deadline_at) < now, 1), else_=0))
    groups = (col(Handoff.milestone), col(Handoff.state), col(Handoff.reason))
    states: dict[str, Counter[str]] = defaultdict(Counter)
    back: dict[str, Counter[str]] = defaultdict(Counter)
    with machine.db.read() as link:
        for milestone, state, reason, count, overdue in link.execute(
            select(*groups, func.count(), late).group_by(*groups)
        ):
            states[milestone][state] += count
            if state == "open":
                states[milestone]["overdue"] += int(overdue)
            if state == "rejected":
                back[milestone][reason or "no reason"] += count
    return [
        {
            "milestone": milestone,
            "handed over": sum(counted.values()) - counted["overdue"] - counted["reassigned"],
            "accepted": counted["accepted"], "given back": dict(back[milestone].most_common()),
            "expired": counted["expired"] + counted["reassigned"],
            "waiting": counted["open"], "overdue": counted["overdue"],
        }
        for milestone, counted in sorted(states.items())
    ]  # fmt: skip


def refused(machine: Machine) -> list[Row]:
    """How often the gate kept a milestone from sales, by reason."""
    query = (
        select(col(Milestone.reason), func.count())
        .where(col(Milestone.outcome) == "refused")
        .group_by(col(Milestone.reason))
        .order_by(func.count().desc(), col(Milestone.reason))
    )
    with machine.db.read() as link:
        return [{"reason": reason or "no reason", "times": count} for reason, count in link.execute(query)]
