"""A segment is carried by one run at a time: a lease in the database, kept by the worker's heart; others may help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, exists, select
from sqlmodel import col

from nurture import clock
from nurture.db import Database, keep_lease, take_lease
from nurture.dialects import database_clock
from nurture.engine.heart import Beat, Heart
from nurture.engine.workers import Journals
from nurture.errors import SegmentBusy
from nurture.records import Lease

#: How long a segment stays its run's after the last heart-beat; of a run that is known to be dead, not at all.
LEASE = timedelta(minutes=1)
#: How many runs of one host may help with one segment at a time: ticks that come every minute must not pile up.
HELPERS = 3


@dataclass
class Leases:
    """What one worker holds of the segments."""

    db: Database
    worker: str
    journals: Journals
    heart: Heart
    #: By segment: in whose name it is carried, and the beat that keeps it.
    _held: dict[str, tuple[str, Beat]] = field(default_factory=dict)

    @contextmanager
    def carry(self, segment: str, holder: str) -> Iterator[None]:
        """Carry `segment` alone. Raises SegmentBusy when another run does."""
        owner = f"{self.worker}/{holder}"
        with self._keep([carrying(segment)], owner) as beat:
            if beat is None:
                raise SegmentBusy(f"segment '{segment}' is carried by another run; try again when it is over")
            self._held[segment] = (owner, beat)
            try:
                yield
            finally:
                self._held.pop(segment, None)

    @contextmanager
    def help(self, segment: str, holder: str) -> Iterator[bool]:
        """Be one of those of this host that help the run that carries `segment`; False: there are enough."""
        host = self.worker.partition(":")[0]
        places = [f"helping:{segment}:{host}:{place}" for place in range(1, HELPERS + 1)]
        with self._keep(places, f"{self.worker}/{holder}") as beat:
            yield beat is not None

    def require(self, segment: str) -> None:
        """Raises SegmentBusy when the lease was lost: this process slept, or could not reach the database."""
        held = self._held.get(segment)
        if held is not None and not held[1].sure():
            raise SegmentBusy(f"segment '{segment}' was taken over by another run; this one stops")

    def owner(self, segment: str) -> str | None:
        """In whose name this process carries `segment`; None: it does not."""
        held = self._held.get(segment)
        return held[0] if held is not None else None

    @contextmanager
    def _keep(self, names: list[str], owner: str) -> Iterator[Beat | None]:
        """The first lease of `names` that can be had, kept while the block runs; None: there is none."""
        seconds = LEASE.total_seconds()
        for name in names:
            asked = clock.monotonic()
            if self.db.transact(lambda link, name=name: self._take(link, name, owner, seconds), door=True):  # type: ignore[misc]
                break
        else:
            yield None
            return

        def keep() -> bool:
            return self.db.transact(lambda link: keep_lease(link, name, owner, seconds), door=True)

        try:
            with self.heart.keep(keep, seconds, asked) as beat:
                yield beat
        finally:
            self.db.transact(lambda link: _give_back(link, name, owner), door=True)

    def _take(self, link: Connection, name: str, owner: str, seconds: float) -> bool:
        """Take a lease; from a worker that is known to be dead, at once."""
        if take_lease(link, name, owner, seconds) is not None:
            return True
        holder = link.execute(select(col(Lease.owner)).where(col(Lease.name) == name)).scalar()
        if holder is None or not self.journals.dead(holder):
            return False
        _give_back(link, name, holder)
        return take_lease(link, name, owner, seconds) is not None


def carried(segment: str, owner: str | None = None) -> ColumnElement[bool]:
    """Whether `segment` is carried now, by `owner` or by anybody: for the WHERE of a statement."""
    mine = () if owner is None else (col(Lease.owner) == owner,)
    return exists().where(col(Lease.name) == carrying(segment), col(Lease.until) > database_clock(), *mine)


def carrying(segment: str) -> str:
    """The name of the lease of who carries `segment`."""
    return f"segment:{segment}"


def _give_back(link: Connection, name: str, owner: str) -> None:
    link.execute(delete(Lease).where(col(Lease.name) == name, col(Lease.owner) == owner))
