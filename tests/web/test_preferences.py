"""The preference centre: what is chosen by its page holds at once, and whoever left may come back by the same link."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from nurture.engine import doors
from nurture.engine.machine import Machine
from nurture.records import Consent, Lead, Preference, RefusedTopic, Suppression
from nurture.web.words import WORDS
from tests.web.factories import (
    FILES,
    FORM,
    Visitor,
    everything,
    later,
    lead_called,
    letter_to,
    links_in,
    make_lead,
    put_live,
    send,
    touch_of,
)

RAE, NOURA = "rae@acme.example", "noura@acme.example"
LITE = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
TOPICS = "\ntopics: {product: {en: Product news, ar: أخبار المنتج}, events: {en: Events & webinars, ar: الفعاليات}}\n"
TOPICAL = {
    **FILES,
    "program.yaml": FILES["program.yaml"] + TOPICS,
    "readers/sequence.yaml": FILES["readers/sequence.yaml"] + "topic: product\non_edit: migrate\n",
    "readers/more.j2": FILES["readers/more.j2"].replace("{% block body %}", '{% block body %}<a href="{{ preferences_url }}">choose</a> '),
}  # fmt: skip
#: What the page sends when nothing on it was touched.
AS_IT_IS = {
    "do": "save", "shown": "product events", "topic.product": "yes", "topic.events": "yes", "every": "0", "pause": "",
    "until": "", "asked": "tracking", "tracking": "yes",
}  # fmt: skip


@pytest.fixture
def page(machine: Machine) -> str:
    """Rae's page of a program with topics."""
    put_live(machine, TOPICAL)
    return page_of(machine, RAE)


def page_of(machine: Machine, address: str) -> str:
    return f"/p/{machine.keys.seal('preferences', touch_of(machine, address).id)}"


def rows(machine: Machine, table: Any, *where: Any) -> list[Any]:
    with machine.db.read() as link:
        return list(link.execute(select(table.__table__).where(*where).order_by(*table.__table__.primary_key)))


def said(**changes: str | None) -> dict[str, str]:
    """What the page sends after these changes; None: the box is not ticked."""
    return {name: value for name, value in (AS_IT_IS | changes).items() if value is not None}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(machine: Machine, visit: Visitor, page: str, method: str) -> None:
    """A scanner that follows the link chooses nothing."""
    before = everything(machine)

    assert visit(method, page).status_code == 200
    assert everything(machine) == before


def test_what_is_chosen_holds_and_is_said(machine: Machine, visit: Visitor, page: str) -> None:
    """Topics, pace, break, language and tracking, in one answer in the language that was chosen; then nothing goes out."""
    choice = said(**{"topic.events": None}, every="7", pause="1m", language="ar", tracking=None)

    answer = visit.post(page, headers=FORM, data=choice)

    lead = lead_called(machine, RAE)
    (row,) = rows(machine, Preference)
    assert (row.every_days, row.paused_until) == (7, datetime(2026, 4, 1, 23, tzinfo=UTC))  # midnight in London
    assert [refused.topic for refused in rows(machine, RefusedTopic)] == ["events"]
    assert (lead.language, lead.folded["language"]) == ("ar", "ar")
    (tracking,) = rows(machine, Consent, col(Consent.lead_id) == lead.id, col(Consent.purpose) == "tracking")
    assert (tracking.withdrawn_at, tracking.withdrawn_by) == (machine.now(), "preference centre")
    assert answer.status_code == 200
    assert '<html lang="ar" dir="rtl">' in answer.text
    for words in ("أخبار المنتج", "2 أبريل 2026", WORDS["ar"]["prefs_pace_7"], WORDS["ar"]["prefs_says_untracked"]):
        assert words in answer.text.partition("<form")[0]
    assert visit.get(page).text.count("checked") == 2  # one topic, one pace

    later(machine, days=20)
    send(machine)
    assert touch_of(machine, RAE, "more").reason == "pause"


@LITE
def test_a_box_that_says_no_is_not_ticked(machine: Machine, visit: Visitor, page: str) -> None:
    """As a program may send it."""
    visit.post(page, headers=FORM, data=said(**{"topic.events": "no"}, tracking="0"))

    assert [refused.topic for refused in rows(machine, RefusedTopic)] == ["events"]
    mine = (col(Consent.lead_id) == lead_called(machine, RAE).id, col(Consent.purpose) == "tracking")
    assert [row.withdrawn_by for row in rows(machine, Consent, *mine)] == ["preference centre"]


PAUSES = {
    "two weeks": ({"pause": "2w"}, datetime(2026, 3, 16, tzinfo=UTC)),
    "three months": ({"pause": "3m"}, datetime(2026, 6, 1, 23, tzinfo=UTC)),
    "until a day": ({"until": "2026-03-29"}, datetime(2026, 3, 29, tzinfo=UTC)),
    "the day counts instead of the choice": ({"pause": "2w", "until": "2027-03-02"}, datetime(2027, 3, 2, tzinfo=UTC)),
    "no break": ({}, None),
}


@LITE
@pytest.mark.parametrize(("choice", "until"), PAUSES.values(), ids=PAUSES)
def test_a_break_ends_as_a_day_of_the_leads_own_begins(
    machine: Machine, visit: Visitor, page: str, choice: dict[str, str], until: datetime | None
) -> None:
    """In weeks and months of its calendar; it is kept by saving again, and lifted by one choice."""
    visit.post(page, headers=FORM, data=said(**choice))
    assert [row.paused_until for row in rows(machine, Preference)] == ([] if until is None else [until])

    visit.post(page, headers=FORM, data=said())
    assert [row.paused_until for row in rows(machine, Preference)] == ([] if until is None else [until])

    visit.post(page, headers=FORM, data=said(pause="none"))
    assert rows(machine, Preference) == []


NO_DAYS = {"today": "2026-03-02", "a year and a day": "2027-03-03", "long ago": "1999-01-01", "no day": "soon\x00"}


@LITE
def test_a_day_on_which_no_break_may_end_is_to_be_mended(machine: Machine, visit: Visitor, page: str) -> None:
    """422, what was sent stands in the form, nothing is kept; the way out asks for no day."""
    before = everything(machine)
    for name, day in NO_DAYS.items():
        answer = visit.post(page, headers=FORM, data=said(**{"topic.events": None}, every="30", until=day))

        assert answer.status_code == 422, name
        assert WORDS["en"]["prefs_until_wrong"] in answer.text
        assert 'value="30" checked' in answer.text
        assert 'name="topic.events" value="yes">' in answer.text
    assert everything(machine) == before

    assert visit.post(page, headers=FORM, data={"do": "stop", "until": "soon"}).status_code == 200
    assert rows(machine, Suppression)


@LITE
def test_a_topic_that_is_newer_than_the_page_is_not_refused(machine: Machine, visit: Visitor, page: str) -> None:
    """Only a box that was there can be left empty; made-up topics, paces and languages are none."""
    choice = said(shown="product gone", every="3", language="xx", asked=None, tracking=None)
    choice = {name: value for name, value in choice.items() if not name.startswith("topic.")}

    answer = visit.post(page, headers=FORM, data=choice | {"topic.gone": ""})

    assert [row.topic for row in rows(machine, RefusedTopic)] == ["product"]
    assert rows(machine, Preference) == []
    assert lead_called(machine, RAE).language is None
    assert WORDS["en"]["prefs_says_tracked"] in answer.text


@LITE
def test_the_language_is_changed_by_its_own_choice_alone(machine: Machine, visit: Visitor, page: str) -> None:
    """Who reads Arabic as in Egypt still does after saving; what letters are written in may be chosen, by its own name."""
    lead = lead_called(machine, NOURA)
    machine.db.transact(lambda link: link.execute(update(Lead).where(col(Lead.id) == lead.id).values(language="ar-EG")))
    mine = page_of(machine, NOURA)
    html = visit.get(mine).text
    assert '<option value="ar" lang="ar" selected>العربية</option>' in html
    assert '<option value="en" lang="en">English</option>' in html

    visit.post(mine, headers=FORM, data=said(language="ar"))
    assert lead_called(machine, NOURA).language == "ar-EG"


def test_tracking_is_agreed_to_apart_from_mail(machine: Machine, visit: Visitor, page: str) -> None:
    """Given by its own box with the text that stood beside it, withdrawn by the same box; mail is not touched by it."""
    make_lead(machine, "tia@acme.example", tracking=None)
    send(machine)
    mine = page_of(machine, "tia@acme.example")
    lead = lead_called(machine, "tia@acme.example").id
    assert WORDS["en"]["prefs_tracking_off"] in visit.get(mine).text

    def consents() -> list[Any]:
        return rows(machine, Consent, col(Consent.lead_id) == lead, col(Consent.purpose) == "tracking")

    for _ in range(2):  # saved twice is agreed once
        answer = visit.post(mine, headers=FORM, data=said())
    (given,) = consents()
    assert (given.basis, given.source, given.withdrawn_at) == ("consent", "preference centre", None)
    assert given.wording.endswith(WORDS["en"]["prefs_tracking_box"])
    assert given.evidence["form"] == "/p/"
    assert "ip" in given.evidence
    assert "You agreed to this on 2 March 2026" in answer.text

    visit.post(mine, headers=FORM, data=said(tracking=None))
    assert [row.withdrawn_at for row in consents()] == [machine.now()]
    (mail,) = rows(machine, Consent, col(Consent.lead_id) == lead, col(Consent.purpose) == "mail")
    assert mail.withdrawn_at is None


def test_whoever_left_may_come_back_by_the_same_link(machine: Machine, visit: Visitor, page: str) -> None:
    """One button out, one button in: a new consent with its text, and out once more as before."""
    lead = lead_called(machine, RAE).id
    gone = visit.post(page, headers=FORM, data={"do": "stop"})
    assert WORDS["en"]["stopped_title"] in gone.text
    assert {(row.kind, row.reason) for row in rows(machine, Suppression)} == {
        ("lead", "unsubscribed"), ("address", "unsubscribed"),
    }  # fmt: skip

    later(machine, days=1)
    assert WORDS["en"]["prefs_again"] in visit.get(page).text
    back = visit.post(page, headers=FORM, data={"do": "again"})

    assert back.status_code == 200
    assert WORDS["en"]["prefs_back"] in back.text
    assert rows(machine, Suppression) == []
    *_, consent = rows(machine, Consent, col(Consent.lead_id) == lead, col(Consent.purpose) == "mail")
    assert (consent.basis, consent.source) == ("consent", "preference centre")
    assert (consent.given_at, consent.confirmed_at) == (machine.now(), machine.now())
    assert consent.wording.endswith(WORDS["en"]["prefs_again_box"])
    assert visit.get(page).text.count('type="checkbox"') == 3

    visit.post(page, headers=FORM, data={"do": "stop"})
    assert len(rows(machine, Suppression)) == 2


GRAVER = ("bounced", "complained", "another address", "a whole domain")


@LITE
@pytest.mark.parametrize("case", GRAVER)
def test_no_link_brings_back_what_the_mailbox_did_not_end(
    machine: Machine, visit: Visitor, page: str, case: str
) -> None:
    """A bounce, a complaint, a domain stay; nobody speaks for a mailbox that the letter was not sent to."""
    touch, lead, now = touch_of(machine, RAE), lead_called(machine, RAE).id, machine.now()

    def happen(link: Any) -> None:
        live = machine.library.live(link)
        if case == "complained":
            doors.complained(link, live, touch.id, now, key="c")
            return
        doors.unsubscribe(link, live, touch.id, now, source="test")
        if case == "bounced":
            doors.bounced(link, live, touch.id, now, key="b", data={}, suppress=True)
        elif case == "another address":
            link.execute(update(Lead).where(col(Lead.id) == lead).values(email="rae@new.example"))
        else:
            row = {"kind": "domain", "value": "acme.example", "reason": "by hand", "source": "test", "at": now}
            link.execute(Suppression.__table__.insert(), row)  # type: ignore[attr-defined]

    machine.db.transact(happen)
    before = rows(machine, Suppression)

    shown = visit.get(page)
    answer = visit.post(page, headers=FORM, data={"do": "again"})

    assert WORDS["en"]["prefs_again"] not in shown.text + answer.text
    assert answer.status_code == 200
    assert rows(machine, Suppression) == before
    assert all(row.withdrawn_at for row in rows(machine, Consent, col(Consent.lead_id) == lead))


@LITE
def test_tokens_open_one_door_and_none_once_the_person_is_forgotten(
    machine: Machine, visit: Visitor, page: str
) -> None:
    """404 for another purpose, a flipped letter, no letter at all, and a lead that is no more than a shell."""
    way_out = machine.keys.seal("unsubscribe", touch_of(machine, RAE).id)
    flipped = page[:-2] + ("A" if page[-2] != "A" else "B") + page[-1]
    nobody = f"/p/{machine.keys.seal('preferences', 10**6)}"
    before = everything(machine)

    for link in (f"/p/{way_out}", flipped, nobody, page.replace("/p/", "/u/"), "/p/"):
        assert (visit.get(link).status_code, visit.post(link, headers=FORM, data=said()).status_code) == (404, 404)
    assert everything(machine) == before
    assert visit.post(page, headers={"content-type": "text/plain"}, content=b"do=stop").status_code == 415

    gone = update(Lead).where(col(Lead.email) == RAE).values(forgotten_at=machine.now())
    machine.db.transact(lambda link: link.execute(gone))
    assert visit.get(page).status_code == 404


def test_a_letter_leads_to_the_page_and_the_ways_lead_to_each_other(
    machine: Machine, visit: Visitor, page: str
) -> None:
    """`preferences_url` of a letter, the unsubscribe page before and after; a refused topic is passed over."""
    visit.post(page, headers=FORM, data=said(**{"topic.product": None}))
    later(machine, days=9)
    send(machine)
    assert (touch_of(machine, RAE, "more").state, touch_of(machine, RAE, "more").reason) == ("suppressed", "topic")

    own = next(link for link in links_in(letter_to(machine, NOURA, "more")) if link.startswith("/p/"))
    answer = visit.get(own)
    assert (answer.status_code, '<html lang="ar" dir="rtl">' in answer.text) == (200, True)
    assert "no…@acme.example" in answer.text
    assert NOURA not in answer.text

    way_out = f"/u/{machine.keys.seal('unsubscribe', touch_of(machine, RAE).id)}"
    for shown in (visit.get(way_out), visit.post(way_out), visit.get(way_out)):
        assert f"..{page}" in links_in(shown.text)
