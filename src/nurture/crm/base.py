"""The words in which we speak with any CRM, and what each must do for us."""

from __future__ import annotations

import hashlib
import json
import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from nurture import clock
from nurture.errors import CrmFault

#: What reading an answer raises that is not what the CRM's pages promise.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
#: Seconds after which a turn is kept anew.
KEPT = 20.0


class Unwell(CrmFault):
    """The CRM cannot be asked now. `wait`: seconds for which it wants to be left alone; None: it does not say."""

    def __init__(self, said: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.wait = wait


@dataclass(frozen=True)
class Entry:
    """What the record of one lead should say: our fields to values, the stage in their word, the owner by e-mail.

    `their_id`: of its record, if it is known. What we do not know of a lead is not among `values`, and not told.
    """

    lead_id: int
    key: str
    their_id: str | None
    email: str | None
    values: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of all that is told."""
        said = json.dumps([self.key, self.email, dict(self.values)], sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Told:
    """What became of one entry. `error`: why it was refused, in a word of the CRM's, never with what was told.

    `again`: it may be taken a moment later. `closed`: its record takes no changes any more. `made`: it is new there.
    """

    their_id: str | None = None
    error: str | None = None
    again: bool = False
    closed: bool = False
    made: bool = False


@dataclass(frozen=True)
class Deal:
    """A deal of theirs as it is. `won`: None while it is open; `opened`: when it was made; None: they do not say."""

    id: str
    stage: str
    won: bool | None
    amount: float | None = None
    currency: str | None = None
    reason: str | None = None
    opened: datetime | None = None

    @property
    def state(self) -> str:
        """All that it says, in a line."""
        return f"{self.stage} {self.won} {self.amount} {self.currency}"


@dataclass(frozen=True)
class Change:
    """What their record of somebody says since `at`: our fields to values; `key` and `email`: whose it is."""

    their_id: str
    at: datetime
    key: str | None = None
    email: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    deal_id: str | None = None
    deal: Deal | None = None


@dataclass(frozen=True)
class Page:
    """Some changes in their order, and from where to go on. `more`: at once, from `cursor`; else later, from `kept`.

    `kept` lies far enough back that whatever comes to light late over there is still found behind it. `odd`: rows that
    could not be read.
    """

    changes: Sequence[Change]
    cursor: str
    kept: str
    more: bool
    odd: int = 0


def amount_of(said: Any) -> float | None:
    """The amount of a deal; None for what is none."""
    try:
        amount = math.nan if isinstance(said, bool) else float(said)
    except (ValueError, TypeError, OverflowError):
        return None
    return amount if math.isfinite(amount) else None


@contextmanager
def readable(named: str) -> Iterator[None]:
    """Whatever cannot be read of an answer is a CRM that cannot be asked: Unwell, with the place and without words."""
    try:
        yield
    except UNREADABLE as problem:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{type(problem).__name__} in {place.filename.rpartition('/')[2]}, line {place.lineno}"
        raise Unwell(f"{named} says something that cannot be read ({where})") from problem


class Turn:
    """Our turn to speak with the CRM: `until` on the monotonic clock, and as long as `keep` says that it is ours."""

    def __init__(self, until: float, keep: Callable[[], bool] = lambda: True) -> None:
        self._until, self._keep, self._kept_at, self._lost = until, keep, clock.monotonic(), False

    def goes_on(self) -> bool:
        """Whether another call may be made; asked before each, so that no other process takes the turn meanwhile."""
        now = clock.monotonic()
        if now >= self._until or self._lost:
            return False
        if now - self._kept_at >= KEPT:
            self._lost, self._kept_at = not self._keep(), now
        return not self._lost


class Vendor(Protocol):
    """One CRM. Every method raises Unwell where it cannot be asked."""

    #: Entries of one call at most.
    most: int
    #: What can be read of it, in the order in which it must be.
    feeds: Sequence[str]
    #: How much of a daily allowance is used, if it says so: `10018/100000`.
    usage: str | None

    def tell(self, entries: Sequence[Entry], turn: Turn) -> Iterator[tuple[str, Told]]:
        """Make their records say so, whatever they said; the key of each that was told, and what became of it.

        A repeat changes nothing. Whoever is not named was not told: the turn was over.
        """
        ...

    def since(self, at: datetime) -> str:
        """The cursor of whoever wants what changed from `at` on."""
        ...

    def changes(self, feed: str, cursor: str, now: datetime) -> Page:
        """What changed since `cursor`, as it is `now`."""
        ...

    def probe(self) -> list[str]:
        """What is missing over there for the program's `crm:`, in sentences with the way out."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...
