"""The audience channel against a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from nurture.channels.audience import AudienceChannel, membership, unfit
from nurture.channels.base import NoJournal, Parcel
from nurture.clock import SystemClock
from nurture.errors import SettingsError
from nurture.tokens import keys
from tests.steps.servers import WAITS

KEYS = keys("a secret of at least thirty-two characters")


class Endpoint(ThreadingHTTPServer):
    """Answers `/<status>` with that status; keeps what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.calls.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        word = self.path.strip("/")
        if word == "slow":
            time.sleep(2 * WAITS)
        if word == "cut":
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(int(word) if word.isdigit() else 200)
        if word == "302":
            self.send_header("Location", self.server.url("200"))
        body = b"" if word == "204" else b"ok"
        self.send_header("Content-Length", "bytes" if word == "garbled" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def channel(endpoint: Endpoint, *paths: str, timeout: float = 5) -> AudienceChannel:
    endpoints = {path: endpoint.url(path) for path in paths}
    return AudienceChannel(endpoints, KEYS.signing, SystemClock(), timeout=timeout)


def parcel(touch: int, to: str, payload: bytes = b"{}") -> Parcel:
    return Parcel(touch, f"t-{touch}", "", to, payload)


ANSWERS = [
    ("200", "accepted", "200"),
    ("202", "accepted", "202"),
    ("204", "accepted", "204"),
    ("302", "refused", "302 a redirect is not followed"),
    ("400", "refused", "400"),
    ("410", "refused", "410"),
    ("422", "refused", "422"),
    ("408", "try_later", "408"),
    ("409", "try_later", "409"),
    ("425", "try_later", "425"),
    ("429", "try_later", "429"),
    ("500", "try_later", "500"),
    ("503", "try_later", "503"),
    ("slow", "try_later", "ReadTimeout"),
    ("garbled", "try_later", "RemoteProtocolError"),
    ("cut", "try_later", "RemoteProtocolError"),
]


@pytest.mark.parametrize(("path", "verdict", "detail"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_the_answer_decides(endpoint, path, verdict, detail):
    """A call carries its key, so whatever is unclear is simply tried later; its neighbours are not harmed."""
    out = channel(endpoint, "200", path, timeout=WAITS)
    receipts = out.deliver([parcel(1, "200"), parcel(2, path), parcel(3, "200")], NoJournal(), lambda *_: False)
    out.close()

    assert [r.verdict for r in receipts] == ["accepted", verdict, "accepted"]
    assert receipts[1].detail.startswith(detail)
    assert len(endpoint.calls) == 3


def test_a_call_is_signed_and_keyed(endpoint):
    """Standard Webhooks: a reader with the endpoint's key verifies it, with another's it does not."""
    payload = membership("list", add=["ana@acme.example"], remove=["bo@acme.example"])
    out = channel(endpoint, "list")
    first = out.deliver([parcel(7, "list", payload)], NoJournal(), lambda *_: False)
    again = out.deliver([parcel(7, "list", payload)], NoJournal(), lambda *_: False)
    out.close()

    assert [r.verdict for r in first + again] == ["accepted"] * 2
    (_, one, body), (_, two, other) = endpoint.calls
    assert one["webhook-id"] == two["webhook-id"] == "t-7"
    assert body == other == payload
    said = Webhook(KEYS.signing("list")).verify(body, one)
    assert said == {
        "audience": "list",
        "add": [sha256(b"ana@acme.example").hexdigest()],
        "remove": [sha256(b"bo@acme.example").hexdigest()],
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(KEYS.signing("another")).verify(body, one)


def test_an_endpoint_that_is_away_is_asked_once(endpoint):
    """What goes elsewhere goes on."""
    out = AudienceChannel(
        {"gone": "http://127.0.0.1:9/x", "200": endpoint.url("200")}, KEYS.signing, SystemClock(), timeout=2
    )
    batch = [parcel(1, "gone"), parcel(2, "200"), parcel(3, "gone")]
    receipts = out.deliver(batch, NoJournal(), lambda *_: False)
    out.close()

    assert [r.verdict for r in receipts] == ["try_later", "accepted", "try_later"]


def test_an_endpoint_that_is_silent_is_waited_for_once(endpoint):
    """Two hundred calls to it take one time-out, not two hundred."""
    out = channel(endpoint, "200", "slow", timeout=WAITS)
    batch = [parcel(1, "slow"), parcel(2, "slow"), parcel(3, "200"), parcel(4, "slow")]
    receipts = out.deliver(batch, NoJournal(), lambda *_: False)
    out.close()

    assert [r.verdict for r in receipts] == ["try_later", "try_later", "accepted", "try_later"]
    assert [path for path, _, _ in endpoint.calls] == ["/slow", "/200"]


def test_what_goes_to_an_unknown_name_waits(endpoint):
    """It was published after this process had opened; the next one knows it, and the operator is told."""
    out = channel(endpoint, "200")
    receipts = out.deliver([parcel(1, "nobody"), parcel(2, "200")], NoJournal(), lambda *_: False)
    down = out.down
    out.deliver([parcel(3, "200")], NoJournal(), lambda *_: False)
    out.close()

    assert [r.verdict for r in receipts] == ["not_started", "accepted"]
    assert "'nobody' is not known to this process" in str(down)
    assert out.down is None


def test_stop_means_stop(endpoint):
    """Asked before each call."""
    out = channel(endpoint, "200")
    batch = [parcel(n, "200") for n in range(5)]
    receipts = out.deliver(batch, NoJournal(), lambda *_: len(endpoint.calls) >= 2)
    out.close()

    assert [r.verdict for r in receipts] == ["accepted"] * 2 + ["not_started"] * 3


def test_what_cannot_be_called_is_refused_alone(endpoint):
    """A payload that is no text is our fault, and only this parcel's."""
    out = channel(endpoint, "200")
    receipts = out.deliver([parcel(1, "200", b"\xff"), parcel(2, "200")], NoJournal(), lambda *_: False)
    out.close()

    assert [r.verdict for r in receipts] == ["refused", "accepted"]


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://ads.example/x", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://ads.example/x", False),
        ("http://10.0.0.1/x", False),
        ("http://127.0.0.1.evil.example/x", False),
        ("https://user:password@ads.example/", False),
        ("ftp://ads.example", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_endpoints_are_https(url, fits):
    """Plain http is for loopback alone."""
    assert (unfit(url) is None) == fits
    if not fits:
        with pytest.raises(SettingsError, match="https"):
            AudienceChannel({"a": url}, KEYS.signing, SystemClock())


def test_the_same_wish_is_the_same_bytes():
    """Whatever the order in which the addresses came."""
    assert membership("a", add=["x@a.example", "b@a.example"]) == membership("a", add=["b@a.example", "x@a.example"])
    assert json.loads(membership("a"))["add"] == []
