"""Who reads what the house tells its own people: the language and the zone in which it is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from nurture.mail.direction import isolated
from nurture.mail.templates import locale
from nurture.mail.words import words
from nurture.program.load import House
from nurture.program.sales import Salesperson


@dataclass(frozen=True)
class Reader:
    """How somebody reads: the language (`ar-EG`) in which the house can tell it, and the zone of the instants."""

    language: str
    zone: ZoneInfo

    @classmethod
    def of(cls, house: House, person: Salesperson | None) -> Reader:
        """A member of the team, or somebody else who reads as the program does."""
        program = house.program
        zone = (person.zone if person else None) or program.zone
        return cls((person.language if person else None) or program.language, ZoneInfo(zone))

    @property
    def say(self) -> Mapping[str, str]:
        return words(self.language)

    @property
    def direction(self) -> str:
        return self.say["dir"]

    def when(self, at: datetime, pattern: str | None = None) -> str:
        """An instant on the reader's clock."""
        shape = pattern or f"EEE d MMM{self.say['comma']}HH:mm"
        return str(format_datetime(at.astimezone(self.zone), shape, locale=locale(self.language)))

    def filled(self, name: str, **values: object) -> str:
        """The sentence `name` with its values, none of which turns the direction of what stands around it."""
        return self.say[name].format(**{key: isolated(str(one), self.direction) for key, one in values.items()})


def member(house: House, email: str) -> Salesperson | None:
    """Whoever of the team has this address."""
    return next((person for person in house.program.sales if person.email == email), None)


def name_of(house: House, email: str) -> str:
    """The name of whoever has this address; the address, where it is none of the team's."""
    person = member(house, email)
    return person.name if person else email
