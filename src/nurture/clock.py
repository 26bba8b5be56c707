"""The only file that asks for the time or for randomness."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where the doors get `now` from; everything below takes it as an argument."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        return wall()


@dataclass
class VirtualClock:
    """A clock that stands still until it is moved; what a rehearsal swaps in."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


def wall() -> datetime:
    """What the wall clock shows: to hold it against the database's."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back and goes on while the machine sleeps: for time boxes and leases."""
    return time.clock_gettime(_STEADY)


def pause(seconds: float) -> None:
    """Wait for `seconds` of real time."""
    time.sleep(seconds)


def draw31() -> int:
    """A lead's random 31-bit number, drawn once at its creation (`decisions`: sequential ids bias splits)."""
    return secrets.randbelow(2**31 - 1)


def unguessable() -> str:
    """128 random bits as hex: run ids, secrets, instance names."""
    return secrets.token_hex(16)


def jitter(fraction: float) -> float:
    """A factor in 1 ± fraction, to spread retries."""
    return 1 + random.uniform(-fraction, fraction)


#: Chance that is no chance: what `seeded` gives.
Chance = random.Random


def seeded(seed: int | str) -> Chance:
    """The same numbers at every run: for samples and rehearsals, never for tokens."""
    return Chance(seed)
