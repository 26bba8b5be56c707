"""The app behind a real socket."""

from __future__ import annotations

import gc
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from nurture.engine.machine import Machine
from nurture.web.server import PublicServer
from tests.web.factories import DEMO, FORM, PAGE, letter_to, links_in


def said_to(url: str, request: bytes) -> bytes:
    """The first line of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=10) as line:
        line.sendall(request)
        return line.recv(4096).split(b"\r\n")[0]


def test_every_door_answers_over_http(machine: Machine) -> None:
    """Links work as they stand in a letter; nothing says what serves them."""
    with PublicServer(machine) as server, httpx.Client(base_url=server.url, headers=PAGE) as client:
        links = [link for link in links_in(letter_to(machine, "rae@acme.example")) if link.startswith("/")]
        answers = {link[:2] + link[2]: client.get(link) for link in links}

        assert {door: answer.status_code for door, answer in answers.items()} == {
            "/c/": 302,
            "/f/": 200,
            "/q/": 200,
            "/u/": 200,
        }
        assert all("server" not in answer.headers for answer in answers.values())
        head = client.head(links[-1])
        assert (head.status_code, head.content) == (200, b"")
        way = next(link for link in links if link.startswith("/u/"))
        assert client.post(way, content=b"List-Unsubscribe=One-Click").status_code == 200


def test_what_is_no_http_is_refused(machine: Machine) -> None:
    """Headers without end, and what is not HTTP at all."""
    with PublicServer(machine) as server:
        large = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 60_000 + b"\r\n\r\n"

        assert said_to(server.url, large).split()[1] in (b"400", b"431")
        assert said_to(server.url, b"\x16\x03\x01 nonsense\r\n\r\n").split()[1] == b"400"
        assert said_to(server.url, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").split()[1] == b"200"


@pytest.mark.parametrize("proxies", [(), ("127.0.0.2",)], ids=["a stranger", "our own proxy"])
def test_one_network_has_so_many_connections(machine: Machine, proxies: tuple[str, ...]) -> None:
    """What is beyond is closed, others are answered; a proxy of ours brings everybody, and is not counted."""
    with PublicServer(machine, trusted_proxies=proxies, connections=3) as server, ExitStack() as stack:
        there = ("127.0.0.1", urlsplit(server.url).port or 0)
        lines = [stack.enter_context(socket.create_connection(there, 10, ("127.0.0.2", 0))) for _ in range(5)]
        answered = [_answered(line) for line in lines]

        assert answered == [True] * 3 + [bool(proxies)] * 2
        assert httpx.get(f"{server.url}/health").status_code == 200


def _answered(line: socket.socket) -> bool:
    """Whether a request gets an answer; the connection stays open."""
    try:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        return line.recv(4096) != b""
    except OSError:
        return False


def test_it_stops_when_it_should_and_frees_its_port(machine: Machine) -> None:
    """A demo starts and stops it; the same port can be used again at once."""
    with PublicServer(machine) as server:
        port = urlsplit(server.url).port or 0
    with PublicServer(machine, port=port) as again:
        assert httpx.get(f"{again.url}/health").json() == {"ok": True}


@pytest.mark.parametrize(
    ("proxies", "statuses"), [((), [303, 429]), (("127.0.0.1",), [303, 303])], ids=["none", "ours"]
)
def test_a_visitors_address_is_believed_of_our_own_proxy_alone(
    machine: Machine, proxies: tuple[str, ...], statuses: list[int]
) -> None:
    """Behind a proxy each visitor has an address; without one, nobody makes up another."""
    with PublicServer(machine, trusted_proxies=proxies, forms_per_minute=1) as server:
        answers = [
            httpx.post(f"{server.url}/f/demo", data=DEMO, headers={**FORM, "x-forwarded-for": visitor})
            for visitor in ("192.0.2.7", "192.0.2.8")
        ]

    assert [answer.status_code for answer in answers] == statuses


def test_a_port_that_is_taken_leaves_no_socket_behind(machine: Machine) -> None:
    """A warning of a socket left open would fail this test."""
    with PublicServer(machine) as server, pytest.raises(OSError, match="in use"):
        PublicServer(machine, port=urlsplit(server.url).port or 0)
    gc.collect()
