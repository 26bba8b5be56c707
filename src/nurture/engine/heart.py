"""The heart of a worker: one thread that puts off the leases of what it holds, for as long as the process lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nurture import clock
from nurture.errors import DatabaseFault

log = logging.getLogger("nurture.heart")
#: The part of a lease for which its holder may rely on it: the rest is for clocks that differ and for slow answers.
_SURE = 0.8
#: Beats in one lease.
_BEATS = 4


@dataclass
class Beat:
    """One lease that is kept. `renew` puts it off in the database and says whether it was still held."""

    renew: Callable[[], bool]
    #: Seconds.
    lease: float
    #: `clock.monotonic()` before the lease was last taken or put off.
    since: float
    lost: bool = False
    over: bool = False
    busy: threading.Lock = field(default_factory=threading.Lock)

    def sure(self) -> bool:
        """Whether nobody else can have it yet; a process that was put to sleep finds out here."""
        return not self.lost and clock.monotonic() < self.since + self.lease * _SURE

    def due(self) -> float:
        """When it beats next, on the monotonic clock."""
        return self.since + self.lease / _BEATS


@dataclass
class Heart:
    """Beats for every lease that is kept; its thread starts with the first and ends with `stop`."""

    _beats: list[Beat] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _over: bool = False

    @contextmanager
    def keep(self, renew: Callable[[], bool], lease: float, since: float) -> Iterator[Beat]:
        """Put the lease off while the block runs. `since`: the monotonic clock before it was taken."""
        beat = Beat(renew, lease, since)
        with self._changed:
            self._beats.append(beat)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nurture-heart", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield beat
        finally:
            with self._changed:
                self._beats.remove(beat)
            with beat.busy:  # a beat that is under way must not outlive what it keeps
                beat.over = True

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (beat := self._next()) is not None:
            try:
                self._renew(beat)
            except Exception as fault:  # whatever ails the database: a missed beat, and the next comes
                log.warning("a lease could not be put off: %s", fault, exc_info=not isinstance(fault, DatabaseFault))
                with self._changed:
                    self._changed.wait(min(1.0, beat.lease / _BEATS))

    @staticmethod
    def _renew(beat: Beat) -> None:
        with beat.busy:
            asked = clock.monotonic()
            if not beat.over and beat.renew():
                beat.since = asked
            else:
                beat.lost = True

    def _next(self) -> Beat | None:
        """The beat whose time has come; None at the end."""
        with self._changed:
            while not self._over:
                kept = [beat for beat in self._beats if not beat.lost]
                first = min(kept, key=Beat.due, default=None)
                if first is None:
                    self._changed.wait()
                elif (left := first.due() - clock.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return first
            return None
