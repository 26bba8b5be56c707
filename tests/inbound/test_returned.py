"""What a message that came back is told to be, from its bytes alone."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nurture.inbound.returned import LOOKED_AT, read
from nurture.inbound.severity import severity, status_in
from tests.inbound.mails import DELAY, EXCHANGE, EXIM, QMAIL, UNKNOWN, US, arf, dsn, letter, plain

KINDS = {
    "no such user": (dsn(), ("bounce", "hard", "5.1.1")),
    "returned whole": (dsn(returned="message/rfc822"), ("bounce", "hard", "5.1.1")),
    "mailbox full (mautic#9190)": (
        dsn(status="5.2.2", said="smtp; 552 5.2.2 mailbox full"), ("bounce", "soft", "5.2.2"),
    ),
    "full, under the number of an unknown user": (
        dsn(said="smtp; 550 5.1.1 user over quota"), ("bounce", "soft", "5.1.1"),
    ),
    "the server is busy (mautic#2961)": (
        dsn(status="4.3.2", said="smtp; 421 4.3.2 busy, try later"), ("bounce", "soft", "4.3.2"),
    ),
    "our host is blocked (mautic#7369)": (
        dsn(status="5.7.1", said="smtp; 550 5.7.1 blocked by our block list"), ("bounce", "sender", "5.7.1"),
    ),
    "blocked, under the number of an unknown user": (
        dsn(said="smtp; 550 5.1.1 sender rejected by policy"), ("bounce", "sender", "5.1.1"),
    ),
    "the field says nothing, the words do": (
        dsn(status="5.0.0", said="smtp; 550 5.1.1 no such user"), ("bounce", "hard", "5.1.1"),
    ),
    "no words": (dsn(said=""), ("bounce", "hard", "5.1.1")),
    "no status": (dsn(status="", said="smtp; 550 what?"), ("bounce", "soft", None)),
    "delayed": (dsn(action="delayed", status="4.4.1"), ("automatic", None, "4.4.1")),
    "delivered": (dsn(action="delivered", status="2.0.0"), ("automatic", None, "2.0.0")),
    "qmail": (plain(QMAIL), ("bounce", "hard", "5.1.1")),
    "exim": (plain(EXIM, X_Failed_Recipients="ana@lead.example"), ("bounce", "soft", "5.2.2")),
    "exchange": (plain(EXCHANGE, From="postmaster@lead.example"), ("bounce", "soft", None)),
    "a warning about a delay": (plain(DELAY, Subject="Warning: message 1a delayed 24 hours"), ("automatic", None, None)),
    "complaint": (arf(), ("complaint", None, None)),
    "complaint of an unknown type": (arf(kind="x-rude"), ("complaint", None, None)),
    "not spam after all": (arf(kind="not-spam"), ("unclear", None, None)),
    "vacation": (letter(UNKNOWN, headers="Auto-Submitted: auto-replied\n"), ("automatic", None, None)),
    "vacation with a comment": (letter(UNKNOWN, headers="Auto-Submitted: auto-replied (vacation)\n"), ("automatic", None, None)),
    "vacation of old": (letter(UNKNOWN, headers="Precedence: auto_reply\n"), ("automatic", None, None)),
    "vacation of Exchange": (letter(UNKNOWN, headers="X-Auto-Response-Suppress: All\n"), ("automatic", None, None)),
    "a person who says so": (letter(UNKNOWN, headers="Auto-Submitted: no\n"), ("reply", None, None)),
    "out of office in the subject alone": (letter(UNKNOWN, subject="Out of office: Hello"), ("reply", None, None)),
    "reply": (letter(UNKNOWN), ("reply", None, None)),
    "reply of a postmaster": (letter(UNKNOWN, headers="From: postmaster@lead.example\n"), ("reply", None, None)),
    "mail out of nowhere": (letter(), ("unclear", None, None)),
    "unsubscribe": (letter(subject="Unsubscribe"), ("unsubscribe", None, None)),
    "nothing": (b"", ("unclear", None, None)),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    data, expected = KINDS[name]
    told = read(data)

    assert (told.kind, told.severity, told.status) == expected


TOKEN = "a2" * 21
CLUES = {
    "the envelope's recipient": (f"X-Original-To: b+{TOKEN}@in.acme.example\n\n", f"b+{TOKEN}@in.acme.example"),
    "the first of them": (f"Delivered-To: b+{TOKEN}@x.example\nTo: c@x.example\n\n", f"b+{TOKEN}@x.example"),
    "the returned message's envelope": (
        dsn(returned=f"message/rfc822\n\nReturn-Path: <b+{TOKEN}@x.example>").decode(), f"+{TOKEN}@x.example",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLUES)
def test_addresses_are_found(name: str) -> None:
    data, expected = CLUES[name]

    told = read(data.encode())

    assert expected in (*told.addresses, *told.quoted)


IDS = {
    "returned headers": dsn(headers="References: <other@x.example>\n"),
    "returned whole": dsn(returned="message/rfc822"),
    "complaint": arf(),
    "reply": letter(UNKNOWN),
    "quoted in plain words": plain(QMAIL),
    "quoted in base64": plain(
        base64.encodebytes(QMAIL.encode()).decode(), Content_Transfer_Encoding="base64", Content_Type="text/plain"
    ),
}


@pytest.mark.parametrize("name", IDS)
def test_the_message_that_it_answers_is_found_first(name: str) -> None:
    assert read(IDS[name]).message_ids[0] == UNKNOWN


def test_a_reply_answers_only_what_it_says() -> None:
    """What a person quotes in the body may be anybody's."""
    assert read(letter("<other@x.example>") + UNKNOWN.encode()).message_ids == ("<other@x.example>", "<x@y.example>")


WHOM = {
    "moved": ("5.1.6", "moved", "hard"),
    "a domain without mail": ("5.1.10", "null MX", "hard"),
    "our address is wrong": ("5.1.8", "bad sender's system address", "sender"),
    "5.1.0 says nothing": ("5.1.0", "no", "soft"),
    "5.1.0 with words": ("5.1.0", "unknown user", "hard"),
    "disabled": ("5.2.1", "mailbox disabled", "soft"),
    "too large": ("5.3.4", "message too big for system", "sender"),
    "no such host": ("5.4.4", "Host or domain name not found", "hard"),
    "Microsoft's unknown user": ("5.4.1", "Recipient address rejected: Access denied", "soft"),
    "contents": ("5.6.0", "bad", "sender"),
    "a policy for the time being": ("4.7.1", "greylisted", "sender"),
    "unknown for now": ("4.1.1", "user unknown", "soft"),
    "a link about spam": ("5.1.1", "no such user, see https://x.example/spam-policy", "hard"),
    "an address that sounds full": ("5.1.1", "<spam.blocked@lead.example> unknown", "hard"),
    "nothing at all": (None, "", "soft"),
}


@pytest.mark.parametrize("name", WHOM)
def test_whom_a_bounce_speaks_about(name: str) -> None:
    status, words, expected = WHOM[name]

    assert severity(status, words) == expected


STATUSES = {
    "a field": ("5.1.1 (bad)", "", "5.1.1"),
    "after the reply code": ("", "1.2.3 550-5.1.1 no 4.4.4", "5.1.1"),
    "an IP address is none": ("", "host 5.1.1.1 said no", None),
    "at the end of a sentence": ("", "said 5.1.1.", "5.1.1"),
    "none": ("x", "y", None),
}


@pytest.mark.parametrize("name", STATUSES)
def test_statuses(name: str) -> None:
    given_status, words, expected = STATUSES[name]

    assert status_in(given_status, words) == expected


def test_the_reason_is_one_line_without_addresses() -> None:
    told = read(dsn(said="smtp; 550 5.1.1 <ana@lead.example>\n \x1b[31m no\x00such user " + "x" * 400))

    assert told.detail is not None
    assert told.detail.startswith("smtp; 550 5.1.1 <…> [31m no such user xxx")
    assert len(told.detail) == 200


PIECES = [dsn(), arf(), letter(UNKNOWN), plain(QMAIL), b"\xff\x00", b"--b\n", b"\n\n", US.encode()]
FIELDS = st.sampled_from(
    [b"Content-Type: ", b"Content-Transfer-Encoding: ", b"Status: ", b"To: =?", b"Auto-Submitted: ", b"message/rfc822\n",
     b"multipart/report; boundary*0=b; charset*=''x\n", b"message/delivery-status\n", b"base64\n", b"\x80: \xc3\n"]
)  # fmt: skip


NESTED = b"".join(b"Content-Type: multipart/mixed; BOUNDARY=%d\n\n--%d\n" % (n, n) for n in range(2000))


@given(st.lists(st.one_of(st.sampled_from(PIECES), FIELDS, st.binary(max_size=40)), max_size=12).map(b"".join))
@example(b"Content-Type: message/rfc822\n\n" * 5000)
@example(b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(3000)))
@example(b"Content-Type: text/plain; charset=idna\nFrom: mailer-daemon\n\n" + b"a" * 9000)
@example(b"x" * (LOOKED_AT + 1))
@example(b"From: MAILER-DAEMON\n\n" + b"-" * 200_000)
@example(b"Content-Type: multipart/report; boundary=r\n\n--r\nContent-Type: text/rfc822-headers\n\n" + NESTED)
def test_nothing_raises(data: bytes) -> None:
    """Any bytes are told to be something, and what is kept of them is short."""
    told = read(data)

    assert len(told.detail or "") <= 200
    assert (told.detail or "").isprintable()
    assert len(told.addresses) <= 100
    assert len(told.message_ids) <= 100


@given(st.data())
def test_a_damaged_report_raises_nothing(data: st.DataObject) -> None:
    """A report with bytes lost, changed or doubled."""
    whole = data.draw(st.sampled_from(PIECES[:4]))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    told = read(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:] + whole[: start // 2])

    assert told.kind in ("bounce", "complaint", "automatic", "reply", "unsubscribe", "unclear")
