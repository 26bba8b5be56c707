"""Uncertain messages: evidence, a person or the sequence's policy decides; the engine alone never sends again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.engine import control, doors, doubt
from nurture.engine.workers import Journals
from nurture.errors import NotFound, Refused
from nurture.records import Audit, Event, Touch
from tests.engine.channels import Scripted
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}\n  - {id: over, exit: done}"
LAST = "  - {id: hello, email: hello.j2}"
NOWHERE = Journals(None)


def in_doubt(make: Make, *names: str, steps: str = STEPS, **more: str) -> tuple[World, Scripted]:
    """Leads whose message was cut off after the dot."""
    world = make(program(drip=sequence(steps, **more)))
    relay = world.machine.email = Scripted({f"{name}@lead.example": ["unknown"] for name in names})
    for name in names:
        world.lead(name)
        world.event(name, "signed_up")
    world.tick()
    assert {row.state for row in world.rows(Touch)} == {"uncertain"}
    return world, relay


def number(world: World, who: str) -> int:
    return int(world.touch(who, "hello").id)


def resend(world: World, *names: str, count: int | None = None) -> int:
    touches = [number(world, name) for name in names]
    done: int = world.do(
        lambda link: doubt.resend(link, touches, world.machine.journals, "olga", world.now, count=count)
    )
    return done


def test_nothing_is_sent_again_by_itself(make: Make) -> None:
    """A month later it is as uncertain as on the first day, and its lead has gone on."""
    world, relay = in_doubt(make, "ana")
    world.run(30 * DAY)

    assert (len(relay.parcels), world.touch("ana", "hello").state) == (1, "uncertain")
    assert world.stands() == {"ana": "done"}


def test_a_person_says_that_it_arrived(make: Make) -> None:
    """It counts as sent, with an event that scores see, and it is written down who said so."""
    world, relay = in_doubt(make, "ana", "ben")
    touch = number(world, "ana")
    world.do(lambda link: doubt.mark_sent(link, [touch], "olga", world.now))
    world.at(HOUR).tick()

    assert {name: rows[0][1] for name, rows in world.touches().items()} == {"ana": "sent", "ben": "uncertain"}
    assert [row.lead_id for row in world.rows(Event, col(Event.name) == "email_sent")] == [world.ids["ana"]]
    assert [(row.act, row.subject, row.by) for row in world.rows(Audit)] == [
        ("uncertain_sent", f"touch:{touch}", "olga")
    ]
    assert len(relay.parcels) == 2
    assert world.stands() == {"ana": "rest", "ben": "rest"}


def test_a_person_has_it_sent_again(make: Make) -> None:
    """Once more, with the same Message-ID; its lead stays where it has gone in the meantime."""
    world, relay = in_doubt(make, "ana", "ben")
    resend(world, "ana")
    world.at(HOUR).tick()
    world.at(2 * HOUR).tick()

    mine = [parcel.key for parcel in relay.parcels if parcel.to.startswith("ana")]
    assert len(mine) == 2
    assert len(set(mine)) == 1
    assert {name: rows[0][1] for name, rows in world.touches().items()} == {"ana": "sent", "ben": "uncertain"}
    assert world.stands() == {"ana": "rest", "ben": "rest"}
    world.run(10 * DAY)
    assert world.stands() == {"ana": "done", "ben": "done"}


def test_the_last_letter_of_a_sequence_can_be_sent_again(make: Make) -> None:
    """Its enrolment came to its own end when the message became uncertain; that is no reason against it."""
    world, relay = in_doubt(make, "ana", steps=LAST)
    assert world.stands() == {"ana": "completed"}
    world.publish(program(drip=sequence(STEPS)))  # the version that it belongs to is closed meanwhile
    resend(world, "ana")
    world.at(HOUR).tick()

    assert (len(relay.parcels), world.touch("ana", "hello").state) == (2, "sent")


def down(world: World) -> None:
    relay = world.machine.email
    assert isinstance(relay, Scripted)
    relay.answers["ana@lead.example"] = ["not_started"]


def goodbye(world: World, link: object) -> None:
    doors.unsubscribe_lead(link, world.machine.live(), world.ids["ana"], world.now, source="test")  # type: ignore[arg-type]


REFUSED: dict[str, tuple[str, Callable[[World], Any], bool]] = {
    "unsubscribed meanwhile": ("suppressed", lambda w: w.do(partial(goodbye, w)), True),
    "on hold": ("planned", lambda w: w.do(lambda link: control.pause(link, "all", "olga", w.now)), True),
    "its relay is down": ("planned", down, False),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_sent_again_meets_every_rule_afresh(make: Make, name: str) -> None:
    """The permit is asked as for any other message."""
    state, change, before = REFUSED[name]
    world, relay = in_doubt(make, "ana")
    if before:
        change(world)
    resend(world, "ana")
    if not before:
        change(world)
    world.at(HOUR).tick()

    found = world.touch("ana", "hello").state
    assert found in ({state, "cancelled"} if state == "suppressed" else {state})
    assert len(relay.parcels) == 1


def test_only_what_is_uncertain_can_be_decided(make: Make) -> None:
    """A number that is not on the list changes nothing, also for the others."""
    world, _ = in_doubt(make, "ana")
    for decide in (
        lambda link: doubt.mark_sent(link, [number(world, "ana"), 999], "olga", world.now),
        lambda link: doubt.resend(link, [number(world, "ana"), 999], NOWHERE, "olga", world.now),
    ):
        with pytest.raises(NotFound, match="touch 999 is not uncertain; 'nurture uncertain list'"):
            world.do(decide)

    assert world.touch("ana", "hello").state == "uncertain"
    assert world.rows(Audit) == []


def test_many_are_sent_again_only_if_their_number_is_repeated(make: Make) -> None:
    """Fifty-one messages: the number must be said, and be right."""
    names = [f"lead{n}" for n in range(51)]
    world, _ = in_doubt(make, *names)
    for count in (None, 50):
        with pytest.raises(Refused, match="51 messages would be sent again; repeat the number: --count 51"):
            resend(world, *names, count=count)

    assert resend(world, *names, count=51) == 51


def test_a_worker_of_which_nothing_is_known_is_waited_for(make: Make) -> None:
    """Its host does not answer: it may still be sending for a quarter of an hour, and then no more."""
    world, _ = in_doubt(make, "ana")
    world.sql("UPDATE touch SET lease_owner = 'elsewhere:1:2:3/4'")
    with pytest.raises(Refused, match="may still be sending; wait 15 minutes"):
        resend(world, "ana")
    world.at(timedelta(minutes=16))

    assert resend(world, "ana") == 1


EVIDENCE = {
    "a click, whoever made it": lambda w: w.click("ana", "hello", machine="a scanner"),
    "its unsubscribe link": lambda w: w.do(
        lambda link: doors.unsubscribe(link, w.machine.live(), number(w, "ana"), w.now, source="link")
    ),
    "a bounce": lambda w: w.do(lambda link: doubt.evidence(link, number(w, "ana"), "it bounced", w.now)),
}


@pytest.mark.parametrize("name", EVIDENCE)
def test_evidence_settles_it(make: Make, name: str) -> None:
    """What came back of a message shows that it left; a second sign is no news."""
    world, _ = in_doubt(make, "ana")
    world.at(HOUR)
    EVIDENCE[name](world)

    row = world.touch("ana", "hello")
    assert row.state == "sent"
    assert row.reason.startswith("evidence: ")
    assert not world.do(lambda link: doubt.evidence(link, row.id, "again", world.now))
    assert [event.lead_id for event in world.rows(Event, col(Event.name) == "email_sent")] == [world.ids["ana"]]


SIGNS = {
    "a click": lambda w: w.click("ana", "hello"),
    "a reply": lambda w: w.do(
        lambda link: doors.reply(link, w.machine.live(), number(w, "ana"), w.now, automatic=False)
    ),
}


@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_of_the_first_copy_stops_the_second(make: Make, name: str) -> None:
    """Sent again at night, it waits for the morning; what comes back of the first in between calls it off."""
    world, relay = in_doubt(make, "ana", send='{hours: "09:00-17:00"}')
    world.at(timedelta(hours=14))
    resend(world, "ana")
    world.tick()
    SIGNS[name](world)
    world.run(3 * DAY)

    assert len(relay.parcels) == 1
    assert world.touches()["ana"] == [("hello", "suppressed", "already_received")]


POLICY = "{resend_once_after: 24 hours}"


def test_the_policy_of_a_version_that_is_closed_holds(make: Make) -> None:
    """Its last lead has gone through, and a new version is live: its uncertain message is sent again all the same."""
    world, relay = in_doubt(make, "ana", steps=LAST, on_uncertain=POLICY)
    world.publish(program(drip=sequence(STEPS)))
    world.at(2 * DAY).tick()

    assert (len(relay.parcels), world.touch("ana", "hello").state) == (2, "sent")


def test_a_sequence_may_say_that_its_messages_are_sent_again_once(make: Make) -> None:
    """After its pause, once, and only what nothing shows to have left; a second doubt stays one."""
    world, relay = in_doubt(make, "ana", "ben", "cleo", on_uncertain=POLICY)
    relay.answers["ben@lead.example"] = ["unknown"]
    world.at(HOUR)
    world.event("cleo", "email_opened", key="open")
    world.sql("UPDATE event SET touch_id = :touch WHERE key = 'open'", touch=number(world, "cleo"))
    world.at(timedelta(hours=23)).tick()
    early = len(relay.parcels)
    world.at(timedelta(hours=25)).tick()
    world.run(20 * DAY)

    assert early == 3
    assert sorted(parcel.to[:4] for parcel in relay.parcels[3:]) == ["ana@", "ben@"]
    assert {name: rows[0][1] for name, rows in world.touches().items()} == {
        "ana": "sent",
        "ben": "uncertain",
        "cleo": "uncertain",
    }
