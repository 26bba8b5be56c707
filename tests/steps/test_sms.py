"""`sms`: from YAML to receipts, against a server with the rules of Twilio's API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from nurture.channels.sms import TwilioChannel, read_account
from nurture.engine import doors
from nurture.engine.leases import Leases
from nurture.engine.recovery import take_back
from nurture.engine.workers import Journals, open_journal, worker_name
from nurture.reading.verify import verify
from nurture.records import Suppression
from tests.engine.channels import Killed
from tests.engine.conftest import Make
from tests.engine.world import PROGRAM, World, program, sequence
from tests.faults.warm import arm
from tests.steps.servers import WAITS, Twilio, serving

TEXT = "{{ brand }}: hello {{ lead.first_name or 'there' }}, how is it going? Reply STOP to end."
STEPS = """  - {id: checkin, sms: checkin.j2}
  - {id: rest, wait: 9 days}
  - {id: over, exit: completed}"""
PHONE = "+40 721 123 456"


def files(steps: str = STEPS, more: str = "", **letters: str) -> dict[str, str]:
    texts = {"texts/checkin.j2": TEXT, **{f"texts/{name}.j2": text for name, text in letters.items()}}
    return program({**texts, "program.yaml": PROGRAM + more}, texts=sequence(steps))


@pytest.fixture
def twilio() -> Iterator[Twilio]:
    with serving(Twilio) as server:
        yield server


def texting(make: Make, twilio: Twilio, written: dict[str, str] | None = None) -> World:
    world = make(written or files())
    world.machine.sms = TwilioChannel(read_account(twilio.account), timeout=WAITS)
    return world


def lead(world: World, name: str, phone: str | None = PHONE, sms: str | None = "consent", **more: Any) -> None:
    world.lead(name, **({"phone": phone} if phone else {}), sms=sms, first_name=name.title(), **more)
    world.event(name, "signed_up")


def verified(world: World) -> list[str]:
    """What does not hold in the database."""
    with world.machine.db.read() as link:
        broken = verify(link, world.machine.library, world.now).broken
    return [offender for found in broken for offender in found.offenders]


def test_a_text_reaches_the_phone(make: Make, twilio: Twilio) -> None:
    """Its number as E.164, its text for this lead; the lead goes on."""
    world = texting(make, twilio)
    lead(world, "ana")
    world.tick()

    assert twilio.sent == [("+40721123456", "Acme: hello Ana, how is it going? Reply STOP to end.")]
    assert world.touches() == {"ana": [("checkin", "sent", None)]}
    assert world.stands() == {"ana": "rest"}


#: What a lead has and agreed to, and what becomes of its text message.
WHO = {
    "agreed": ({}, ("sent", None)),
    "by contract": ({"sms": "contract"}, ("sent", None)),
    "letters only": ({"sms": None}, ("suppressed", "no_consent")),
    "said no": ({"sms": "no"}, ("suppressed", "no_consent")),
    "texts only, no e-mail address": ({"email": None, "consent": None}, ("sent", None)),
    "no phone": ({"phone": None}, ("suppressed", "no_phone")),
    "no country code": ({"phone": "0721 123 456"}, ("suppressed", "no_phone")),
    "too short to be a number": ({"phone": "+40 721"}, ("suppressed", "no_phone")),
    "words for a phone": ({"phone": "+ask me"}, ("suppressed", "no_phone")),
}


@pytest.mark.parametrize("case", WHO)
def test_who_gets_a_text(make: Make, twilio: Twilio, case: str) -> None:
    """It needs a phone with its country code, and consent to text messages: that to letters is another one."""
    facts, ended = WHO[case]
    world = texting(
        make, twilio, program({"texts/checkin.j2": TEXT}, texts=sequence(STEPS, segment="{score: {at_least: 0}}"))
    )
    lead(world, "ana", **facts)  # type: ignore[arg-type]
    world.tick()

    assert world.touches() == {"ana": [("checkin", *ended)]}
    assert len(twilio.sent) == (ended[0] == "sent")
    assert world.stands() == {"ana": "rest"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_operational_texts_need_no_consent(make: Make, twilio: Twilio) -> None:
    """They answer what the lead did: at once, outside the window, and need not say how to stop."""
    steps = STEPS.replace("sms: checkin.j2", "sms: code.j2, kind: operational")
    written = program({"texts/code.j2": "Your seat is kept."}, texts=sequence(steps, send='{hours: "10:00-11:00"}'))
    world = texting(make, twilio, written)
    lead(world, "ana", sms=None)
    world.at(timedelta(hours=9)).tick()  # seven in the evening there

    assert [body for _, body in twilio.sent] == ["Your seat is kept."]


def test_texts_and_letters_share_window_and_caps(make: Make, twilio: Twilio) -> None:
    """One message a day, whichever way it takes; in the send window."""
    steps = """  - {id: hello, email: hello.j2}
  - {id: checkin, sms: checkin.j2}
  - {id: rest, wait: 9 days}
  - {id: over, exit: completed}"""
    written = program(
        {"texts/checkin.j2": TEXT, "program.yaml": PROGRAM + "caps: {per_day: 1}\n"},
        texts=sequence(steps, send='{hours: "12:00-13:00"}'),
    )
    world = texting(make, twilio, written)
    lead(world, "ana")
    world.run(timedelta(days=3))

    first, second = world.touch("ana", "hello").sending_at, world.touch("ana", "checkin").sending_at
    assert (first.hour, second.hour) == (10, 10)  # noon in Bucharest
    assert second - first == timedelta(days=1)
    assert not verified(world)


def test_the_same_text_is_not_sent_twice(make: Make, twilio: Twilio) -> None:
    """Two steps of the same file: the second is passed over."""
    steps = """  - {id: checkin, sms: checkin.j2}
  - {id: again, sms: checkin.j2}
  - {id: over, exit: completed}"""
    world = texting(make, twilio, files(steps))
    lead(world, "ana")
    world.run(timedelta(days=2))

    assert world.touches()["ana"][1] == ("again", "suppressed", "already_received")
    assert len(twilio.sent) == 1


#: What the API says first, and the state and reason of the touch then; whether it is sent in the end.
API = {
    "201 Created": ([201], ("sent", None), 1),
    "429, and it was not processed": ([429], ("retry_wait", "429 20429"), 1),
    "503, and it was not processed": ([503], ("retry_wait", "503"), 1),
    "500 says nothing": ([500], ("uncertain", "500"), 0),
    "502 of a gateway says nothing": ([502], ("uncertain", "502"), 0),
    "it hangs up when it has read the call": ([0], ("uncertain", "RemoteProtocolError"), 0),
    "it never answers": ([1], ("uncertain", "ReadTimeout"), 0),
}


@pytest.mark.parametrize("case", API)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_the_api_answers(make: Make, twilio: Twilio, case: str) -> None:
    """There is no key, so what may have been taken is never said again by itself."""
    twilio.answers, (state, reason), later = list(API[case][0]), API[case][1], API[case][2]
    world = texting(make, twilio)
    lead(world, "ana")
    world.tick()
    (_, found, why), *_ = world.touches()["ana"]
    world.run(timedelta(hours=20))

    assert found == state
    assert (why or "").startswith(reason or "")
    assert len(twilio.sent) == later
    assert len(twilio.calls) == (1 if state in ("sent", "uncertain") else 2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_retry_after_is_obeyed(make: Make) -> None:
    """An hour, where our own pause would be five minutes."""
    with serving(lambda: Twilio([429], {"Retry-After": "3600"})) as server:
        world = texting(make, server)
        lead(world, "ana")
        world.tick()

        assert timedelta(hours=1) <= world.touch("ana", "checkin").next_at - world.now < timedelta(hours=2)


def test_a_number_that_has_unsubscribed_is_not_called_again(make: Make, twilio: Twilio) -> None:
    """21610: the phone goes on the suppression list, for every lead that has it; 21211 fails this one alone."""
    twilio.unsubscribed, twilio.invalid = {"+40721123456"}, {"+40721999999"}
    world = texting(make, twilio)
    lead(world, "ana")
    lead(world, "bo", phone="+40 721 999 999")
    world.tick()
    lead(world, "cy", phone="+40(721)123-456")
    world.tick()

    assert world.touches() == {
        "ana": [("checkin", "failed", "400 21610")],
        "bo": [("checkin", "failed", "400 21211")],
        "cy": [("checkin", "suppressed", "suppressed")],
    }
    assert [(row.kind, row.value, row.reason) for row in world.rows(Suppression)] == [
        ("phone", "+40721123456", "unsubscribed")
    ]
    assert not verified(world)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_messaging_service_may_send(make: Make, twilio: Twilio) -> None:
    """MG… in the place of the number: its own parameter of the API."""
    world = make(files())
    account = twilio.account.replace("from=+15005550006", "from=MG" + "1" * 32)
    world.machine.sms = TwilioChannel(read_account(account), timeout=WAITS)
    lead(world, "ana")
    world.tick()

    ((_, _, body),) = twilio.calls
    assert parse_qs(body.decode())["MessagingServiceSid"] == ["MG" + "1" * 32]
    assert "From" not in parse_qs(body.decode())


#: What makes the whole account useless; nobody's touch ends by it.
OUT = {"a wrong token": 401, "an account that may not": 403, "a wrong address": 404}


@pytest.mark.parametrize("case", OUT)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_account_that_cannot_send_ends_nobodys_touch(make: Make, twilio: Twilio, case: str) -> None:
    """One call, and the others wait for the operator."""
    twilio.answers = [OUT[case]]
    world = texting(make, twilio)
    for name in ("ana", "bo", "cy"):
        lead(world, name, phone=f"+4072112345{len(name)}")
    report = world.machine.tick("texts", world.now)

    assert {state for states in world.touches().values() for _, state, _ in states} == {"planned"}
    assert len(twilio.calls) == 1
    assert "NURTURE_SMS_URL" in str(report.steps[0].channel_down)

    world.run(timedelta(minutes=5))
    assert len(twilio.sent) == 3


def test_the_link_in_a_text_stops_everything(make: Make, twilio: Twilio) -> None:
    """Its token is the touch's; the phone is suppressed with the lead, and the address it is not."""
    text = "Acme: still there? {{ unsubscribe_url }}"
    world = texting(make, twilio, files(STEPS.replace("9 days", "1 day"), "", checkin=text))
    lead(world, "ana")
    world.tick()
    token = twilio.sent[0][1].rpartition("/")[2]
    number, _ = world.machine.keys.open("unsubscribe", token)
    live = world.machine.live()
    world.do(lambda link: doors.unsubscribe(link, live, number, world.now, source="page"))

    assert world.stands() == {"ana": "unsubscribed"}
    assert {(row.kind, row.value) for row in world.rows(Suppression)} >= {("phone", "+40721123456")}
    assert not [row for row in world.rows(Suppression) if row.kind == "address" and row.value.startswith("+")]


@pytest.mark.parametrize(("point", "state"), [("journaled", "uncertain"), ("answered", "uncertain"), ("noted", "sent")])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_that_dies_at_a_text_leaves_it_to_its_journal(
    make: Make, twilio: Twilio, tmp_path: Path, point: str, state: str
) -> None:
    """Begun and no answer noted: nobody knows, and a person decides, as for a letter. Noted: it was sent."""
    world = texting(make, twilio)
    lead(world, "ana")
    machine = world.machine
    machine.journal_folder = tmp_path
    machine.journal = open_journal(tmp_path, machine.worker)
    machine.leases = Leases(machine.db, machine.worker, machine.journals, machine.heart)
    arm(f"{point}:raise:1", Killed)
    with suppress(Killed):
        world.tick()
    arm(None)
    machine.journal.close()
    world.machine.worker = worker_name()
    found = take_back(machine.db, Journals(tmp_path), world.now)

    assert found.total() == 1
    assert world.touches() == {"ana": [("checkin", state, world.touches()["ana"][0][2])]}
    assert len(twilio.calls) == (point != "journaled")


LANGUAGES = {"ar-EG": "أكمي", "ro": "Acme:", "": "Acme:"}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_text_speaks_the_leads_language(make: Make, twilio: Twilio, language: str) -> None:
    """checkin.ar.j2 beside checkin.j2; the program's language where there is none."""
    written = files() | {"texts/checkin.ar.j2": "أكمي {{ brand }}: STOP"}
    world = texting(make, twilio, written)
    lead(world, "ana", **({"language": language} if language else {}))
    world.tick()

    assert twilio.sent[0][1].startswith(LANGUAGES[language])


def test_a_text_that_grew_too_long_fails_alone(make: Make, twilio: Twilio) -> None:
    """A name of two hundred letters would make a second segment; the others get theirs."""
    world = texting(make, twilio, files(more="sms: {longest: 1}\n"))
    lead(world, "ana")
    world.lead("long", phone=PHONE, sms="consent", first_name="Ana " * 60)
    world.event("long", "signed_up")
    world.tick()

    (_, state, reason), *_ = world.touches()["long"]
    assert (state, len(twilio.sent)) == ("failed", 1)
    assert "2 segments (GSM-7" in str(reason)
    assert world.touches()["ana"] == [("checkin", "sent", None)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_answer_that_nobody_can_read_harms_nobody(make: Make, twilio: Twilio) -> None:
    """JSON that is nested a hundred thousand times is as good as none: the status counts."""
    twilio.answer = lambda handler, body: (400, b"[" * 100_000)  # type: ignore[method-assign]
    world = texting(make, twilio)
    lead(world, "ana")
    world.tick()

    assert [state for _, state, _ in world.touches()["ana"]] == ["failed"]
