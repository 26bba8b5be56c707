"""An advertising platform's endpoint on loopback: it takes members in and out."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread


class AdPlatform:
    """The endpoint; use it in a `with`. `members`: hashed addresses by audience; `calls`: how many came."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}
        self.calls = 0
        self._lock = Lock()
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                platform.take(body)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The demo prints its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def take(self, body: bytes) -> None:
        """One signed call."""
        said = json.loads(body)
        with self._lock:
            self.calls += 1
            inside = self.members.setdefault(said["audience"], set())
            inside |= set(said.get("add", ()))
            inside -= set(said.get("remove", ()))

    def __enter__(self) -> AdPlatform:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
