"""Every way in which a relay can answer, and the verdict that follows; real sockets, a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes

import pytest

from nurture.channels.base import Channel, NoJournal, Parcel, Receipt
from nurture.channels.mailbox import KeptMail
from nurture.channels.smtp import SmtpChannel, Timeouts
from nurture.channels.smtp_message import stuffed
from nurture.errors import SettingsError
from tests.channels.relay import Relay

QUICK = Timeouts(connect=2, reply=1, end=1)
BODY = b"Subject: hello\r\n\r\nbody\r\n"


def parcel(touch: int, to: str = "ana@acme.example", payload: bytes = BODY, sender: str = "b@us.example") -> Parcel:
    return Parcel(touch, f"t-{touch}", sender, to, payload)


def never(*_: object) -> bool:
    return False


class Notes:
    """A journal in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []

    def started(self, touch_id: int) -> None:
        self.lines.append(("started", touch_id))

    def replied(self, receipt: Receipt) -> None:
        self.lines.append((receipt.verdict, receipt.touch_id))


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as running:
        yield running


@pytest.fixture
def send() -> Iterator[Callable[..., SmtpChannel]]:
    """Makes channels and closes them."""
    made: list[SmtpChannel] = []

    def make(url: str, **options: object) -> SmtpChannel:
        made.append(SmtpChannel(url, **({"connections": 1, "timeouts": QUICK} | options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for channel in made:
        channel.close()


FAULTS = [
    ("rcpt-550", "refused", "RCPT 550"),
    ("rcpt-553", "refused", "RCPT 553"),
    ("rcpt-451", "try_later", "RCPT 451"),
    ("data-451", "try_later", "DATA 451"),
    ("data-554", "refused", "DATA 554"),
    ("end-451", "try_later", "END 451"),
    ("end-554", "refused", "END 554"),
    ("end-421", "try_later", "END 421"),
    ("end-354", "unknown", "END 354"),
    ("cut-body", "try_later", "BODY"),
    ("early-body", "try_later", "BODY 451"),
    ("cut-end", "unknown", "END"),
    ("mute-end", "unknown", "END no answer within 1 s"),
    ("drip-end", "unknown", "END no answer within 1 s"),
    ("slow-end", "accepted", "END 250"),
]


@pytest.mark.parametrize("connections", [1, 4], ids=["one line", "four lines"])
@pytest.mark.parametrize(("name", "verdict", "detail"), FAULTS, ids=[row[0] for row in FAULTS])
def test_one_bad_recipient_harms_no_neighbour(relay, send, name, verdict, detail, connections):
    """The verdict follows the phase, and the eight around it arrive once each."""
    big = b"Subject: x\r\n\r\n" + b"line\r\n" * 2_000_000 if name == "cut-body" else BODY
    batch = [parcel(n, f"lead{n}@acme.example") for n in range(9)]
    batch[4] = parcel(4, f"{name}@acme.example", big)

    receipts = send(relay.url, connections=connections).deliver(batch, NoJournal(), never)

    assert receipts[4].verdict == verdict
    assert receipts[4].detail.startswith(detail)
    assert [r.verdict for r in receipts if r.touch_id != 4] == ["accepted"] * 8
    others = sorted(e.rcpt_tos[0] for e in relay.taken if not e.rcpt_tos[0].startswith(name))
    assert others == sorted(f"lead{n}@acme.example" for n in range(9) if n != 4)
    assert [r.touch_id for r in receipts] == list(range(9))


def test_mail_451_concerns_the_message(relay, send):
    """A passing refusal of MAIL is no reason to give up the relay."""
    batch = [parcel(1), parcel(2, sender="mail-451@us.example"), parcel(3)]

    channel = send(relay.url)
    verdicts = [r.verdict for r in channel.deliver(batch, NoJournal(), never)]

    assert verdicts == ["accepted", "try_later", "accepted"]
    assert channel.down is None


def test_mail_550_takes_the_channel_down(relay, send):
    """5xx at MAIL is about us: no lead is marked, what is left was not started."""
    batch = [parcel(1), parcel(2, sender="mail-550@us.example"), parcel(3), parcel(4)]

    channel = send(relay.url)
    receipts = channel.deliver(batch, NoJournal(), never)

    assert [r.verdict for r in receipts] == ["accepted"] + ["not_started"] * 3
    assert channel.down is not None
    assert channel.down.startswith("MAIL 550")
    assert channel.deliver([parcel(5)], NoJournal(), never)[0].verdict == "accepted"
    assert channel.down is None


def test_421_in_the_greeting_takes_the_channel_down(send):
    """Nothing begins while the relay says that it is away."""
    with Relay(greeting="421 4.3.2 shutting down") as relay:
        channel = send(relay.url, connections=4)
        receipts = channel.deliver([parcel(n) for n in range(10)], NoJournal(), never)

    assert {r.verdict for r in receipts} == {"not_started"}
    assert channel.down == "CONNECT 421 4.3.2 shutting down"


def test_no_server_takes_the_channel_down(send):
    """A refused connection is a matter of the operator."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    channel = send(f"smtp://127.0.0.1:{port}")
    receipts = channel.deliver([parcel(1), parcel(2)], NoJournal(), never)

    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert "refused" in (channel.down or "")


def test_a_server_that_says_nothing_takes_the_channel_down(send):
    """A greeting that never comes is waited for once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = send(f"smtp://127.0.0.1:{silent.getsockname()[1]}", timeouts=Timeouts(1, 0.3, 0.3))
        receipts = channel.deliver([parcel(1), parcel(2)], NoJournal(), never)

    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert "no answer within 0.3 s" in (channel.down or "")


def test_a_line_that_went_away_between_batches_is_opened_anew(send):
    """The relay hung up while we were idle: no message suffers."""
    first, second = socket.create_server(("127.0.0.1", 0)), threading.Event()
    heard: list[bytes] = []

    def serve() -> None:
        for turn in range(2):
            link, _ = first.accept()
            with link, link.makefile("rb") as said:
                link.sendall(b"220 hello\r\n")
                for line in said:
                    heard.append(line)
                    if line.startswith(b"DATA"):
                        link.sendall(b"354 go\r\n")
                        while said.readline() != b".\r\n":
                            pass
                        link.sendall(b"250 ok\r\n")
                        if turn == 0:
                            break
                    elif line.upper().startswith(b"QUIT"):
                        break
                    else:
                        link.sendall(b"250 ok\r\n")
            second.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with first:
        channel = send(f"smtp://127.0.0.1:{first.getsockname()[1]}")
        assert channel.deliver([parcel(1)], NoJournal(), never)[0].verdict == "accepted"
        assert second.wait(60)
        assert channel.deliver([parcel(2)], NoJournal(), never)[0].verdict == "accepted"
        channel.close()
        thread.join(60)

    assert sum(line.upper().startswith(b"EHLO") for line in heard) == 2


def test_connections_are_kept_and_renewed(relay, send):
    """Three messages a connection: seven messages need three."""
    channel = send(relay.url, renew_after=3)
    for n in range(7):
        channel.deliver([parcel(n)], NoJournal(), never)

    assert relay.connections == 3
    assert len(relay.taken) == 7


def test_an_old_connection_is_renewed(relay, send):
    """A connection that is too old is replaced, however little it carried."""
    channel = send(relay.url, max_age=0)
    for n in range(3):
        channel.deliver([parcel(n)], NoJournal(), never)

    assert relay.connections == 3


def test_the_journal_is_told_before_and_after(relay, send):
    """`started` stands before the body leaves; a refused recipient never started."""
    notes = Notes()
    batch = [parcel(1), parcel(2, "rcpt-550@acme.example"), parcel(3, "cut-end@acme.example")]

    send(relay.url).deliver(batch, notes, never)

    assert notes.lines == [("started", 1), ("accepted", 1), ("refused", 2), ("started", 3), ("unknown", 3)]


def test_without_a_journal_nothing_leaves(relay, send):
    """A journal that cannot be written stops the body."""

    class Full(NoJournal):
        def started(self, touch_id: int) -> None:
            raise OSError(28, "No space left on device")

    channel = send(relay.url)
    receipts = channel.deliver([parcel(1), parcel(2)], Full(), never)

    assert [r.verdict for r in receipts] == ["not_started"] * 2
    assert "No space left" in (channel.down or "")
    assert relay.taken == []


def test_an_answer_that_cannot_be_noted_ends_the_batch(relay, send):
    """What was answered is in the receipt; nothing further begins."""

    class Full(NoJournal):
        def replied(self, receipt: Receipt) -> None:
            raise OSError(28, "No space left on device")

    receipts = send(relay.url).deliver([parcel(1), parcel(2)], Full(), never)

    assert [r.verdict for r in receipts] == ["accepted", "not_started"]


def test_stop_means_stop(relay, send):
    """Asked before each body: what had not begun is not started, and no body leaves afterwards."""
    asked: list[int] = []

    def stop(*_: object) -> bool:
        asked.append(1)
        return len(relay.taken) >= 3

    receipts = send(relay.url).deliver([parcel(n) for n in range(10)], NoJournal(), stop)

    assert [r.verdict for r in receipts] == ["accepted"] * 3 + ["not_started"] * 7
    assert len(relay.taken) == 3


def test_stop_between_354_and_the_body(relay, send):
    """The last look is after the server's consent; without a dot the server takes nothing."""
    answers = iter([False, True, True])

    receipts = send(relay.url).deliver([parcel(1), parcel(2)], NoJournal(), lambda *_: next(answers))

    assert [r.verdict for r in receipts] == ["not_started", "not_started"]
    assert relay.taken == []


BAD_ADDRESSES = [
    "a@b.example>\r\nRCPT TO:<evil@x.example",
    "a@b.example\r\nDATA",
    "a b@acme.example",
    "<a@acme.example>",
    "a@acme.example, b@acme.example",
    "a@acme.example> SIZE=1",
    "a@b@acme.example",
    "ana@acme.example\u2028",
    "ana\ud800@acme.example",
    "",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=lambda a: ascii(a) or "empty")
def test_what_is_not_one_address_never_reaches_the_wire(relay, send, address):
    """The envelope cannot be bent by a lead's address."""
    receipts = send(relay.url).deliver([parcel(1, address), parcel(2)], NoJournal(), never)

    assert [r.verdict for r in receipts] == ["refused", "accepted"]
    assert len([line for line in relay.said if line.startswith("RCPT")]) == 1


def test_a_message_that_is_too_large_is_not_offered(send):
    """SIZE is looked at before MAIL (RFC 1870)."""
    with Relay(data_size_limit=1000) as relay:
        receipts = send(relay.url).deliver([parcel(1, payload=BODY * 100), parcel(2)], NoJournal(), never)

    assert [r.verdict for r in receipts] == ["refused", "accepted"]
    assert receipts[0].detail == "MAIL: 2400 bytes, the server takes 1000"


@pytest.mark.parametrize(("utf8", "verdict"), [(True, "accepted"), (False, "refused")])
def test_a_letter_beyond_ascii_in_an_address_needs_smtputf8(send, utf8, verdict):
    """RFC 6531: asked for where it is needed, and only there."""
    payload = "To: مريم@acme.example\r\n\r\nbody\r\n".encode()
    with Relay(enable_SMTPUTF8=utf8) as relay:
        batch = [parcel(1, "مريم@acme.example", payload), parcel(2)]
        receipts = send(relay.url).deliver(batch, NoJournal(), never)

    assert [r.verdict for r in receipts] == [verdict, "accepted"]
    assert sum("SMTPUTF8" in line for line in relay.said) == utf8


#: The six ways to end a message that some server took for the end (CVE-2023-51764, -51765, -51766, CVE-2024-27305).
ENDINGS = {
    "LF dot LF": b"\n.\n",
    "LF dot CRLF": b"\n.\r\n",
    "CR dot CR": b"\r.\r",
    "CR dot CRLF": b"\r.\r\n",
    "CRLF dot CR": b"\r\n.\r",
    "CRLF dot LF": b"\r\n.\n",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_no_ending_smuggles_a_second_message(send, ending):
    """CVE-2023-51764, -51765, -51766: whatever a body holds, one message arrives and none is added."""
    smuggled = b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<v@acme.example>\r\nDATA\r\nSubject: bad\r\n\r\nx\r\n"
    payload = b"Subject: good\r\n\r\nbefore" + ending + smuggled + b".\r\n"
    with KeptMail() as box:
        channel = send(box.url)
        receipts = channel.deliver([parcel(1, payload=payload), parcel(2)], NoJournal(), never)
        channel.close()

    assert [r.verdict for r in receipts] == ["accepted", "accepted"]
    assert len(box.messages) == 2
    assert b"MAIL FROM" in box.messages[0].payload


@pytest.mark.parametrize(
    ("payload", "wire"),
    [
        (b"a\r\n", b"a\r\n"),
        (b"a", b"a\r\n"),
        (b"a\nb", b"a\r\nb\r\n"),
        (b"a\rb\r\n", b"a\r\nb\r\n"),
        (b".a\r\n.\r\n..b", b"..a\r\n..\r\n...b\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_lines_and_dots(payload, wire):
    """Only CRLF ends a line, and a leading dot is doubled."""
    assert stuffed(payload) == wire


@pytest.mark.parametrize("url", ["", "mail.example", "http://x", "smtp://", "smtp://h:99999", "smtp://u:p@ss/w@h:25"])
def test_an_unusable_url_says_how_to_write_one(url):
    """The message names the variable and no password."""
    with pytest.raises(SettingsError, match="NURTURE_SMTP_URL") as caught:
        SmtpChannel(url)
    assert "ss/w" not in str(caught.value)


def test_many_messages_on_several_lines_arrive_once_each(send, tmp_path):
    """A thousand messages, four connections, five batches."""
    with KeptMail(tmp_path / "box") as box:
        channel: Channel = send(box.url, connections=4)
        for start in range(0, 1000, 200):
            batch = [parcel(n, f"lead{n}@acme.example") for n in range(start, start + 200)]
            assert {r.verdict for r in channel.deliver(batch, NoJournal(), never)} == {"accepted"}
        channel.close()
        assert box.wait(1000)

    assert sorted(k.to[0] for k in box.new()) == sorted(f"lead{n}@acme.example" for n in range(1000))
    assert list(box.new()) == []
    files = sorted((tmp_path / "box").glob("*.eml"))
    assert len(files) == 1000
    assert message_from_bytes(files[0].read_bytes())["Subject"] == "hello"


def test_an_answer_that_drips_is_no_answer(relay, send):
    """A byte every 0.1 s: the wait for one reply has one end."""
    began = time.monotonic()
    receipts = send(relay.url).deliver([parcel(1, "drip-end@acme.example")], NoJournal(), never)

    assert receipts[0].verdict == "unknown"
    assert time.monotonic() - began < 4
