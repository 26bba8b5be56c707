"""Broken bytes on a real socket: `python -m tests.web.fuzz --minutes 10 [--seed N]`.

Each knock is drawn from a seed, which is printed with what it found: an answer of 5xx, a door that stays open without
a word, an error in the log, a server that does not answer afterwards, memory that grows.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
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
from tests.web.knocks import Knocker
from tests.web.sited import SITED, key

PLENTY = 10**9
#: Seconds that an answer is waited for before we say that we have said everything, and after that.
PAUSE, PATIENCE = 0.3, 30.0
#: Knocks at once; megabytes by which the process may grow after the first round: threads and their arenas, no more.
HANDS, MOST_GROWN = 12, 100


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
        with PublicServer(
            machine, forms_per_minute=PLENTY, forms_per_address=PLENTY, refused_per_minute=PLENTY
        ) as server:
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
        f"/events?key={key(machine, 'www', 'site')}", "/leads", "/answers", "/crm", "/hooks/postmark", "/hooks/mailgun",
        "/hooks/twilio", "/hooks/resend",
    ]  # fmt: skip
    broken = [f"/{door}/{seal('bounce', letter)}" for door in "couphyq"]
    return [
        address.encode()
        for address in (*right, *broken, "/nothing", "/f/none", "/hooks/none", "/events", "//", "*", "")
    ]


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
        if found.grown > MOST_GROWN:
            found.faults.append(f"memory has grown by {found.grown:.0f} MB")
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
