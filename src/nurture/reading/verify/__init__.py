"""What must hold in the database whatever happened: each invariant as queries that name their offenders.

Read-only, set-based, and the same on both databases. Whether the ledger follows from the event log is not derived
anew here (`publish` of a changed program does that); that the sums follow from the ledger is, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from nurture.engine.live import Library
from nurture.reading.verify import forgotten, identity, people, places, sales, sends, touches
from nurture.reading.verify.base import Context, Invariant
from nurture.records import Lead, Touch
from nurture.records.types import to_micros

__all__ = ["INVARIANTS", "Found", "Verified", "verify"]

#: Offenders that are named; of the others it is said how many they are.
NAMED = 20
INVARIANTS: list[Invariant] = [
    *touches.INVARIANTS, *sends.INVARIANTS, *places.INVARIANTS, *people.INVARIANTS, *identity.INVARIANTS,
    *sales.INVARIANTS, *forgotten.INVARIANTS,
]  # fmt: skip


@dataclass(frozen=True)
class Found:
    """An invariant that does not hold: who breaks it, and how many more do."""

    invariant: Invariant
    offenders: list[str]
    more: int


@dataclass
class Verified:
    """How much was looked at, and what does not hold."""

    touches: int
    leads: int
    broken: list[Found] = field(default_factory=list)

    def __str__(self) -> str:
        over = f"{self.touches:,} touches, {self.leads:,} leads"
        if not self.broken:
            return f"{len(INVARIANTS)} invariants hold over {over}."
        return f"{len(self.broken)} of {len(INVARIANTS)} invariants do not hold over {over}."


def verify(link: Connection, library: Library, now: datetime) -> Verified:
    """Look at everything once, as it stands in this transaction's view."""
    done = Verified(_rows(link, Touch), _rows(link, Lead))
    context = Context(link, library, now)
    for invariant in INVARIANTS:
        offenders, more = _offenders(context, invariant.queries(context))
        if offenders:
            done.broken.append(Found(invariant, offenders, more))
    return done


def _rows(link: Connection, table: Any) -> int:
    return int(link.execute(select(func.count()).select_from(table)).scalar_one())


def _offenders(context: Context, queries: Iterable[Any]) -> tuple[list[str], int]:
    named: list[str] = []
    more = 0
    at = {"at_now": to_micros(context.now)}
    for query in queries:
        found = query.subquery()
        rows = context.link.execute(select(found).order_by(found.c[1]).limit(NAMED + 1), at).all()
        room = NAMED - len(named)
        named += [_sentence(*row) for row in rows[:room]]
        if len(rows) > room:
            more += context.link.execute(select(func.count()).select_from(found), at).scalar_one() - room
    return named, more


def _sentence(subject: str, number: Any, lead: int | None, said: str) -> str:
    whose = "" if lead is None or subject == "lead" else f" of lead {lead}"
    return f"{subject} {number}{whose}: {said}"
