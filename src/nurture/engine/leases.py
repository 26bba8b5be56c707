"""A segment is carried by one run at a time: a lease in the database, kept by the worker's heart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, delete, select
from sqlmodel import col

from nurture import clock
from nurture.db import Database, keep_lease, take_lease
from nurture.engine.heart import Beat, Heart
from nurture.engine.workers import Journals
from nurture.errors import SegmentBusy
from nurture.records import Lease

#: How long a segment stays its run's after the last heart-beat; of a run that is known to be dead, not at all.
LEASE = timedelta(minutes=1)


@dataclass
class Leases:
    """What one worker holds of the segments."""

    db: Database
    worker: str
    journals: Journals
    heart: Heart
    _held: dict[str, Beat] = field(default_factory=dict)

    @contextmanager
    def carry(self, segment: str, holder: str) -> Iterator[None]:
        """Carry `segment` alone. Raises SegmentBusy when another run does."""
        name, owner, asked = f"segment:{segment}", f"{self.worker}/{holder}", clock.monotonic()
        seconds = LEASE.total_seconds()
        if not self.db.transact(lambda link: self._take(link, name, owner, seconds), door=True):
            raise SegmentBusy(f"segment '{segment}' is carried by another run; try again when it is over")

        def keep() -> bool:
            return self.db.transact(lambda link: keep_lease(link, name, owner, seconds), door=True)

        try:
            with self.heart.keep(keep, seconds, asked) as self._held[segment]:
                yield
        finally:
            self._held.pop(segment, None)
            self.db.transact(lambda link: _give_back(link, name, owner), door=True)

    def require(self, segment: str) -> None:
        """Raises SegmentBusy when the lease was lost: this process slept, or could not reach the database."""
        beat = self._held.get(segment)
        if beat is not None and not beat.sure():
            raise SegmentBusy(f"segment '{segment}' was taken over by another run; this one stops")

    def _take(self, link: Connection, name: str, owner: str, seconds: float) -> bool:
        """Take a lease; from a worker that is known to be dead, at once."""
        if take_lease(link, name, owner, seconds) is not None:
            return True
        holder = link.execute(select(col(Lease.owner)).where(col(Lease.name) == name)).scalar()
        if holder is None or not self.journals.dead(holder):
            return False
        _give_back(link, name, holder)
        return take_lease(link, name, owner, seconds) is not None


def _give_back(link: Connection, name: str, owner: str) -> None:
    link.execute(delete(Lease).where(col(Lease.name) == name, col(Lease.owner) == owner))
