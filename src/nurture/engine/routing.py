"""Routing: whose lead it is, why, and until when an answer was promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, case, func, select
from sqlmodel import col

from nurture.dialects import TURNS, change, upsert
from nurture.engine.absences import Absences
from nurture.engine.accounts import owner_of, take
from nurture.engine.running import Run
from nurture.language.compiler import compile_condition
from nurture.program.load import House
from nurture.program.sales import Salesperson
from nurture.records import Handoff, Lead, RoutingShare
from nurture.windows import Window, each_opening

#: A deadline's own instant is in time: what nobody answered is looked at this much later.
MOMENT = timedelta(microseconds=1)
#: Who was passed over, as far as one sentence says it.
_TOLD = 3


@dataclass(frozen=True)
class Routed:
    """A salesperson, and why, in a short sentence."""

    person: Salesperson
    why: str


def asked(house: House) -> list[ColumnElement[Any]]:
    """What routing asks of a lead besides its `owner`, `country` and `language`: columns of a SELECT from `lead`.

    Its account, and whether it is one of those whom a salesperson `takes`.
    """
    taken = [
        case((compile_condition(person.takes, house.scope), 1), else_=0).label(f"takes_{number}")
        for number, person in enumerate(house.program.sales)
        if person.takes is not None
    ]
    return [col(Lead.account).label("account_key"), *taken]


class Routing:
    """Who gets a lead: its owner, its account's owner, else the next in turn of those who fit it best.

    `rows`: the leads, of a SELECT with `owner`, `country`, `language` and the columns of `asked`.
    """

    def __init__(self, run: Run, rows: Iterable[Any]) -> None:
        self._run, self._link, self._house, self._now = run, run.link, run.live.house, run.now
        self._team = {person.email: person for person in self._house.program.sales}
        change(run.link, TURNS)  # one after another deals, also while nobody is owed anything yet
        owed = select(col(RoutingShare.ring), col(RoutingShare.person), col(RoutingShare.owed))
        self._owed: dict[tuple[str, str], int] = {(row.ring, row.person): row.owed for row in self._link.execute(owed)}
        self._moved: set[tuple[str, str]] = set()
        self._accounts = owner_of(run, {row.account_key for row in rows if row.account_key is not None})
        self._taken: set[str] = set()
        self._known: dict[tuple[str, str], datetime] = {}

    def owner(self, row: Any) -> Routed:
        """The salesperson for a lead. Whoever has it, or its account, unless away for longer than the deadline."""
        passed = []
        whose = {row.owner: "the lead"}
        whose.setdefault(self._accounts.get(row.account_key), f"the account {row.account_key}")
        for email, what in whose.items():
            if email is None:
                continue
            person = self._team.get(email)
            if person is None:
                passed.append(f"{email}, who owned {what}, has left the team")
            elif self._there_again(person) > self.deadline(person):
                passed.append(f"{person.name}, who owns {what}, {self._away(person)}")
            else:
                return Routed(person, "; ".join([f"owns {what}", *passed]))
        rings = self._rings(row)
        return (
            self._of(rings, passed)
            or self._of(rings, [*passed, "nobody has room"], room=False)
            or self._of(rings, [*passed, "everybody is away"], room=False, there=False)
            or Routed(self._house.program.sales[0], "the first of the team")
        )

    def other(self, row: Any, tried: Collection[str]) -> Routed | None:
        """The next in turn of those who fit a lead, are there, and are none of `tried`; None: there is nobody."""
        rings = self._rings(row, tried)
        return self._of(rings, []) or self._of(rings, ["nobody has room"], room=False)

    def take(self, row: Any, person: Salesperson, before: Collection[str] = ()) -> None:
        """The lead's hand-off is this person's: one more open, and the account if it is nobody's.

        An account is nobody's if its owner has left the team, or is one of `before`.
        """
        self._open[person.email] += 1
        has = self._accounts.get(row.account_key)
        if row.account_key is not None and (has not in self._team or has in before):
            self._accounts[row.account_key] = person.email
            self._taken.add(row.account_key)

    def keep(self, cause: str) -> None:
        """Remember who is owed what, and who has come to own which account, because of `cause`."""
        shares = [{"ring": r, "person": p, "owed": self._owed[r, p]} for r, p in sorted(self._moved)]
        if shares:
            insert = upsert(self._link)(RoutingShare)
            found = insert.on_conflict_do_update(index_elements=["ring", "person"], set_={"owed": insert.excluded.owed})
            self._link.execute(found, shares)
        for key in sorted(self._taken):
            take(self._run, key, self._accounts[key], cause)

    def deadline(self, person: Salesperson) -> datetime:
        """When the owner's business hours since now add up to the promised span."""
        return self._after(person, self._house.lifecycle.sla.accept_within)

    def first_look(self, person: Salesperson) -> datetime:
        """When something is due about a hand-off of now: a reminder when half of the time has gone, or its expiry."""
        sla = self._house.lifecycle.sla
        return self._after(person, sla.accept_within / 2) if sla.remind else self.deadline(person) + MOMENT

    def _after(self, person: Salesperson, hours: float) -> datetime:
        place = (person.email, f"after {hours}")
        if place not in self._known:
            since = self._now.replace(microsecond=0)  # a moment past an expiry is not another working day
            self._known[place] = business_deadline(person, self._house, since, hours)
        return self._known[place]

    def _rings(self, row: Any, tried: Collection[str] = ()) -> list[tuple[str, list[Salesperson]]]:
        """Those who fit, the most particular first, with what they take in words; the whole team if nobody does."""
        kinds: dict[int, list[Salesperson]] = {}
        words = {
            0: f"takes such leads in {row.country}", 1: "takes such leads", 2: f"takes {row.country}",
            3: f"speaks {row.language}", 4: "takes any lead",
        }  # fmt: skip
        for number, person in enumerate(self._house.program.sales):
            if person.takes is not None and not getattr(row, f"takes_{number}"):
                continue
            if person.countries and row.country not in person.countries:
                continue
            if person.takes is not None:
                kind = 0 if person.countries else 1
            else:
                kind = 2 if person.countries else 3 if row.language and person.language == row.language else 4
            kinds.setdefault(kind, []).append(person)
        if not kinds:
            words[4] = "nobody takes such a lead"
            kinds[4] = list(self._house.program.sales)
        left = {kind: [person for person in kinds[kind] if person.email not in tried] for kind in sorted(kinds)}
        return [(words[kind], people) for kind, people in left.items() if people]

    def _of(
        self, rings: Sequence[tuple[str, list[Salesperson]]], passed: Sequence[str], *, room: bool = True,
        there: bool = True,
    ) -> Routed | None:  # fmt: skip
        """The next in turn of the first ring in which anybody is able: there when they next work, and with room."""
        notes = list(passed)
        for words, ring in rings:
            able = []
            for person in ring:
                if there and (away := self._away(person)):
                    notes += [] if any(person.name in one for one in passed) else [f"{person.name} {away}"]
                elif room and person.capacity is not None and self._open[person.email] >= person.capacity:
                    notes.append(f"{person.name} has {self._open[person.email]} open")
                else:
                    able.append(person)
            if able:
                at_work = [person for person in able if self._works(person) == self._now]
                why = [words]
                why += ["at work now"] if 0 < len(at_work) < len(able) else []
                why += ["next in turn"] if len(among := at_work or able) > 1 else []
                return Routed(self._next(ring, among), "; ".join([", ".join(why), *notes[:_TOLD]]))
        return None

    def _next(self, ring: list[Salesperson], able: list[Salesperson]) -> Salesperson:
        """Everybody is owed what they weigh, the one who is owed most is next and pays for all: smooth in any order.

        Who is not able gains nothing and loses nothing meanwhile.
        """
        name = ",".join(person.email for person in ring)
        for person in able:
            place = (name, person.email)
            self._owed[place] = self._owed.get(place, 0) + person.weight
            self._moved.add(place)
        chosen = max(able, key=lambda person: self._owed[name, person.email])
        self._owed[name, chosen.email] -= sum(person.weight for person in able)
        return chosen

    def _works(self, person: Salesperson) -> datetime:
        """The next instant of this person's working hours, wherever they are."""
        place = (person.email, "works")
        if place not in self._known:
            self._known[place] = next(working(person, self._house, self._now), (self._now, self._now))[0]
        return self._known[place]

    def _there_again(self, person: Salesperson) -> datetime:
        """The next instant of this person's working hours on a day on which they are not away."""
        for begins, _ in working(person, self._house, self._now):
            if self._absences.until(person.email, day_of(person, self._house, begins)) is None:
                return begins
        return datetime.max.replace(tzinfo=self._now.tzinfo)

    def _away(self, person: Salesperson) -> str:
        """`is away until 7 Jan`, if they are when they would work next; else nothing."""
        last = self._absences.until(person.email, day_of(person, self._house, self._works(person)))
        return f"is away until {last.day} {last:%b}" if last is not None else ""

    @cached_property
    def _absences(self) -> Absences:
        return Absences.of(self._link, self._house, self._now)

    @cached_property
    def _open(self) -> Counter[str]:
        """Open hand-offs by owner; counted if anybody has a bound, and those of this run besides."""
        if not any(person.capacity is not None for person in self._team.values()):
            return Counter()
        mine = select(col(Handoff.owner), func.count()).where(col(Handoff.state) == "open")
        return Counter({owner: count for owner, count in self._link.execute(mine.group_by(col(Handoff.owner)))})


def member(house: House, email: str) -> Salesperson:
    """The salesperson of this address; who has left the team works as the program's usual hours say."""
    found = (person for person in house.program.sales if person.email == email)
    return next(found, None) or Salesperson(name=email, email=email)


def zone_of(person: Salesperson, house: House) -> ZoneInfo:
    """The clock of this person's hours."""
    return ZoneInfo(person.zone or house.program.zone)


def day_of(person: Salesperson, house: House, at: datetime) -> date:
    """The day of `at` on this person's clock."""
    return at.astimezone(zone_of(person, house)).date()


def working(person: Salesperson, house: House, since: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The stretches of this person's working hours from `since` on, for some 400 days; absences are not looked at."""
    program = house.program
    window = Window(person.hours, person.days, True, "next_opening", tuple(program.closed_days))
    zone, country = person.zone or program.zone, person.country or program.country or ""
    first, last = (since - timedelta(days=2)).date(), (since + timedelta(days=400)).date()
    for opens, closes in each_opening(window, zone, country, first, last):
        if closes > since:
            yield max(opens, since), closes


def business_deadline(person: Salesperson, house: House, now: datetime, hours: float) -> datetime:
    """`hours` of this person's working hours after `now`."""
    left = timedelta(hours=hours)
    for begins, closes in working(person, house, now):
        if closes - begins >= left:
            return begins + left
        left -= closes - begins
    return now + timedelta(days=400)


__all__ = ["MOMENT", "Routed", "Routing", "asked", "business_deadline", "day_of", "member", "working", "zone_of"]
