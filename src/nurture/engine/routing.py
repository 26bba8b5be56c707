"""Routing: whose lead it is, and until when an answer was promised."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine.running import Run
from nurture.program.load import House
from nurture.program.sales import Salesperson
from nurture.records import RoutingShare
from nurture.windows import Window, each_opening


class Routing:
    """Who gets a lead: its owner if it has one, else a weighted round robin among those who fit it."""

    def __init__(self, run: Run) -> None:
        self._link, self._house, self._now = run.link, run.live.house, run.now
        owed = select(col(RoutingShare.ring), col(RoutingShare.person), col(RoutingShare.owed)).with_for_update()
        self._owed: dict[tuple[str, str], int] = {(row.ring, row.person): row.owed for row in self._link.execute(owed)}
        self._moved: set[tuple[str, str]] = set()
        self._deadlines: dict[str, datetime] = {}

    def owner(self, present: str | None, country: str | None, language: str | None) -> Salesperson:
        """The salesperson for a lead of this owner, country and language."""
        team = self._house.program.sales
        for person in team:
            if person.email == present:
                return person
        fitting = (
            [p for p in team if country and country in p.countries]
            or [p for p in team if not p.countries and language and p.language == language]
            or [p for p in team if not p.countries]
            or team
        )
        return self._next(fitting)

    def _next(self, fitting: list[Salesperson]) -> Salesperson:
        """Everybody is owed what they weigh, the one who is owed most is next and pays for all: smooth in any order."""
        ring = ",".join(person.email for person in fitting)
        for person in fitting:
            place = (ring, person.email)
            self._owed[place] = self._owed.get(place, 0) + person.weight
            self._moved.add(place)
        chosen = max(fitting, key=lambda person: self._owed[ring, person.email])
        self._owed[ring, chosen.email] -= sum(person.weight for person in fitting)
        return chosen

    def keep(self) -> None:
        """Remember who is owed what."""
        for ring, person in sorted(self._moved):
            insert = upsert(self._link)(RoutingShare).values(ring=ring, person=person, owed=self._owed[ring, person])
            self._link.execute(
                insert.on_conflict_do_update(index_elements=["ring", "person"], set_={"owed": insert.excluded.owed})
            )

    def deadline(self, person: Salesperson) -> datetime:
        """When the owner's business hours since now add up to the promised span."""
        if person.email not in self._deadlines:
            hours = timedelta(hours=self._house.lifecycle.sla.accept_within)
            self._deadlines[person.email] = business_deadline(person, self._house, self._now, hours)
        return self._deadlines[person.email]


def business_deadline(person: Salesperson, house: House, now: datetime, span: timedelta) -> datetime:
    """`span` of this person's business hours after `now`."""
    program = house.program
    window = Window(person.hours, person.days, True, "next_opening", tuple(program.closed_days))
    zone, country = person.zone or program.zone, person.country or program.country or ""
    left = span
    first = (now - timedelta(days=2)).date()
    for opens, closes in each_opening(window, zone, country, first, (now + timedelta(days=400)).date()):
        begins = max(opens, now)
        if closes <= begins:
            continue
        if closes - begins >= left:
            return begins + left
        left -= closes - begins
    return now + timedelta(days=400)
