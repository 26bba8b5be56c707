"""How the simulated people are: a habit for each address, and when they find the time."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Habit = Literal["silent", "reader", "keen", "leaver", "writer", "absent"]
_HABITS: tuple[tuple[float, Habit], ...] = (
    (0.40, "silent"), (0.70, "reader"), (0.86, "keen"), (0.91, "leaver"), (0.95, "writer"), (0.98, "absent"),
    (1.0, "silent"),
)  # fmt: skip
#: What most scanners do: they look before the mail is delivered.
AT_ONCE = timedelta(seconds=1)


def share(*words: str) -> float:
    """A number from 0 to 1 that the words decide."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def habit(address: str) -> Habit:
    """How this person treats letters."""
    drawn = share("habit", address)
    return next(name for limit, name in _HABITS if drawn <= limit)


def scanner(address: str) -> timedelta | None:
    """How long after delivery this company's scanner follows every link; None: the company has none."""
    drawn = share("scanner", address.rpartition("@")[2])
    if drawn > 0.10:
        return None
    return AT_ONCE if drawn < 0.06 else timedelta(minutes=3)


def soon(at: datetime, zone: str, drawn: float, longest: timedelta) -> datetime:
    """An instant after `at`: most often minutes, sometimes `longest`, and when people are awake."""
    wait = timedelta(minutes=5) + drawn**3 * longest
    there = (at + wait).astimezone(ZoneInfo(zone or "Europe/Bucharest"))
    if there.hour < 7:
        there += timedelta(hours=7 - there.hour)
    elif there.hour >= 22:
        there += timedelta(hours=31 - there.hour)
    return there.astimezone(at.tzinfo)
