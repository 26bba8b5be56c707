"""/h: a salesperson's answer by a signed link; GET shows, POST acts, once."""

from __future__ import annotations

import re
import threading

import pytest
from sqlalchemy import update
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.intake.write import put_event
from nurture.records import Lead
from tests.web.factories import (
    FILES,
    Visitor,
    answers_in,
    events,
    everything,
    handed_over,
    handoffs,
    later,
    lead_called,
    put_live,
)

#: What a link of the notice does: the hand-off's state and reason, the lead's stage.
ANSWERS = {
    "accept": ("accepted", None, "sal"),
    "inaccurate_data": ("rejected", "inaccurate_data", "lead"),
    "not_persona": ("rejected", "not_persona", "disqualified"),
    "premature": ("rejected", "premature", "recycled"),
    "duplicate": ("rejected", "duplicate", "disqualified"),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(machine: Machine, visit: Visitor, method: str) -> None:
    """A scanner follows every link of the notice, and the hand-off stays open."""
    links = answers_in(handed_over(machine, visit))
    before = everything(machine)

    assert [visit(method, link).status_code for link in links.values()] == [200] * 6
    assert everything(machine) == before


@pytest.mark.parametrize(("link", "expected"), ANSWERS.items(), ids=ANSWERS.keys())
def test_an_answer_is_one_button(
    machine: Machine, visit: Visitor, link: str, expected: tuple[str, str | None, str]
) -> None:
    """The link opens a page with one button for this answer; the button gives it."""
    way = answers_in(handed_over(machine, visit))[link]

    page = visit.get(way).text
    assert page.count("<button") == 1
    assert f'action="{way.removeprefix("/h/")}"' in page
    answer = visit.post(way)

    assert answer.status_code == 200
    (handoff,) = handoffs(machine)
    lead = lead_called(machine, "new@person.example")
    assert (handoff.state, handoff.reason, lead.stage) == expected
    assert handoff.answered_by == "mia@acorn.example"
    (event,) = events(machine, "handoff_accepted", "handoff_rejected")
    assert event.lead_id == lead.id


def test_the_page_shows_everything_and_all_choices(machine: Machine, visit: Visitor) -> None:
    """Who, why now, the score with its reasons, what happened, the deadline, and five answers."""
    about = {"company": "Tidewell", "phone": "+40 721 555", "country": "RO"}
    links = answers_in(handed_over(machine, visit, **about))

    page = visit.get(links["page"]).text

    for part in (
        "Kim",
        "Tidewell",
        "+40 721 555",
        "Romania",
        "Demo requested",
        "+40",
        "asked for a demo",
    ):
        assert part in page
    assert f'action="{links["accept"].removeprefix("/h/")}"' in page
    assert re.findall(r'name="reason" value="(\w+)"', page) == [*ANSWERS][1:]


def test_the_reasons_are_of_the_score_beside_them(machine: Machine, visit: Visitor) -> None:
    """Both as of now, with what it was at the hand-over where that differs; one button takes the lead."""
    way = answers_in(handed_over(machine, visit))["page"]
    fresh = visit.get(way).text
    later(machine, days=3)

    page = visit.get(way).text

    assert reasons_in(page) != reasons_in(fresh) == [40]
    for shown in (fresh, page):
        (score,) = re.findall(r'class="score">(\d+)<', shown)
        assert sum(reasons_in(shown)) == int(score)
    assert ("At the hand-over: 40" in fresh, "At the hand-over: 40" in page) == (False, True)
    assert page.count("I take this lead") == 1


def test_a_choice_is_told_in_its_words_and_a_question_has_its_end(machine: Machine, visit: Visitor) -> None:
    way = answers_in(handed_over(machine, visit))["page"]
    lead = lead_called(machine, "new@person.example")
    fields = update(Lead).where(col(Lead.id) == lead.id).values(fields={"role": "support"})
    now = machine.now()
    event = ("question_answered", now, now, now, {"title": "What brings you to us?"}, "test", "1")
    machine.db.transact(lambda link: (link.execute(fields), put_event(link, lead.id, *event)))

    page = visit.get(way).text

    assert "<bdi>Customer support</bdi>" in page
    assert "What brings you to us?</p>" in page


def reasons_in(page: str) -> list[int]:
    """The points of a page's reasons."""
    return [int(points) for points in re.findall(r'class="points" dir="ltr">([+-]?\d+)<', page)]


def test_who_comes_second_reads_who_was_first(machine: Machine, visit: Visitor) -> None:
    """A second answer by the notice's links changes nothing and says who gave the first."""
    links = answers_in(handed_over(machine, visit))
    visit.post(links["accept"])
    later(machine)
    before = handoffs(machine), events(machine, "handoff_rejected")

    second = visit.post(links["premature"])

    assert second.status_code == 200
    assert (handoffs(machine), events(machine, "handoff_rejected")) == before
    assert "mia@acorn.example" in second.text
    assert "nothing was changed" in second.text
    assert "I take this lead" not in second.text + visit.get(links["page"]).text


def test_the_page_with_all_choices_is_no_answer(machine: Machine, visit: Visitor) -> None:
    """Its own address cannot be posted to."""
    answer = visit.post(answers_in(handed_over(machine, visit))["page"])

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert [handoff.state for handoff in handoffs(machine)] == ["open"]


def test_an_answer_that_does_not_exist_is_404(machine: Machine, visit: Visitor) -> None:
    """Only the answers of the notice are known."""
    handed_over(machine, visit)
    token = machine.keys.seal("handoff", handoffs(machine)[0].id, 99)

    assert [visit(method, f"/h/{token}").status_code for method in ("GET", "POST")] == [404, 404]


def test_ten_answers_at_once_are_one(machine: Machine, visit: Visitor) -> None:
    """One of them is first; there is one event."""
    links = answers_in(handed_over(machine, visit))
    ways = [links["accept"], links["premature"]] * 5
    statuses: list[int] = []

    def answer(way: str) -> None:
        statuses.append(visit.post(way).status_code)

    threads = [threading.Thread(target=answer, args=(way,)) for way in ways]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert statuses == [200] * 10
    assert len(events(machine, "handoff_accepted", "handoff_rejected")) == 1


def test_the_page_speaks_the_salespersons_language(machine: Machine, visit: Visitor) -> None:
    """`language: ar` of a salesperson makes the page Arabic."""
    program = FILES["program.yaml"].replace("days: all}", "days: all, language: ar}")
    put_live(machine, {**FILES, "program.yaml": program})

    page = visit.get(answers_in(handed_over(machine, visit))["page"]).text

    assert '<html lang="ar" dir="rtl">' in page


@pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
def test_an_address_adds_nothing_to_the_letter_that_sales_writes(machine: Machine, visit: Visitor) -> None:
    """What looks like headers of a `mailto:` (RFC 6068) stays part of the address."""
    notice = handed_over(machine, visit, email="mia?bcc=x&body=%0A@person.example")

    page = visit.get(answers_in(notice)["page"]).text

    assert 'href="mailto:mia%3Fbcc%3Dx%26body%3D%250a@person.example"' in page
