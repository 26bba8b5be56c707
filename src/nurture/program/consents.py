"""`consents:` of program.yaml: who is asked twice, and how long a basis lasts."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from nurture.language.source import Written

Basis = Literal["consent", "contract", "legitimate_interest", "soft_opt_in"]
_LIFETIME = re.compile(r"^\s*([1-9]\d{0,3})\s+(day|week|month|year)s?\s*$")
_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}
#: Longer is a slip of the finger.
_MOST_YEARS = 20


@dataclass(frozen=True)
class Lifetime:
    """How long a basis lasts: calendar months and days, as the law counts them."""

    months: int
    days: int
    text: str = ""

    def end(self, given_at: datetime) -> datetime:
        """The instant at which what was given at `given_at` (aware) runs out; 31 August and a month: 30 September."""
        year, month = divmod(given_at.year * 12 + given_at.month - 1 + self.months, 12)
        day = min(given_at.day, monthrange(year, month + 1)[1])
        return given_at.replace(year=year, month=month + 1, day=day) + timedelta(days=self.days)

    def __str__(self) -> str:
        return self.text


def parse_lifetime(value: Any) -> Lifetime:
    """`2 years`, `6 months`, `30 days`, `8 weeks`. Raises ValueError."""
    match = _LIFETIME.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"'{value}' is not how long a consent lasts; write it as '2 years', '6 months' or '90 days'")
    amount, unit = int(match[1]), match[2]
    months, days = amount * _MONTHS.get(unit, 0), amount * _DAYS.get(unit, 0)
    if months > 12 * _MOST_YEARS or days > 366 * _MOST_YEARS:
        raise ValueError(f"'{value}' is longer than {_MOST_YEARS} years; leave the basis out, and it does not run out")
    return Lifetime(months, days, " ".join(value.split()))


def _asked_twice(value: Any) -> bool | frozenset[str]:
    if isinstance(value, bool):
        return value
    odd = [one for one in value if not _is_country(one)] if isinstance(value, list) else [value]
    if odd or not value:
        said = f"'{odd[0]}'" if odd else "nobody"
        raise ValueError(f"{said} is neither true, false nor a list of countries; write true, or [DE, AT]")
    return frozenset(value)


def _is_country(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()


_COUNTRIES = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[A-Z]{2}$"}}
_LASTS = {"type": "string", "pattern": r"^[1-9][0-9]* (day|week|month|year)s?$"}
#: true, false, or the countries whose leads are asked; a lead of no known country is asked then, too.
AskedTwice = Annotated[
    bool | frozenset[str],
    BeforeValidator(_asked_twice),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _COUNTRIES]}),
]
Lasts = Annotated[Lifetime, BeforeValidator(parse_lifetime), WithJsonSchema(_LASTS)]


class Consents(Written):
    """`consents:` of program.yaml."""

    double_opt_in: AskedTwice = False
    #: How long a basis lasts from the day it was given; one that is not here does not run out.
    expires: dict[Basis, Lasts] = {}

    def asks_twice(self, country: str | None, form: bool | None = None) -> bool:
        """Whether a yes in a form counts only when the mailbox has said it again; `form`: what the form itself says."""
        if form is not None:
            return form
        if isinstance(self.double_opt_in, bool):
            return self.double_opt_in
        return country is None or country in self.double_opt_in

    def end(self, basis: str, given_at: datetime) -> datetime | None:
        """When a basis given at `given_at` runs out; None: it does not."""
        lasts = self.expires.get(basis)  # type: ignore[call-overload]
        return None if lasts is None else lasts.end(given_at)
