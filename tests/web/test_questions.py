"""/q: a question of one click, answered by a person's press of a button and by nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from nurture.engine import doors
from nurture.engine.machine import Machine
from nurture.engine.questions import given
from nurture.program.questions import Answer
from nurture.records import Event, Lead, Touch
from tests.web.factories import (
    FILES,
    Visitor,
    events,
    everything,
    handoffs,
    later,
    lead_called,
    letter_to,
    links_in,
    put_live,
    touch_of,
)

RAE, NOURA = "rae@acme.example", "noura@acme.example"
#: What no SQL decides need not be asked of both databases.
ONE_DATABASE = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)


def link_of(machine: Machine, address: str = RAE) -> str:
    """Where the letter's answer leads: `studying`."""
    return next(link for link in links_in(letter_to(machine, address)) if link.startswith("/q/"))


def other(page: str) -> str:
    """The link to the other answer that a question's page offers."""
    (token,) = (link for link in links_in(page) if not link.startswith("/"))
    return f"/q/{token}"


def answered(machine: Machine) -> list[tuple[str, str]]:
    """(answer, by whom) of the events, in order."""
    return [(event.data["answer"], event.actor) for event in events(machine, "question_answered")]


def test_a_scanner_changes_nothing(machine: Machine, visit: Visitor) -> None:
    """Looking at every link, by GET and HEAD, however often, leaves the database as it is."""
    before = everything(machine)

    pages = [visit(method, link_of(machine)) for method in ("GET", "HEAD", "GET")]
    others = visit.get(other(pages[0].text))

    assert {page.status_code for page in (*pages, others)} == {200}
    assert everything(machine) == before
    assert "What brings you to us?" in pages[0].text
    assert "I study the field" in pages[0].text


def test_an_answer_is_an_event_and_a_field(machine: Machine, visit: Visitor) -> None:
    """Recorded of the letter that asked, by a person, and settled before the page is there."""
    page = visit.post(link_of(machine))

    assert page.status_code == 200
    assert "Thank you, that helps" in page.text
    lead = lead_called(machine, RAE)
    assert (lead.fields["intent"], lead.folded["intent"]) == ("studying", "studying")
    (event,) = events(machine, "question_answered")
    assert (event.lead_id, event.touch_id, event.actor) == (lead.id, touch_of(machine, RAE).id, "person")
    assert event.data == {"question": "intent", "answer": "studying"}
    assert event.settled_at == event.recorded_at


def test_another_answer_takes_its_place(machine: Machine, visit: Visitor) -> None:
    """The same answer twice is one; another one changes the field, and back again."""
    link = link_of(machine)

    page = visit.post(link).text
    visit.post(link)
    later(machine)
    visit.post(other(page))
    assert lead_called(machine, RAE).fields["intent"] == "buying"
    assert "that helps" not in visit.get(link).text
    assert "that helps" in visit.get(other(page)).text
    visit.post(link)

    assert lead_called(machine, RAE).fields["intent"] == "studying"
    assert answered(machine) == [("studying", "person"), ("buying", "person"), ("studying", "person")]


def test_the_answer_is_seen_at_once_and_keeps_a_student_from_sales(machine: Machine, visit: Visitor) -> None:
    """A condition on the answer holds in the very transaction: the gate refuses the demo that comes next."""
    student = "gate: [{reason: student, refuse: {intent: studying}, then: nurture}, "
    rule = FILES["lifecycle.yaml"].replace("gate: [", student).replace(
        "milestones: {", "milestones: {told: {when: {did: question_answered, where: {answer: buying}}, handoff: true}, "
    )  # fmt: skip
    put_live(machine, {**FILES, "lifecycle.yaml": rule})
    page = visit.post(link_of(machine)).text
    visit.post("/f/demo", data={"email": RAE})
    assert handoffs(machine) == []

    visit.post(other(page))

    (handoff,) = handoffs(machine)
    assert (handoff.milestone, handoff.state) == ("told", "open")


@ONE_DATABASE
def test_a_letter_keeps_the_question_it_was_sent_with(machine: Machine, visit: Visitor) -> None:
    """Answers are moved, renamed and taken away in later publications; the link still means what the letter said."""
    link = link_of(machine)
    moved = FILES["program.yaml"].replace(
        "answers: {buying: {en: We look for a tool,", "answers: {other: X, buying: {en: New words,"
    )
    put_live(machine, {**FILES, "program.yaml": moved})

    page = visit.post(link).text

    assert "I study the field" in page
    assert "New words" not in page
    assert answered(machine) == [("studying", "person")]
    put_live(machine, {**FILES, "program.yaml": re.sub(r"questions:\n(  .*\n)+", "", FILES["program.yaml"])})
    assert visit.post(other(page)).status_code == 200
    assert lead_called(machine, RAE).fields["intent"] == "studying"


@ONE_DATABASE
def test_the_page_is_in_the_leads_language(machine: Machine, visit: Visitor) -> None:
    """Question, answers and the house's own words, from right to left."""
    page = visit.get(link_of(machine, NOURA)).text

    assert '<html lang="ar" dir="rtl">' in page
    for said in ("ما الذي جاء بكم إلينا؟", "أدرس هذا المجال", "نبحث عن أداة"):
        assert said in page


@ONE_DATABASE
def test_links_of_another_kind_answer_nothing(machine: Machine, visit: Visitor) -> None:
    """404 for a guess, for another purpose, for an answer that no program has; GET and POST alike."""
    touch, seal = touch_of(machine, RAE).id, machine.keys.seal
    before = everything(machine)

    wrong = ["x" * 35, seal("click", touch, 0), seal("question", touch, 2), seal("question", 10**9, 0)]
    statuses = {visit(method, f"/q/{token}").status_code for token in wrong for method in ("GET", "POST")}

    assert statuses == {404}
    assert visit("PUT", link_of(machine)).status_code == 405
    assert everything(machine) == before


@ONE_DATABASE
def test_an_answer_proves_that_an_uncertain_letter_left(machine: Machine, visit: Visitor) -> None:
    """Whoever answers it has it; to look at the page is no proof of a person."""
    link, touch = link_of(machine), touch_of(machine, RAE).id
    with machine.db.engine.begin() as raw:
        raw.exec_driver_sql("DROP TRIGGER touch_state")
        raw.execute(update(Touch).where(col(Touch.id) == touch).values(state="uncertain"))

    visit.get(link)
    assert touch_of(machine, RAE).state == "uncertain"
    visit.post(link)

    found = touch_of(machine, RAE)
    assert (found.state, found.reason) == ("sent", "evidence: its question was answered")


def test_nothing_is_written_of_who_was_forgotten(machine: Machine, visit: Visitor) -> None:
    """Its link is gone, also for an answer that was on its way; so are clicks and opens."""
    link, touch = link_of(machine), touch_of(machine, RAE)
    mine = update(Lead).where(col(Lead.id) == touch.lead_id)
    machine.db.transact(
        lambda db: db.execute(mine.values(forgotten_at=machine.now(), email=None, fields={}, folded={}))
    )
    before = everything(machine)

    assert {visit.get(link).status_code, visit.post(link).status_code} == {404}
    said = Answer("intent", "studying")
    assert not machine.db.transact(lambda db: given(db, machine.live(), touch.id, said, machine.now()))
    for door in (partial(doors.click, place=0), doors.opened):
        machine.db.transact(
            lambda db, door=door: door(db, touch.id, now=machine.now(), machine=None, rest=timedelta())  # type: ignore[misc]
        )
    after = everything(machine)
    assert {name for name in after if after[name] != before[name]} <= {"work"}  # its lock is a place on the work list


@ONE_DATABASE
def test_an_answer_is_kept_after_older_ones_were_deleted(machine: Machine, visit: Visitor) -> None:
    """Events are kept for a time only; what is left does not stand in the way of what comes."""
    link = link_of(machine)
    page = visit.post(link).text
    visit.post(other(page))
    oldest = events(machine, "question_answered")[0].id
    machine.db.transact(lambda db: db.execute(delete(Event).where(col(Event.id) == oldest)))
    visit.post(link)

    assert [answer for answer, _ in answered(machine)] == ["buying", "studying"]
