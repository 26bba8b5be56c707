"""The public app behind a socket."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from threading import Thread
from typing import Any

import uvicorn

from nurture import clock
from nurture.engine.machine import Machine
from nurture.web.guard import LONGEST_HEADERS
from nurture.web.public import public_app


def _config(machine: Machine, trusted_proxies: Sequence[str], **more: Any) -> uvicorn.Config:
    """A visitor's address is that of the connection; what a header says of it is believed of trusted proxies alone."""
    limits = {key: more.pop(key) for key in ("forms_per_minute", "forms_per_address") if key in more}
    return uvicorn.Config(
        public_app(machine, **limits),
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        server_header=False,
        http="h11",
        ws="none",
        lifespan="off",
        h11_max_incomplete_event_size=2 * LONGEST_HEADERS,
        limit_concurrency=500,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=10,
        access_log=False,  # tokens in addresses are keys: they are not written down
        **more,
    )


def serve_public(machine: Machine, host: str, port: int, trusted_proxies: Sequence[str] = ()) -> None:
    """Serve until the process is asked to end; `trusted_proxies`: addresses whose X-Forwarded-For is believed."""
    uvicorn.Server(_config(machine, trusted_proxies, host=host, port=port)).run()


class PublicServer:
    """The public app on loopback in a thread of its own; `port` 0 is any free one. Use it in a `with`."""

    def __init__(self, machine: Machine, port: int = 0, trusted_proxies: Sequence[str] = (), **limits: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(_config(machine, trusted_proxies, log_config=None, **limits))
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="nurture-web", daemon=True)

    def __enter__(self) -> PublicServer:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            clock.pause(0.01)
        if not self._server.started:
            raise RuntimeError(f"the public app did not start on {self.url}")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
