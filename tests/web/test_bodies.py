"""/f: what is too large, too much, too often or not what it says it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nurture.engine.machine import Machine
from tests.web.factories import DEMO, FORM, Visitor, events, everything

A_FILE = b'--x\r\nContent-Disposition: form-data; name="email"; filename="/etc/passwd"\r\n\r\na@b.example\r\n--x--\r\n'
BODIES: dict[str, tuple[dict[str, str], bytes, int]] = {
    "text": ({"content-type": "text/plain"}, b"email=a@b.example", 415),
    "no type": ({}, b"email=a@b.example", 415),
    "XML": ({"content-type": "application/xml"}, b"<a/>", 415),
    "too large": (FORM, b"x=" + b"a" * 65_536, 413),
    "51 fields": (FORM, b"&".join(b"f%d=1" % n for n in range(51)), 400),
    "broken JSON": ({"content-type": "application/json"}, b'{"email": ', 400),
    "a JSON list": ({"content-type": "application/json"}, b"[1]", 400),
    "JSON in JSON": ({"content-type": "application/json"}, b'{"email": {"a": 1}}', 400),
    "deep JSON": ({"content-type": "application/json"}, b"[" * 60_000, 400),
    "51 JSON fields": (
        {"content-type": "application/json"},
        json.dumps({f"f{n}": 1 for n in range(51)}).encode(),
        400,
    ),
    "JSON that is not UTF-8": ({"content-type": "application/json"}, b'{"email": "\xff"}', 400),
    "multipart without end": ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nfoo", 422),
    "multipart without boundary": ({"content-type": "multipart/form-data"}, b"--x\r\n", 400),
    "a file": ({"content-type": "multipart/form-data; boundary=x"}, A_FILE, 400),
    "no form of ours": ({"content-type": "text/html"}, b"", 415),
}


@pytest.mark.parametrize(("headers", "content", "status"), BODIES.values(), ids=BODIES.keys())
def test_bodies_that_are_refused(
    machine: Machine, visit: Visitor, headers: dict[str, str], content: bytes, status: int
) -> None:
    """Each with its status, and nothing is stored."""
    before = everything(machine)

    assert visit.post("/f/demo", headers=headers, content=content).status_code == status
    assert everything(machine) == before


def test_a_large_body_without_a_length_is_refused(machine: Machine, visit: Visitor) -> None:
    """What is counted is what comes, not what was announced."""

    async def pieces() -> Any:
        for _ in range(70):
            yield b"x=" + b"a" * 1000 + b"&"

    assert visit.post("/f/demo", headers=FORM, content=pieces()).status_code == 413


def test_five_a_minute_from_one_address(machine: Machine) -> None:
    """The sixth is told when to come again; another visitor is not concerned."""
    visit = Visitor(machine)

    statuses = [visit.post("/f/demo", data={**DEMO, "email": f"n{n}@a.example"}).status_code for n in range(5)]
    refused = visit.post("/f/demo", data=DEMO)

    assert statuses == [303] * 5
    assert (refused.status_code, 1 <= int(refused.headers["retry-after"]) <= 60) == (429, True)
    assert len(events(machine, "demo_requested")) == 5


def test_what_is_sent_back_is_counted_apart(machine: Machine) -> None:
    """Mistakes use up no place of a form that is taken; they have a limit of their own, and the page says what to do."""
    visit = Visitor(machine, forms_per_minute=1, refused_per_minute=3)

    mistakes = [visit.post("/f/demo", data={**DEMO, "email": "kim@"}) for _ in range(4)]

    assert [answer.status_code for answer in mistakes] == [422, 422, 422, 429]
    assert "Go back: your answers are still there." in mistakes[-1].text
    assert [visit.post("/f/demo", data=DEMO).status_code for _ in range(2)] == [303, 429]


def test_one_address_may_be_named_so_often_an_hour(machine: Machine) -> None:
    """Many visitors cannot bury one person's address either."""
    visit = Visitor(machine, forms_per_minute=100, forms_per_address=3)

    statuses = [visit.post("/f/demo", data=DEMO).status_code for _ in range(4)]

    assert statuses == [303, 303, 303, 429]
