"""The apps behind sockets, each in a thread of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from nurture import clock
from nurture.engine.machine import Machine
from nurture.settings import Listen
from nurture.web.guard import LONGEST_HEADERS
from nurture.web.metrics import RequestTimes, Timed
from nurture.web.private import Surroundings, private_app
from nurture.web.public import public_app
from nurture.web.visitors import network

#: Seconds that requests under way have when it is asked to end.
_GRACE = 5
#: Seconds that the line and headers of a request may take.
HEAD_SECONDS = 10.0
#: Connections that one network may have at a time.
CONNECTIONS = 50
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Timely(H11Protocol):
    """Ends a connection on which no whole head of a request comes in time; uvicorn alone would wait for it for ever.

    What a network has beyond `most` is ended at once; networks of `proxies` carry all visitors and are not counted.
    """

    _late: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, most: int, proxies: Sequence[Network], **more: Any) -> None:
        super().__init__(*args, **more)
        self._most, self._proxies = most, proxies
        self.network = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self.network = network(host)
        theirs = sum(isinstance(other, Timely) and other.network == self.network for other in self.connections)
        if theirs > self._most and not _within(host, self._proxies):
            transport.close()
            return
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _wait(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(HEAD_SECONDS, self._end)

    def _end(self) -> None:
        """Whoever is being answered stays; a body has a limit of its own. Whoever does not read is not waited for."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)


def _within(host: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in one for one in networks)


class WebServer:
    """An app at an address; use it in a `with`. Raises OSError where somebody else listens already.

    A visitor's address is that of the connection; what a header says of it is believed of `trusted_proxies` alone.
    `connections`: those that one network may have at a time.
    """

    name = "web"

    def __init__(
        self, app: ASGIApp, listen: Listen, trusted_proxies: Sequence[str] = (), connections: int = CONNECTIONS
    ) -> None:
        self._socket = _bound(listen)
        self.listen = Listen(listen.host, self._socket.getsockname()[1])
        self.url = self.listen.url
        config = uvicorn.Config(
            app,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            server_header=False,
            http=partial(Timely, most=connections, proxies=[ipaddress.ip_network(one) for one in trusted_proxies]),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            h11_max_incomplete_event_size=2 * LONGEST_HEADERS,
            limit_concurrency=500,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=_GRACE,
            access_log=False,  # tokens in addresses are keys: they are not written down
            log_config=None,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name=f"nurture-{self.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Take no more; what is under way has five seconds."""
        self._server.should_exit = True

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            clock.pause(0.01)
        if not self._server.started:
            raise RuntimeError(f"the {self.name} app did not start on {self.url}")
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._thread.join(2 * _GRACE)
        self._socket.close()


class PublicServer(WebServer):
    """The public app, on loopback unless `listen` says more; `port` 0 is any free one. `limits`: of forms."""

    name = "public"

    def __init__(
        self, machine: Machine, port: int = 0, trusted_proxies: Sequence[str] = (), *, listen: Listen | None = None,
        times: RequestTimes | None = None, connections: int = CONNECTIONS, **limits: Any,
    ) -> None:  # fmt: skip
        app: ASGIApp = public_app(machine, **limits)
        there = listen or Listen("127.0.0.1", port)
        super().__init__(Timed(app, times) if times else app, there, trusted_proxies, connections)


class PrivateServer(WebServer):
    """The private app."""

    name = "private"

    def __init__(self, machine: Machine, listen: Listen, given: Surroundings, metrics: Any = None) -> None:
        super().__init__(private_app(machine, given, metrics), listen)


def _bound(listen: Listen) -> socket.socket:
    """A socket at this address; a name is looked up."""
    family, kind, _, _, place = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with suppress(AttributeError):
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] is IPv4 as well
        made.bind(place)
    except OSError:
        made.close()
        raise
    return made
