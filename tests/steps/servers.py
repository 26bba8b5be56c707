"""Real HTTP servers on loopback: one that takes signed calls, one that answers as Twilio's Messages API says it does."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

SID, TOKEN = "AC" + "0" * 32, "a token with a / and a space"
OURS = "+15005550006"
#: Seconds for which an answer is waited for where one does not come: enough for the others on a busy machine.
WAITS = 1.5


class Calls(ThreadingHTTPServer):
    """Keeps what it got; answers what `answers` says first, then 200. 0: it hangs up after it has read the call."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answers: list[int] | None = None, headers: dict[str, str] | None = None) -> None:
        self.calls: list[tuple[str, dict[str, str], bytes]] = []
        self.answers, self.headers = list(answers or []), dict(headers or {})
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        """The status and the body of one answer."""
        return (self.answers.pop(0) if self.answers else 200), b"{}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent."""

    def said(self) -> list[Any]:
        """The calls' bodies as JSON."""
        return [json.loads(body) for _, _, body in self.calls]


class Twilio(Calls):
    """The rules are those of https://www.twilio.com/docs/sms/api/message-resource and …/docs/api/errors.

    HTTP basic authentication with SID and token; a form with To, Body and From or MessagingServiceSid; 201 and the
    message as JSON; 400 with a code (21211: no such number, 21610: has unsubscribed, 21602: no body); 401 with 20003.
    """

    def __init__(self, answers: list[int] | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(answers, headers)
        self.sent: list[tuple[str, str]] = []
        self.unsubscribed: set[str] = set()
        self.invalid: set[str] = set()

    @property
    def account(self) -> str:
        """As NURTURE_SMS_URL names it."""
        token = TOKEN.replace("/", "%2F").replace(" ", "%20")
        return f"twilio+http://{SID}:{token}@127.0.0.1:{self.port}?from={OURS}"

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        login = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if handler.path != f"/2010-04-01/Accounts/{SID}/Messages.json":
            return 404, b'{"code": 20404}'
        if handler.headers["authorization"] != f"Basic {login}":
            return 401, b'{"code": 20003}'
        if self.answers and (status := self.answers.pop(0)) != 201:
            return status, b'{"code": 20429}' if status == 429 else b"not JSON"
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if handler.headers["content-type"] != "application/x-www-form-urlencoded" or "Body" not in form:
            return 400, b'{"code": 21602}'
        if form["To"] in self.invalid or not form["To"].startswith("+"):
            return 400, b'{"code": 21211}'
        if form["To"] in self.unsubscribed:
            return 400, b'{"code": 21610}'
        if form.get("From", form.get("MessagingServiceSid")) is None:
            return 400, b'{"code": 21603}'
        self.sent.append((form["To"], form["Body"]))
        return 201, json.dumps({"sid": f"SM{len(self.sent):032x}", "status": "queued"}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Calls

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.calls.append((self.path, {name.lower(): said for name, said in self.headers.items()}, body))
        status, answer = self.server.answer(self, body)
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        if status == 1:  # slower than anybody waits
            time.sleep(2 * WAITS)
            status = 200
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@contextmanager
def serving(made: Callable[[], Any]) -> Iterator[Any]:
    """A server that runs until the end."""
    with made() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
