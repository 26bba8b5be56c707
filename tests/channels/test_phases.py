"""Every phase, every answer: what becomes of the message, and its neighbours arrive exactly once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nurture.channels.base import NoJournal, Parcel
from nurture.channels.smtp import SmtpChannel, Timeouts
from tests.channels.relay import Relay
from tests.channels.wire import USUAL, Wire

QUICK = Timeouts(connect=2, reply=1, end=1)
BODY = b"Subject: hello\r\n\r\nbody\r\n"
PASSING = (421, 450, 451, 452, 454, 455)
LASTING = (500, 501, 502, 503, 504, 521, 530, 550, 551, 552, 553, 554, 555, 556)
#: After a refusal of the channel the neighbour behind waits for the next batch.
DOWN = "not_started"
ANSWERS = {
    **{(phase, code): "try_later" for phase in ("mail", "rcpt", "data", "end") for code in PASSING},
    **{(phase, code): "refused" for phase in ("rcpt", "data", "end") for code in LASTING},
    **{("mail", code): DOWN for code in LASTING},
    ("mail", 552): "refused",  # of this message's size
}


def never(*_: object) -> bool:
    return False


def parcel(touch: int, to: str, sender: str = "b@us.example", payload: bytes = BODY) -> Parcel:
    return Parcel(touch, f"t-{touch}", sender, to, payload)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay() as running:
        yield running


@pytest.mark.parametrize(("phase", "code"), ANSWERS, ids=lambda part: str(part))
def test_an_answer_harms_no_neighbour(relay, phase, code):
    """One before and one behind, on the same line, each taken exactly once; the one between never."""
    name = f"{phase}-{code}"
    relay.taken.clear()
    bad = parcel(2, "x@acme.example", f"{name}@us.example") if phase == "mail" else parcel(2, f"{name}@acme.example")
    email = SmtpChannel(relay.url, connections=1, timeouts=QUICK)
    receipts = email.deliver(
        [parcel(1, "before@acme.example"), bad, parcel(3, "behind@acme.example")], NoJournal(), never
    )
    verdicts = [receipt.verdict for receipt in receipts]
    down = email.down
    if down:
        assert email.deliver([parcel(3, "behind@acme.example")], NoJournal(), never)[0].verdict == "accepted"
    email.close()

    expected = ANSWERS[phase, code]
    assert verdicts == ["accepted", expected, DOWN if expected == DOWN else "accepted"]
    assert f"{phase.upper()} {code}" in (down if expected == DOWN and down else receipts[1].detail)
    assert [envelope.rcpt_tos for envelope in relay.taken] == [["before@acme.example"], ["behind@acme.example"]]


BEFORE = {
    "a greeting that passes": ({"greeting": b"421 4.3.2 busy\r\n"}, "CONNECT 421"),
    "a greeting that lasts": ({"greeting": b"554 5.7.1 no service\r\n"}, "CONNECT 554"),
    "a greeting that is none": ({"greeting": b"hello\r\n"}, "CONNECT -1"),
    "no greeting": ({"greeting": None}, "CONNECT"),
    "EHLO 421": ({"EHLO": b"421 4.3.2 busy\r\n"}, "EHLO 421"),
    "EHLO 451": ({"EHLO": b"451 4.3.0 later\r\n"}, "EHLO 451"),
    "EHLO and HELO 550": ({"EHLO": b"550 no\r\n", "HELO": b"550 no\r\n"}, "EHLO 550"),
    "EHLO cut": ({"EHLO": None}, "EHLO"),
    "MAIL 550": ({"MAIL": b"550 5.7.1 not you\r\n"}, "MAIL 550"),
    "MAIL 530": ({"MAIL": b"530 5.7.0 log in\r\n"}, "MAIL 530"),
}


@pytest.mark.parametrize(("replies", "says"), BEFORE.values(), ids=BEFORE.keys())
def test_a_server_that_cannot_be_used(replies, says):
    """Nothing begins, the channel says why, and when the server is back each message goes once."""
    batch = [parcel(n, f"lead{n}@acme.example") for n in range(3)]
    with Wire(replies) as wire:
        email = SmtpChannel(wire.url, connections=1, timeouts=QUICK)
        receipts = email.deliver(batch, NoJournal(), never)
        down, taken = email.down or "", list(wire.taken)
        wire.replies = dict(USUAL)
        again = email.deliver(batch, NoJournal(), never)
        email.close()

    assert [receipt.verdict for receipt in receipts] == [DOWN] * 3
    assert down.startswith(says)
    assert taken == []
    assert [receipt.verdict for receipt in again] == ["accepted"] * 3
    assert len(wire.taken) == 3


CUT = {"MAIL": "try_later", "RCPT": "try_later", "DATA": "try_later", "end": "unknown"}


@pytest.mark.parametrize(("phase", "verdict"), CUT.items())
def test_a_line_that_is_cut(phase, verdict):
    """Before the dot the server must forget the message; after it nobody knows, and it is not said again."""
    with Wire({phase: None}) as wire:
        email = SmtpChannel(wire.url, connections=1, timeouts=QUICK)
        first = email.deliver([parcel(1, "x@acme.example")], NoJournal(), never)
        wire.replies = dict(USUAL)
        second = email.deliver([parcel(2, "behind@acme.example")], NoJournal(), never)
        email.close()

    assert [first[0].verdict, second[0].verdict] == [verdict, "accepted"]
    assert len(wire.taken) == (2 if phase == "end" else 1)


def test_a_server_that_does_not_know_rset():
    """Its line is left for a new one, and the neighbour arrives."""
    with Wire({"RSET": b"502 what\r\n", "RCPT": b"550 no\r\n"}) as wire:
        email = SmtpChannel(wire.url, connections=1, timeouts=QUICK)
        first = email.deliver([parcel(1, "x@acme.example")], NoJournal(), never)
        wire.replies["RCPT"] = b"250 ok\r\n"
        second = email.deliver([parcel(2, "behind@acme.example")], NoJournal(), never)
        email.close()

    assert [first[0].verdict, second[0].verdict] == ["refused", "accepted"]
    assert wire.connections == 2


def test_an_old_server_that_knows_helo_alone():
    """RFC 5321 section 3.2."""
    with Wire({"EHLO": b"502 what\r\n"}) as wire:
        email = SmtpChannel(wire.url, connections=1, timeouts=QUICK)
        verdict = email.deliver([parcel(1, "x@acme.example")], NoJournal(), never)[0].verdict
        email.close()

    assert verdict == "accepted"


def test_silence_after_the_dot_is_waited_for(relay):
    """The wait after the dot is its own (RFC 5321 4.5.3.2.6): longer than a reply's, and one copy arrives."""
    relay.taken.clear()
    email = SmtpChannel(relay.url, connections=1, timeouts=Timeouts(connect=2, reply=0.2, end=5))
    receipts = email.deliver([parcel(1, "slow-end@acme.example")], NoJournal(), never)
    email.close()

    assert receipts[0].verdict == "accepted"
    assert len(relay.taken) == 1
    assert (Timeouts().reply, Timeouts().end) == (300, 600)


UTF8_REFUSED = {"MAIL": b"553 5.6.7 no such letters here\r\n", "EHLO": b"250-wire\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"}


def test_a_refusal_of_smtputf8_concerns_the_message():
    """MAIL with SMTPUTF8 refused: this message asks for it, the channel is well."""
    odd = parcel(1, "مريم@acme.example", payload="To: مريم@acme.example\r\n\r\nx\r\n".encode())
    with Wire(UTF8_REFUSED) as wire:
        email = SmtpChannel(wire.url, connections=1, timeouts=QUICK)
        receipt = email.deliver([odd], NoJournal(), never)[0]
        down = email.down
        email.close()

    assert (receipt.verdict, down) == ("refused", None)
    assert receipt.detail.startswith("MAIL 553")
