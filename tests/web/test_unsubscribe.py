"""/u: a GET asks, a POST acts, and nothing starts after its answer."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.records import Consent, Lead, Suppression, Touch
from tests.web.factories import (
    PAGE,
    Visitor,
    events,
    everything,
    later,
    letter_to,
    links_in,
    make_lead,
    opened,
    send,
    touch_of,
)

RAE = "rae@acme.example"
ONE_CLICK = "List-Unsubscribe=One-Click"
BODIES: dict[str, dict[str, Any]] = {
    "urlencoded": {
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "content": ONE_CLICK.encode(),
    },
    "multipart": {"files": {"List-Unsubscribe": (None, "One-Click")}, "headers": {}},
    "empty": {"headers": {}},
    "the page's button": {"headers": {**PAGE, "content-type": "application/x-www-form-urlencoded"}},
    "something else": {"headers": {"content-type": "text/plain"}, "content": b"\xff\x00 out"},
}


def way_out(machine: Machine, address: str = RAE) -> str:
    """The unsubscribe link of the first letter."""
    return next(link for link in links_in(letter_to(machine, address)) if link.startswith("/u/"))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(machine: Machine, visit: Visitor, method: str) -> None:
    """A scanner that follows the link unsubscribes nobody."""
    before = everything(machine)

    answer = visit(method, way_out(machine))

    assert answer.status_code == 200
    assert everything(machine) == before


def test_the_page_asks_with_a_form_and_names_no_address_in_full(machine: Machine, visit: Visitor) -> None:
    """The page posts to itself; a forwarded letter does not give the address away."""
    page = visit.get(way_out(machine)).text

    assert '<form method="post">' in page
    assert "ra…@acme.example" in page
    assert RAE not in page


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_post_of_any_kind_is_enough(machine: Machine, visit: Visitor, body: dict[str, Any]) -> None:
    """Whatever body comes, it is done before the 200, without a cookie and without a redirect."""
    answer = visit.post(way_out(machine), **body)

    assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
    with machine.db.read() as link:
        found = link.execute(select(col(Suppression.kind), col(Suppression.value))).all()
        open_consents = link.execute(
            select(col(Consent.id)).where(
                col(Consent.lead_id) == touch_of(machine, RAE).lead_id, col(Consent.withdrawn_at).is_(None)
            )
        ).all()
    assert ("address", RAE) in [tuple(row) for row in found]
    assert open_consents == []


def test_again_is_200_and_no_second_event(machine: Machine, visit: Visitor) -> None:
    """A provider that repeats its request is told the same; it happened once."""
    answers = [visit.post(way_out(machine)).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert len(events(machine, "unsubscribed")) == 1


def test_who_looks_again_reads_that_it_is_done(machine: Machine, visit: Visitor) -> None:
    """Nothing is asked of somebody who has unsubscribed."""
    visit.post(way_out(machine))
    before = everything(machine)

    page = visit.get(way_out(machine)).text

    assert "You are unsubscribed already" in page
    assert "<form" not in page
    assert everything(machine) == before


def test_nothing_is_sent_afterwards(machine: Machine, visit: Visitor) -> None:
    """The sequence is over; what was planned is called off."""
    visit.post(way_out(machine))
    later(machine, days=10)

    machine.tick("readers", machine.now())
    send(machine)

    with machine.db.read() as link:
        sent = select(col(Touch.step)).where(col(Touch.lead_id) == touch_of(machine, RAE).lead_id)
        assert sorted(link.execute(sent).scalars()) == ["hello", "piece"]


def test_the_page_speaks_the_leads_language(machine: Machine, visit: Visitor) -> None:
    """Noura reads Arabic, from right to left."""
    page = visit.get(way_out(machine, "noura@acme.example")).text

    assert '<html lang="ar" dir="rtl">' in page


def test_no_permit_is_given_after_the_answer(database_url: str) -> None:
    """Leads unsubscribe while a run sends to them: a letter that had not started at the 200 never starts."""
    with opened(database_url) as machine:
        names = [f"lead{n}@acme.example" for n in range(40)]
        for name in names:
            make_lead(machine, name)
        send(machine)
        ways = {name: way_out(machine, name) for name in names}
        later(machine, days=9)
        at_answer: dict[str, str] = {}
        visit = Visitor(machine)

        def leave(part: list[str]) -> None:
            for name in part:
                assert visit.post(ways[name]).status_code == 200
                at_answer[name] = state_of(machine, name)

        threads = [threading.Thread(target=leave, args=(names[n::4],)) for n in range(4)]
        threads.append(threading.Thread(target=machine.tick, args=("readers", machine.now())))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert set(at_answer) == set(names)
        gone = {name for name, state in at_answer.items() if state == "sent"}
        begun = gone | {name for name, state in at_answer.items() if state == "sending"}
        sent = {name for name in names if state_of(machine, name) == "sent"}
        assert gone <= sent <= begun  # what was permitted and not begun yet does not begin either
        later(machine, days=20)
        machine.tick("readers", machine.now())
        assert {name for name in names if state_of(machine, name) == "sent"} == sent


def state_of(machine: Machine, address: str) -> str:
    """Where the letter after the wait stands; empty when it was never planned."""
    query = select(col(Touch.state)).join(Lead, col(Lead.id) == col(Touch.lead_id))
    with machine.db.read() as link:
        found = link.execute(query.where(col(Lead.email) == address, col(Touch.step) == "more")).scalar()
    return found or ""
