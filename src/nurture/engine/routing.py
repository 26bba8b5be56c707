"""Routing: whose lead it is, and until when an answer was promised."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine.running import Run
from nurture.program.load import House
from nurture.program.models import Salesperson
from nurture.records import RoutingTurn
from nurture.windows import Window, each_opening


class Routing:
    """Who gets a lead: its owner if it has one, else a weighted round robin among those who fit it."""

    def __init__(self, run: Run) -> None:
        self._link, self._house, self._now = run.link, run.live.house, run.now
        turns = self._link.execute(select(col(RoutingTurn.ring), col(RoutingTurn.turn)).with_for_update())
        self._turns: dict[str, int] = {ring: turn for ring, turn in turns}
        self._moved: set[str] = set()
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
        ring = [person for person in fitting for _ in range(person.weight)]
        name = ",".join(person.email for person in fitting)
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        self._moved.add(name)
        return ring[turn % len(ring)]

    def keep(self) -> None:
        """Remember whose turn it is."""
        for name in self._moved:
            insert = upsert(self._link)(RoutingTurn).values(ring=name, turn=self._turns[name])
            self._link.execute(
                insert.on_conflict_do_update(index_elements=["ring"], set_={"turn": insert.excluded.turn})
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
