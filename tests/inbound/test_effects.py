"""What follows for the lead from each kind of message that comes back, on both databases."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.channels.recording import RecordingChannel
from nurture.engine import doors
from nurture.errors import Refused
from nurture.inbound.taking import Taken, take
from nurture.intake.write import put_lead
from nurture.mail.verp import bounce_address, unsubscribe_address
from nurture.records import Consent, Enrolment, Event, Inbound, Lead, Milestone, Outbox, ScoreEntry, Suppression, Touch
from tests.engine.channels import Scripted
from tests.engine.conftest import Make
from tests.engine.world import DAY, World, program, sequence
from tests.inbound.mails import US, arf, dsn, letter

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 2 days}\n  - {id: more, email: more.j2}"
FULL = {"status": "5.2.2", "said": "smtp; 552 5.2.2 mailbox full"}
BLOCKED = {"status": "5.7.1", "said": "smtp; 550 5.7.1 blocked: poor reputation"}


def written(make: Make, **more: Any) -> World:
    """Ana and Ben have each received the first letter."""
    world = make(program(drip=sequence(STEPS), **more))
    for name in ("ana", "ben"):
        world.lead(name)
        world.event(name, "signed_up")
    return world.tick()


def to_us(world: World, who: str = "ana", step: str = "hello") -> str:
    return bounce_address(US, world.machine.keys, world.touch(who, step).id)


def message_id(world: World, who: str = "ana", step: str = "hello") -> str:
    return str(world.touch(who, step).message_id)


def events(world: World, who: str = "ana") -> list[tuple[str, str]]:
    rows = world.rows(Event, col(Event.lead_id) == world.ids[who])
    return [(row.name, row.actor) for row in rows if row.name not in ("signed_up", "email_sent")]


def barred(world: World) -> set[tuple[str, str, str]]:
    return {(row.kind, row.value, row.reason) for row in world.rows(Suppression)}


def stirred(world: World) -> dict[Any, list[Any]]:
    """All that a message could have changed."""
    tables = (Lead, Event, Touch, Suppression, Enrolment, Consent, Inbound)
    return {table: world.rows(table) for table in tables}


WAYS: dict[str, Callable[[World], bytes]] = {
    "by the returned Message-ID": lambda world: dsn(message_id(world)),
    "by the envelope's address": lambda world: dsn(to=to_us(world)),
    "by that address in capitals": lambda world: dsn(to=to_us(world).upper()),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_hard_bounce_suppresses_the_address(make: Make, way: str) -> None:
    """The sequence ends, the next letter does not go; the lead keeps its consents, and Ben his sequence."""
    world = written(make)

    taken = take(world.machine, WAYS[way](world))
    world.run(3 * DAY)

    assert (taken.outcome, taken.lead) == ("suppressed", world.ids["ana"])
    assert barred(world) == {("address", "ana@lead.example", "bounced")}
    assert events(world) == [("email_bounced", "system")]
    assert world.passages()["ana"].outcome == "suppressed"
    assert world.touches()["ben"][-1][:2] == ("more", "sent")
    assert [step for step, *_ in world.touches()["ana"]] == ["hello"]
    assert not world.rows(Consent, col(Consent.withdrawn_at).is_not(None))


def test_what_we_send_brings_its_answer_home(make: Make) -> None:
    """The envelope's sender and the header's address of a real letter, sent back as they are."""
    world = make()
    world.machine.bounce_address = US
    world.publish(program(drip=sequence(STEPS)))
    for name in ("ana", "ben"):
        world.lead(name)
        world.event(name, "signed_up")
    world.tick()
    channel = world.machine.email
    assert isinstance(channel, RecordingChannel)
    ana, ben = channel.parcels
    (mailto,) = re.findall(rb"<mailto:([^?>]+)", ben.payload.replace(b"\r\n ", b" "))

    bounced = take(world.machine, dsn(to=ana.sender))
    left = take(world.machine, letter(to=mailto.decode(), subject="unsubscribe"))

    assert (bounced.outcome, bounced.lead) == ("suppressed", world.ids["ana"])
    assert (left.told.kind, left.lead) == ("unsubscribe", world.ids["ben"])


def test_the_same_message_a_hundred_times_is_one(make: Make) -> None:
    world = written(make)
    bounce = dsn(message_id(world), **FULL)
    assert take(world.machine, bounce).new
    once = stirred(world)

    for day in range(100):
        world.at(day * DAY / 10)
        assert take(world.machine, bounce) == Taken(
            take(world.machine, bounce).told, "counted", world.touch("ana", "hello").id, world.ids["ana"], new=False
        )

    assert stirred(world) == once


def test_the_same_message_by_two_ways_at_once_is_one(make: Make) -> None:
    """A mailbox is fetched while the pipe delivers: one of them takes it in, the others learn that it is done."""
    world = written(make)
    reply = letter(message_id(world))

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: take(world.machine, reply), range(8)))

    assert [one.new for one in taken].count(True) == 1
    assert {one.outcome for one in taken} == {"recorded"}
    assert events(world) == [("email_replied", "person")]


@pytest.mark.parametrize("state", ["planned", "retry_wait"])
def test_a_goodbye_by_mail_counts_whatever_became_of_the_message(make: Make, state: str) -> None:
    """It left once and is about to be sent again: who answers the first copy gets no second."""
    world = written(make)
    world.sql("DROP TRIGGER touch_state" + ("" if world.machine.db.is_sqlite else " ON touch"))
    world.sql(
        f"UPDATE touch SET state = '{state}', next_at = due_at + 36000000000, ended_at = NULL, resent_at = due_at"
    )
    told = take(
        world.machine,
        letter(headers=f"To: {unsubscribe_address(US, world.machine.keys, world.touch('ana', 'hello').id)}\n"),
    )
    before = len(world.sent)
    world.at(DAY).tick()

    assert told.outcome == "suppressed"
    assert [to for to, _ in world.sent[before:]] == ["ben@lead.example"]


def quoting(world: World) -> str:
    """The header of our own letter in which unsubscribing by mail is offered."""
    mine = unsubscribe_address(US, world.machine.keys, world.touch("ana", "hello").id)
    return f"List-Unsubscribe: <https://acme.example/u/x>, <mailto:{mine}?subject=unsubscribe>"


QUOTED: dict[str, Callable[[str], bytes]] = {
    "a warning that it is delayed": lambda quoted: dsn(action="delayed", status="4.4.1", note=quoted),
    "a full mailbox that returns the headers": lambda quoted: dsn(note=quoted, **FULL),
    "an automatic answer": lambda quoted: f"From: a@x.example\nAuto-Submitted: auto-replied\n\n{quoted}\n".encode(),
    "forwarded by somebody": lambda quoted: f"From: a@x.example\nSubject: Fwd: Hello\n\n{quoted}\n".encode(),
    "a daemon in plain words": lambda quoted: f"From: MAILER-DAEMON@x.example\n\nuser unknown\n{quoted}\n".encode(),
}


@pytest.mark.parametrize("name", QUOTED)
def test_who_quotes_an_offer_to_unsubscribe_does_not_unsubscribe(make: Make, name: str) -> None:
    """Only mail that is addressed to the unsubscribe address asks for it."""
    world = written(make)
    told = take(world.machine, QUOTED[name](quoting(world)))

    assert told.told.kind != "unsubscribe"
    assert ("unsubscribed", "person") not in events(world)
    assert all(row.withdrawn_at is None for row in world.rows(Consent))


def test_a_mended_address_is_free_again(make: Make) -> None:
    """mautic#5723: the address bounced, not the lead; after the correction it is written to again."""
    later = {word: sequence(STEPS, when=f"{{did: {word}}}") for word in ("asked", "called")}
    world = make(program({}, drip=sequence(STEPS), **later))
    mistyped = {"email": "ana@typo.example"}
    world.ids["ana"], _ = world.do(
        lambda link: put_lead(link, mistyped, now=world.now, source="crm", source_id="7", consent="contract")
    )
    world.event("ana", "signed_up")
    world.tick()
    take(world.machine, dsn(message_id(world)))
    world.at(DAY)
    world.event("ana", "asked")
    world.tick()
    assert world.refusals() == {"ana": "suppressed"}

    again, state = world.do(
        lambda link: put_lead(link, {"email": "ana@right.example"}, now=world.now, source="crm", source_id="7")
    )
    world.at(2 * DAY)
    world.event("ana", "called")
    world.tick()

    assert (again, state) == (world.ids["ana"], "changed")
    assert [to for to, _ in world.sent] == ["ana@typo.example", "ana@right.example"]


def test_an_address_that_works_is_not_replaced_by_an_id(make: Make) -> None:
    """Two people under one id of the other system are two people, as long as nothing came back from the first."""
    world = make(program(drip=sequence(STEPS)))
    for address, refused in (("ana@one.example", False), ("ben@two.example", True)):
        put = partial(put_lead, values={"email": address}, now=world.now, source="crm", source_id="7")
        if refused:
            with pytest.raises(Refused, match="belongs to another lead than the e-mail address"):
                world.do(put)
        else:
            world.do(put)

    assert [row.email for row in world.rows(Lead)] == ["ana@one.example"]


def test_a_full_mailbox_is_given_up_on_the_third_day(make: Make) -> None:
    """mautic#9190: the first full mailbox is no reason to give an address up, nor are three on one day."""
    world = written(make)
    outcomes = []
    for hours in (0, 1, 2, 24, 48):
        world.at(DAY * hours / 24)
        outcomes.append(take(world.machine, dsn(to=to_us(world), note=f"{hours}", **FULL)).outcome)

    assert outcomes == ["counted"] * 4 + ["suppressed"]
    assert barred(world) == {("address", "ana@lead.example", "bounced")}


def test_soft_bounces_long_ago_do_not_count(make: Make) -> None:
    world = written(make)
    outcomes = []
    for day in (0, 8, 16, 24):
        world.at(DAY * day)
        outcomes.append(take(world.machine, dsn(to=to_us(world), note=f"{day}", **FULL)).outcome)

    assert outcomes == ["counted"] * 4
    assert barred(world) == set()


def test_what_speaks_about_us_leaves_the_lead_alone(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """mautic#7369: our host is blocked; the lead is fine, and somebody of ours is told, without naming it."""
    world = written(make)
    before = stirred(world)

    with caplog.at_level(logging.WARNING, "nurture.inbound"):
        taken = take(world.machine, dsn(message_id(world), **BLOCKED))

    after = stirred(world)
    rows = after.pop(Inbound)
    assert [(row.outcome, row.severity, row.status) for row in rows] == [("alarm", "sender", "5.7.1")]
    assert after == {table: rows for table, rows in before.items() if table is not Inbound}
    assert taken.lead == world.ids["ana"]
    assert "5.7.1" in caplog.text
    assert "@" not in caplog.text


def test_a_complaint_unsubscribes_at_once(make: Make) -> None:
    world = written(make)

    taken = take(world.machine, arf(message_id(world)))
    world.run(3 * DAY)

    assert taken.outcome == "suppressed"
    assert barred(world) == {
        ("address", "ana@lead.example", "complained"), ("lead", str(world.ids["ana"]), "complained"),
    }  # fmt: skip
    assert set(events(world)) == {("email_complained", "person"), ("unsubscribed", "person")}
    assert world.passages()["ana"].outcome == "unsubscribed"
    assert [step for step, *_ in world.touches()["ana"]] == ["hello"]


LEAVING: dict[str, Callable[[World], bytes]] = {
    "to the address of the header": lambda world: letter(
        to=unsubscribe_address(US, world.machine.keys, world.touch("ana", "hello").id), subject="please"
    ),
    "by a provider's machine": lambda world: letter(
        to=unsubscribe_address(US, world.machine.keys, world.touch("ana", "hello").id), subject="unsubscribe",
        headers="Auto-Submitted: auto-generated\n",
    ),
    "as a reply": lambda world: letter(message_id(world), subject="UNSUBSCRIBE"),
}  # fmt: skip


@pytest.mark.parametrize("way", LEAVING)
def test_mail_unsubscribes(make: Make, way: str) -> None:
    world = written(make)

    taken = take(world.machine, LEAVING[way](world))

    assert (taken.told.kind, taken.outcome) == ("unsubscribe", "suppressed")
    assert ("lead", str(world.ids["ana"]), "unsubscribed") in barred(world)
    assert world.passages()["ana"].outcome == "unsubscribed"
    assert world.passages()["ben"].outcome is None


SCORING = """engagement:
  - {rule: replied, when: {did: email_replied}, points: 20}
"""
LIFECYCLE = """milestones:
  talked: {when: {did: email_replied}}
"""


@pytest.mark.parametrize(("headers", "counts"), [("", True), ("Auto-Submitted: auto-replied\n", False)])
def test_replies_count_and_automatic_ones_do_not(make: Make, headers: str, counts: bool) -> None:
    files = program({"lifecycle.yaml": LIFECYCLE, "scoring.yaml": SCORING}, drip=sequence(STEPS))
    world = make(files)
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick()

    taken = take(world.machine, letter(message_id(world), headers=headers))

    assert taken.outcome == "recorded"
    assert events(world) == [("email_replied", "person" if counts else "machine")]
    assert bool(world.rows(ScoreEntry)) == counts
    assert bool(world.rows(Milestone)) == counts


def test_a_report_that_it_is_late_is_no_reply(make: Make) -> None:
    world = written(make)

    taken = take(world.machine, dsn(message_id(world), action="delayed", status="4.4.1"))

    assert (taken.outcome, taken.touch) == ("recorded", world.touch("ana", "hello").id)
    assert events(world) == []


STRANGE: dict[str, Callable[[World], bytes]] = {
    "somebody else's message": lambda world: dsn(),
    "a token of another purpose": lambda world: dsn(
        to=US.replace("@", f"+{world.machine.keys.seal_for_address('offer', world.touch('ana', 'hello').id)}@")
    ),
    "a token of another installation": lambda world: dsn(to=US.replace("@", "+" + "a" * 42 + "@")),
    "a token of a touch that is not": lambda world: dsn(to=bounce_address(US, world.machine.keys, 999_999)),
    "the lead's address alone": lambda world: letter(to="sales@acme.example"),
    "a message that has not left": lambda world: dsn(to=to_us(world, "cleo")),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_cannot_be_matched_is_parked(make: Make, name: str) -> None:
    world = written(make)
    world.lead("cleo", consent=None)
    world.event("cleo", "signed_up")
    world.tick()
    assert world.touches()["cleo"] == [("hello", "suppressed", "no_consent")]
    before = stirred(world)

    taken = take(world.machine, STRANGE[name](world))

    after = stirred(world)
    assert [(row.outcome, row.touch_id, row.lead_id) for row in after.pop(Inbound)] == [("parked", None, None)]
    assert after == {table: rows for table, rows in before.items() if table is not Inbound}
    assert taken.touch is None


@pytest.mark.parametrize("back", [dsn, arf, letter], ids=["bounce", "complaint", "reply"])
def test_what_comes_back_proves_that_it_left(make: Make, back: Callable[[str], bytes]) -> None:
    world = make(program(drip=sequence(STEPS)))
    world.machine.email = Scripted({"ana@lead.example": ["unknown"]})
    world.lead("ana")
    world.event("ana", "signed_up")
    world.tick()
    assert world.touch("ana", "hello").state == "uncertain"

    take(world.machine, back(message_id(world)))

    assert world.touch("ana", "hello").state == "sent"


def test_a_returned_notice_to_sales_is_an_alarm(make: Make) -> None:
    """Its salesperson missed a hand-off; the lead that it speaks of did nothing."""
    lifecycle = "milestones:\n  demo: {when: {did: demo_requested}, handoff: true}\n"
    world = make(program({"lifecycle.yaml": lifecycle}, drip=sequence(STEPS)))
    world.lead("ana")
    world.event("ana", "demo_requested")
    world.tick()
    (notice,) = world.rows(Outbox, col(Outbox.message_id).is_not(None))

    taken = take(world.machine, dsn(notice.message_id))

    assert (taken.outcome, taken.lead) == ("alarm", None)
    assert barred(world) == set()


def test_an_unsubscribe_and_a_bounce_of_it_agree(make: Make) -> None:
    """The lead stays unsubscribed; its address is known to bounce from then on, which no new yes takes back."""
    world = written(make)
    touch = world.touch("ana", "hello").id
    world.do(lambda link: doors.unsubscribe(link, world.machine.library.live(link), touch, world.now, source="page"))

    assert take(world.machine, dsn(message_id(world))).outcome == "suppressed"

    assert {reason for *_, reason in barred(world)} == {"unsubscribed", "bounced"}
