"""Who of the sales team is away: as program.yaml says, and as a command has noted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update
from sqlmodel import col

from nurture.engine.audit import note
from nurture.program.load import House
from nurture.records import Absence

#: As the audit calls it.
AWAY, BACK = "away", "back"


@dataclass(frozen=True)
class Absences:
    """By the salesperson's address, stretches of days as (first, last), both included."""

    spans: Mapping[str, Sequence[tuple[date, date]]]

    @classmethod
    def of(cls, link: Connection, house: House, now: datetime) -> Absences:
        """Those that are not over at `now`, wherever the day is still going on."""
        yesterday = (now - timedelta(days=1)).date()
        found: dict[str, list[tuple[date, date]]] = defaultdict(list)
        for person in house.program.sales:
            found[person.email] += [(away.first, away.last) for away in person.away if away.last >= yesterday]
        noted = select(col(Absence.person), col(Absence.first), col(Absence.last)).where(col(Absence.last) >= yesterday)
        for email, first, last in link.execute(noted):
            found[email].append((first, last))
        return cls({email: sorted(spans) for email, spans in found.items()})

    def until(self, email: str, day: date) -> date | None:
        """The last day of the absence that `day` falls into, with what follows on it directly; None: they are there."""
        last = None
        for first, ends in self.spans.get(email, ()):
            if first <= day <= ends or (last is not None and first <= last + timedelta(days=1)):
                last = ends if last is None else max(last, ends)
        return last


def go_away(link: Connection, person: str, first: date, last: date, *, by: str, now: datetime) -> None:
    """Note that a salesperson does not work from `first` to `last`, both included."""
    row = {"person": person, "first": first, "last": last, "noted_at": now, "noted_by": by}
    link.execute(insert(Absence).values(**row))
    note(link, AWAY, f"sales:{person}", by, now, {"first": str(first), "last": str(last)})


def come_back(link: Connection, person: str, today: date, *, by: str, now: datetime) -> int:
    """End what was noted of a salesperson's absence: it lasted until yesterday, or does not begin; how many."""
    mine = col(Absence.person) == person
    ahead = link.execute(delete(Absence).where(mine, col(Absence.first) >= today)).rowcount
    going_on = update(Absence).where(mine, col(Absence.first) < today, col(Absence.last) >= today)
    ended = link.execute(going_on.values(last=today - timedelta(days=1))).rowcount + ahead
    if ended:
        note(link, BACK, f"sales:{person}", by, now)
    return ended
