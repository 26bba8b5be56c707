"""The second yes: the letter through a real relay, the page that asks, what a scanner and a stranger can do with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel
from starlette.requests import Request

from nurture.channels.recording import RecordingChannel
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.engine import consents, doors
from nurture.engine.machine import Machine
from nurture.engine.suppressing import suppress
from nurture.mail.confirmation import BUILT_IN
from nurture.program.check import check
from nurture.program.load import load
from nurture.records import AudienceMember, Consent, Objection, Outbox
from nurture.web.evidence import evidence, opted_out
from nurture.web.site import Site
from nurture.web.visitors import MovingWindow
from tests.channels.relay import Relay
from tests.web.factories import (
    FILES,
    FORM,
    PAGE,
    Visitor,
    events,
    everything,
    html_of,
    later,
    letter_to,
    links_in,
    make_lead,
    opened,
    send,
    touch_of,
)

GPC = {**PAGE, "sec-gpc": "1"}
TEXTS = {
    "en": {"mail": consents.worded("en", "You may e-mail me."), "tracking": consents.worded("en", "You may look.")},
    "ar": {"mail": consents.worded("ar", "يمكنكم مراسلتي.")},
}


@pytest.fixture
def house(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Machine]:
    """The sample program, published; nobody in it."""
    path = tmp_path / "nurture.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    with opened(f"sqlite:///{path}") as machine:
        yield machine


def rows(machine: Machine, table: type[SQLModel]) -> list[Any]:
    columns = table.__table__  # type: ignore[attr-defined]
    with machine.db.read() as link:
        return list(link.execute(select(columns).order_by(*columns.primary_key)))


def asked(machine: Machine, address: str = "kim@person.example", language: str = "en") -> int:
    """Somebody has ticked the boxes of a form; the lead's number."""
    lead = make_lead(machine, address, first_name="<b>Buy now</b> http://spam.example", consent=None, tracking=None)
    wording = TEXTS[language]

    def work(link: Any) -> int | None:
        return consents.ask_to_confirm(
            link, machine.library.live(link), lead, purposes=list(wording), address=address, source="form:demo",
            wording=wording, evidence={"form": "/f/demo"}, language=language, now=machine.now(),
        )  # fmt: skip

    assert machine.db.transact(work, door=True) is not None
    return lead


def letter(machine: Machine) -> str:
    """The HTML of the one letter that leaves."""
    mail = machine.email
    assert isinstance(mail, RecordingChannel)
    before = len(mail.parcels)
    machine.drain(machine.now())
    (parcel,) = mail.parcels[before:]
    return html_of(parcel.payload)


def door_in(html: str) -> str:
    (door,) = [link for link in links_in(html) if link.startswith("/y/")]
    return door


def test_the_letter_goes_out_by_a_real_relay_with_one_message_id(house: Machine) -> None:
    """The first attempt is refused for now, the second is the same message; nothing that was typed stands in it."""
    asked(house)
    with Relay() as relay:
        house.email = SmtpChannel(relay.url, connections=1, timeouts=Timeouts(2, 2, 2))
        relay.greeting = "421 4.3.2 not now"
        assert house.drain(house.now()) == 0
        relay.greeting = None
        later(house)
        assert house.drain(house.now()) == 1
        assert house.drain(house.now()) == 0
        house.email.close()
    (envelope,) = relay.taken
    message: EmailMessage = message_from_bytes(cast(bytes, envelope.content), policy=SMTPUTF8)
    assert (envelope.rcpt_tos, message["From"]) == (["kim@person.example"], "Ada at Acorn <ada@acorn.example>")
    assert message["Auto-Submitted"] == "auto-generated"
    assert rows(house, Outbox)[0].message_id == message["Message-ID"]
    assert "List-Unsubscribe" not in message
    for part in ("html", "plain"):
        body = message.get_body((part,))
        assert body is not None
        said = body.get_content()
        assert "You may e-mail me." in said
        assert "spam.example" not in said
        assert "/y/" in said
        assert not any(way in said for way in ("/c/", "/o/"))


def test_get_asks_and_post_confirms_once(house: Machine) -> None:
    lead = asked(house)
    visit, door = Visitor(house), door_in(letter(house))
    before = everything(house)
    page = visit.get(door)
    assert (page.status_code, visit("HEAD", door).status_code) == (200, 200)
    assert all(text in page.text for text in ("You may e-mail me.", "You may look.", "ki…@person.example"))
    assert everything(house) == before
    first = visit.post(door)
    after = everything(house)
    assert (first.status_code, visit.post(door).text, visit.get(door).text) == (200, first.text, first.text)
    assert everything(house) == after
    found = rows(house, Consent)
    assert {(row.lead_id, row.purpose, row.basis) for row in found} == {
        (lead, "mail", "consent"), (lead, "tracking", "consent"),
    }  # fmt: skip
    assert found[0].evidence["form"] == "/f/demo"
    assert found[0].evidence["confirmed_form"] == "/y/"
    assert len(events(house, "consent_confirmed")) == 1


def test_after_seven_days_it_says_so_and_changes_nothing(house: Machine) -> None:
    asked(house)
    visit, door = Visitor(house), door_in(letter(house))
    later(house, days=7)
    before = everything(house)
    page = visit.post(door)
    assert (page.status_code, "run out" in page.text, "<form" in page.text) == (200, True, False)
    assert everything(house) == before


def test_after_a_goodbye_it_says_so_and_how_to_ask_again(house: Machine) -> None:
    """The link that was asked for before is no way back; with a form that is sent afterwards it is."""
    lead = asked(house)
    visit, door = Visitor(house), door_in(letter(house))
    later(house)
    house.db.transact(
        lambda link: doors.unsubscribe_lead(link, house.library.live(link), lead, house.now(), source="one click"),
        door=True,
    )
    before = everything(house)
    pages = [visit.get(door).text, visit.post(door).text]
    assert everything(house) == before
    for page in pages:
        assert "You have said no since" in page
        assert "fill in the form once more" in page
        assert "<form" not in page
    later(house)
    asked(house)
    assert "<form" in visit.get(door).text
    assert "that is confirmed" in visit.post(door).text


def test_what_was_asked_for_after_the_page_was_shown_is_shown_first(house: Machine) -> None:
    """Who pressed the button under one text has not agreed to another one that a stranger's form has added."""
    asked(house, language="ar")
    visit, door = Visitor(house), door_in(letter(house))
    shown = re.findall(r'name="(shown)" value="([^"]*)"', visit.get(door).text)
    asked(house)
    again = visit.post(door, headers=FORM, data=dict(shown))
    assert (rows(house, Consent), "You may look." in again.text, "<form" in again.text) == ([], True, True)
    assert "You may e-mail me." not in again.text  # the letter has another text
    visit.post(door, headers=FORM, data=dict(re.findall(r'name="(shown)" value="([^"]*)"', again.text)))
    assert {row.purpose for row in rows(house, Consent)} == {"mail", "tracking"}


def test_page_and_letter_speak_the_leads_language(house: Machine) -> None:
    asked(house, language="ar")
    html = letter(house)
    assert '<html lang="ar" dir="rtl">' in html
    page = Visitor(house).get(door_in(html)).text
    assert '<html lang="ar" dir="rtl">' in page
    assert "يمكنكم مراسلتي." in page


def test_a_token_of_another_purpose_opens_nothing(house: Machine) -> None:
    asked(house)
    visit, token = Visitor(house), door_in(letter(house)).removeprefix("/y/")
    wrong = [house.keys.seal("unsubscribe", 1), house.keys.seal("confirm", 99), token[:-1] + "A", token[::-1], "x"]
    assert [visit.post(f"/y/{one}").status_code for one in wrong] == [404] * len(wrong)
    assert visit.post(f"/u/{token}").status_code == 404


def test_a_letter_that_is_wanted_no_more_does_not_leave(house: Machine) -> None:
    lead = asked(house)
    row = {"kind": "address", "value": "kim@person.example", "reason": "complained", "source": "t", "at": house.now()}
    house.db.transact(lambda link: suppress(link, [row]))
    assert house.drain(house.now()) == 0
    (outbox,) = rows(house, Outbox)
    assert (outbox.done_at, outbox.message_id, lead) == (house.now(), None, 1)


def test_a_program_may_have_its_own_letter_and_check_reads_it(house: Machine) -> None:
    files = {name: text.replace("Yes, that was me", "Aye") for name, text in BUILT_IN.items()}
    assert not [p for p in check({**FILES, **files}) if "confirm" in p.file]
    broken = {"_shared/confirm.j2": "{% block subject %}x{% endblock %}{{ lead.first_name }}"}
    aimless = {"_shared/confirm.j2": "{% block subject %}x{% endblock %}yes?"}
    said = [p.problem for wrong in (broken, aimless) for p in check({**FILES, **wrong}) if "confirm" in p.file]
    assert len(said) == 2
    assert said[1] == "nothing leads to the confirmation"


#: What `consents:` says, the lead's country, what the form says: whether it is asked twice.
ASKED_TWICE: dict[str, tuple[str, str | None, bool | None, bool]] = {
    "nothing said": ("{}", "DE", None, False),
    "yes": ("{double_opt_in: true}", "US", None, True),
    "in some countries": ("{double_opt_in: [DE, AT]}", "AT", None, True),
    "not in others": ("{double_opt_in: [DE, AT]}", "US", None, False),
    "where it is not known": ("{double_opt_in: [DE, AT]}", None, None, True),
    "the form says no": ("{double_opt_in: true}", "DE", False, False),
    "the form says yes": ("{}", "US", True, True),
}


@pytest.mark.parametrize("case", ASKED_TWICE)
def test_who_is_asked_twice(case: str) -> None:
    said, country, form, expected = ASKED_TWICE[case]
    files = {**FILES, "program.yaml": f"{FILES['program.yaml']}\nconsents: {said}\n"}
    house = load(files).require().house
    assert house is not None
    assert house.program.consents.asks_twice(country, form) is expected


WRONG = {
    "a number": ("{double_opt_in: 1}", "'1' is neither true, false nor a list of countries"),
    "a country that is none": ("{double_opt_in: [Germany]}", "'Germany' is neither"),
    "no countries": ("{double_opt_in: []}", "nobody is neither"),
    "a span without a unit": ("{expires: {consent: 2}}", "'2' is not how long a consent lasts"),
    "nothing": ("{expires: {consent: 0 days}}", "'0 days' is not how long"),
    "too long": ("{expires: {consent: 21 years}}", "'21 years' is longer than 20 years"),
    "no basis": ("{expires: {hope: 2 years}}", "hope"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_said_of_consents(case: str) -> None:
    said, complaint = WRONG[case]
    problems = load({**FILES, "program.yaml": f"{FILES['program.yaml']}\nconsents: {said}\n"}).problems
    assert any(complaint in problem.problem for problem in problems), problems


#: A day, how long it lasts, the day on which it ends.
LASTS = {
    "months are calendar months": ("2026-08-31", "1 month", "2026-09-30"),
    "over a year's end": ("2026-08-31", "6 months", "2027-02-28"),
    "a leap day": ("2028-02-29", "1 year", "2029-02-28"),
    "weeks": ("2026-03-02", "2 weeks", "2026-03-16"),
}


@pytest.mark.parametrize("case", LASTS)
def test_when_a_basis_runs_out(case: str) -> None:
    from datetime import UTC, datetime

    given, lasts, ends = LASTS[case]
    files = {**FILES, "program.yaml": f"{FILES['program.yaml']}\nconsents: {{expires: {{soft_opt_in: {lasts}}}}}\n"}
    house = load(files).require().house
    assert house is not None
    until = house.program.consents.end("soft_opt_in", datetime.fromisoformat(given).replace(tzinfo=UTC))
    assert until is not None
    assert f"{until:%Y-%m-%d}" == ends
    assert house.program.consents.end("consent", datetime.now(UTC)) is None


def test_evidence_is_digests_and_addresses_without_tokens(house: Machine) -> None:
    site = Site(house, MovingWindow(1, 1), MovingWindow(1, 1), MovingWindow(1, 1))

    def request(path: str, host: str, **headers: str) -> Request:
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"t=secret", "server": ("x", 80),
                 "client": (host, 1), "path_params": {"token": "abc"} if path.startswith("/y") else {},
                 "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]}  # fmt: skip
        return Request(scope)

    mine = evidence(
        site, request("/f/demo", "192.0.2.7", user_agent="Fox", referer="https://a.example/p?q=kim@x.example")
    )
    assert (mine["form"], mine["page"]) == ("/f/demo", "https://a.example/p")
    assert {len(mine[name]) for name in ("ip", "agent")} == {64}
    other = evidence(site, request("/y/abc", "2001:db8::1"))
    assert other["form"] == "/y/"
    assert evidence(site, request("/f/demo", "2001:db8::2"))["ip"] == other["ip"] != mine["ip"]
    assert not any(raw in repr((mine, other)) for raw in ("192.0.2", "2001", "Fox", "kim@", "abc", "secret"))
    assert [opted_out(request("/", "x", sec_gpc=said)) for said in ("1", "0", "true", "")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_click_with_global_privacy_control_takes_out_of_audiences(machine: Machine, visit: Visitor) -> None:
    member = {"audience": "ads", "lead_id": 1, "wanted": True, "told": True, "changed_at": machine.now()}
    machine.db.transact(lambda link: link.execute(AudienceMember.__table__.insert(), member))  # type: ignore[attr-defined]
    link = next(one for one in links_in(letter_to(machine, "rae@acme.example")) if one.startswith("/c/"))
    assert visit.get(link, headers=PAGE).status_code == 302
    assert not rows(machine, Objection)
    assert [visit.get(link, headers=GPC).status_code for _ in range(2)] == [302, 302]
    assert visit.get(link, headers=PAGE).status_code == 302
    assert [(row.lead_id, row.kind, row.source) for row in rows(machine, Objection)] == [(1, "sharing", "Sec-GPC")]
    assert [row.wanted for row in rows(machine, AudienceMember)] == [False]


#: How somebody whom we know comes, and may not be followed: purpose of the token, items, what is sent; then it counts.
HEEDED: dict[str, tuple[str, tuple[int, ...], dict[str, str] | None, bool]] = {
    "a link": ("click", (0,), None, True),
    "the preference page is looked at": ("preferences", (), None, False),
    "the preference page is sent": ("preferences", (), {"do": "save"}, True),
    "the unsubscribe page is looked at": ("unsubscribe", (), None, False),
    "unsubscribed by the page": ("unsubscribe", (), {"go": "yes"}, True),
}


@pytest.mark.parametrize("case", HEEDED)
def test_global_privacy_control_is_heeded_of_who_is_not_tracked(house: Machine, case: str) -> None:
    purpose, item, data, heard = HEEDED[case]
    lead = make_lead(house, tracking=None)
    send(house)
    visit, touch = Visitor(house), touch_of(house, "rae@acme.example").id
    door = f"/{ {'click': 'c'}.get(purpose, purpose[0]) }/{house.keys.seal(cast(Any, purpose), touch, *item)}"
    for headers in ({}, {"sec-gpc": "1"}):
        assert not rows(house, Objection)
        answer = (
            visit.get(door, headers={**PAGE, **headers})
            if data is None
            else visit.post(door, headers={**FORM, **headers}, data=data)
        )
        assert answer.status_code in (200, 302)
    assert [(row.lead_id, row.kind) for row in rows(house, Objection)] == ([(lead, "sharing")] if heard else [])
    assert not events(house, "email_clicked")
