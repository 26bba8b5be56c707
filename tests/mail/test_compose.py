"""Bytes on the wire, read back by the standard library's parser, which shares nothing with the writer."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import parseaddr
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nurture.mail.addresses import one_address
from nurture.mail.compose import ALLOWED, compose
from nurture.mail.faults import BadHeader
from nurture.mail.render import Rendered

USUAL: dict[str, Any] = {
    "from_name": "Lena at Brightdesk",
    "from_address": "lena@brightdesk.example",
    "to": "ana@acme.example",
    "message_id": "<t.abcdefghij234567@brightdesk.example>",
    "date": datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
    "reply_to": "hello@brightdesk.example",
    "list_id": "saas-evaluators.brightdesk.example",
    "unsubscribe_url": "https://go.brightdesk.example/u/" + "x" * 60,
}
#: What a nurture mail carries; a signature is put on top where one is asked for.
USUALLY = ALLOWED - {b"Auto-Submitted", b"DKIM-Signature"}


def made(subject: str = "Hello", html: str = "<p>Hi</p>", text: str = "Hi\n", **changed: Any) -> bytes:
    return compose(Rendered(subject, html, text), **(USUAL | changed))


def read(payload: bytes) -> EmailMessage:
    return message_from_bytes(payload, policy=SMTPUTF8)


def test_a_nurture_message():
    """Every header that it should have, each once, and two parts."""
    payload = made()
    message = read(payload)

    assert sorted(message.keys()) == sorted(name.decode() for name in USUALLY)
    assert message["From"] == "Lena at Brightdesk <lena@brightdesk.example>"
    assert message["To"] == "ana@acme.example"
    assert message["Reply-To"] == "hello@brightdesk.example"
    assert message["Subject"] == "Hello"
    assert message["Message-ID"] == USUAL["message_id"]
    assert message["Date"].datetime == USUAL["date"]
    assert message["List-Id"] == "<saas-evaluators.brightdesk.example>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"\r\nList-Unsubscribe: <{USUAL['unsubscribe_url']}>\r\n".encode() in payload
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message.defects == []
    assert payload == made()


def test_a_notice_to_sales():
    """RFC 3834; no list headers."""
    message = read(made(automatic=True, list_id=None, unsubscribe_url=None, reply_to=None))

    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] is None
    assert message["Reply-To"] is None


def plain(text: str) -> str:
    return re.sub(r"\r\n|\r", "\n", text)


BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(BODIES, BODIES)
@example("", "")
@example("a b \n \n.\n..\nFrom x\n", "=\n= \t")
@example("é" * 2000, "x" * 2000)
@example("x" * 999, "x" * 998)
@example("a\x00b", "\x0c\x1f\x7f")
@example("a\rb\r\nc\nd", " trailing ")
@example("=_", "--=_\n--")
@example("\n\n", "\r\n")
@example("é\r\n" * 3 + " ", "no line end é ")
def test_bodies_come_back_as_they_were(text, html):
    """Whatever their letters, line ends and lengths; never a line that is too long, never a bare line end."""
    payload = made(text=text, html=html)
    body, rich = read(payload).iter_parts()

    assert body.get_payload(decode=True) == plain(text).replace("\n", "\r\n").encode()
    assert rich.get_payload(decode=True) == plain(html).replace("\n", "\r\n").encode()
    assert max(map(len, payload.split(b"\r\n"))) <= 998
    assert payload.count(b"\n") == payload.count(b"\r\n") == payload.count(b"\r")
    assert payload.isascii()
    assert b"\x00" not in payload


#: Subject, HTML and text; the encodings of text and HTML; the beginning of SHA-256 of the whole.
KNOWN = {
    "three kinds of line ends": (
        ("Hello", "<p>Hi</p>\r<p>=</p>\r\n.\n\tend \n", "Hi\n\n"),
        [b"7bit", b"7bit"],
        "c2c789ec9e1f67243e439cc9",
    ),
    "lines of 998 and of 999": (
        ("x" * 67, "x" * 998 + "\n" + "y" * 998, "\n" + "x" * 999),
        [b"quoted-printable", b"7bit"],
        "eb727a3201dbdb0930edd416",
    ),
    "German": (
        (
            "Grüße an Ana, und etwas für Ihre Kolleginnen und Kollegen in dieser Woche",
            "<p class='a'>Grüße</p> \r\n.\n" * 9,
            "a" * 200 + " é\t",
        ),
        [b"quoted-printable", b"quoted-printable"],
        "32963fcfb3071067bd1c21df",
    ),
    "one line each": (
        ("a  b ", "ü" + "=x" * 60 + " ", "é" + "x" * 30),
        [b"quoted-printable", b"quoted-printable"],
        "479d71c25b77c3bcb6ef7eb3",
    ),
    "Arabic": (
        ("عرض سعر لك هذا الأسبوع " * 4, "<p>مرحبا بك</p>\n" * 40, "مرحبا" * 19),
        [b"base64", b"base64"],
        "04334a42ca464cb668c7d20a",
    ),
    "controls and half characters": (
        ("日本" * 30, "\x00\x0c\x7f\ud800", "\udfff\x85\u2028\u2029"),
        [b"base64", b"quoted-printable"],
        "8121afe210c843d44416aaca",
    ),
}


@pytest.mark.parametrize(("letter", "encodings", "beginning"), KNOWN.values(), ids=KNOWN.keys())
def test_a_letter_s_bytes_stay_as_they_were(letter, encodings, beginning):
    """A touch that is tried again under a later release travels as it was: its hash is in the books."""
    payload = made(*letter)

    assert re.findall(rb"Content-Transfer-Encoding: (\S+)", payload) == encodings
    assert sha256(payload).hexdigest()[: len(beginning)] == beginning


def test_one_instant_is_written_as_each_zone_has_it():
    """Instants that are equal are no reason to write one's date for the other's."""
    moment = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    zones = {"+0000": UTC, "+0200": timezone(timedelta(hours=2)), "-0530": timezone(-timedelta(hours=5, minutes=30))}

    for offset, zone in zones.items():
        assert read(made(date=moment.astimezone(zone)))["Date"].endswith(offset)


VALUES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"),
    min_size=1,
    max_size=120,
).filter(lambda text: "=?" not in text)


@given(VALUES)
@example("x" * 400)
@example("word " * 60)
@example(" leads and trails ")
@example("عرض سعر " * 20)
@example("👩‍👩‍👧‍👦" * 20)
@example("a  b")
@example("= ?utf-8?q?x?=")
def test_subjects_come_back_as_they_were(subject):
    """Encoded words of whole characters, lines of 76 at most (RFC 2047)."""
    payload = made(subject=subject)
    head = payload.partition(b"\r\nSubject: ")[2].partition(b"\r\nDate: ")[0]

    assert read(payload)["Subject"] == subject
    assert max(map(len, (b"Subject: " + head).split(b"\r\n"))) <= 76
    assert all(len(word) <= 75 for word in re.findall(rb"=\?[^ \r\n]*\?=", head))
    for word in re.findall(rb"=\?utf-8\?b\?([^?]*)\?=", head):
        b64decode(word, validate=True).decode("utf-8")


@given(VALUES)
@example('Lena "the" Pop, \\ Sales <x@y.z>')
@example("مريم " * 20)
@example("a@b.example")
@example(".")
@example("x" * 200)
def test_names_come_back_as_they_were(name):
    """One sender, whatever the display name holds; read by the older parser, which joins encoded words."""
    payload = made(from_name=name)
    shown, address = parseaddr(str(message_from_bytes(payload)["From"]).replace("\r\n", ""))

    (sender,) = read(payload)["From"].addresses
    assert sender.addr_spec == address == "lena@brightdesk.example"
    assert str(make_header(decode_header(shown))).strip() == name.strip()


ANYTHING = st.text(max_size=60) | st.text(
    st.sampled_from("\r\n\0 \t:<>@,;=?\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029aBc.éÿ\ud800\"'\\()"), max_size=40
)
INJECTIONS = [
    "x\r\nBcc: evil@x.example",
    "x\nBcc: evil@x.example",
    "x\rBcc: evil@x.example",
    "=?utf-8?q?hi=0ABcc:_x@y.z?=",
    "x\u2028Bcc: evil@x.example",
    "x\x00",
    "x\x85y",
    "x\x0by",
]


@given(subject=ANYTHING, name=ANYTHING, to=ANYTHING, reply=ANYTHING)
@example(subject="ok", name="ok", to="a@b.example, evil@x.example", reply="a@b.example")
@example(subject="ok", name="ok", to="a@b.c>\r\nRCPT TO:<e@x.example", reply="a@b.example")
@example(subject="ok", name="ok", to="group: a@b.example;", reply="a@b.example")
@example(subject="ok", name="ok", to="a@b.example (note)", reply="a@b.example")
@example(subject="=?utf-8?q?hi=0ABcc:_x@y.z?=", name="x", to="a@b.example", reply="a@b.example")
def test_nothing_adds_a_header_or_a_recipient(subject, name, to, reply):
    """Either BadHeader, or exactly our headers, one sender and one recipient."""
    try:
        payload = made(subject=subject, from_name=name, to=to, reply_to=reply)
    except BadHeader:
        return
    message = read(payload)

    assert sorted(message.keys()) == sorted(name.decode() for name in USUALLY)
    assert len(message["From"].addresses) == 1
    assert [a.addr_spec for a in message["To"].addresses] == [to]
    assert len(list(message.iter_parts())) == 2


@pytest.mark.parametrize("value", INJECTIONS, ids=lambda v: v.encode("unicode_escape").decode())
@pytest.mark.parametrize("field", ["subject", "from_name", "from_address", "to", "reply_to", "message_id", "list_id"])
def test_a_value_that_could_break_a_header_fails_this_message(field, value):
    """BadHeader with the header's name, before a byte is written."""
    with pytest.raises(BadHeader):
        made(**{field: value})


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://x.example/u/abc", True),
        ("http://127.0.0.1:8321/u/abc", True),
        ("https://x.example/u/a>,<mailto:x@y.z", False),
        ("https://x.example/u/a b", False),
        ("javascript:alert(1)", False),
        ("https://x.example/" + "u" * 990, False),
    ],
)
def test_the_unsubscribe_address_is_one_url(url, fine):
    """In angle brackets, on one line."""
    if fine:
        assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in made(unsubscribe_url=url)
    else:
        with pytest.raises(BadHeader, match="List-Unsubscribe"):
            made(unsubscribe_url=url)


ADDRESSES = [
    ("ana@acme.example", "ana@acme.example"),
    ("ana.pop+x@acme.example", "ana.pop+x@acme.example"),
    ("ana@bücher.example", "ana@xn--bcher-kva.example"),
    ("مريم@acme.example", "مريم@acme.example"),
    ("مريم@bücher.example", "مريم@bücher.example"),
    ("", None),
    ("ana", None),
    ("@acme.example", None),
    ("ana@", None),
    ("ana@acme..example", None),
    ("ana@-acme.example", None),
    (".ana@acme.example", None),
    ("a..b@acme.example", None),
    ('"a b"@acme.example', None),
    ("ana@acme.example,bo@acme.example", None),
    ("ana@acme.example bo@acme.example", None),
    ("ana@acme@example.example", None),
    ("Ana <ana@acme.example>", None),
    ("ana@[127.0.0.1]", None),
    ("ana(x)@acme.example", None),
    ("a" * 245 + "@acme.example", None),
    ("=?utf-8?q?a?=@acme.example", None),
    ("ana@acme.example\u200e", None),
    ("ana\u202e@acme.example", None),
    ("ana\u00a0@acme.example", None),
]


@pytest.mark.parametrize(("text", "wire"), ADDRESSES, ids=[repr(row[0])[:40] for row in ADDRESSES])
def test_exactly_one_address(text, wire):
    """IDN domains in ASCII, unless the local part needs SMTPUTF8 anyway."""
    if wire is None:
        with pytest.raises(BadHeader):
            one_address(text)
    else:
        assert one_address(text) == wire


def test_an_address_beyond_ascii_stays_readable():
    """RFC 6532: raw UTF-8 in the header, and nowhere else."""
    payload = made(to="مريم@acme.example")

    assert "To: مريم@acme.example\r\n".encode() in payload
    name = read(payload)["To"].addresses[0].username
    assert name.encode("ascii", "surrogateescape").decode() == "مريم"


ECHOES = [("X-SMTPAPI", '{"unique_args": {"nurture": "abc"}}'), ("X-MJ-CustomID", "abc")]


def test_what_a_service_says_again_stands_on_top():
    """One line each, above the message as it is without them."""
    top = "".join(f"{name}: {value}\r\n" for name, value in ECHOES).encode()

    assert made(echoes=ECHOES) == top + made()


@pytest.mark.parametrize(
    "echo",
    [("From", "evil@x.example"), ("X-MJ-CustomID", "def"), ("X-A", "b\r\nBcc: evil@x.example"), ("X-A", "x" * 501)],
    ids=["a header of ours", "one twice", "a line end", "too long"],
)
def test_what_a_service_says_again_adds_nothing_else(echo):
    """Neither a second header of a kind nor one that is not meant."""
    with pytest.raises(BadHeader, match=f"{echo[0]}|header"):
        made(echoes=[*ECHOES, echo])


def test_a_boundary_is_in_no_body():
    """A body that holds the boundary gets another one."""
    boundary = read(made()).get_boundary()
    message = read(made(text=f"--{boundary}--\nafter"))

    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert "after" in next(message.iter_parts()).get_content()


def test_the_parser_agrees_with_the_standard_library_s_own_writer():
    """The same message by EmailMessage says the same."""
    theirs = EmailMessage(policy=SMTP)
    theirs["Subject"] = "Über uns"
    theirs["To"] = "ana@acme.example"
    theirs.set_content("Grüße\n")
    ours = read(made(subject="Über uns", text="Grüße\n"))

    other = read(theirs.as_bytes())
    assert (ours["Subject"], ours["To"]) == (other["Subject"], other["To"])
    assert next(ours.iter_parts()).get_content() == other.get_content()
