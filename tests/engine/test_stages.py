"""Stages: the ways there are, whichever door a move comes by, and what belongs to a move."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.engine import stages
from nurture.engine.merging import merge
from nurture.engine.running import Run
from nurture.errors import Refused
from nurture.histories import VISITOR
from nurture.intake import write
from nurture.program.lifecycle import REJECTIONS, STAGES
from nurture.records import Enrolment, Outbox
from tests.engine.moving import FILES, by_hand, changes, did, file, fresh, moves, run, sales
from tests.engine.world import HOUR, World, new_database, world


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """One world for tests whose leads do not meet."""
    request.param = "sqlite"
    with world(new_database(request), FILES) as made:
        yield made


def test_every_move_is_made_and_noted_or_refused_with_the_ways_out(here: World) -> None:
    """All pairs of stages: what MOVES has happens once, dated with cause and author; the rest leaves no trace."""
    for before, to in itertools.product(STAGES, STAGES):
        who = fresh(here, stage=before)
        begun = moves(here, who)
        assert begun == ([] if before == "lead" else [(VISITOR, before, "import", "import")])

        def move(one: Run, lead: int = here.ids[who], to: str = to) -> str:
            return stages.move_lead(one, lead, to, cause="we met", author="mihai@acme.example")

        if before == to or to in stages.MOVES[before]:
            assert run(here, move) == before
            assert moves(here, who) == begun + ([] if before == to else [(before, to, "we met", "mihai@acme.example")])
            assert here.who(who).stage == to
        else:
            with pytest.raises(Refused, match=f"from {before} the ways lead to {', '.join(stages.MOVES[before])}"):
                run(here, move)
            assert (moves(here, who), here.who(who).stage) == (begun, before)


def test_words_of_a_refusal() -> None:
    """The reason, and the way out."""
    told = stages.refusal("customer", "lead")
    assert told == "a customer does not become a lead; from customer the ways lead to sal"
    assert "there is no stage 'boss'; stages are subscriber" in str(stages.refusal("lead", "boss"))


IMPORTED: dict[str, tuple[str, str, str, str | None]] = {
    # before, what the file says, afterwards, what the report says
    "further": ("lead", "customer", "customer", None),
    "an old export": ("sql", "lead", "sql", "its stage was not taken: the lead has come further, to sql"),
    "no such way": ("disqualified", "opportunity", "disqualified", "a disqualified does not become an opportunity"),
    "back from rest": ("recycled", "customer", "customer", None),
    "the same": ("mql", "mql", "mql", None),
}


@pytest.mark.parametrize(("before", "said", "after", "note"), IMPORTED.values(), ids=IMPORTED.keys())
def test_a_file_brings_known_leads_further_and_says_what_it_did_not_take(
    here: World, before: str, said: str, after: str, note: str | None
) -> None:
    who = fresh(here, stage=before)
    person = write.Person.of({"email": here.who(who).email, "stage": said}, source="crm")

    (outcome,) = here.do(lambda link: write.put_people(link, [person], now=here.now, origin="crm"))

    assert here.who(who).stage == after
    assert [note in told for told in outcome.notes] == ([] if note is None else [True])
    assert (moves(here, who)[-1:] == [(before, after, "import", "import")]) is (before != after)


LEAVING: dict[str, Callable[[World, str], Any]] = {
    "the gate": lambda here, who: did(here, who, "asked"),
    "a file": lambda here, who: file(here, who, "disqualified"),
    "a hand": lambda here, who: by_hand(here, who, "disqualified"),
}


@pytest.mark.parametrize("door", LEAVING)
def test_who_is_disqualified_leaves_every_sequence_by_whichever_door(here: World, door: str) -> None:
    """At once, whoever says so."""
    who = fresh(here, role="rival")
    here.event(who, "subscribed", settle=True)
    here.tick()
    assert here.stands("letters")[who] == "rest"

    LEAVING[door](here, who)

    assert here.who(who).stage == "disqualified"
    passage = here.passages("letters")[who]
    assert (passage.outcome, passage.ended_at) == ("disqualified", here.now)


#: A move while sales is asked: the hand-off then, and whether an acceptance is taken still.
CLOSING: dict[str, tuple[str, Callable[[World, str], Any], tuple[str, str | None, bool]]] = {
    "disqualified by hand": ("lead", partial(by_hand, to="disqualified"), ("rejected", "not_persona", False)),
    "disqualified by a file": ("lead", partial(file, to="disqualified"), ("open", None, True)),  # sal has come further
    "a customer by hand": ("lead", partial(by_hand, to="customer"), ("accepted", None, True)),
    "a customer by a file": ("lead", partial(file, to="customer"), ("accepted", None, True)),
    "a customer who asks for more": ("customer", partial(file, to="customer"), ("open", None, True)),
    "recycled by hand": ("lead", partial(by_hand, to="recycled"), ("open", None, True)),
}


@pytest.mark.parametrize(("born", "move", "then"), CLOSING.values(), ids=CLOSING.keys())
def test_nobody_waits_for_an_answer_about_who_is_decided(
    here: World, born: str, move: Callable[[World, str], Any], then: tuple[str, str | None, bool]
) -> None:
    """The open hand-off is answered by that move, untold letters go to nobody; what is accepted still brings to SAL."""
    who = fresh(here, stage=born)
    did(here, who, "asked")
    (asked,) = here.handoffs(who)
    state, reason, accepts = then

    move(here, who)

    (row,) = here.handoffs(who)
    told = here.rows(Outbox, col(Outbox.row_id) == asked.id, col(Outbox.kind) == "handoff_notice")
    assert (row.state, row.reason) == (state, reason)
    assert (row.answered_by is not None, row.next_at is None, told[0].done_at is not None) == (3 * (state != "open",))
    if not accepts:
        with pytest.raises(Refused, match="was rejected"):
            sales(here, who, "accepted")
    else:
        sales(here, who, "accepted")
        stage = "customer" if state == "accepted" else "sal"
        assert (here.who(who).stage, here.handoffs(who)[0].state) == (stage, "accepted")
    sales_or_not(here, who, "won")
    assert here.who(who).stage == ("customer" if accepts else "disqualified")


def sales_or_not(here: World, who: str, word: str) -> None:
    with suppress(Refused):
        sales(here, who, word)


LATE: dict[str, tuple[str, list[str], str, str]] = {
    # born, what happens, the stage and the status afterwards
    "sold by others": ("lead", ["accepted", "file", "sql", "lost"], "customer", "open"),
    "sold by others, and recycled": ("lead", ["accepted", "file", "recycled"], "customer", "open"),
    "sold by others, and won": ("lead", ["accepted", "file", "won"], "customer", "connected"),
    "an upgrade is lost": ("customer", ["accepted", "sql", "lost"], "customer", "new"),
    "an upgrade is refused": ("customer", ["rejected"], "customer", "new"),
    "an upgrade is won": ("customer", ["accepted", "file", "won"], "customer", "connected"),
    "a file says again what it is": ("customer", ["accepted", "file", "sql"], "sql", "open"),
}


@pytest.mark.parametrize(("born", "deeds", "stage", "status"), LATE.values(), ids=LATE.keys())
def test_a_customer_remains_one_whatever_sales_says_of_a_hand_off(
    here: World, born: str, deeds: list[str], stage: str, status: str
) -> None:
    """The answer is noted in the hand-off; stage and status are a customer's, unless an upgrade is under way."""
    who = fresh(here, stage=born)
    did(here, who, "asked")
    for deed in deeds:
        here.at(here.now + HOUR - here.start)
        if deed == "file":
            file(here, who, "customer")
        else:
            sales(here, who, deed)

    (row,) = here.handoffs(who)
    assert (here.who(who).stage, here.who(who).status) == (stage, status)
    assert deeds[-1] in (row.state, row.progress)


def test_whatever_sales_says_there_is_a_way() -> None:
    """From wherever a lead may be meanwhile: back straight, onwards straight or by way of SAL."""
    for before in {*STAGES} - {"customer"}:
        ways = {before, *stages.MOVES[before]}
        assert {"lead", "recycled", "disqualified"} <= ways
        assert "customer" in ways or "sal" in ways
        assert "sal" in ways or before in ("sql", "opportunity")


ANSWERED: dict[str, tuple[str, str, str]] = {
    # where the lead is meanwhile, what sales says, where it is then
    "a subscriber, premature": ("subscriber", "premature", "recycled"),
    "with sales, but of wrong data": ("sql", "inaccurate_data", "lead"),
    "a deal, but of wrong data": ("opportunity", "inaccurate_data", "lead"),
    "further than the answer": ("opportunity", "sql", "opportunity"),
    "disqualified, and yet a deal": ("disqualified", "opportunity", "opportunity"),
    "at rest, and taken": ("recycled", "accepted", "sal"),
}


@pytest.mark.parametrize(("meanwhile", "said", "then"), ANSWERED.values(), ids=ANSWERED.keys())
def test_no_answer_of_sales_is_silent_about_the_stage(here: World, meanwhile: str, said: str, then: str) -> None:
    """Whatever was made of the lead while its hand-off was open."""
    who = fresh(here)
    did(here, who, "asked")
    here.sql("UPDATE lead SET stage = :stage WHERE id = :lead", stage=meanwhile, lead=here.ids[who])

    here.answer(who, *(("rejected", said) if said in REJECTIONS else (said,)))

    assert here.who(who).stage == then


def test_a_file_brings_one_lead_twice_and_others_along(here: World) -> None:
    """Each move is noted in its order, with its author; what a file says twice of a lead makes two."""
    one, two = fresh(here, stage="lead"), fresh(here, stage="mql")
    said = ((one, "mql", "open"), (two, "customer", "open"), (one, "customer", "connected"))
    people = [
        write.Person.of({"email": here.who(who).email, "stage": stage, "status": status}, source="crm")
        for who, stage, status in said
    ]

    here.do(lambda link: write.put_people(link, people, now=here.now, origin="crm"))

    assert [move[:2] for move in moves(here, one)] == [("lead", "mql"), ("mql", "customer")]
    assert [move[:2] for move in moves(here, two)] == [(VISITOR, "mql"), ("mql", "customer")]
    assert [change[:2] for change in changes(here, one)] == [("new", "open"), ("open", "connected")]
    assert (here.who(one).stage, here.who(one).status) == ("customer", "connected")


MERGED: dict[str, tuple[str, str, str, str | None]] = {
    # kept, gone, the stage afterwards, what the stage before the open hand-off of either counts as
    "the one that stays is out": ("disqualified", "lead", "disqualified", None),
    "the one that goes is out": ("lead", "disqualified", "disqualified", None),
    "a customer under a second address asks": ("customer", "asks", "customer", "customer"),
}


@pytest.mark.parametrize(("kept", "gone", "stage", "before"), MERGED.values(), ids=MERGED.keys())
def test_what_belongs_to_a_stage_belongs_to_two_that_are_one(
    here: World, kept: str, gone: str, stage: str, before: str | None
) -> None:
    """Whoever is disqualified is in no sequence, whichever of both was; a customer's request stays to be answered."""
    keep, left = (fresh(here, **({} if is_ == "asks" else {"stage": is_})) for is_ in (kept, gone))
    for who, is_ in ((keep, kept), (left, gone)):
        if is_ == "lead":
            here.event(who, "subscribed", settle=True)
        elif is_ == "asks":
            did(here, who, "asked")

    here.do(lambda link: merge(link, here.machine.library.live(link), here.ids[keep], here.ids[left], now=here.now,
                               by="m@a.ex", cause="one person"))  # fmt: skip

    assert here.who(keep).stage == stage
    live = here.rows(Enrolment, col(Enrolment.lead_id) == here.ids[keep], col(Enrolment.ended_at).is_(None))
    assert live == []
    assert {(row.state, row.stage_before) for row in here.handoffs(keep)} == ({("open", before)} if before else set())
    if before:
        sales(here, keep, "accepted")
        assert here.who(keep).stage == "sal"
        sales(here, keep, "lost")
        assert here.who(keep).stage == "customer"
