"""Pacing: how many rows one bulk transaction takes, so that a door that has to wait for its end waits shortly.

SQLite has one writer, and on PostgreSQL a door may want the very lead. Rows of one program cost ten times those of
another, so the number follows from what the last transaction took. Which rows are taken together changes no outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nurture import clock
from nurture.db import BULK_ROWS, of_one_process
from nurture.engine.running import Run

#: Seconds that a bulk transaction may take.
AIM = 0.03
#: So many at least: what a transaction costs whatever it moves is shared by them.
FEWEST = 500


@dataclass
class Pace:
    """Up to how many rows the next transaction of a kind takes; `taken`: those of the one under way."""

    rows: int = field(default_factory=lambda: FEWEST)
    taken: int = 0

    def learn(self, seconds: float) -> None:
        """What was taken has cost `seconds`; fewer than were allowed tell nothing of what more would cost."""
        if self.taken >= self.rows:
            fit = int(self.taken * AIM / max(seconds, 1e-6))
            self.rows = max(FEWEST, min(fit, 2 * self.rows, BULK_ROWS))


@contextmanager
def paced(run: Run, *name: object) -> Iterator[Pace]:
    """The pace of the kind of transaction that `name` says; whoever takes rows in the block says how many.

    In memory nobody waits, and a rehearsal takes the same rows together each time.
    """
    if of_one_process(run.link.engine.url):
        yield Pace(BULK_ROWS)
        return
    pace = run.plan(("pace", *name), Pace)
    begun = clock.monotonic()
    yield pace
    pace.learn(clock.monotonic() - begun)
