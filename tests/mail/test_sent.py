"""From a tick to a real relay: envelopes, ways out, signatures, and addresses beyond ASCII."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import cast

import pytest
from aiosmtpd.smtp import Envelope

from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.mail.verp import touch_of
from nurture.opening import open_machine
from nurture.settings import Settings
from tests.channels.relay import Relay
from tests.engine.world import PROGRAM, World, program, sequence
from tests.mail.test_dkim import KEYS, SIGNERS, verified

LIFECYCLE = "milestones:\n  demo: {when: {did: demo}, handoff: true}\n"
DRIP = sequence("  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}")
BOUNCES = "bounces@in.acme.example"


@pytest.fixture
def worlds(sqlite_url: str) -> Iterator[list[World]]:
    """Worlds to be closed; the first is the test's."""
    made: list[World] = []
    yield made
    for world in made:
        world.machine.email.close()
        world.close()


def opened(worlds: list[World], url: str, relay: Relay, **files: str) -> World:
    """A world whose mail goes to `relay`, with leads of every kind of address."""
    world = World(
        url, program({"lifecycle.yaml": LIFECYCLE} | {k.replace("__", "."): v for k, v in files.items()}, drip=DRIP)
    )
    world.machine.email = SmtpChannel(relay.url, connections=1, timeouts=Timeouts(2, 2, 2))
    worlds.append(world)
    return world


def read(envelope: Envelope) -> EmailMessage:
    return message_from_bytes(cast(bytes, envelope.content), policy=SMTPUTF8)


def greet(world: World, *names: str) -> None:
    for name in names:
        world.event(name, "signed_up")
    world.tick()


@pytest.mark.parametrize("bounces", [None, BOUNCES], ids=["no address for bounces", "an address for bounces"])
def test_the_envelope_and_the_ways_out(worlds, sqlite_url, bounces):
    """With an address for bounces each mail has a token of its own there; a notice to sales never has."""
    with Relay() as relay:
        world = opened(worlds, sqlite_url, relay)
        world.machine.bounce_address, world.machine.signer = bounces, SIGNERS["ed25519"]
        world.lead("ana")
        world.lead("bo")
        greet(world, "ana", "bo")
        world.event("ana", "demo", settle=True)
        world.machine.drain(world.now)
    letters = {envelope.rcpt_tos[0]: envelope for envelope in relay.taken}
    keys, touches = (
        world.machine.keys,
        {f"{name}@lead.example": world.touch(name, "hello").id for name in ("ana", "bo")},
    )

    assert letters.keys() == {*touches, "mihai@acme.example"}
    for to, touch in touches.items():
        sender = letters[to].mail_from or ""
        found = touch_of(sender, keys)
        ways = read(letters[to])["List-Unsubscribe"].split(", ")
        assert found == (touch if bounces else None)
        assert len(ways) == (2 if bounces else 1)
        assert ways[0].startswith("<http")
        if bounces:
            assert sender.startswith("bounces+")
            address = ways[1].removeprefix("<mailto:").removesuffix("?subject=unsubscribe>")
            assert touch_of(address, keys, "unsubscribe") == touch
        else:
            assert sender == "ana@acme.example"
    notice = letters["mihai@acme.example"]
    assert notice.mail_from == "ana@acme.example"
    assert read(notice)["List-Unsubscribe"] is None
    assert [verified(cast(bytes, e.content), "ed25519", "acme.example") for e in relay.taken] == [True] * 3


@pytest.mark.parametrize("utf8", [True, False], ids=["a relay with SMTPUTF8", "a relay without"])
def test_addresses_beyond_ascii(worlds, sqlite_url, utf8):
    """A domain goes in punycode; a local part needs SMTPUTF8, and without it that touch alone fails and says why."""
    with Relay(enable_SMTPUTF8=utf8) as relay:
        world = opened(worlds, sqlite_url, relay)
        world.machine.signer = SIGNERS["rsa"]
        addresses = {
            "first": "first@lead.example",
            "domain": "jo@bücher.example",
            "both": "مريم@bücher.example",
            "last": "last@lead.example",
        }
        for name, address in addresses.items():
            world.lead(name, email=address)
        greet(world, *addresses)
        found = world.touches()
    wire = {"first": "first@lead.example", "domain": "jo@xn--bcher-kva.example", "last": "last@lead.example"}
    wire |= {"both": "مريم@bücher.example"} if utf8 else {}

    assert sorted(e.rcpt_tos[0] for e in relay.taken) == sorted(wire.values())
    assert [found[name][0][:2] for name in ("first", "domain", "last")] == [("hello", "sent")] * 3
    state, reason = found["both"][0][1:]
    if utf8:
        assert state == "sent"
    else:
        assert (state, reason) == ("failed", "MAIL: the server takes no SMTPUTF8 (RFC 6531)")
    heads = {e.rcpt_tos[0]: cast(bytes, e.content).partition(b"\r\n\r\n")[0] for e in relay.taken}
    assert all(f"\r\nTo: {to}\r\n".encode() in head for to, head in heads.items())
    assert sum("SMTPUTF8" in line for line in relay.said) == utf8
    assert all(verified(cast(bytes, e.content), "rsa", "acme.example") for e in relay.taken)


def test_a_sender_in_a_domain_beyond_ascii(worlds, sqlite_url):
    """From, envelope, Message-ID, List-Id and d= carry the domain in punycode: any relay takes them."""
    house = PROGRAM.replace("ana@acme.example", "ana@bücher.example")
    with Relay(enable_SMTPUTF8=False) as relay:
        world = opened(worlds, sqlite_url, relay, program__yaml=house)
        world.machine.signer = SIGNERS["rsa"]
        world.lead("bo")
        greet(world, "bo")
    message = read(relay.taken[0])

    assert relay.taken[0].mail_from == "ana@xn--bcher-kva.example"
    assert message["Message-ID"].endswith("@xn--bcher-kva.example>")
    assert message["List-Id"] == "<drip.xn--bcher-kva.example>"
    assert verified(cast(bytes, relay.taken[0].content), "rsa", "xn--bcher-kva.example")


def test_a_name_that_could_be_a_header_fails_alone(worlds, sqlite_url):
    """Its touch says which header; the neighbours' mail goes."""
    letter = """<html>{% block subject %}{{ lead.first_name }}{% endblock %}<a href="{{ unsubscribe_url }}">stop</a></html>"""
    with Relay() as relay:
        world = opened(worlds, sqlite_url, relay, **{"drip/hello__j2": letter})
        for name, called in {"ana": "Ana", "eve": "=?utf-8?q?hi=0ABcc:_x@y.z?=", "bo": "Bo"}.items():
            world.lead(name, first_name=called)
        greet(world, "ana", "eve", "bo")
        found = world.touches()

    assert sorted(e.rcpt_tos[0] for e in relay.taken) == ["ana@lead.example", "bo@lead.example"]
    assert found["eve"] == [("hello", "failed", "Subject: holds '=?', which mail programs would decode")]


def test_the_settings_reach_the_machine(sqlite_url, tmp_path):
    """As every door opens it: the key is read once, at opening."""
    file = tmp_path / "dkim.pem"
    file.write_bytes(KEYS["ed25519"])
    given = Settings(
        home=tmp_path, database_url=sqlite_url, bounce_address=BOUNCES, dkim_selector="s1", dkim_key_file=file
    )
    machine = open_machine(given)
    file.unlink()
    try:
        assert machine.bounce_address == BOUNCES
        assert machine.signer is not None
        assert machine.signer.algorithm == "ed25519-sha256"
    finally:
        machine.close()
