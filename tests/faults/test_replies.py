"""Each way in which a relay or a platform can answer, or not, through the engine: the end of its touch, and nobody else's.

TLS, logins and the phases of one connection are the matter of tests/channels.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlmodel import col

from nurture.channels.audience import AudienceChannel
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.records import AudienceMember, Touch
from tests.engine.conftest import Make, make
from tests.engine.world import World
from tests.faults.ground import files
from tests.faults.sink import AdsSink, MailSink

__all__ = ["make"]

#: One fault among so many that take their mail without fuss.
OTHERS = [f"lead{n}" for n in range(5)]
QUICK = Timeouts(connect=0.3, reply=0.3, end=0.9)
MINUTE = timedelta(minutes=1)

#: Local part of the address to (state after the first tick, state in the end, copies that the relay kept).
ANSWERS = {
    "refused at RCPT": ("rcpt-550", "failed", "failed", 0),
    "busy at RCPT": ("rcpt-451-once", "retry_wait", "sent", 1),
    "thrown out at RCPT": ("rcpt-421-once", "retry_wait", "sent", 1),
    "hung up at RCPT": ("rcpt-cut-once", "retry_wait", "sent", 1),
    "silence at RCPT": ("rcpt-hang-once", "retry_wait", "sent", 1),
    "a byte a second at RCPT": ("rcpt-drip-once", "retry_wait", "sent", 1),
    "refused at DATA": ("data-554", "failed", "failed", 0),
    "busy at DATA": ("data-451-once", "retry_wait", "sent", 1),
    "hung up at DATA": ("data-cut-once", "retry_wait", "sent", 1),
    "silence at DATA": ("data-hang-once", "retry_wait", "sent", 1),
    "refused after the dot": ("end-554", "failed", "failed", 0),
    "busy after the dot, then not": ("end-451-once", "retry_wait", "sent", 1),
    "thrown out after the dot, then not": ("end-421-once", "retry_wait", "sent", 1),
    "hung up after the dot, kept nothing": ("end-cut", "uncertain", "uncertain", 0),
    "hung up after the dot, kept it": ("end-kept", "uncertain", "uncertain", 1),
    "silence after the dot": ("end-hang", "uncertain", "uncertain", 0),
    "a byte a second after the dot": ("end-drip", "uncertain", "uncertain", 1),
    "nonsense after the dot": ("end-whatever", "uncertain", "uncertain", 0),
    "taken late": ("end-late", "sent", "sent", 1),
    "taken, and hung up": ("end-close", "sent", "sent", 1),
    "always busy": ("end-451", "retry_wait", "expired", 0),
}


def crowd(world: World, *local_parts: str) -> World:
    """The others, with these in their middle."""
    world.crowd([*OTHERS[:3], *local_parts, *OTHERS[3:]])
    world.event_of(world.ids, "signed_up")
    return world


def ends(world: World) -> dict[str, str]:
    return {world.names()[row.lead_id]: row.state for row in world.rows(Touch)}


@pytest.fixture
def relayed(make: Make, mail: MailSink) -> Iterator[World]:
    """A world that writes through the sink with two connections."""
    world = make(files("https://ads.example/"))
    world.machine.email = SmtpChannel(mail.url, connections=2, timeouts=QUICK)
    yield world
    world.machine.email.close()


def test_each_answer_has_its_end(relayed: World, mail: MailSink) -> None:
    """Table e2, all at once: each address fails for itself, and every retry is the same message to the byte."""
    local = {name: f"{fault}.x" for name, (fault, *_) in ANSWERS.items()}
    crowd(relayed, *local.values()).tick("mail")
    first = ends(relayed)
    relayed.run(timedelta(days=3))
    last = ends(relayed)

    kept = Counter(came.to.partition("@")[0] for came in mail.kept())
    copies: dict[str, set[str]] = {}
    for came in mail.came():
        copies.setdefault(came.message_id, set()).add(came.sha256)
    told = {name: (first[who], last[who], kept[who]) for name, who in local.items()}
    assert told == {name: (now, then, number) for name, (_, now, then, number) in ANSWERS.items()}
    assert {(first[name], last[name], kept[name]) for name in OTHERS} == {("sent", "sent", 1)}
    assert {len(bodies) for bodies in copies.values()} == {1}
    assert set(relayed.stands().values()) == {"rest"}


#: What the relay says to everybody, and nobody is written to, marked or lost.
WEATHER = {
    "busy greeting": {"greeting": "421 4.3.2 not now"},
    "refusing greeting": {"greeting": "554 5.7.1 go away"},
    "hung up at the greeting": {"greeting": "cut"},
    "silent": {"greeting": "hang"},
    "a byte a second": {"greeting": "drip"},
    "refused at EHLO and HELO": {"ehlo": "550 5.7.1 who are you"},
    "hung up at EHLO": {"ehlo": "cut"},
    "sender refused": {"mail": "550 5.7.1 not you"},
    "nothing listens": {},
}


@pytest.mark.parametrize("name", WEATHER)
def test_a_relay_that_cannot_be_used_harms_nobody(relayed: World, mail: MailSink, name: str) -> None:
    """The way out is down: all touches are planned again, none is spent; when it is up, all go out once."""
    channel = relayed.machine.email
    if name == "nothing listens":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            relayed.machine.email = SmtpChannel(f"smtp://127.0.0.1:{free.getsockname()[1]}", timeouts=QUICK)
    mail.weather |= WEATHER[name]
    crowd(relayed)
    report = relayed.machine.tick("mail", relayed.now)
    during = Counter(ends(relayed).values()), {row.attempt for row in relayed.rows(Touch)}
    relayed.machine.email = channel
    mail.weather.clear()
    relayed.at(10 * MINUTE).tick("mail")

    assert during == (Counter(planned=len(OTHERS)), {0})
    assert [step.channel_down is not None for step in report.steps] == [True]
    assert Counter(came.to for came in mail.kept()) == Counter(f"{name}@lead.example" for name in OTHERS)
    assert set(ends(relayed).values()) == {"sent"}


@pytest.mark.parametrize("word", ["451 4.3.0 busy", "hang", "cut"])
def test_a_sender_that_must_wait_is_tried_later(relayed: World, mail: MailSink, word: str) -> None:
    """At MAIL everything but a refusal concerns this attempt alone."""
    mail.weather["mail"] = word
    crowd(relayed).tick("mail")
    during = set(ends(relayed).values())
    mail.weather.clear()
    relayed.at(60 * MINUTE).tick("mail")

    assert during <= {"retry_wait", "planned"}
    assert len(mail.kept()) == len(OTHERS)
    assert set(ends(relayed).values()) == {"sent"}


#: What a platform answers at first; then 200.
PLATFORM = {
    "unavailable": [503],
    "hung up": [0],
    "busy, and again": [429, 429],
    "hung up, unavailable": [0, 500],
}


@pytest.mark.parametrize("name", PLATFORM)
def test_a_platform_is_told_until_it_answers(make: Make, name: str) -> None:
    """The same key and the same body at each attempt; then the database says that it was told."""
    with AdsSink(PLATFORM[name]) as sink:
        world = make(files(sink.url))
        world.machine.audience = AudienceChannel({"hot": sink.url}, world.machine.keys.signing, world.clock)
        world.crowd(OTHERS)
        world.event_of(OTHERS, "visited")
        for hour in range(4):
            world.at(timedelta(hours=hour)).tick("ads")
        world.machine.audience.close()

    assert sink.converged()
    assert len(sink.calls) == len(OTHERS) + len(PLATFORM[name])
    assert {row.state for row in world.rows(Touch)} == {"sent"}
    assert {row.told for row in world.rows(AudienceMember, col(AudienceMember.wanted))} == {True}


def test_a_refusing_platform_fails_that_touch(make: Make) -> None:
    """400 is final for the one that got it."""
    with AdsSink([400]) as sink:
        world = make(files(sink.url))
        world.machine.audience = AudienceChannel({"hot": sink.url}, world.machine.keys.signing, world.clock)
        world.crowd(OTHERS)
        world.event_of(OTHERS, "visited")
        world.tick("ads")
        world.machine.audience.close()

    assert Counter(ends(world).values()) == Counter(failed=1, sent=len(OTHERS) - 1)
    assert set(world.stands().values()) == {"rest"}
