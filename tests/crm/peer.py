"""What both vendors' servers have in common: real HTTP on loopback, and faults that are asked for."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeVar


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Fault:
    """An answer that comes before any rule is looked at; `after`: once the call was carried out (its answer is lost)."""

    status: int
    said: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


class Peer(ThreadingHTTPServer, ABC):
    """A vendor: `rules` answers; `faults` come first, one for each call; status 0 hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reset()

    def reset(self) -> None:
        """As it was when it was made."""
        self.calls: list[Call] = []
        self.faults: list[Fault] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @abstractmethod
    def rules(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON and headers."""

    def answer(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        self.calls.append(call)
        if not self.faults:
            return self.rules(call)
        fault = self.faults.pop(0)
        if fault.after:
            self.rules(call)
        return fault.status, fault.said, fault.headers

    def asked(self, part: str) -> list[Any]:
        """The bodies of calls whose path holds `part`."""
        return [call.body for call in self.calls if part in call.path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Peer

    def _any(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        typed = self.headers.get("content-type", "")
        body: Any = json.loads(sent) if sent and "json" in typed else sent.decode()
        headers = {name.lower(): said for name, said in self.headers.items()}
        status, said, more = self.server.answer(Call(self.command, self.path, headers, body))
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        answer = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **more, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


P = TypeVar("P", bound=Peer)


@contextmanager
def serving(peer: P) -> Iterator[P]:
    """The server, until the end."""
    with peer:
        thread = Thread(target=peer.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield peer
        finally:
            peer.shutdown()
