"""Rules, statuses, entrances, and a history without gaps, whichever door a change comes by."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import col

from nurture.engine import stages, statuses, visitors
from nurture.engine.visitors import Seen
from nurture.errors import Refused
from nurture.histories import VISITOR
from nurture.intake import write
from nurture.program.lifecycle import STAGES
from nurture.reading.verify import verify
from nurture.records import Handoff, Milestone, StageTransition
from tests.engine.conftest import Make
from tests.engine.moving import FILES, LIFECYCLE, by_hand, changes, did, file, fresh, moves, run, sales
from tests.engine.world import DAY, HOUR, MONDAY, World, new_database, world


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """One world for tests whose leads do not meet."""
    request.param = "sqlite"
    with world(new_database(request), FILES) as made:
        yield made


def test_a_form_brings_subscribers_and_makes_leads_of_them(here: World) -> None:
    """What the form says of newcomers; a known subscriber comes further by it, a lead is not taken back."""

    def send(form: str, stage: str) -> None:
        values = {"email": "ann@news.example", "stage": stage}
        here.ids["ann"], _ = here.do(lambda link: write.put_lead(link, values, now=here.now, source=f"form:{form}"))

    send("news", "subscriber")
    assert moves(here, "ann") == [(VISITOR, "subscriber", "said so in a form", "form news")]
    send("demo", "lead")
    send("news", "subscriber")
    assert moves(here, "ann")[1:] == [("subscriber", "lead", "said so in a form", "form demo")]


def test_statuses_have_a_history_by_every_door(make: Make) -> None:
    """A step for its cohort, the gate, an import and a hand; what somebody has already is noted by nobody."""
    here = make(FILES)
    here.lead("ana")
    here.lead("bo", status="connected")
    here.lead("cy", role="unreachable")
    here.tick()
    here.event_of(["ana", "bo"], "signed_up")
    here.event("cy", "asked")
    here.tick().at(HOUR).tick()
    run(
        here,
        lambda one: statuses.change(one, here.ids["ana"], "Waiting For The-Budget", cause="a call", author="m@a.ex"),
    )

    assert changes(here, "ana") == [
        ("new", "connected", "Read twice", "sequence drip/tag"),
        ("connected", "Waiting for the budget", "a call", "m@a.ex"),
    ]
    assert changes(here, "bo") == [("new", "connected", "import", "import")]
    assert changes(here, "cy") == [("new", "needs_repair", "gate: unreachable", "rule")]
    with pytest.raises(Refused, match="there is no status 'opened'; did you mean 'open'"):
        run(here, lambda one: statuses.change(one, here.ids["bo"], "opened", cause="", author=""))
    assert here.do(lambda link: verify(link, here.machine.library, here.now)).broken == []
    here.sql("UPDATE lead SET status = 'of old' WHERE id = :lead", lead=here.ids["bo"])
    (broken,) = here.do(lambda link: verify(link, here.machine.library, here.now)).broken
    assert broken.invariant.name == "a lead's status is what its last change says"


def test_whoever_was_a_visitor_began_as_one(make: Make) -> None:
    """Dated by the instant of saying who it is, before whatever came of it; who was known before was no visitor."""
    here = make(FILES)
    browser, other = "ab" * 16, "cd" * 16

    def visit(key: str, at: str) -> None:
        seen = [Seen(key, "page_viewed", here.now, {"path": "/"}, "www", at)]
        here.do(lambda link: visitors.take(link, here.machine.library.live(link), seen, here.now))

    def stitch(who: str, key: str) -> None:
        here.do(lambda link: visitors.stitch(link, here.machine.library.live(link), key, here.ids[who], here.now))

    here.lead("old")
    visit(browser, "one")
    here.at(HOUR).lead("ana")
    here.event("ana", "read_much")
    here.tick().at(2 * HOUR)
    visit(other, "two")
    for _ in range(2):  # the second yes comes twice
        stitch("ana", browser)
    stitch("old", other)
    here.tick()

    assert moves(here, "ana")[:2] == [
        (VISITOR, "lead", "said who it is", "rule"), ("lead", "mql", moves(here, "ana")[1][2], "rule"),
    ]  # fmt: skip
    (began,) = [row.at for row in here.rows(StageTransition, col(StageTransition.from_stage) == VISITOR)]
    assert began == MONDAY + HOUR - timedelta(microseconds=1)  # she was an MQL within the instant
    assert moves(here, "old") == []


def test_a_subscriber_becomes_a_lead_by_the_rule(make: Make) -> None:
    """At settling, and of everybody when the rule is new; others are left alone."""
    here = make(FILES)
    for who, stage in (("ana", "subscriber"), ("bo", "subscriber"), ("cy", "recycled")):
        here.lead(who, stage=stage)
        here.event(who, "read_paper" if who != "bo" else "looked")
    here.tick()
    assert [here.who(who).stage for who in ("ana", "bo", "cy")] == ["lead", "subscriber", "recycled"]
    assert moves(here, "ana")[1] == ("subscriber", "lead", "the definition of a lead holds", "rule")

    here.publish(FILES | {"lifecycle.yaml": LIFECYCLE.replace("did: read_paper", "did: looked")})
    assert here.who("bo").stage == "lead"


ENTRANCES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    # the lead, what it does: the reason of the refusal, or None
    "private and read much": ({"email": "a@gmail.com"}, "read_much", "private_address"),
    "private and asks for us": ({"email": "b@yahoo.co.uk"}, "asked", None),
    "private and uses the product": ({"email": "c@gmx.de"}, "used", None),
    "a company, read much": ({"email": "d@acme.example"}, "read_much", None),
    "a customer, read much": ({"stage": "customer"}, "read_much", "existing_customer"),
    "a customer, uses the product": ({"stage": "customer"}, "used", "existing_customer"),
    "a customer wants more": ({"stage": "customer"}, "wants_more", None),
    "a customer asks for us": ({"stage": "customer"}, "asked", None),
    "a rival, by any way": ({"role": "rival"}, "wants_more", "rival"),
}


def test_the_gate_asks_its_rules_of_their_entrances(make: Make) -> None:
    """A rule with entrances refuses those alone who come by them; the hand-off keeps the way."""
    here = make(FILES)
    for who, (values, event, _) in ENTRANCES.items():
        here.lead(who, **values)
        here.event(who, event)
    here.tick()

    names = here.names()
    refused = {names[row.lead_id]: row.reason for row in here.rows(Milestone)}
    assert refused == {who: reason for who, (_, _, reason) in ENTRANCES.items()}
    ways = {"read_much": "marketing", "asked": "ready", "used": "product", "wants_more": "service"}
    assert {names[row.lead_id]: row.entrance for row in here.rows(Handoff)} == {
        who: ways[event] for who, (_, event, reason) in ENTRANCES.items() if reason is None
    }
    assert here.who("a customer wants more").stage == "sal"


#: What may happen to a lead, by every door that moves it.
DOORS: dict[str, Callable[[World, str], Any]] = {
    **{f"a hand: {to}": partial(by_hand, to=to) for to in STAGES},
    **{f"a file: {to}": partial(file, to=to, status="open") for to in ("lead", "sql", "customer", "recycled")},
    **{f"did {event}": partial(did, event=event) for event in ("read_paper", "read_much", "asked", "wants_more")},
    **{f"sales: {word}": partial(sales, word=word)
       for word in ("accepted", "rejected", "sql", "won", "lost", "recycled")},
}  # fmt: skip


@settings(max_examples=12)
@given(born=st.sampled_from(STAGES), steps=st.lists(st.sampled_from(sorted(DOORS)), max_size=9))
def test_by_all_doors_the_history_is_a_chain_of_legal_moves(here: World, born: str, steps: list[str]) -> None:
    """Whatever comes in whichever order: each move begins where the last ended, is one of MOVES, and ends where we are."""
    who = fresh(here, stage=born)
    here.at(here.now + DAY - here.start)
    for step in steps:
        with suppress(Refused):
            DOORS[step](here, who)
        here.at(here.now + HOUR - here.start)

    for history, now_is in ((moves(here, who), "stage"), (changes(here, who), "status")):
        assert all(one[1] == following[0] for one, following in itertools.pairwise(history))
        assert not history or history[-1][1] == getattr(here.who(who), now_is)
        assert all(one[2] and one[3] for one in history)
    assert all(to in stages.MOVES[before] for before, to, *_ in moves(here, who))
