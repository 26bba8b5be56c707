"""Who knocks, and how often."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from nurture.web.visitors import MovingWindow, origin

ORIGINS = {
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
    "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
    "fe80::1%eth0": "fe80::/64",
    "testclient": "testclient",
}


@pytest.mark.parametrize(("host", "expected"), ORIGINS.items(), ids=ORIGINS.keys())
def test_a_visitor_is_an_address_or_an_ipv6_network(host: str, expected: str) -> None:
    """Somebody with a whole IPv6 network is one visitor."""
    request = Request({"type": "http", "client": (host, 1), "headers": []})

    assert origin(request) == expected


def test_the_window_moves() -> None:
    """Three in ten seconds: the fourth waits until the first is ten seconds old, not for a new minute."""
    now = [0.0]
    window = MovingWindow(3, 10, lambda: now[0])
    waits = []
    for at in (0, 4, 8, 9, 10.5, 11, 14.1):
        now[0] = at
        waits.append(window.wait("a"))

    assert waits == [0, 0, 0, 1, 0, 3, 0]
    assert window.wait("b") == 0


def test_a_crowd_does_not_fill_the_memory() -> None:
    """Who has been quiet is forgotten; in a rush, who came first."""
    now = [0.0]
    window = MovingWindow(1, 10, lambda: now[0])
    for visitor in range(3 * MovingWindow.CALLERS):
        now[0] += 0.0001
        window.wait(str(visitor))

    assert len(window._seen) <= MovingWindow.CALLERS + 1
