"""How the simulated people are: a habit for each address, the same at every run, and when they find the time."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Habit = Literal["silent", "reader", "keen", "leaver", "writer", "absent"]
_HABITS: tuple[tuple[float, Habit], ...] = (
    (0.40, "silent"), (0.70, "reader"), (0.86, "keen"), (0.91, "leaver"), (0.95, "writer"), (0.98, "absent"), (1.0, "silent"),
)  # fmt: skip


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
    return timedelta(seconds=1) if drawn < 0.06 else timedelta(minutes=3)


def soon(at: datetime, zone: str, drawn: float, longest: timedelta) -> datetime:
    """An instant after `at`: most often minutes, sometimes `longest`, and in the hours in which people are awake."""
    wait = timedelta(minutes=5) + drawn**3 * longest
    there = (at + wait).astimezone(ZoneInfo(zone or "Europe/Bucharest"))
    if there.hour < 7:
        there += timedelta(hours=7 - there.hour)
    elif there.hour >= 22:
        there += timedelta(hours=31 - there.hour)
    return there.astimezone(at.tzinfo)
