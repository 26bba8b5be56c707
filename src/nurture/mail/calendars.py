"""Days of the Persian (Solar Hijri) and the Thai Buddhist calendar; Babel knows the Gregorian one alone.

A Persian year begins with the March equinox; its leap years follow the cycle of 33 years, which agrees with the
observed calendar from 1244 to 1502 (1865 to 2124). The Buddhist era is 543 years ahead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from babel import Locale
from babel.dates import format_date

#: The day before 1 Farvardin 1 as this arithmetic counts, and the leap years of a cycle of 33.
_EPOCH = date(622, 3, 21).toordinal()
_LEAP = frozenset({1, 5, 9, 13, 17, 22, 26, 30})
_MONTHS = {
    "fa": ["فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور", "مهر", "آبان", "آذر", "دی", "بهمن", "اسفند"],
    "": [
        "Farvardin", "Ordibehesht", "Khordad", "Tir", "Mordad", "Shahrivar", "Mehr", "Aban", "Azar", "Dey", "Bahman",
        "Esfand",
    ],
}  # fmt: skip
_ERA = 543


def persian(day: date) -> tuple[int, int, int]:
    """Year, month and day in the Persian calendar."""
    cycles, rest = divmod(day.toordinal() - _EPOCH, 12_053)
    year = cycles * 33 + 1
    while rest >= (length := 366 if year % 33 in _LEAP else 365):
        rest -= length
        year += 1
    month, left = divmod(rest, 31) if rest < 186 else divmod(rest - 186, 30)
    return year, month + (1 if rest < 186 else 7), left + 1


def _in_persian(day: date, width: str, locale: Locale) -> str:
    year, month, number = persian(day)
    if width == "short":
        return f"{year}/{month}/{number}"
    names = _MONTHS["fa" if locale.language == "fa" else ""]
    weekday = f"{format_date(day, 'EEEE', locale=locale)} " if width == "full" else ""
    return f"{weekday}{number} {names[month - 1]} {year}"


def _in_buddhist(day: date, width: str, locale: Locale) -> str:
    """As the locale writes a day, with the other year and, where it names an era, the other era."""
    year, era = day.year + _ERA, "พ.ศ." if locale.language == "th" else "BE"
    parts = locale.date_formats[width].pattern.split("'")
    for place in range(0, len(parts), 2):  # the others stand in quotes
        part = re.sub("G+", f"'{era}'", parts[place])
        parts[place] = re.sub("y+", lambda it: f"'{year % 100 if it[0] == 'yy' else year}'", part)
    return format_date(day, "'".join(parts), locale=locale)


#: Calendars by name, and how each writes a day: its width as Babel calls it, in a locale.
CALENDARS: dict[str, Callable[[date, str, Locale], str]] = {
    "gregorian": lambda day, width, locale: format_date(day, width, locale=locale),
    "persian": _in_persian,
    "buddhist": _in_buddhist,
}
