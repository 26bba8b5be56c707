"""Durations and hours as a marketer writes them: `2 days`, `48 hours`, `90 minutes`, `09:00-17:00`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s+(minute|hour|day|week)s?\s*$")
_HOURS = re.compile(r"^\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*$")
#: Longer is a slip of the finger.
LONGEST = timedelta(days=3660)
_CLOCK = re.compile(r"^\s*(\d{1,2}):(\d{2})\s*$")
_OFFSET = re.compile(r"^\+(\d+)([smhdw])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Duration:
    """Calendar days on the lead's wall clock, or elapsed time; never both."""

    days: int
    elapsed: timedelta
    text: str

    @property
    def roughly(self) -> timedelta:
        """The length with days taken as 24 hours."""
        return timedelta(days=self.days) + self.elapsed

    def __str__(self) -> str:
        return self.text


def parse_duration(text: str) -> Duration:
    """`2 days` and `1 week` are calendar days; `48 hours` and `90 minutes` are elapsed time. Raises ValueError."""
    match = _DURATION.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"'{text}' is not a duration; write it as '2 days', '48 hours', '90 minutes' or '1 week'")
    amount, unit = float(match[1]), match[2]
    if not amount:
        raise ValueError(f"'{text}' is no time at all; write at least 1 {unit}")
    if timedelta(**{unit + "s": min(amount, 1e6)}) > LONGEST:
        raise ValueError(f"'{text}' is longer than ten years; write a shorter time")
    if unit in ("day", "week"):
        if amount != int(amount):
            raise ValueError(f"'{text}' is a part of a calendar day; write hours for elapsed time")
        return Duration(int(amount) * (7 if unit == "week" else 1), timedelta(), " ".join(text.split()))
    return Duration(0, timedelta(**{unit + "s": amount}), " ".join(text.split()))


def parse_offset(text: str) -> timedelta:
    """`+1d`, `+90m`, `+0s` of a check: elapsed time since its start. Raises ValueError."""
    match = _OFFSET.match(text.strip())
    if not match:
        raise ValueError(f"'{text}' is not an offset; write it as '+30m', '+2h', '+1d' or '+1w'")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@dataclass(frozen=True)
class Hours:
    """A span of the lead's clock: opens at `start`, closes at `end` (exclusive); may cross midnight."""

    start: time
    end: time

    @property
    def crosses_midnight(self) -> bool:
        return self.end <= self.start

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def parse_clock(text: str) -> time:
    """`09:00`. Raises ValueError."""
    match = _CLOCK.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"'{text}' is no time of a clock; write it as \"09:00\", in quotes")
    hour, minute = int(match[1]), int(match[2])
    if hour > 23 or minute > 59:
        raise ValueError(f"'{text}' is a time that no clock shows")
    return time(hour, minute)


def parse_hours(text: str) -> Hours:
    """`09:00-17:00`; `24:00` closes at midnight. Raises ValueError."""
    match = _HOURS.match(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"'{text}' are not hours; write them as \"09:00-17:00\", in quotes")
    a, b, c, d = (int(part) for part in match.groups())
    if (c, d) == (24, 0):
        c = 0
    if not (a < 24 and c < 24 and b < 60 and d < 60):
        raise ValueError(f"'{text}' names an hour or a minute that no clock shows")
    return Hours(time(a, b), time(c, d))
