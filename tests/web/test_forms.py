"""/f: asked, understood, stored once, settled at once; the answer is the same whoever it was."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from nurture.channels.mailbox import KeptMail
from nurture.channels.smtp import SmtpChannel
from nurture.engine.machine import Machine
from tests.web.factories import (
    DEMO,
    FILES,
    PAGE,
    Visitor,
    answers_in,
    events,
    everything,
    handed_over,
    handoffs,
    html_of,
    lead_called,
    letter_to,
    links_in,
    make_lead,
    opened,
    put_live,
    touch_of,
)

RAE = "rae@acme.example"


def consents(machine: Machine, lead: int) -> list[tuple[Any, ...]]:
    """(purpose, basis, source, wording) of a lead's consents."""
    table = SQLModel.metadata.tables["consent"]
    columns = (table.c.purpose, table.c.basis, table.c.source, table.c.wording)
    with machine.db.read() as link:
        rows = link.execute(select(*columns).where(table.c.lead_id == lead).order_by(table.c.id))
        return [tuple(row) for row in rows]


WAYS: dict[str, tuple[dict[str, Any], int]] = {
    "urlencoded": ({"data": DEMO}, 303),
    "multipart": ({"files": {name: (None, value) for name, value in DEMO.items()}}, 303),
    "JSON": ({"json": DEMO}, 202),
    "a script's form": ({"data": DEMO, "headers": {"accept": "application/json"}}, 202),
}


@pytest.mark.parametrize(("sent", "status"), WAYS.values(), ids=WAYS.keys())
def test_a_form_becomes_lead_event_and_hand_off(
    machine: Machine, visit: Visitor, sent: dict[str, Any], status: int
) -> None:
    """By the time of the answer the lead is stored, scored and with sales, whichever way the form came."""
    answer = visit.post("/f/demo", **sent)

    assert answer.status_code == status
    lead = lead_called(machine, "new@person.example")
    assert (lead.first_name, lead.company, lead.country, lead.stage) == ("Kim", "Büro & Söhne", "DE", "sal")
    (event,) = events(machine, "demo_requested")
    assert (event.lead_id, event.source, event.data["form"]) == (lead.id, "form:demo", "demo")
    (handoff,) = handoffs(machine)
    assert (handoff.lead_id, handoff.state, handoff.owner) == (lead.id, "open", "mia@acorn.example")
    assert consents(machine, lead.id) == []


def test_the_salesperson_is_told_before_any_tick(database_url: str) -> None:
    """Form, hand-off and notice, end to end into a real SMTP server; its links answer."""
    with KeptMail() as box, opened(database_url, mail=SmtpChannel(box.url)) as machine:
        visit = Visitor(machine)

        visit.post("/f/demo", data=DEMO)

        assert box.wait(1)
        (kept,) = box.messages
        assert kept.to == ("mia@acorn.example",)
        links = answers_in(html_of(kept.payload))
        assert {visit.get(link).status_code for link in links.values()} == {200}
        assert visit.post(links["accept"]).status_code == 200
        assert [handoff.state for handoff in handoffs(machine)] == ["accepted"]


def test_new_known_and_suppressed_get_the_same_answer(machine: Machine, visit: Visitor) -> None:
    """Nobody can find out by a form whom we know."""
    way = next(link for link in links_in(letter_to(machine, "noura@acme.example")) if link.startswith("/u/"))
    visit.post(way)

    answers = [
        visit.post("/f/demo", data={"email": address})
        for address in ("unknown@acme.example", RAE, "noura@acme.example")
    ]

    assert len({(a.status_code, a.headers["location"], a.text) for a in answers}) == 1
    assert len(events(machine, "demo_requested")) == 3
    assert len(handoffs(machine)) == 3


def test_a_page_sent_twice_is_one_request(machine: Machine, visit: Visitor) -> None:
    """Two taps on the button of one page."""
    page = visit.get("/f/demo").text
    once = page.split('name="once" value="')[1].split('"')[0]

    answers = [visit.post("/f/demo", data={**DEMO, "once": once}).status_code for _ in range(2)]

    assert answers == [303, 303]
    assert len(events(machine, "demo_requested")) == 1
    assert len(handoffs(machine)) == 1


def test_a_request_while_sales_has_the_lead_is_evidence(machine: Machine, visit: Visitor) -> None:
    """One open hand-off per lead."""
    for _ in range(2):
        visit.post("/f/demo", data=DEMO)

    assert len(events(machine, "demo_requested")) == 2
    assert len(handoffs(machine)) == 1


BOXES = {
    "none": ({}, []),
    "mail": ({"consent": "yes"}, ["mail"]),
    "tracking": ({"tracking": "yes"}, ["tracking"]),
    "both": ({"consent": "yes", "tracking": "on"}, ["mail", "tracking"]),
}


@pytest.mark.parametrize(("ticked", "purposes"), BOXES.values(), ids=BOXES.keys())
def test_a_consent_is_a_box_that_was_ticked(
    machine: Machine, visit: Visitor, ticked: dict[str, str], purposes: list[str]
) -> None:
    """No box, no consent; with it, the very words that stood beside the box."""
    visit.post("/f/demo", data={**DEMO, **ticked})

    found = consents(machine, lead_called(machine, "new@person.example").id)
    assert [row[0] for row in found] == purposes
    assert all(
        row[1:3] == ("consent", "form:demo") and ": You may" in row[3] and row[3].startswith("en ") for row in found
    )


def test_no_box_is_ticked_beforehand(visit: Visitor) -> None:
    """An agreement is given, not taken."""
    assert "checked" not in visit.get("/f/demo").text


def test_who_came_by_a_letter_finds_the_form_filled_in(machine: Machine, visit: Visitor) -> None:
    """Name and address are there; the event belongs to the letter; arriving is a click that rests."""
    form = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/f/"))

    page = visit.get(form).text
    token = page.split('name="t" value="')[1].split('"')[0]
    visit.post("/f/demo", data={"email": RAE, "first_name": "Rae", "t": token})

    assert f'value="{RAE}"' in page
    assert 'value="Rae"' in page
    (asked,) = events(machine, "demo_requested")
    assert asked.touch_id == touch_of(machine, RAE).id
    (click,) = events(machine, "email_clicked")
    assert click.ripe_at > click.occurred_at


def test_a_letters_form_sent_for_somebody_else_is_theirs(machine: Machine, visit: Visitor) -> None:
    """A forwarded link does not mix up two people."""
    form = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/f/"))

    visit.post("/f/demo", data={"email": "friend@acme.example", "t": form.partition("t=")[2]})

    (asked,) = events(machine, "demo_requested")
    assert asked.touch_id is None
    assert asked.lead_id == lead_called(machine, "friend@acme.example").id


WRONG = {
    "no address": ({"email": ""}, "email"),
    "no such address": ({"email": "kim@"}, "email"),
    "two addresses": ({"email": "a@b.example, c@d.example"}, "email"),
    "a header": ({"email": "a@b.example\r\nBcc: c@d.example"}, "email"),
    "a long name": ({"first_name": "x" * 201}, "first_name"),
    "a control character": ({"company": "A\x00B"}, "company"),
    "no such country": ({"country": "Atlantis"}, "country"),
}


@pytest.mark.parametrize(("said", "field"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_used_is_said_and_nothing_is_stored(
    machine: Machine, visit: Visitor, said: dict[str, str], field: str
) -> None:
    """422 with the form as it was filled in, and a sentence at the field; as JSON the same sentence."""
    before = everything(machine)

    page = visit.post("/f/demo", data={**DEMO, **said})
    told = visit.post("/f/demo", json={**DEMO, **said})

    assert (page.status_code, told.status_code) == (422, 422)
    assert f'aria-describedby="{field}-wrong"' in page.text
    assert "Kim" in page.text or field == "first_name"
    assert list(told.json()["errors"]) == [field]
    assert everything(machine) == before


KINDS = {
    "a number": ({"employees": "1,200"}, {"employees": 1200}),
    "a flag": ({"evaluated": "yes"}, {"evaluated": True}),
    "a date": ({"renewal": "2026-05-01"}, {"renewal": "2026-05-01"}),
    "empty": ({"employees": " "}, {}),
    "not asked for": ({"industry": "software", "stage": "customer", "owner": "x"}, {}),
}


@pytest.mark.parametrize(("said", "fields"), KINDS.values(), ids=KINDS.keys())
def test_answers_are_stored_by_kind(
    machine: Machine, visit: Visitor, said: dict[str, str], fields: dict[str, Any]
) -> None:
    """A number is a number; what the form does not ask is not looked at."""
    assert visit.post("/f/full", data={"email": "kim@person.example", **said}).status_code == 303

    lead = lead_called(machine, "kim@person.example")
    assert (lead.fields, lead.stage, lead.owner) == (fields, "lead", None)


def test_a_form_speaks_its_own_language(visit: Visitor) -> None:
    """`language: ar` in program.yaml holds whatever the browser asks for."""
    page = visit.get("/f/full", headers={**PAGE, "accept-language": "en"}).text

    assert '<html lang="ar" dir="rtl">' in page


def test_every_field_has_a_label(visit: Visitor) -> None:
    """Who cannot see the page hears what is asked."""
    page = visit.get("/f/demo").text

    for name in ("email", "first_name", "company", "phone", "country"):
        assert f'<label for="{name}">' in page
        assert f'id="{name}"' in page


def test_the_honeypot_swallows(machine: Machine, visit: Visitor) -> None:
    """A machine that fills in everything gets the usual answer, and nothing is stored."""
    before = everything(machine)

    answer = visit.post("/f/demo", data={**DEMO, "fax_again": "123"})

    assert answer.status_code == 303
    assert everything(machine) == before


def test_thank_you_is_said_in_the_words_of_the_program(machine: Machine, visit: Visitor) -> None:
    """The 303 leads to a page that a reload does not send again."""
    answer = visit.post("/f/demo", data=DEMO)

    page = visit.get(f"/f/{answer.headers['location']}")
    assert page.status_code == 200
    assert "Thank you. We will be in touch." in page.text
    assert page.text.count("Thank you") == 1


def test_a_refused_gate_is_no_business_of_the_visitor(machine: Machine, visit: Visitor) -> None:
    """A competitor reads the same thank-you, and sales is not bothered."""
    answer = visit.post("/f/demo", data={**DEMO, "company": "Rivals"})

    assert answer.status_code == 303
    assert handoffs(machine) == []


def test_text_of_strangers_is_shown_as_text(machine: Machine, visit: Visitor) -> None:
    """Neither the form that comes back nor the salesperson's page runs what somebody typed."""
    nasty = '"><script>alert(1)</script>'

    back = visit.post("/f/demo", data={"email": "x", "first_name": nasty})
    links = answers_in(handed_over(machine, visit, company=nasty))
    page = visit.get(links["page"])

    assert "<script" not in back.text + page.text
    assert "&lt;script&gt;" in back.text
    assert "&lt;script&gt;" in page.text


def test_a_mail_server_that_is_down_harms_no_form(database_url: str) -> None:
    """The request is stored and answered; the notice waits for the next tick."""
    with opened(database_url, mail=SmtpChannel("smtp://127.0.0.1:9")) as machine:
        answer = Visitor(machine).post("/f/demo", data=DEMO)

        assert answer.status_code == 303
        assert len(handoffs(machine)) == 1


def test_a_lead_that_unsubscribed_is_not_written_to_by_a_tick_in_a_form(machine: Machine, visit: Visitor) -> None:
    """A box ticked in somebody's name does not undo their unsubscribing."""
    way = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/u/"))
    visit.post(way)

    visit.post("/f/demo", data={"email": RAE, "consent": "yes"})

    assert [row for row in consents(machine, lead_called(machine, RAE).id) if row[2] == "form:demo"] == []


def test_a_form_that_is_published_no_more_is_gone(machine: Machine, visit: Visitor) -> None:
    """404 for the page, for what it sends, and for its thanks."""
    make_lead(machine, "other@acme.example")
    files = {**FILES, "program.yaml": FILES["program.yaml"].split("forms:")[0]}
    put_live(machine, files)

    assert visit.get("/f/demo").status_code == 404
    assert visit.post("/f/demo", data=DEMO).status_code == 404
    assert visit.get("/f/demo/thanks").status_code == 404
