"""Who knocks: a person or a machine, and how often."""

from __future__ import annotations

import ipaddress
import math
from collections import deque
from collections.abc import Callable
from threading import Lock

from starlette.requests import Request

from nurture import clock
from nurture.engine.classing import agent_reason


def machine_reason(request: Request) -> str | None:
    """Why the visitor is known to be a machine, or None."""
    if "prefetch" in f"{request.headers.get('sec-purpose', '')} {request.headers.get('purpose', '')}".casefold():
        return "fetched ahead of a click"
    return agent_reason(request.headers.get("user-agent", ""))


def origin(request: Request) -> str:
    """Whence a visitor comes, by the connection or a trusted proxy; of IPv6 the network: a host has a million."""
    return network(request.client.host if request.client else "")


def network(host: str) -> str:
    """An address of IPv4, or the network of one of IPv6; what is neither as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class MovingWindow:
    """At most `most` times within `seconds`, for each caller; kept in this process."""

    #: Callers remembered; beyond that, those who have been quiet are forgotten.
    CALLERS = 10_000

    def __init__(self, most: int, seconds: float, monotonic: Callable[[], float] = clock.monotonic) -> None:
        self._most, self._seconds, self._monotonic = most, seconds, monotonic
        self._seen: dict[str, deque[float]] = {}
        self._lock = Lock()

    def wait(self, caller: str) -> int:
        """0, and the call is counted; or the whole seconds after which the next one is let in."""
        now = self._monotonic()
        with self._lock:
            if len(self._seen) > self.CALLERS:
                self._forget(now)
            times = self._seen.setdefault(caller, deque())
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) < self._most:
                times.append(now)
                return 0
            return max(1, math.ceil(times[0] + self._seconds - now))

    def _forget(self, now: float) -> None:
        quiet = [caller for caller, times in self._seen.items() if not times or times[-1] <= now - self._seconds]
        for caller in quiet or list(self._seen)[: self.CALLERS // 2]:
            del self._seen[caller]
