"""Mail through a relay: connections are kept and renewed; one bad recipient harms no other.

A batch begins on one line: where the relay answers at once, nothing is faster, for threads take turns. When replies are
late and the batch is behind `_PACE`, another line joins, up to `connections`.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from urllib.parse import unquote, urlsplit

from nurture import clock
from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.channels.smtp_client import Door, LineDown, Timeouts
from nurture.channels.smtp_line import Line, Stale
from nurture.channels.throttle import Throttle
from nurture.errors import SettingsError
from nurture.failpoints import reach

__all__ = ["SmtpChannel", "Timeouts"]

#: Seconds that a batch waits for the throttle in all, and after which a waiting worker looks whether it should stop.
PATIENCE, _LOOK = 10.0, 0.05
#: Seconds that a batch may take, and for each of its messages besides, before another line joins.
_PACE = (0.05, 0.001)


class SmtpChannel:
    """`smtp://user:password@host:port` (STARTTLS, verified) or `smtps://…`; plain on loopback, or as `smtp+plain://`.

    A connection is replaced after `renew_after` messages or `max_age` seconds. `helo`: our own name.
    `tls`: other authorities than the system's. `throttle`: how fast. Raises SettingsError for an unusable URL.
    """

    name = "email"
    aside = True

    def __init__(
        self,
        url: str,
        *,
        connections: int = 4,
        helo: str = "localhost",
        timeouts: Timeouts | None = None,
        tls: ssl.SSLContext | None = None,
        throttle: Throttle | None = None,
        renew_after: int = 200,
        max_age: float = 300,
    ) -> None:
        self._door = _door(url, helo, timeouts or Timeouts(), tls or ssl.create_default_context())
        self._connections = max(1, connections)
        self._throttle = throttle or Throttle({})
        self._renew_after, self._max_age = renew_after, max_age
        self._pool: ThreadPoolExecutor | None = None
        self._idle: list[Line] = []
        self._lock = Lock()
        self._down: str | None = None

    @property
    def paced(self) -> bool:
        """Whether a rate is set: each process counts for itself, so one more of a host would send too fast."""
        return bool(self._throttle._rates)

    @property
    def down(self) -> str | None:
        """The phase and the reason for which the last `deliver` gave up; None: it did not."""
        return self._down

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """Send `batch`. Once the server cannot be used, what is left is `not_started` and `down` says why.

        What the throttle holds up for more than `PATIENCE` seconds is `not_started` too: its permit would grow old.
        """
        run = _Run(batch, journal, stop, self._throttle)
        try:
            if min(self._connections, len(batch)) > 1:
                with self._lock:
                    self._start(run)
                try:
                    run.wait()
                except BaseException:  # asked to end: what is on its way is finished, nothing else begins
                    run.give_up("interrupted")
                    run.wait()
                    raise
            else:
                self._work(run)
        finally:
            self._down = run.down
            run.end()
        return run.all()

    def knock(self) -> Line:
        """A line, greeted, secured and logged in, for a look at it; the caller closes it. Raises LineDown."""
        return Line(self._door)

    def close(self) -> None:
        """Hang up politely."""
        for line in self._idle:
            line.close(politely=True)
        self._idle.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _start(self, run: _Run) -> None:
        """One more line for this batch; asked under the lock."""
        self._pool = self._pool or ThreadPoolExecutor(self._connections, "nurture-smtp")
        run.workers.append(self._pool.submit(self._work, run))

    def _join(self, run: _Run) -> None:
        """A line waits for a late reply: another may work meanwhile, if there is one more."""
        with self._lock:
            if 0 < len(run.workers) < self._connections and run.behind():
                self._start(run)

    def _work(self, run: _Run) -> None:
        line: Line | None = None
        hand: deque[int] = deque()  # whose envelope rides with the message before
        with self._lock:
            if self._idle:
                line = self._idle.pop()
        while run.down is None:
            riding = bool(hand)
            place = hand.popleft() if riding else run.next()
            if place is None:
                break
            line = self._carry(run, place, line, hand, riding)
        if line is None or not line.alive:
            return
        line.when_slow(None)
        if hand:  # the server waits for a body that does not come
            line.close()
        else:
            with self._lock:
                self._idle.append(line)

    def _carry(self, run: _Run, place: int, line: Line | None, hand: deque[int], riding: bool) -> Line | None:
        """Send it; `riding`: its envelope has gone out on `line`. The line, as long as it is fit."""
        parcel = run.batch[place]
        while True:
            try:
                line = self._fit(line, riding)
                line.when_slow(partial(self._join, run))
                run.put(place, line.send(parcel, run.journal, run.stop, partial(self._ahead, run, line, hand)))
                return line
            except Stale:
                line = None
            except LineDown as reason:
                run.give_up(str(reason))
                run.put(place, receipt(parcel, "not_started", reason))
                return None
            except Exception as problem:  # a fault of ours; what is known hangs on where it happened
                sent = line is not None and line.phase == "END"
                if line is not None:
                    line.close()
                run.put(place, receipt(parcel, "unknown" if sent else "try_later", repr(problem)))
                return None

    def _ahead(self, run: _Run, line: Line, hand: deque[int]) -> Parcel | None:
        """The parcel that follows on `line`, if one may go at once and the line will still be fit."""
        place = run.take()[0] if self._lasts(line, line.carried + 1) else None
        if place is None:
            return None
        hand.append(place)
        return run.batch[place]

    def _lasts(self, line: Line, carried: int) -> bool:
        return carried < self._renew_after and clock.monotonic() - line.opened < self._max_age

    def _fit(self, line: Line | None, riding: bool) -> Line:
        """`line`, or a new one in its place; raises LineDown. `riding`: the server waits for a body, not for QUIT."""
        if line is not None and line.alive:
            if self._lasts(line, line.carried):
                return line
            line.close(politely=not riding)
        return Line(self._door)


@dataclass
class _Run:
    """One batch, shared by the workers."""

    batch: Sequence[Parcel]
    journal: Journal
    stop: Stop
    throttle: Throttle
    down: str | None = None
    #: Why what is left did not begin, if the server could be used.
    left: str = "not begun"
    #: One for each line.
    workers: list[Future[None]] = field(default_factory=list)
    _receipts: dict[int, Receipt] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._began = clock.monotonic()
        self._ends = self._began + PATIENCE
        #: The places that have not begun, in order, by what may hold them up.
        self._left: dict[str, deque[int]] = {}
        for place, parcel in enumerate(self.batch):
            self._left.setdefault(self.throttle.bucket(parcel.to), deque()).append(place)

    def next(self) -> int | None:
        """The next parcel's place, as soon as it may go; None when there is none, or none may begin."""
        while not self.stop():
            place, wait = self.take()
            if place is not None or wait is None:
                return place
            if clock.monotonic() + wait > self._ends:
                self.left = "held up by NURTURE_MAIL_RATE"
                return None
            clock.pause(min(wait, _LOOK))
        return None

    def take(self) -> tuple[int | None, float | None]:
        """The first place that may go now; else the seconds until one may, None if there is none left."""
        if self.down is not None:
            return None, None
        waits: list[float] = []
        now = clock.monotonic()
        with self._lock:
            names = list(self._left)
            for bucket in names if len(names) == 1 else sorted(names, key=lambda name: self._left[name][0]):
                if wait := self.throttle.take(bucket, now):
                    waits.append(wait)
                    continue
                place = self._left[bucket].popleft()
                if not self._left[bucket]:
                    del self._left[bucket]
                return place, None
        return None, min(waits, default=None)

    def behind(self) -> bool:
        """Whether it takes long, and there is something that nobody has taken yet."""
        at_once, each = _PACE
        return bool(self._left) and clock.monotonic() - self._began > at_once + each * len(self._receipts)

    def end(self) -> None:
        """Nothing begins from now on, whoever asks."""
        with self._lock:
            self._left.clear()

    def wait(self) -> None:
        """Until all lines are done, also those that join meanwhile."""
        while busy := [worker for worker in self.workers if not worker.done()]:
            wait(busy)

    def give_up(self, reason: str) -> None:
        with self._lock:
            self.down = self.down or reason

    def put(self, place: int, made: Receipt) -> None:
        self._receipts[place] = made
        try:
            self.journal.replied(made)
            reach("noted")
        except OSError as problem:
            self.give_up(f"the journal cannot be written: {problem}")

    def all(self) -> list[Receipt]:
        left = self.down or self.left
        return [
            self._receipts.get(place) or receipt(parcel, "not_started", left) for place, parcel in enumerate(self.batch)
        ]


def _door(url: str, helo: str, timeouts: Timeouts, tls: ssl.SSLContext) -> Door:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    beyond = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in ("smtp", "smtps", "smtp+plain") or not parts.hostname or port == -1 or beyond:
        raise SettingsError(
            "NURTURE_SMTP_URL cannot be read; write smtp://USER:PASSWORD@HOST:PORT or smtps://… "
            "(in the password, write %40 for @ and %2F for /)"
        )
    user = unquote(parts.username) if parts.username else None
    if parts.scheme == "smtp+plain" and user is not None:
        raise SettingsError("NURTURE_SMTP_URL: smtp+plain:// would send the password in the open; write smtp://")
    usual = 465 if parts.scheme == "smtps" else 587 if user else 25
    return Door(
        host=parts.hostname,
        port=port or usual,
        implicit_tls=parts.scheme == "smtps",
        plain=parts.scheme == "smtp+plain",
        user=user,
        password=unquote(parts.password) if parts.password else None,
        helo=helo,
        timeouts=timeouts,
        tls=tls,
    )
