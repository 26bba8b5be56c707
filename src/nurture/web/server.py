"""The apps behind sockets, each in a thread of its own."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from nurture import clock
from nurture.engine.machine import Machine
from nurture.settings import Listen
from nurture.web.guard import LONGEST_HEADERS
from nurture.web.metrics import RequestTimes, Timed
from nurture.web.private import Surroundings, private_app
from nurture.web.public import public_app

#: Seconds that requests under way have when it is asked to end.
_GRACE = 5


class WebServer:
    """An app at an address; use it in a `with`. Raises OSError where somebody else listens already.

    A visitor's address is that of the connection; what a header says of it is believed of `trusted_proxies` alone.
    """

    name = "web"

    def __init__(self, app: ASGIApp, listen: Listen, trusted_proxies: Sequence[str] = ()) -> None:
        self._socket = _bound(listen)
        self.listen = Listen(listen.host, self._socket.getsockname()[1])
        self.url = self.listen.url
        config = uvicorn.Config(
            app,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            server_header=False,
            http="h11",
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
        times: RequestTimes | None = None, **limits: Any,
    ) -> None:  # fmt: skip
        app: ASGIApp = public_app(machine, **limits)
        super().__init__(Timed(app, times) if times else app, listen or Listen("127.0.0.1", port), trusted_proxies)


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
