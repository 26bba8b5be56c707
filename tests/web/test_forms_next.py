"""/f: what comes after a form, forms on other people's pages, and who hears of it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel, col

from nurture.engine import consents
from nurture.engine.machine import Machine
from nurture.records import Confirmation, Consent, Objection
from nurture.records import Visitor as Browser
from nurture.rights.forget import forget
from tests.web.factories import (
    DEMO,
    FILES,
    PAGE,
    Visitor,
    events,
    everything,
    handoffs,
    later,
    lead_called,
    letter_to,
    links_in,
    put_live,
)

RAE = "rae@acme.example"
KIM = {"email": "kim@person.example", "company": "Büro"}
BOTH = {"consent": "yes", "tracking": "yes"}
#: What no SQL decides need not be asked of both databases.
ONE_DATABASE = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)


class Form(HTMLParser):
    """The first form of some HTML, as a browser without scripts sends it: where, and what stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action, self.method, self.fields = "", "", dict[str, str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action, self.method = said.get("action", ""), said["method"]
        elif tag in ("input", "select") and said.get("type") not in ("checkbox", "submit"):
            self.fields[said["name"]] = said.get("value", "")


def thanked(visit: Visitor, key: str, said: Mapping[str, str]) -> str:
    """The thank-you page that a form leads to."""
    answer = visit.post(f"/f/{key}", data=said)
    assert answer.status_code == 303
    page = visit.get(f"/f/{answer.headers['location']}")
    assert page.status_code == 200
    return page.text


def test_the_piece_is_for_who_asked_for_it(machine: Machine, visit: Visitor) -> None:
    """The form says what it is for, its thank-you page opens it, and the event names it; the bare page does not."""
    page = thanked(visit, "guide", KIM)

    assert "https://acorn.example/guide" in links_in(page)
    assert "Here it is." in page
    assert "https://acorn.example/guide" not in visit.get("/f/guide").text + visit.get("/f/guide/thanks").text
    (event,) = events(machine, "guide_requested")
    assert event.data == {"form": "guide", "title": "The guide", "offer": "guide"}
    assert "https://acorn.example/ar/guide" in links_in(thanked(visit, "guide", {**KIM, "lang": "ar"}))


def test_a_next_step_belongs_to_who_took_the_first(machine: Machine, visit: Visitor) -> None:
    """The thank-you page asks on, without the address; the answers are the same lead's, once each."""
    step = Form(thanked(visit, "start", {**KIM, "first_name": "Kim"}))

    assert step.action == "../more"
    assert [name for name in step.fields if name not in ("once", "lang", "s", "fax_again")] == ["role", "use_case"]
    said = {**step.fields, "role": "support", "use_case": "tickets"}
    assert [visit.post("/f/more", data=said).status_code for _ in range(2)] == [303, 303]
    lead = lead_called(machine, "kim@person.example")
    assert lead.fields == {"role": "support", "use_case": "tickets"}
    assert [event.lead_id for event in events(machine, "trial_requested", "trial_detailed")] == [lead.id, lead.id]


@ONE_DATABASE
def test_a_next_step_is_mended_in_its_place(machine: Machine, visit: Visitor) -> None:
    """What must be answered and is not comes back with a sentence, still without asking for the address."""
    step = Form(thanked(visit, "start", KIM))

    back = visit.post("/f/more", data={**step.fields, "use_case": "tickets"})

    assert back.status_code == 422
    assert 'id="email"' not in back.text
    assert 'value="tickets"' in back.text
    again = Form(back.text)
    assert again.fields["s"] == step.fields["s"]
    assert visit.post("/f/more", data={**again.fields, "role": "student"}).status_code == 303


def test_a_step_never_tells_what_we_know(machine: Machine, visit: Visitor) -> None:
    """Whoever types Rae's address sees the same questions as of a stranger, and nothing that Rae told."""
    visit.post("/f/more", data={"email": RAE, "role": "support", "use_case": "secret plans"})

    known, unknown = (thanked(visit, "start", {"email": address}) for address in (RAE, "nobody@person.example"))

    alike = [re.sub(r'value="[^"]*"', "", page) for page in (known, unknown)]
    assert alike[0] == alike[1]
    assert "secret" not in known


STRANGE_STEPS = {"a guess": lambda s: "x" * 35, "one letter changed": lambda s: s[:-1] + "AB"[s.endswith("A")]}


@ONE_DATABASE
@pytest.mark.parametrize("changed", [*STRANGE_STEPS.values(), lambda s: s], ids=[*STRANGE_STEPS, "a day later"])
def test_a_step_of_nobody_asks_for_the_address(machine: Machine, visit: Visitor, changed: object) -> None:
    """A broken or old link is as good as none: the form is there, as for a stranger."""
    step = Form(thanked(visit, "start", KIM)).fields["s"]
    assert callable(changed)
    later(machine, hours=0 if changed(step) != step else 25)
    before = everything(machine)

    answer = visit.post("/f/more", json={"s": changed(step), "role": "support"})

    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["email"])
    assert 'id="email"' in visit.get(f"/f/more?s={changed(step)}").text
    assert everything(machine) == before


@ONE_DATABASE
def test_a_step_opens_no_other_form(machine: Machine, visit: Visitor) -> None:
    """The link of a submission is good for the form that its own thank-you page shows."""
    step = Form(thanked(visit, "start", KIM)).fields["s"]

    assert visit.post("/f/guide", json={"s": step, "company": "x"}).status_code == 422
    assert visit.post("/f/demo", json={"s": step}).status_code == 422


@ONE_DATABASE
def test_what_is_swallowed_looks_like_all_the_rest(machine: Machine, visit: Visitor) -> None:
    """A machine that fills in everything gets an address of the same shape; it leads to plain thanks."""
    before = everything(machine)
    answers = [visit.post("/f/start", data={**KIM, "fax_again": full}) for full in ("yes", "")]

    shapes = {re.sub(r"s=[\w-]{35}$", "s=", answer.headers["location"]) for answer in answers}
    assert shapes == {"start/thanks?lang=en&s="}
    page = visit.get(f"/f/{answers[0].headers['location']}")
    assert (page.status_code, "<form" in page.text) == (200, False)
    assert len(everything(machine)["event"]) == len(before["event"]) + 1


def test_a_page_sent_by_two_people_is_two_requests(machine: Machine, visit: Visitor) -> None:
    """Who goes back and corrects the address has sent another form, though the page is the same."""
    once = Form(visit.get("/f/demo").text).fields["once"]

    for address in ("kmi@person.example", "kim@person.example"):
        visit.post("/f/demo", data={"email": address, "once": once})

    assert len({event.lead_id for event in events(machine, "demo_requested")}) == 2


@ONE_DATABASE
def test_where_a_next_step_leads_elsewhere(machine: Machine, visit: Visitor) -> None:
    """`next: {label, url}`: a link, to anybody who comes to the page."""
    page = visit.get("/f/news/thanks").text

    assert 'href="https://acorn.example/blog"' in page
    assert ">Read on</a>" in page


def rows(machine: Machine, table: type[SQLModel]) -> list[Any]:
    """Everything in a table."""
    with machine.db.read() as link:
        return list(link.execute(select(table.__table__)))  # type: ignore[attr-defined]


def test_a_tick_waits_for_its_second_yes_and_a_demo_does_not(machine: Machine, visit: Visitor) -> None:
    """`double_opt_in` of a form: no consent yet, a letter that asks, and nothing that says so to the visitor."""
    program = FILES["program.yaml"].replace("demo: {event:", "demo: {double_opt_in: true, event:")
    put_live(machine, {**FILES, "program.yaml": program})
    before = len(rows(machine, Consent))

    answers = [visit.post("/f/demo", data={**DEMO, **said}) for said in (BOTH, {})]

    assert len({(answer.status_code, answer.headers["location"], answer.text) for answer in answers}) == 1
    (asked,) = rows(machine, Confirmation)
    assert (asked.address, asked.purposes, asked.source) == ("new@person.example", ["mail", "tracking"], "form:demo")
    assert (asked.language, set(asked.evidence)) == ("en", {"form", "ip", "agent"})
    assert len(rows(machine, Consent)) == before
    assert len(handoffs(machine)) == 1


def test_who_said_no_is_asked_by_mail(machine: Machine, visit: Visitor) -> None:
    """Anybody can type an address, so a tick for one that unsubscribed is a question to its mailbox."""
    way = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/u/"))
    visit.post(way)

    visit.post("/f/demo", data={"email": RAE, **BOTH})

    assert [asked.address for asked in rows(machine, Confirmation)] == [RAE]


@ONE_DATABASE
@pytest.mark.parametrize("purpose", ["mail", "tracking"])
def test_who_took_a_consent_back_is_asked_by_mail(machine: Machine, visit: Visitor, purpose: str) -> None:
    """A stranger's form revives nothing that was withdrawn in the preference centre; another purpose is given as ever."""
    lead, other = lead_called(machine, RAE).id, "tracking" if purpose == "mail" else "mail"
    box = {"mail": "consent", "tracking": "tracking"}

    def take(link: Any) -> bool:
        return consents.withdraw(link, machine.library.live(link), lead, purpose, machine.now(), "preference centre")

    machine.db.transact(take, door=True)
    for one in (other, purpose):
        visit.post("/f/demo", data={"email": RAE, box[one]: "yes"})
    mine = [row for row in rows(machine, Consent) if row.lead_id == lead and row.withdrawn_at is None]
    assert {row.purpose for row in mine} == {other}
    assert [asked.purposes for asked in rows(machine, Confirmation)] == [[purpose]]
    (asked,) = rows(machine, Confirmation)
    visit.post(f"/y/{machine.keys.seal('confirm', asked.id)}")
    later(machine)
    visit.post("/f/guide", data={"email": RAE, box[purpose]: "yes"})
    assert len(rows(machine, Confirmation)) == 1


@ONE_DATABASE
def test_who_was_forgotten_is_asked_by_mail(machine: Machine, visit: Visitor, tmp_path: Path) -> None:
    """Anybody can type the address of somebody who is gone: nobody is written to before the mailbox says yes."""
    forget(machine, tmp_path, RAE, by="test", now=machine.now())
    later(machine)
    visit.post("/f/demo", data={"email": RAE, **BOTH})

    lead = lead_called(machine, RAE).id
    assert not [row for row in rows(machine, Consent) if row.lead_id == lead]
    (asked,) = rows(machine, Confirmation)
    assert (asked.lead_id, asked.purposes) == (lead, ["mail", "tracking"])
    visit.post(f"/y/{machine.keys.seal('confirm', asked.id)}")
    assert {row.purpose for row in rows(machine, Consent) if row.lead_id == lead} == {"mail", "tracking"}


@ONE_DATABASE
def test_the_link_of_who_was_forgotten_is_nobody_elses(machine: Machine, visit: Visitor, tmp_path: Path) -> None:
    """The number of a confirmation that is gone is not given to the next, whose letter has a link of its own."""
    unsubscribe = next(link for link in links_in(letter_to(machine, RAE)) if link.startswith("/u/"))
    visit.post(unsubscribe)
    later(machine)
    visit.post("/f/demo", data={"email": RAE, **BOTH})
    (gone,) = rows(machine, Confirmation)
    forget(machine, tmp_path, RAE, by="test", now=machine.now())
    later(machine)
    assert visit.post("/f/demo", data={"email": RAE, **BOTH}).status_code == 303

    assert [asked.id > gone.id for asked in rows(machine, Confirmation)] == [True]
    assert visit.post(f"/y/{machine.keys.seal('confirm', gone.id)}").status_code == 404


def test_a_browser_is_known_by_the_form_it_sends(machine: Machine, visit: Visitor) -> None:
    """The website's snippet fills in `visitor`; who agreed to be followed is that browser's person from then on."""
    visit.post("/f/demo", data={**DEMO, **BOTH, "visitor": "a" * 32})
    visit.post("/f/demo", data={"email": "other@person.example", "visitor": "b" * 32})
    visit.post("/f/demo", data={"email": "third@person.example", **BOTH, "visitor": "not one"})

    lead = lead_called(machine, "new@person.example")
    assert [(browser.key, browser.lead_id) for browser in rows(machine, Browser)] == [("a" * 32, lead.id)]


def test_a_browser_is_known_by_the_second_yes(machine: Machine, visit: Visitor) -> None:
    """Until the mailbox agrees to be followed its browser is nobody's."""
    program = FILES["program.yaml"].replace("demo: {event:", "demo: {double_opt_in: true, event:")
    put_live(machine, {**FILES, "program.yaml": program})

    visit.post("/f/demo", data={**DEMO, **BOTH, "visitor": "c" * 32})
    assert [browser.lead_id for browser in rows(machine, Browser)] == []
    (asked,) = rows(machine, Confirmation)
    visit.post(f"/y/{machine.keys.seal('confirm', asked.id)}")

    lead = lead_called(machine, "new@person.example")
    assert [(browser.key, browser.lead_id) for browser in rows(machine, Browser)] == [("c" * 32, lead.id)]


def test_a_browser_that_wants_no_sharing_is_heard(machine: Machine, visit: Visitor) -> None:
    """Global Privacy Control, with the form that it came with."""
    visit.post("/f/demo", data=DEMO, headers={**PAGE, "sec-gpc": "1"})

    lead = lead_called(machine, "new@person.example")
    with machine.db.read() as link:
        found = link.execute(select(col(Objection.lead_id), col(Objection.kind), col(Objection.source))).all()
    assert found == [(lead.id, "sharing", "Sec-GPC")]


@ONE_DATABASE
@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("key", ["demo", "guide", "more"])
def test_the_html_to_copy_works_on_its_own(machine: Machine, visit: Visitor, key: str, language: str) -> None:
    """Pasted into another page and sent without a script, it becomes the same event, with the words that it showed."""
    page = visit.get(f"/f/{key}/embed?lang={language}").text
    copied = html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)[1])  # type: ignore[index]
    snippet = Form(copied)

    assert (snippet.action, snippet.method) == (f"http://links.test/f/{key}", "post")
    assert "<script" not in copied
    assert copied.count("<label>") == copied.count("<input type=") - 2 + copied.count("<select")
    said = {**snippet.fields, **KIM, "role": "student", "country": "Deutschland", "consent": "yes"}
    answer = visit.post(
        f"/f/{key}", data=said, headers={**PAGE, "origin": "https://their.example", "accept-language": "de"}
    )
    assert answer.status_code == 303
    assert f"lang={language}" in answer.headers["location"]
    lead = lead_called(machine, "kim@person.example")
    (consent,) = (row for row in rows(machine, Consent) if row.lead_id == lead.id)
    assert consent.wording.startswith(f"{language} ")
    assert html.escape(consent.wording.split(": ", 1)[1]) in html.escape(copied)
    assert lead.country == ("DE" if key == "demo" else None)


@ONE_DATABASE
def test_the_page_to_copy_from_tries_the_form(machine: Machine, visit: Visitor) -> None:
    """The form under the HTML is the real one; what is no form has no such page."""
    live = Form(re.sub(r"<textarea.*?</textarea>", "", visit.get("/f/demo/embed").text, flags=re.S))

    assert live.action == "../demo"
    assert visit.post("/f/demo", data={**live.fields, **DEMO}).status_code == 303
    assert visit.get("/f/none/embed").status_code == 404


@ONE_DATABASE
def test_a_script_of_another_site_may_send_a_form(machine: Machine, visit: Visitor) -> None:
    """The browser asks first and is told what it may; answers are readable, also a refusal; pages are not."""
    theirs = {"origin": "https://their.example", "access-control-request-method": "POST"}
    theirs |= {"access-control-request-headers": "content-type"}

    asked = visit("OPTIONS", "/f/demo", headers=theirs)
    answers = [visit.post("/f/demo", json=said, headers={"origin": theirs["origin"]}) for said in (DEMO, {})]
    answers += [visit.post("/f/demo", content=b"x", headers={"origin": theirs["origin"]})]

    assert (asked.status_code, asked.text) == (204, "")
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["access-control-allow-methods"] == "POST"
    assert asked.headers["access-control-allow-headers"] == "content-type"
    assert "access-control-allow-credentials" not in asked.headers
    assert [answer.status_code for answer in answers] == [202, 422, 415]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"*"}
    for closed in ("/f/demo", "/f/demo/thanks", "/u/x"):
        assert "access-control-allow-origin" not in visit.get(closed, headers={**PAGE, **theirs}).headers
    assert visit("OPTIONS", "/u/x", headers=theirs).status_code == 405
