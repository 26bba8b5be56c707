"""How fast one worker may send: in all, and to the recipients of one domain.

Token buckets of our own, since those on offer are made for asyncio and our senders are threads. They hold no clock:
the instant is an argument. Each process has its own, so N workers together send N times as fast.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from threading import Lock

from nurture.errors import SettingsError

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(r"(?:([a-z0-9-]+(?:\.[a-z0-9-]+)+)\s*=\s*)?([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*/\s*(s|min|h)", re.ASCII)


def rates(text: str) -> dict[str, float]:
    """Messages a second by domain, the channel's own under the empty name. Raises SettingsError."""
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        rate = _RATE.fullmatch(part.lower())
        domain, amount = (rate[1] or "", float(rate[2])) if rate else ("", 0.0)
        if rate is None or not amount or domain in found:
            problem = f"'{part}' says again how fast" if amount else f"'{part}' is not a rate"
            raise SettingsError(
                f"NURTURE_MAIL_RATE: {problem}; write such as 50/s, gmail.com=10/s, outlook.com=600/min, each name once"
            )
        found[domain] = amount / _SECONDS[rate[3]]
    return found


class Throttle:
    """Lets messages go at `rates` a second, at once as many as go in one second. Threads may share it."""

    def __init__(self, rates: Mapping[str, float]) -> None:
        self._rates = dict(rates)
        #: By name: messages that may go, and since when that is so.
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def bucket(self, address: str) -> str:
        """What holds a message to `address` up: its domain, if that has a rate; else nothing but the channel's."""
        if not self._rates:
            return ""
        domain = address.rpartition("@")[2].lower()
        return domain if domain in self._rates else ""

    def take(self, bucket: str, now: float) -> float:
        """0: one message may go, and is counted; else the seconds until one may. `now`: of the monotonic clock."""
        if not self._rates:
            return 0.0
        with self._lock:
            names: Collection[str] = {"", bucket} & self._rates.keys()
            filled = {name: self._filled(name, now) for name in names}
            wait = max(((1 - left) / self._rates[name] for name, left in filled.items()), default=0.0)
            if wait > 0:
                return wait
            self._buckets.update((name, (left - 1, now)) for name, left in filled.items())
            return 0.0

    def _filled(self, name: str, now: float) -> float:
        rate = self._rates[name]
        most = max(1.0, rate)
        left, since = self._buckets.get(name, (most, now))
        return min(most, left + (now - since) * rate + 1e-9)  # a wait just over is over
