"""A rendered message as the bytes that travel (RFC 5322, RFC 2045-2047), from a skeleton of our own.

The standard library's EmailMessage takes 1.9 ms per message and, in Python 3.11.7, turns a subject that holds
an encoded line break into a second header; so headers are written here, and what was written is read again
before it leaves. Bodies are 7-bit clean (7bit, quoted-printable or base64): no relay has to convert them, and
a conversion would break a signature (RFC 6376 section 5.3).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote

from nurture.folding import has_controls
from nurture.mail.addresses import ascii_domain, one_address
from nurture.mail.bodies import LONGEST_LINE, USUAL_LINE, encoded, short_lines
from nurture.mail.dkim import Signer
from nurture.mail.faults import BadHeader
from nurture.mail.render import Rendered

#: The headers that leave this house, as the top of a message may hold them, in their order.
_ORDER = b"""DKIM-Signature From To Subject Date Message-ID Reply-To List-Unsubscribe List-Unsubscribe-Post List-Id
    Auto-Submitted MIME-Version Content-Type""".split()
ALLOWED = frozenset(_ORDER)
#: Characters of a subject or a name.
LONGEST_VALUE = 500
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
_LIST_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_URL = re.compile(r"https?://[!-;=?-~]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HALVES = re.compile(r"[\ud800-\udfff]")


def compose(
    rendered: Rendered,
    *,
    from_name: str,
    from_address: str,
    to: str,
    message_id: str,
    date: datetime,
    reply_to: str | None = None,
    list_id: str | None = None,
    unsubscribe_url: str | None = None,
    unsubscribe_to: str | None = None,
    automatic: bool = False,
    signer: Signer | None = None,
    echoes: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The message, ending in CRLF; the same arguments give the same bytes. Raises BadHeader.

    `date`: aware. `list_id`: a dotted name (RFC 2919), no brackets. `unsubscribe_url`: for one click
    (RFC 8058, which wants https); `unsubscribe_to`: an address for the same by mail (RFC 2369). `automatic`: a notice
    of the house itself (RFC 3834). `signer`: puts a DKIM signature on top. `echoes`: headers that the relay takes out
    again; they stand above the signature and are no part of it.
    """
    boundary = "=_" + blake2b(message_id.encode("ascii", "replace"), digest_size=15).hexdigest()
    while boundary in rendered.html or boundary in rendered.text:
        boundary += "_"
    head = [
        _sender(from_name, from_address),
        f"To: {one_address(to)}",
        _subject(rendered.subject),
        _date(date, date.utcoffset()),
        f"Message-ID: {_matching(message_id, _MESSAGE_ID, 'Message-ID')}",
    ]
    if reply_to is not None:
        head.append(f"Reply-To: {one_address(reply_to, 'Reply-To')}")
    if unsubscribe_url is not None:  # never folded: a folded one was seen to break signatures
        by_click = f"<{_matching(unsubscribe_url, _URL, 'List-Unsubscribe')}>"
        head.append(f"List-Unsubscribe: {by_click}{_by_mail(unsubscribe_to)}")
        head.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    if list_id is not None:
        head.append(_list_id(list_id))
    if automatic:
        head.append("Auto-Submitted: auto-generated")
    head.append("MIME-Version: 1.0")
    head.append(f'Content-Type: multipart/alternative; boundary="{boundary}"')
    top, body = "\r\n".join(head).encode(), _body(rendered, boundary.encode())
    if signer is not None:
        top = signer.header(top, body, ascii_domain(from_address), date) + b"\r\n" + top
    if echoes:
        top = "".join(f"{name}: {_safe(value, name)}\r\n" for name, value in echoes).encode() + top
    _inspect(top, tuple([name.encode() for name, _ in echoes]))
    return b"".join((top, b"\r\n\r\n", body))


def _body(rendered: Rendered, boundary: bytes) -> bytes:
    plain, text = encoded(rendered.text, tame=rendered.tame)
    rich, html = encoded(rendered.html, tame=rendered.tame)
    part = b"--" + boundary + b"\r\nContent-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n"
    end = b"\r\n--" + boundary + b"--\r\n"
    return b"".join((part % (b"plain", plain), text, b"\r\n", part % (b"html", rich), html, end))


def _by_mail(address: str | None) -> str:
    """The second way out of a list, by mail (RFC 6068 says what of an address stands in a URL as it is)."""
    if address is None:
        return ""
    to = one_address(address, "List-Unsubscribe")
    if not to.isascii():
        raise BadHeader("List-Unsubscribe", "the address for unsubscribing by mail is not ASCII")
    return f", <mailto:{quote(to, safe='@+')}?subject=unsubscribe>"


@lru_cache(maxsize=64)
def _date(at: datetime, _offset: timedelta | None) -> str:
    """`_offset`: that of `at`; instants that are equal are written apart where it differs."""
    return f"Date: {format_datetime(at)}"


@lru_cache(maxsize=64)
def _list_id(name: str) -> str:
    return f"List-Id: <{_matching(name, _LIST_ID, 'List-Id')}>"


@lru_cache(maxsize=64)
def _sender(name: str, address: str) -> str:
    address = one_address(address, "From")
    phrase = _phrase(_safe(name, "From"), len("From: "))
    if not phrase:
        return f"From: {address}"
    line = f"From: {phrase} <{address}>"
    return line if len(line) <= USUAL_LINE else f"From: {phrase}\r\n <{address}>"


def _phrase(name: str, indent: int) -> str:
    """A display name (RFC 5322 section 3.2.5): atoms, a quoted string, or encoded words."""
    if not name or _ATOMS.fullmatch(name):
        return name
    if name.isascii() and len(name) < USUAL_LINE - indent:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return _words(name, indent)


def _subject(subject: str) -> str:
    subject = _safe(subject, "Subject")
    indent = len("Subject: ")
    plain = subject.isascii() and subject == subject.strip() and len(subject) <= USUAL_LINE - indent
    return f"Subject: {subject if plain else _words(subject, indent)}"


def _words(text: str, indent: int) -> str:
    """Encoded words (RFC 2047): whole characters in each, 75 characters at most, one on each line."""
    words, rest, room = [], text.encode(), (USUAL_LINE - indent - len("=?utf-8?b??=")) // 4 * 3
    while len(rest) > room:
        end = room
        while rest[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        words.append(rest[:end])
        rest, room = rest[end:], 45
    words.append(rest)
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)


def _safe(value: str, header: str) -> str:
    """`value`, if no reader can take it for more than one value (promise: that touch fails, others go on)."""
    if has_controls(value):
        raise BadHeader(header, "holds a control character or a line break")
    if "=?" in value:
        raise BadHeader(header, "holds '=?', which mail programs would decode")
    if len(value) > LONGEST_VALUE:
        raise BadHeader(header, f"is longer than {LONGEST_VALUE} characters")
    if not value.isprintable() and _HALVES.search(value):
        raise BadHeader(header, "holds half a character")
    return value


def _matching(value: str, pattern: re.Pattern[str], header: str) -> str:
    if not pattern.fullmatch(value) or len(value) > LONGEST_LINE - 40 or "=?" in value:
        raise BadHeader(header, f"'{value[:80]!a}' is not of its form")
    return value


def _inspect(top: bytes, more: tuple[bytes, ...] = ()) -> None:
    """Read what was written as a stranger would: known names, each once, no stray line end, no long line."""
    if _shape(more).fullmatch(top) and short_lines(top):
        return
    seen = set()
    for line in top.split(b"\r\n"):
        if len(line) > LONGEST_LINE or b"\r" in line or b"\n" in line or b"\0" in line:
            raise BadHeader("message", "a header's line is too long or broken")
        if line[:1] == b" ":
            continue
        name = line.partition(b":")[0]
        if name not in ALLOWED | {*more} or name in seen:
            raise BadHeader("message", f"would carry the header {name[:40]!r}")
        seen.add(name)
    raise BadHeader("message", "its headers are not in their order")


@lru_cache(maxsize=64)
def _shape(more: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """A head: none or one of each header, `more` first, each on its line and on those that a space continues."""
    names = dict.fromkeys((*more, *_ORDER))
    line = rb"[^\r\n\0]*+(?:\r\n [^\r\n\0]*+)*+(?:\r\n(?!\Z)|\Z)"
    return re.compile(b"".join(rb"(?:%b:%b)?+" % (re.escape(name), line) for name in names))
