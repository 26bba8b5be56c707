"""Calls to addresses that a program names: to those alone, and into no inner network."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from nurture.channels.audience import AudienceChannel
from nurture.channels.outbound import MOST, Outbound, Refused
from nurture.channels.places import public, unfit
from nurture.clock import SystemClock
from nurture.errors import SettingsError
from tests.channels.test_tls import Authority
from tests.steps.servers import Calls, serving

#: Addresses, and whether they are reached over the internet and are nobody's inner one.
ADDRESSES = {
    "93.184.216.34": True,
    "2606:2800:220:1::1": True,
    "127.0.0.1": False,
    "127.8.9.1": False,
    "0.0.0.0": False,
    "10.1.2.3": False,
    "172.16.0.1": False,
    "192.168.1.1": False,
    "100.64.0.1": False,
    "169.254.169.254": False,
    "224.0.0.1": False,
    "240.0.0.1": False,
    "255.255.255.255": False,
    "192.0.2.1": False,
    "::1": False,
    "::": False,
    "fe80::1": False,
    "fe80::1%eth0": False,
    "fd00:ec2::254": False,
    "ff02::1": False,
    "::ffff:127.0.0.1": False,
    "::ffff:169.254.169.254": False,
    "::ffff:93.184.216.34": True,
    "::127.0.0.1": False,
    "64:ff9b::a9fe:a9fe": False,
    "64:ff9b::5db8:d822": True,
    "64:ff9b:1::7f00:1": False,
    "64:ff9b:1::8.8.8.8": False,
    "64:ff9b:1:a9fe:a9:fe00:808:808": False,
    "::8.8.8.8": False,
    "::ffff:0:8.8.8.8": False,
    "fec0::1": False,
    "feff::1": False,
    "3fff::1": False,
    "5f00::1": False,
    "2002:7f00:1::": False,
    "2001:db8::1": False,
    "not an address": False,
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_which_addresses_are_public(address: str) -> None:
    """Loopback, private, link-local, metadata, unspecified, multicast, documentation; IPv4 inside IPv6 as itself."""
    assert public(address) is ADDRESSES[address]


@pytest.fixture
def server() -> Iterator[Calls]:
    with serving(Calls) as made:
        yield made


def says(*answers: Sequence[str]) -> tuple[list[str], Any]:
    """A resolver that gives each of `answers` in turn, the last for ever; and the names that it was asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return asked, resolve


#: What a name means, one answer after the other; none of these is ever connected to.
REBOUND: dict[str, list[list[str]]] = {
    "an inner address": [["127.0.0.1"]],
    "a public one and an inner one": [["93.184.216.34", "127.0.0.1"]],
    "an inner one in the clothes of IPv6": [["::ffff:127.0.0.1"]],
    "nothing": [[]],
}


@pytest.mark.parametrize("case", REBOUND)
def test_a_name_that_leads_inside_is_refused(server: Calls, case: str) -> None:
    """Before any connection, whatever else the name means."""
    _, resolve = says(*REBOUND[case])
    url = f"https://crm.example:{server.port}/hook"
    out = Outbound([url], timeout=2, resolve=resolve)

    with pytest.raises(Refused, match=r"crm\.example"):
        out.post(url, b"{}", {})
    assert server.calls == []


def test_what_was_looked_at_is_what_is_connected_to(server: Calls) -> None:
    """The name is asked once for a call: one that means an inner address a moment later gains nothing by it."""
    asked, resolve = says(["127.0.0.1"], ["127.0.0.2"])
    url = f"http://localhost:{server.port}/hook"
    out = Outbound([url], timeout=2, resolve=resolve)
    out.post(url, b"{}", {})
    out.close()

    assert asked == ["localhost"]
    assert [headers["host"] for _, headers, _ in server.calls] == [f"localhost:{server.port}"]


@pytest.mark.parametrize("private", [[], ["localhost"]], ids=["", "named by the operator"])
@pytest.mark.parametrize("means", [["10.1.2.3"], ["93.184.216.34"], ["127.0.0.1", "192.168.1.1"]])
def test_what_is_written_as_this_machine_is_this_machine(means: list[str], private: list[str]) -> None:
    """A hosts file or a resolver that says otherwise makes no other machine one that may be called over plain http."""
    out = Outbound(["http://localhost:9/"], private, timeout=2, resolve=says(means)[1])

    with pytest.raises(Refused, match="written as this machine"):
        out.post("http://localhost:9/", b"{}", {})


def test_a_server_that_drips_is_not_waited_for() -> None:
    """The time is for the whole answer, its headers too: each byte comes soon enough, and all of them too late."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            line = listening.accept()[0]
            with line, suppress(OSError):
                line.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                for _ in range(100):
                    time.sleep(0.1)
                    line.sendall(b"a")
                line.sendall(b"\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        out = Outbound([url], timeout=3)
        with pytest.raises(httpx.ReadTimeout):
            out.post(url, b"{}", {})
        out.close()
        thread.join()


#: What the operator names, and whether a private host may be called.
NAMED = {"": False, "crm.example": True, "crm.example:PORT": True, "crm.example:1": False, "other.example": False}


@pytest.mark.parametrize("private", NAMED)
def test_an_operator_names_private_hosts(server: Calls, private: str) -> None:
    """By name, or by name and port."""
    _, resolve = says(["127.0.0.1"])
    url = f"http://crm.example:{server.port}/hook"
    out = Outbound([url], [private.replace("PORT", str(server.port))], timeout=2, resolve=resolve)
    try:
        if NAMED[private]:
            assert out.post(url, b"{}", {}).status == 200
        else:
            with pytest.raises(Refused, match="NURTURE_PRIVATE_HOSTS"):
                out.post(url, b"{}", {})
    finally:
        out.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:PORT/", "http://localhost:1/", "https://127.0.0.1:PORT/"])
def test_only_endpoints_that_were_named_are_called(server: Calls, url: str) -> None:
    """Another port, another name of the same machine, another scheme: none of ours."""
    out = Outbound([f"http://localhost:{server.port}/"], timeout=2)

    with pytest.raises(Refused, match="none of the endpoints"):
        out.post(url.replace("PORT", str(server.port)), b"{}", {})
    assert server.calls == []


def test_redirects_are_not_followed_and_proxies_not_used(server: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect is an answer; a proxy of the environment would see what nobody meant it to."""
    with serving(lambda: Calls([302], {"Location": server.url})) as elsewhere, serving(Calls) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        out = Outbound([elsewhere.url], timeout=2)
        answer = out.post(elsewhere.url, b"{}", {})
        out.close()

        assert (answer.status, len(elsewhere.calls), proxy.calls, server.calls) == (302, 1, [], [])


def test_of_a_long_answer_a_mebibyte_is_read(server: Calls) -> None:
    """The status counts all the same, and the next call works."""
    server.answer = lambda handler, body: (200, b"x" * (3 * MOST))  # type: ignore[method-assign]
    out = Outbound([server.url], timeout=5)
    sizes = [len(out.post(server.url, b"{}", {}).body) for _ in range(2)]
    out.close()

    assert sizes == [MOST, MOST]


def over_tls(server: Calls, context: ssl.SSLContext) -> Calls:
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def at(seconds: float) -> str:
    """An instant so far from now, as HTTP writes it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


WAITS: dict[str, tuple[Callable[[], str], tuple[int, int] | None]] = {
    "seconds": (lambda: "120", (120, 120)),
    "more seconds than a day has": (lambda: "99999999999999", (86_400, 86_400)),
    "more seconds than a number holds": (lambda: "9" * 400, (86_400, 86_400)),
    "a date in a thousand years": (lambda: "Fri, 01 Jan 3026 00:00:00 GMT", (86_400, 86_400)),
    "a date that no calendar has": (lambda: "Fri, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    "a date, beside that of the answer": (lambda: at(30), (25, 31)),
    "a date that is past": (lambda: at(-30), (0, 0)),
    "a word": (lambda: "soon", None),
    "a negative number": (lambda: "-5", None),
}


@pytest.mark.parametrize("case", WAITS)
def test_how_long_the_other_side_asks_us_to_wait(case: str) -> None:
    """Retry-After, RFC 9110 section 10.2.3."""
    said, bounds = WAITS[case]
    with serving(lambda: Calls([429], {"Retry-After": said()})) as server:
        out = Outbound([server.url], timeout=2)
        wait = out.post(server.url, b"{}", {}).wait
        out.close()

    assert wait is None if bounds is None else bounds[0] <= (wait or 0) <= bounds[1]


@pytest.mark.parametrize(("name", "known"), [("crm.example", True), ("other.example", False)])
def test_the_name_is_proved_not_the_address(tmp_path: Path, name: str, known: bool) -> None:
    """TLS asks for the endpoint's name and believes no certificate of another, though an address is connected to."""
    authority = Authority(tmp_path)
    with serving(lambda: over_tls(Calls(), authority.server(x509.DNSName(name)))) as server:
        _, resolve = says(["127.0.0.1"])
        url = f"https://crm.example:{server.port}/hook"
        out = Outbound([url], ["crm.example"], timeout=5, resolve=resolve, trust=authority.client())
        try:
            if known:
                assert out.post(url, b"{}", {}).status == 200
            else:
                with pytest.raises(httpx.ConnectError, match="certificate"):
                    out.post(url, b"{}", {})
        finally:
            out.close()
    assert len(server.calls) == known


def test_an_endpoint_is_https_or_this_machine() -> None:
    """As program.yaml may write it."""
    assert unfit("https://crm.example/hook") is None
    assert unfit("http://127.0.0.1:8000/hook") is None
    assert "does not begin with https" in str(unfit("http://crm.example/hook"))


@pytest.mark.parametrize("url", ["https://crm.example:99999/", "https://[::1/", "https://crm.example/\x01"])
def test_what_is_no_address_is_said_at_once(url: str) -> None:
    """When the channel is made, not at the first lead."""
    with pytest.raises(SettingsError, match="is not an address"):
        AudienceChannel({"a": url}, lambda name: b"", SystemClock())


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "exa mple.example", "nobody.invalid"])
def test_a_name_without_an_address_is_a_connection_that_fails(host: str) -> None:
    """By the system's own resolver; it may have one tomorrow."""
    out = Outbound([f"https://{host}/"], timeout=2)

    with pytest.raises(httpx.ConnectError, match="has no address"):
        out.post(f"https://{host}/", b"{}", {})
