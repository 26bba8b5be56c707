"""Broken bytes on a real socket: `python -m tests.web.fuzz --minutes 10 [--seed N]`.

Each knock is drawn from a seed, which is printed with what it found: an answer of 5xx, a door that stays open without
a word, an error in the log, a server that does not answer afterwards, memory that grows.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx

from nurture.db import migrate
from nurture.engine.machine import Machine
from nurture.web import origins
from nurture.web.server import PublicServer
from tests.web.factories import Visitor, handed_over, handoffs, make_lead, opened, send, touch_of
from tests.web.sited import SITED, key

PLENTY = 10**9
#: Seconds that an answer is waited for before we say that we have said everything, and after that.
PAUSE, PATIENCE = 0.3, 8.0
#: Knocks at once.
HANDS = 12
FORM = b"application/x-www-form-urlencoded"
METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"get", b"G\x00T", b"", b"X" * 3000]
JUNK = [
    b"\x00",
    b"\xff\xfe",
    b"%",
    b"%zz",
    b"%00",
    b"%C0%AF",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b"..",
    b"//",
    b"'",
    b'"',
    b"<",
    b"{{7*7}}",
    b"\xed\xa0\x80",
]
HEADERS = [
    b"Host: [::", b"Host:", b"Accept: " + b",text/html" * 900, b"Accept-Language: " + b"ar;q=,," * 900, b"Cookie: \xff=\x80",
    b"Content-Type: \xff", b"Content-Type: multipart/form-data", b"Content-Type: text/html; charset=utf-7", b": x", b"X" * 9000,
    b"X: " + b"y" * 20_000, b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer nk_" + b"A" * 35, b"Sec-GPC: \x01",
    b"webhook-signature: v1,\xff", b"User-Agent: " + b"(" * 2000, b"Referer: http://[", b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue", b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x", b"If-None-Match: \"", b"Origin: \xff",
    b"X-Forwarded-For: " + b"1," * 3000, b" folded: x", b"Content-Encoding: br", b"Access-Control-Request-Method: POST",
]  # fmt: skip
LENGTHS = [b"-1", b"1e9", b"99999999999999999999", b"+5", b" 5", b"0x5", b"5, 6", b"", b"5\r\nContent-Length: 6"]
CHUNKS = [
    b"zz\r\nabc\r\n",
    b"-1\r\n",
    b"ffffffffffffffff\r\nabc",
    b"5\r\nabc\r\n0\r\n\r\n",
    b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
]
DEEP = [
    b"[" * 60_000,
    b'{"a":' * 9000,
    b'{"events":' + b"[" * 500 + b"]" * 500 + b"}",
    b'"\\ud800"',
    b"1" * 60_000,
    b'{"email":NaN}',
    b'{"email":1e999}',
    b"\xef\xbb\xbf{}",
]


@dataclass
class Found:
    """What the knocks brought: how often each answer came, and what must not be."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    grown: float = 0.0


@contextmanager
def house(database: Path) -> Iterator[tuple[Machine, PublicServer, list[bytes]]]:
    """A server over new letters, and addresses of every door, with tokens that open it and with one that is broken."""
    shift = patch.multiple(origins, BY_VISITOR=PLENTY, BY_SERVER=PLENTY)
    with opened(f"sqlite:///{database}", files=SITED) as machine, shift:
        machine.hooks = {"postmark": "user:word", "mailgun": "secret", "twilio": "secret", "resend": "whsec_MTIz"}
        make_lead(machine)
        send(machine)
        send(machine)
        with PublicServer(machine, forms_per_minute=PLENTY, forms_per_address=PLENTY) as server:
            yield machine, server, addresses(machine)


def addresses(machine: Machine) -> list[bytes]:
    visit, seal = Visitor(machine), machine.keys.seal
    handed_over(machine, visit)
    visit.post("/f/news", data={"email": "kim@person.example", "consent": "yes"})
    letter, offer = (touch_of(machine, "rae@acme.example", step).id for step in ("hello", "piece"))
    right = [
        f"/c/{seal('click', letter)}", f"/o/{seal('offer', offer)}", f"/o/{seal('open', letter)}.gif",
        f"/u/{seal('unsubscribe', letter)}", f"/p/{seal('preferences', letter)}", f"/q/{seal('question', letter)}",
        f"/y/{seal('confirm', 1)}", f"/h/{seal('handoff', handoffs(machine)[0].id)}",
        f"/f/demo?t={seal('click', letter, 0xFFFF)}", "/f/guide/thanks?s=x", "/f/guide/embed", "/", "/health", "/nurture.js",
        f"/events?key={key(machine, 'www', 'site')}", "/leads", "/hooks/postmark", "/hooks/mailgun", "/hooks/twilio", "/hooks/resend",
    ]  # fmt: skip
    broken = [f"/{door}/{seal('bounce', letter)}" for door in "couphyq"]
    return [
        address.encode()
        for address in (*right, *broken, "/nothing", "/f/none", "/hooks/none", "/events", "//", "*", "")
    ]


class Knocker:
    """Draws requests from a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.kinds: list[Callable[[bytes], bytes]] = [
            self.line, self.headers, self.length, self.chunked, self.truncated, self.percent, self.overlong, self.types,
            self.deep, self.multipart, self.flipped, self.fields, self.pipelined,
        ]  # fmt: skip

    def request(self, method: bytes, address: bytes, *headers: bytes, body: bytes = b"", length: bool = True) -> bytes:
        more = [b"Content-Length: %d" % len(body)] if length else []
        return b"\r\n".join(
            [b"%s %s HTTP/1.1" % (method, address), b"Host: x", b"Connection: close", *headers, *more, b"", body]
        )

    def line(self, address: bytes) -> bytes:
        one = [
            self.dice.choice(METHODS),
            address,
            self.dice.choice([b"HTTP/1.1", b"HTTP/9", b"HTTP/0.9", b"", b"\xff"]),
        ]
        return self.dice.choice([b" ", b"  ", b"\t", b""]).join(one) + b"\r\nHost: x\r\n\r\n"

    def headers(self, address: bytes) -> bytes:
        chosen = self.dice.sample(HEADERS, self.dice.randint(1, 4)) * self.dice.choice([1, 1, 1, 40])
        return self.request(self.dice.choice([b"GET", b"POST"]), address, *chosen)

    def length(self, address: bytes) -> bytes:
        return self.request(
            b"POST", address, b"Content-Length: " + self.dice.choice(LENGTHS), body=b"a=b&c", length=False
        )

    def chunked(self, address: bytes) -> bytes:
        body = self.dice.choice(CHUNKS)
        return self.request(
            b"POST",
            address,
            b"Transfer-Encoding: chunked",
            b"Content-Type: " + FORM,
            body=body,
            length=self.dice.random() < 0.2,
        )

    def truncated(self, address: bytes) -> bytes:
        whole = self.request(b"POST", address, b"Content-Type: " + FORM, body=b"email=kim%40person.example&consent=yes")
        return whole[: self.dice.randrange(1, len(whole))]

    def percent(self, address: bytes) -> bytes:
        at = self.dice.randrange(len(address) + 1)
        return self.request(self.dice.choice([b"GET", b"POST"]), address[:at] + self.dice.choice(JUNK) + address[at:])

    def overlong(self, address: bytes) -> bytes:
        return self.request(b"GET", address + b"?" + b"x" * self.dice.choice([2000, 2047, 2048, 9000, 40_000]))

    def types(self, address: bytes) -> bytes:
        kinds = [
            b"text/plain",
            b"application/json; charset=\xff",
            b"application/xml",
            b"image/gif",
            FORM + b"; charset=utf-16",
            b"",
            b"*/*",
            b";;",
        ]
        return self.request(
            b"POST",
            address,
            b"Content-Type: " + self.dice.choice(kinds),
            body=self.dice.randbytes(self.dice.choice([0, 9, 900])),
        )

    def deep(self, address: bytes) -> bytes:
        return self.request(b"POST", address, b"Content-Type: application/json", body=self.dice.choice(DEEP))

    def multipart(self, address: bytes) -> bytes:
        part = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        some = [
            part % (b"email", b"", b"x" * 60_000),
            part % (b"f", b'; filename="a"', b"x"),
            part % (b"\xff", b"", b"\x00"),
            b"--b\r\n\r\n",
            b"--b--",
        ]
        body = (
            b"".join(self.dice.choices(some, k=self.dice.randint(1, 4)))
            if self.dice.random() < 0.7
            else part % (b"a", b"", b"b") * 900
        )
        bound = self.dice.choice(
            [b"; boundary=b", b"; boundary=", b"", b"; boundary=" + b"b" * 300, b"; boundary=\xff"]
        )
        return self.request(b"POST", address, b"Content-Type: multipart/form-data" + bound, body=body)

    def flipped(self, address: bytes) -> bytes:
        whole = bytearray(
            self.request(
                b"POST",
                address,
                b"Content-Type: application/json",
                body=b'{"email":"kim@person.example","consent":true}',
            )
        )
        for _ in range(self.dice.randint(1, 6)):
            whole[self.dice.randrange(len(whole))] = self.dice.randrange(256)
        return bytes(whole)

    def fields(self, address: bytes) -> bytes:
        """A good form with bad answers."""
        names = [
            "email",
            "lang",
            "t",
            "s",
            "visitor",
            "once",
            "country",
            "employees",
            "renewal",
            "pause",
            "until",
            "every",
            "language",
            "shown",
        ]
        bad = [
            "\x00",
            "\ud800",
            "١٢٣",
            "9" * 400,
            "2026-99-99",
            "a@b\r\nBcc: x",
            "1e400",
            "\u202e",
            "x" * 5000,
            "ar_EG",
            "-1",
            "😀@x.example",
        ]
        said = {"email": "kim@person.example"} | {self.dice.choice(names): self.dice.choice(bad) for _ in range(3)}
        if self.dice.random() < 0.5:
            return self.request(
                b"POST",
                address,
                b"Content-Type: application/json",
                body=json.dumps(self.dice.choice([said, {"events": [said]}, [said]])).encode(),
            )
        pairs = "&".join(f"{name}={text}" for name, text in said.items())
        return self.request(b"POST", address, b"Content-Type: " + FORM, body=pairs.encode("utf-8", "surrogatepass"))

    def pipelined(self, address: bytes) -> bytes:
        good = self.request(b"GET", address).replace(b"Connection: close\r\n", b"")
        return (
            good * self.dice.randint(1, 3)
            + self.dice.choice(JUNK) * 9
            + self.request(b"POST", address, body=b"x" * 66_000)
        )


def knock(port: int, sent: bytes) -> bytes | None:
    """All that comes back until the connection ends; None where it does not end in time.

    Who hears nothing for a while says that nothing more will come: a body that was announced is waited for.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
        heard, ended = b"", False
        try:
            line.sendall(sent)
            line.settimeout(PAUSE)
            while True:
                try:
                    more = line.recv(65_536)
                except TimeoutError:
                    if ended:
                        return None
                    ended = True
                    line.shutdown(socket.SHUT_WR)
                    line.settimeout(PATIENCE)
                    continue
                if not more:
                    return heard
                heard += more
        except OSError:  # the server has ended it already
            return heard


class Errors(logging.Handler):
    """What is logged as an error while it is in place."""

    def __init__(self, found: Found) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.faults.append(f"logged: {self.format(record)[-1500:]}")


def resident() -> float:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def fuzz(server: PublicServer, where: list[bytes], seed: int, *, seconds: float = 0.0) -> Found:
    """Every kind of broken request at every address once, and again for so long."""
    found, knocker, port = Found(), Knocker(seed), urlsplit(server.url).port or 0
    errors, root, until, settled = Errors(found), logging.getLogger(), time.monotonic() + seconds, 0.0
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    root.addHandler(errors)
    try:
        with ThreadPoolExecutor(HANDS) as hands:
            while not settled or time.monotonic() < until:
                for line in slow:
                    with suppress(OSError):
                        line.send(b"a" if settled else b"GET / HTTP/1.1\r\nX-")
                drawn = [(kind.__name__, kind(address)) for kind in knocker.kinds for address in where]
                for (kind, sent), heard in zip(
                    drawn, hands.map(partial(knock, port), [one for _, one in drawn]), strict=True
                ):
                    _judge(found, f"{kind} {sent[:300]!r}", heard)
                settled = settled or resident()
        if httpx.get(f"{server.url}/health", timeout=30).status_code != 200:
            found.faults.append("the server is not well afterwards")
        found.grown = resident() - settled
    finally:
        root.removeHandler(errors)
        for line in slow:
            line.close()
    return found


def _judge(found: Found, sent: str, heard: bytes | None) -> None:
    statuses = [part[:3].decode("latin-1") for part in (heard or b"").split(b"HTTP/1.1 ")[1:]]
    found.answers.update(statuses or ["ended"])
    if heard is None:
        found.faults.append(f"{sent}: no end")
    elif any(status.startswith("5") for status in statuses):
        found.faults.append(f"{sent}: {heard[:80]!r}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nurture-fuzz-"))
    try:
        migrate(f"sqlite:///{folder / 'nurture.db'}")
        with house(folder / "nurture.db") as (_, server, where):
            found = fuzz(server, where, asked.seed, seconds=60 * asked.minutes)
    finally:
        shutil.rmtree(folder)
    knocks = sum(found.answers.values())
    print(f"seed {asked.seed}: {knocks:,} answers {dict(found.answers.most_common())}, memory {found.grown:+.1f} MB")  # noqa: T201
    for fault in found.faults[:20]:
        print(fault)  # noqa: T201
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
