"""A relay for rehearsed lives: it answers as it was told, and the process may die at each of its named places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nurture.channels.base import Journal, Parcel, Receipt, receipt
from nurture.failpoints import reach


class Fickle:
    """Gives the next of its `answers`, then takes everything.

    Besides the verdicts: `lost` (taken, and nobody hears of it), `vanished` (not taken, and nobody hears of it), `down`.
    """

    name = "email"
    aside = False

    def __init__(self) -> None:
        self.answers: list[str] = []
        #: Message-ID and recipient of what it took.
        self.kept: list[tuple[str, str]] = []
        self.down: str | None = None

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Callable[[], bool]) -> list[Receipt]:
        self.down = None
        return [self._one(parcel, journal, stop) for parcel in batch]

    def _one(self, parcel: Parcel, journal: Journal, stop: Callable[[], bool]) -> Receipt:
        if self.down is not None or stop():
            return receipt(parcel, "not_started", self.down or "stopped")
        answer = self.answers.pop(0) if self.answers else "accepted"
        if answer == "down":
            self.down = "the relay is down"
            return receipt(parcel, "not_started", self.down)
        journal.started(parcel.touch_id)
        reach("journaled")
        if answer in ("accepted", "lost"):
            self.kept.append((parcel.key, parcel.to))
        reach("dotted")
        verdict: Any = "unknown" if answer in ("lost", "vanished") else answer
        made = receipt(parcel, verdict, answer)
        reach("answered")
        journal.replied(made)
        reach("noted")
        return made

    def close(self) -> None:
        """Nothing is held open."""
