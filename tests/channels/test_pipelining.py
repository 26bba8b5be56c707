"""A server that offers PIPELINING (RFC 2920): envelopes leave whole, and the next one rides with a message's end.

Whatever is refused or breaks, each message has the verdict that it would have had alone, and nobody gets another's.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture.channels import smtp_client
from nurture.channels.base import NoJournal, Parcel, Receipt
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.channels.smtp_message import stuffed
from tests.channels.relay import Relay
from tests.channels.test_phases import ANSWERS, DOWN
from tests.channels.test_tls import Authority
from tests.channels.wire import USUAL, Wire

AMPLE = Timeouts(connect=20, reply=20, end=20)
OFFERED = {"EHLO": b"250-wire\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n"}
BODY = b"Subject: %d\r\n\r\n.body\r\n"


def never(*_: object) -> bool:
    return False


def parcel(touch: int, to: str = "", sender: str = "b@us.example", payload: bytes = b"") -> Parcel:
    return Parcel(touch, f"t-{touch}", sender, to or f"lead{touch}@acme.example", payload or BODY % touch)


@pytest.fixture
def send() -> Iterator[Callable[..., SmtpChannel]]:
    """Makes channels of one line and closes them."""
    made: list[SmtpChannel] = []

    def make(url: str, **options: object) -> SmtpChannel:
        made.append(SmtpChannel(url, **({"connections": 1, "timeouts": AMPLE} | options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for channel in made:
        channel.close()


def told(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.verdict for receipt in receipts]


def subjects(wire: Wire) -> list[int]:
    """The numbers of the messages that came whole; an empty one has none."""
    return [int(body.split()[1]) for body in wire.taken if body]


#: Of all that a recipient or a server may answer, what concerns one message.
CASES = {f"{phase}-{code}": verdict for (phase, code), verdict in ANSWERS.items() if verdict != DOWN} | {
    "rcpt-550-go": "refused", "end-354": "unknown", "early-body": "try_later", "cut-end": "unknown",
}  # fmt: skip


@pytest.mark.parametrize(("pipelining", "connections"), [(True, 1), (True, 4), (False, 1)])
def test_no_answer_harms_a_neighbour(send, pipelining, connections):
    """Every answer once, each between two that are taken: the same verdicts with pipelining and without."""
    odd = [
        parcel(2 * n, "x@acme.example", f"{case}@us.example") if case.startswith("mail-")
        else parcel(2 * n, f"{case}@acme.example")
        for n, case in enumerate(CASES, 1)
    ]  # fmt: skip
    others = [parcel(2 * n + 1) for n in range(len(CASES) + 1)]
    batch = [one for pair in zip(others, odd, strict=False) for one in pair] + others[-1:]
    with Relay(pipelining=pipelining) as relay:
        receipts = send(relay.url, connections=connections).deliver(batch, NoJournal(), never)

    found = {one.touch_id: one.verdict for one in receipts}
    assert [found[one.touch_id] for one in odd] == list(CASES.values())
    assert {found[one.touch_id] for one in others} == {"accepted"}
    assert sorted(e.rcpt_tos[0] for e in relay.taken if "lead" in e.rcpt_tos[0]) == sorted(one.to for one in others)
    assert (relay.together > 0) is pipelining


def test_a_batch_is_one_dialogue(send):
    """Three round trips less for each message; the journal knows each body before it leaves, and each reply."""
    lines: list[tuple[str, int]] = []

    class Notes(NoJournal):
        def started(self, touch_id: int) -> None:
            lines.append(("started", touch_id))

        def replied(self, receipt: Receipt) -> None:
            lines.append((receipt.verdict, receipt.touch_id))

    with Wire(OFFERED) as wire:
        receipts = send(wire.url).deliver([parcel(n) for n in range(3)], Notes(), never)

    assert told(receipts) == ["accepted"] * 3
    assert wire.taken == [b"Subject: %d\r\n\r\n..body\r\n" % n for n in range(3)]
    assert lines == [(word, n) for n in range(3) for word in ("started", "accepted")]
    assert wire.connections == 1


@pytest.mark.parametrize("way", [{"glued": True}, {"drip": True}], ids=["glued together", "in single bytes"])
def test_however_replies_arrive(send, way):
    """Refusals among them; nobody's reply is taken for another's."""
    said = OFFERED | {
        "RCPT": [b"250 ok\r\n", b"550 5.1.1 nobody\r\n", b"250-so\r\n250 be it\r\n"],
        "DATA": [b"354 go\r\n", b"554 no valid recipients\r\n", b"354 go\r\n"],
        "end": [b"250 taken\r\n", b"451 later\r\n", b"250-taken\r\n250 gladly\r\n"],
    }
    with Wire(said, **way) as wire:
        receipts = send(wire.url).deliver([parcel(n) for n in range(5)], NoJournal(), never)

    assert told(receipts) == ["accepted", "refused", "try_later", "accepted", "accepted"]
    assert receipts[1].detail == "RCPT 550 5.1.1 nobody"
    assert receipts[4].detail == "END 250 taken gladly"
    assert wire.connections == 1


def replies(**said: object) -> dict[str, object]:
    """Pipelining offered, and each verb's second reply this one."""
    usual = {verb: USUAL.get(verb, b"250 ok\r\n") for verb in said}
    return OFFERED | {verb: [usual[verb], reply, usual[verb]] for verb, reply in said.items()}


NO = b"550 5.1.1 nobody\r\n"
#: What the server says about the second of four: its verdict and its detail, the numbers taken, connections.
SECOND = {
    "RCPT refused, DATA too": (replies(RCPT=NO, DATA=b"503 no recipients\r\n"), "refused", "RCPT 550", [0, 2, 3], 1),
    "RCPT refused, 354 all the same": (
        OFFERED | {"RCPT": [b"250 ok\r\n", NO, b"250 ok\r\n"], "end": [b"250 ok\r\n", b"554 nobody\r\n", b"250 ok\r\n"]},
        "refused", "RCPT 550", [0, 2, 3], 1,
    ),
    "an empty message to nobody is taken": (replies(RCPT=NO), "refused", "RCPT 550", [0, 2, 3], 2),
    "MAIL 452": (
        replies(MAIL=b"452 4.3.1 full\r\n", RCPT=b"503 what\r\n", DATA=b"503 what\r\n"),
        "try_later", "MAIL 452", [0, 2, 3], 1,
    ),
    "MAIL 452, 354 all the same": (replies(MAIL=b"452 4.3.1 full\r\n"), "try_later", "MAIL 452", [0, 2, 3], 2),
    "MAIL 421: said to the line": (replies(MAIL=b"421 enough\r\n"), "accepted", "END 250", [0, 1, 2, 3], 2),
    "MAIL 503: said to the line": (replies(MAIL=b"503 nested\r\n"), "accepted", "END 250", [0, 1, 2, 3], 2),
    "RCPT 421": (replies(RCPT=b"421 closing\r\n"), "try_later", "RCPT 421", [0, 2, 3], 2),
    "DATA 421": (replies(DATA=b"421 closing\r\n"), "try_later", "DATA 421", [0, 2, 3], 2),
    "421 after the dot": (replies(end=b"421 closing\r\n"), "try_later", "END 421", [0, 1, 2, 3], 2),
    "hung up at MAIL": (replies(MAIL=None), "accepted", "END 250", [0, 1, 2, 3], 2),
    "hung up at RCPT": (replies(RCPT=None), "try_later", "RCPT", [0, 2, 3], 2),
    "hung up at DATA": (replies(DATA=None), "try_later", "DATA", [0, 2, 3], 2),
    "cut between the dot and its reply": (replies(end=None), "unknown", "END", [0, 1, 2, 3], 2),
}  # fmt: skip


@pytest.mark.parametrize(("said", "verdict", "detail", "taken", "lines"), SECOND.values(), ids=SECOND.keys())
def test_the_second_of_four(send, said, verdict, detail, taken, lines):
    """Its envelope rides with the first's end, the third's with its own; the others go once each, whatever happens."""
    with Wire(said) as wire:
        receipts = send(wire.url).deliver([parcel(n) for n in range(4)], NoJournal(), never)

    assert told(receipts) == ["accepted", verdict, "accepted", "accepted"]
    assert receipts[1].detail.startswith(detail)
    assert subjects(wire) == taken
    assert wire.connections == lines


def test_a_sender_that_is_refused_takes_the_channel_down(send):
    """5xx at a MAIL that rode: the message before it stands, and nothing else begins."""
    with Wire(OFFERED | {"MAIL": [b"250 ok\r\n", b"550 5.7.1 not you\r\n"]}) as wire:
        channel = send(wire.url)
        receipts = channel.deliver([parcel(n) for n in range(3)], NoJournal(), never)

    assert told(receipts) == ["accepted", DOWN, DOWN]
    assert (channel.down or "").startswith("MAIL 550")
    assert subjects(wire) == [0]


def test_stop_between_354_and_the_body(send):
    """The look is before each body, also of an envelope that rode: it is given up, and its neighbours go."""
    asked: list[int] = []

    def stop(one: Parcel | None = None) -> bool:
        asked.extend([one.touch_id] if one else [])
        return one is not None and one.touch_id == 1

    with Wire(OFFERED) as wire:
        receipts = send(wire.url).deliver([parcel(n) for n in range(3)], NoJournal(), stop)

    assert told(receipts) == ["accepted", DOWN, "accepted"]
    assert subjects(wire) == [0, 2]
    assert asked == [0, 1, 2]


def test_a_journal_that_fails_holds_back_what_rides(send):
    """A reply that cannot be noted: the envelope behind it gets no body, and its line is not used again."""

    class Full(NoJournal):
        def replied(self, receipt: Receipt) -> None:
            raise OSError(28, "No space left on device")

    with Wire(OFFERED) as wire:
        channel = send(wire.url)
        first = channel.deliver([parcel(0), parcel(1)], Full(), never)
        second = channel.deliver([parcel(1), parcel(2)], NoJournal(), never)

    assert told(first) == ["accepted", DOWN]
    assert told(second) == ["accepted", "accepted"]
    assert subjects(wire) == [0, 1, 2]
    assert wire.connections == 2


def test_a_large_body_that_is_cut(send):
    """More than one write: it broke before the dot, and is tried later."""
    large = b"Subject: 1\r\n\r\n" + b"line\r\n" * 2_000_000
    batch = [parcel(0), parcel(1, "cut-body@acme.example", payload=large), parcel(2)]
    with Relay(pipelining=True, data_size_limit=None) as relay:
        receipts = send(relay.url).deliver(batch, NoJournal(), never)

    assert told(receipts) == ["accepted", "try_later", "accepted"]
    assert receipts[1].detail.startswith("BODY")
    assert len(relay.taken) == 2


def test_a_line_is_renewed_before_anything_rides_with_its_last(send):
    """Three messages a connection."""
    with Wire(OFFERED) as wire:
        told_ = told(send(wire.url, renew_after=3).deliver([parcel(n) for n in range(7)], NoJournal(), never))

    assert told_ == ["accepted"] * 7
    assert subjects(wire) == list(range(7))
    assert wire.connections == 3


LINES = {
    "at once": (60.0, [parcel(n) for n in range(8)], 1),
    "slowly": (0.001, [parcel(n, f"slow-end{n}@acme.example") for n in range(3)], 3),
}


@pytest.mark.parametrize(("slow", "batch", "lines"), LINES.values(), ids=LINES.keys())
def test_lines_join_while_a_relay_answers(send, monkeypatch, slow, batch, lines):
    """One is enough where replies come at once; where they are late, each wait brings another."""
    monkeypatch.setattr(smtp_client, "SLOW", slow)
    with Relay() as relay:
        receipts = send(relay.url, connections=4).deliver(batch, NoJournal(), never)

    assert told(receipts) == ["accepted"] * len(batch)
    assert relay.connections == lines


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("offered", [False, True, "secured"])
def test_what_is_offered_over_tls_counts(authority, send, offered):
    """Words from before TLS are forgotten, and what comes then is used (RFC 3207 section 4.2)."""
    batch = [parcel(1), parcel(2, payload=b"Subject: 2\r\n\r\n" + b"line\r\n" * 20_000), parcel(3)]
    with Relay(starttls=authority.server(), password="secret", pipelining=offered, data_size_limit=None) as relay:
        trust: ssl.SSLContext = authority.client()
        channel = send(f"smtp://user:secret@127.0.0.1:{relay.port}", tls=trust)
        receipts = channel.deliver(batch, NoJournal(), never)
        channel.close()

    assert told(receipts) == ["accepted"] * 3
    assert [len(envelope.content or b"") for envelope in relay.taken] == [len(one.payload) for one in batch]
    assert relay.together == (3 if offered else 0)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\xff"]), max_size=12).map(b"".join))
@settings(max_examples=80)
def test_what_follows_data(payload):
    """Only CRLF ends a line, no line is a lone dot, and read back it is the message with its ends made CRLF."""
    said = stuffed(payload)
    lines = said.removesuffix(b"\r\n").split(b"\r\n")

    assert said.endswith(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or line == b"." for line in lines)
    plain = b"\r\n".join(line.removeprefix(b".") for line in lines) + b"\r\n"
    meant = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    assert plain == (meant if meant.endswith(b"\r\n") else meant + b"\r\n")
