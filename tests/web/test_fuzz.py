"""Broken bytes at every door by a real socket; `python -m tests.web.fuzz --minutes 10` is the long form."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from nurture.engine.machine import Machine
from nurture.web import guard, server
from nurture.web.server import PublicServer
from tests.web.fuzz import PATIENCE, fuzz, house

House = tuple[Machine, PublicServer, list[bytes]]


@pytest.fixture(scope="module")
def open_house(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that gives up in less than a second on whoever does not go on."""
    path = Path(shutil.copyfile(migrated_sqlite, tmp_path_factory.mktemp("fuzz") / "nurture.db"))
    with pytest.MonkeyPatch.context() as here:
        here.setattr(server, "HEAD_SECONDS", 0.5)
        here.setattr(guard, "BODY_SECONDS", 0.5)
        with house(path) as opened:
            yield opened


def test_broken_bytes_break_nothing(open_house: House) -> None:
    """No 5xx, no door that hangs, no error in the log, and it answers afterwards; SEED and SECONDS look elsewhere."""
    _, server, where = open_house

    seed, seconds = int(os.environ.get("SEED", "11")), float(os.environ.get("SECONDS", "0"))
    found = fuzz(server, where, seed, seconds=seconds)

    assert found.faults == []
    assert {"200", "302", "400", "401", "404", "405", "413", "414", "415", "422"} <= set(found.answers)


SLOW = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "headers without end": b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
    "a second request without end": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nX: ",
    "a body for nobody": b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n",
    "a body without end": b"POST /f/demo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
}


@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW.keys())
def test_who_goes_on_for_ever_is_cut_off(open_house: House, begun: bytes) -> None:
    """A byte now and then holds no connection, and others are answered meanwhile."""
    _, server, _ = open_house
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=0.1) as line:
        line.sendall(begun)
        until, ended = time.monotonic() + PATIENCE, False
        while not ended and time.monotonic() < until:
            try:
                if begun:
                    line.sendall(b"a")
                ended = line.recv(65_536) == b""
            except TimeoutError:
                continue
            except OSError:  # a connection that was ended takes no more
                ended = True

        assert ended
    assert httpx.get(f"{server.url}/health").status_code == 200
