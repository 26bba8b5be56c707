"""Kinds of values that several files of a program write: spans, hours, zones, addresses, countries, days."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from nurture.durations import Duration, Hours, parse_duration, parse_hours
from nurture.folding import canonical_email
from nurture.language.schema import ADDRESS, BUSINESS_HOURS, COUNTRY, DAYS, PER_DAY, ZONE
from nurture.zones import valid_zone

#: A level of awareness, a buying stage, a level of MQLs: a name.
LEVEL = r"^[a-z][a-z0-9_]{0,39}$"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(value: Any) -> str:
    if not isinstance(value, str) or not valid_zone(value):
        raise ValueError(f"'{value}' is not a time zone; write a name of the tz database such as Europe/Bucharest")
    return value


def _address(value: Any) -> str:
    try:
        return canonical_email(str(value))
    except ValueError as problem:
        raise ValueError(f"'{value}' {str(problem).rstrip('.')}; write one address") from None


def _country(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 2 or not value.isalpha() or not value.isupper():
        raise ValueError(f"'{value}' is not a country; write two capital letters such as RO")
    return value


def _days(value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if words in (["workdays"], ["all"]):
        return tuple(words)
    if not isinstance(words, list) or not words:
        raise ValueError(f"'{value}' are not days; write workdays, all or [mon, tue]")
    odd = [word for word in words if word not in _DAYS]
    if odd:
        raise ValueError(f"'{odd[0]}' is no day; write workdays, all or a list of {', '.join(_DAYS)}")
    return tuple(words)


def _business_hours(value: Any) -> float:
    text = str(value).strip()
    for unit, factor in (("business hours", 1.0), ("business hour", 1.0), ("hours", 1.0), ("hour", 1.0)):
        if text.endswith(unit):
            try:
                hours = float(text.removesuffix(unit)) * factor
            except ValueError:
                break
            if 0 < hours <= 400:
                return hours
    raise ValueError(f"'{value}' is not a span of business hours; write 4 business hours")


def _per_day(value: Any) -> int | None:
    words = str(value).split()
    if len(words) == 3 and words[1:] == ["per", "day"] and words[0].isdigit() and int(words[0]) > 0:
        return int(words[0])
    raise ValueError(f"'{value}' is not a number a day; write '2 per day'")


Span = Annotated[Duration, BeforeValidator(parse_duration)]
Clock = Annotated[Hours, BeforeValidator(parse_hours)]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema(ZONE)]
Address = Annotated[str, BeforeValidator(_address), WithJsonSchema(ADDRESS)]
Country = Annotated[str, BeforeValidator(_country), WithJsonSchema(COUNTRY)]
Days = Annotated[tuple[str, ...], BeforeValidator(_days), WithJsonSchema(DAYS)]
#: Hours of work of whoever they are promised by.
WorkHours = Annotated[float, BeforeValidator(_business_hours), WithJsonSchema(BUSINESS_HOURS)]
#: `2 per day`; None: as many as there are.
PerDay = Annotated[int | None, BeforeValidator(_per_day), WithJsonSchema(PER_DAY)]
