"""What the demo's platforms have in common: a small HTTP server on loopback."""

from __future__ import annotations

from abc import ABC, abstractmethod
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Self


class Endpoint(ABC):
    """Answers each POST by `take`, one at a time; use it in a `with`. `url`: where it listens."""

    def __init__(self) -> None:
        self._lock = Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            #: An answer's head and body leave together: in two packets the second would wait for the other side.
            wbufsize = 65536

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with endpoint._lock:
                    status, said = endpoint.take(self.headers, body)
                self.send_response(status)
                if status != 204:
                    self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """The demo prints its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @abstractmethod
    def take(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        """One call: the status and the body of the answer."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
