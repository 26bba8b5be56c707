"""What sales made of hand-offs: answers and how soon they came, meetings, deals, by owner and by milestone."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import accumulate
from statistics import median
from typing import Any

from sqlalchemy import case, func, select
from sqlmodel import col

from nurture.engine.known_to_sales import missed
from nurture.engine.machine import Machine
from nurture.engine.routing import working
from nurture.program.load import House
from nurture.records import Handoff, HandoffAnswer

#: What the columns count, for whoever reads the table.
WORDS = (
    "Handed: one that went to somebody else counts with each of them, and once by milestone and in all. In time: "
    "answered by the deadline; expired: answered by nobody until it went on. Hours: of the owner's working time, the "
    "median until the answer. Accepted: of those that were answered. Met, SQL, won: who came so far, or further."
)
ALL = "all"
#: How far an answer says that a lead has come.
_FAR = {"met": 1, "sql": 2, "opportunity": 3, "won": 4}
_COLUMNS = (
    Handoff.id, Handoff.owner, Handoff.milestone, Handoff.state, Handoff.reason, Handoff.opened_at, Handoff.deadline_at,
    Handoff.answered_at, Handoff.progress, Handoff.value, Handoff.currency, Handoff.instead_of,
)  # fmt: skip


@dataclass
class _Tally:
    """What is counted of some hand-offs."""

    counts: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    value: Counter[str] = field(default_factory=Counter)
    hours: list[float] = field(default_factory=list)

    def add(self, row: Any, far: int, hours: float | None, went_on: datetime | None, *, again: bool) -> None:
        """Count a hand-off; `again`: its lead was counted with the one that it stands instead of."""
        self.counts["handed over"] += not again
        self.counts["waiting"] += row.state == "open"
        over = row.state in ("expired", "reassigned")
        self.counts["expired"] += over and missed(row.deadline_at, went_on, row.answered_at)
        if row.state in ("accepted", "rejected"):
            self.counts["answered"] += 1
            self.counts[row.state] += 1
            self.counts["in time" if row.answered_at <= row.deadline_at else "late"] += 1
        if row.state == "rejected":
            self.rejected[row.reason or "no reason"] += 1
        for word, least in _FAR.items():
            self.counts[word] += far >= least
        if row.progress == "lost":
            self.counts["lost"] += 1
        if row.progress == "won" and row.value is not None:
            self.value[row.currency or ""] += row.value
        if hours is not None:
            self.hours.append(hours)

    def told(self, who: str) -> dict[str, Any]:
        """As a row."""
        answered = self.counts["answered"]
        words = ("handed over", "waiting", "answered", "in time", "late", "expired", "accepted")
        return {
            "who": who, **{word: self.counts[word] for word in words},
            "accepted share": self.counts["accepted"] / answered if answered else None,
            "median hours": median(self.hours) if self.hours else None,
            "rejected": dict(self.rejected.most_common()),
            **{word: self.counts[word] for word in ("met", "sql", "opportunity", "won", "lost")},
            "value": {currency: round(value, 2) for currency, value in sorted(self.value.items())},
        }  # fmt: skip


def outcomes(machine: Machine) -> dict[str, list[dict[str, Any]]]:
    """`owners` and `milestones`, each with a row for all of them where there are several."""
    house = machine.live().house
    far = func.max(case(_FAR, value=col(HandoffAnswer.answer), else_=0))
    reached = select(col(HandoffAnswer.handoff_id), far).group_by(col(HandoffAnswer.handoff_id))
    with machine.db.read() as link:
        came = {number: int(how) for number, how in link.execute(reached)}
        rows = link.execute(select(*map(col, _COLUMNS)).order_by(col(Handoff.id))).all()
    owners, milestones, everything = dict[str, _Tally](), dict[str, _Tally](), _Tally()
    spent = _Hours(house, rows)
    went_on = {row.instead_of: row.opened_at for row in rows if row.instead_of is not None}
    for row in rows:
        hours = None if row.answered_at is None else spent.between(row.owner, row.opened_at, row.answered_at)
        theirs = owners.setdefault(row.owner, _Tally()), milestones.setdefault(row.milestone, _Tally()), everything
        for place, tally in enumerate(theirs):
            again = place > 0 and row.instead_of is not None
            tally.add(row, came.get(row.id, 0), hours, went_on.get(row.id), again=again)
    return {"owners": _rows(owners, everything), "milestones": _rows(milestones, everything)}


def _rows(tallies: dict[str, _Tally], everything: _Tally) -> list[dict[str, Any]]:
    told = [tally.told(who) for who, tally in sorted(tallies.items())]
    return [*told, everything.told(ALL)] if len(told) > 1 else told


class _Hours:
    """Working time of salespeople, added up once for each of them over the time that is asked about."""

    def __init__(self, house: House, rows: Sequence[Any]) -> None:
        self._team = {person.email: person for person in house.program.sales}
        self._house = house
        self._first = min((row.opened_at for row in rows), default=None)
        self._last = max((row.answered_at for row in rows if row.answered_at), default=None)
        self._sums = cache(self._added)

    def between(self, owner: str, since: datetime, until: datetime) -> float | None:
        """Hours that `owner` worked in between; None for somebody who is not in the team any more."""
        if owner not in self._team:
            return None
        begins, sums = self._sums(owner)
        return (_upto(begins, sums, until) - _upto(begins, sums, since)).total_seconds() / 3600

    def _added(self, owner: str) -> tuple[list[tuple[datetime, datetime]], list[timedelta]]:
        stretches: list[tuple[datetime, datetime]] = []
        begins = self._first
        while begins is not None and self._last is not None and begins <= self._last:
            some = list(working(self._team[owner], self._house, begins))
            stretches += [stretch for stretch in some if stretch[0] <= self._last]
            begins = some[-1][1] if some else None
        return stretches, [timedelta(), *accumulate(_lengths(stretches))]


def _lengths(stretches: Iterable[tuple[datetime, datetime]]) -> Iterable[timedelta]:
    return (closes - opens for opens, closes in stretches)


def _upto(stretches: list[tuple[datetime, datetime]], sums: list[timedelta], at: datetime) -> timedelta:
    """Working time before `at`."""
    place = bisect_right(stretches, at, key=lambda stretch: stretch[0])
    if not place:
        return timedelta()
    opens, closes = stretches[place - 1]
    return sums[place - 1] + min(closes, at) - opens
