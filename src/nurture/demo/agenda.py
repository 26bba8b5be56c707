"""What will happen at which virtual instant."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count

from nurture.clock import VirtualClock


class Agenda:
    """Deeds by instant, those of one instant in the order of planning; it moves the clock to each."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._deeds: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()

    def put(self, at: datetime, deed: Callable[[], None]) -> None:
        """Have `deed` done at `at`."""
        heapq.heappush(self._deeds, (at, next(self._order), deed))

    @property
    def next_at(self) -> datetime | None:
        """When the next one is planned."""
        return self._deeds[0][0] if self._deeds else None

    def do_next(self) -> None:
        """Move the clock to the next deed, and do it."""
        at, _, deed = heapq.heappop(self._deeds)
        self.clock.at = max(self.clock.at, at)
        deed()
