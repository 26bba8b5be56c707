"""What proves a report is fetched from the named address alone, over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nurture.channels.outbound import fetched


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/good.pem": 200, "/moved.pem": 302}.get(self.path, 404)
        self.send_response(status)
        self.send_header("location", "/good.pem")
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"cert")

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


ANSWERS = {"there": ("/good.pem", b"cert"), "not there": ("/bad.pem", None), "moved": ("/moved.pem", None)}


@pytest.mark.parametrize(("path", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_stands_at_the_address_or_nothing(site: str, path: str, expected: bytes | None) -> None:
    """No redirect is followed."""
    assert fetched(site + path) == expected


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]"])
def test_nothing_is_fetched_from_inside(host: str) -> None:
    """Nobody connects there."""
    assert fetched(f"https://{host}/x.pem") is None
