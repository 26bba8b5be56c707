"""The sales team of program.yaml."""

from __future__ import annotations

from datetime import date

from pydantic import Field, model_validator

from nurture.durations import parse_hours
from nurture.language.conditions import When
from nurture.language.source import Written
from nurture.program.kinds import Address, Clock, Country, Days, Zone


class Away(Written):
    """Days on which somebody does not work, both included."""

    first: date
    last: date

    @model_validator(mode="after")
    def _in_order(self) -> Away:
        if self.last < self.first:
            raise ValueError(f"'last' {self.last} is before 'first' {self.first}; swap them")
        return self


class Salesperson(Written):
    """A member of the sales team: when reachable, and for whom."""

    name: str
    email: Address
    zone: Zone | None = None
    hours: Clock = Field(default_factory=lambda: parse_hours("09:00-17:00"))
    days: Days = ("workdays",)
    country: Country | None = None
    weight: int = Field(default=1, ge=1, le=10)
    #: Countries whose leads this person takes; empty: any.
    countries: list[Country] = []
    language: str | None = None
    #: Which leads this person takes, besides `countries` and `language`: a product, a size, a branch of trade.
    takes: When | None = None
    #: Open hand-offs at one time.
    capacity: int | None = Field(default=None, ge=1)
    away: list[Away] = []
    #: The place of `chat:` in which this person is told of hand-offs; None: the one that is for everybody.
    chat: str | None = None
