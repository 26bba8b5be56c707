"""What came back, told from the bytes of a message alone: its kind, whom a bounce speaks about, what it answers.

Standard forms first: reports on delivery (RFC 3464 in RFC 6522), complaints (RFC 5965), automatic answers (RFC 3834).
Bounces in no standard form are known by their sender, and then by flufl.bounce. Nothing here raises for any bytes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email import message_from_bytes, message_from_string
from email.message import Message
from itertools import islice, takewhile
from typing import Literal

from flufl.bounce import all_failures

from nurture.inbound.severity import Severity, severity, status_in

log = logging.getLogger("nurture.inbound")
Kind = Literal["bounce", "complaint", "automatic", "reply", "unsubscribe", "unclear"]

#: Bytes of a message that are looked at: reports stand before the message that they return.
LOOKED_AT = 1 << 20
#: Bytes that flufl.bounce looks at: its patterns are slow on long lines.
_FLUFL = 1 << 16
_PARTS = 200
_TEXT = 8_000
#: More than any report has; the parser tries each on every line.
_BOUNDARIES = 50
_FIELD = 20_000
_WITH_ADDRESS = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "To", "Cc")
#: Complaints are these (RFC 5965 7.3, RFC 6430) and what is not known; the others are reports on ourselves.
_NO_COMPLAINT = ("not-spam", "auth-failure", "dmarc", "tls-rpt")
_DAEMON = re.compile(r"mailer.?daemon|mail.{0,3}deliver[a-z]* ?(sub)?system|\bNDR\b", re.IGNORECASE)
_POSTMASTER = re.compile(r"post.?master\b", re.IGNORECASE)
_DELAYED = re.compile(r"\bdelay|\bwarning\b", re.IGNORECASE)
_FAILED = re.compile(
    r"undeliver|not deliver|returned mail|returned to sender|fail(ed|ure)|delivery (status|problem|error)|bounce",
    re.IGNORECASE,
)
_MESSAGE_ID = re.compile(r"<[^\s<>@]{1,250}@[^\s<>@]{1,250}>")
_OURS = re.compile(r"<[tn]\.[a-z2-7]{32}@[^\s<>@]{1,250}>")
_TOKEN = re.compile(r"\+[a-z2-7]{42}@[^\s<>@,;:\"']{1,250}", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>@,;:\"']{1,128}@[^\s<>@,;:\"']{1,250}")
#: Where a bounce in plain words begins to quote the message that it returns: a header, or a ruled line that says so.
_HEADERS = ("received:", "return-path:", "message-id:", "mime-version:", "dkim-signature:")
_RULED = ("copy of", "original m", "returned m", "header")


@dataclass(frozen=True)
class Returned:
    """A message that came back. `addresses` and `message_ids`: what it may answer, the surest first."""

    kind: Kind
    #: Of bounces.
    severity: Severity | None = None
    #: RFC 3463 status such as 5.1.1.
    status: str | None = None
    #: Why, in the words of whoever sent it back: one printable line of at most 200 characters, without addresses.
    detail: str | None = None
    addresses: tuple[str, ...] = ()
    #: Addresses with a token that stand somewhere in it: they tell which message it speaks of, and ask for nothing.
    quoted: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()


def read(data: bytes) -> Returned:
    """What `data`, a message as it came, tells."""
    data = data[:LOOKED_AT]
    if data.lower().count(b"boundary=") > _BOUNDARIES:
        return Returned("unclear", detail="has too many parts within parts")
    try:
        return _read(data)
    except RecursionError:  # parts within parts within parts: no report is
        return Returned("unclear", detail="parts are nested too deeply")


def _read(data: bytes) -> Returned:
    message = message_from_bytes(data)
    parts = list(islice(_own(message), _PARTS))
    found = _told(data, message, parts)
    loose = found.kind not in ("reply", "unsubscribe")
    addresses = [address for name in _WITH_ADDRESS for address in _ADDRESS.findall(_joined(message, name))]
    answered = [*_MESSAGE_ID.findall(_joined(message, "In-Reply-To"))]
    answered += reversed(_MESSAGE_ID.findall(_joined(message, "References")))
    returned = [_joined(original, "Message-ID") for original in _originals(parts)] if loose else []
    whole = list(_whole(data, parts)) if loose else []
    ids = [*(i for said in returned for i in _MESSAGE_ID.findall(said)), *answered]
    return replace(
        found,
        addresses=tuple(dict.fromkeys(addresses))[:100],
        quoted=tuple(dict.fromkeys(a for text in whole for a in _TOKEN.findall(text)))[:100],
        message_ids=tuple(dict.fromkeys([*ids, *(i for text in whole for i in _OURS.findall(text))]))[:100],
    )


def _own(message: Message) -> Iterator[Message]:
    """The parts of a message in their order, and none of a message that it carries."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        if part.get_content_maintype() == "multipart":
            waiting.extend(reversed(_carried(part)))


def _carried(part: Message) -> list[Message]:
    """The parts, blocks or the message that a part holds as the parser understood it; none of one that is text."""
    payload = part.get_payload()
    return [inner for inner in payload if isinstance(inner, Message)] if isinstance(payload, list) else []


def _told(data: bytes, message: Message, parts: Sequence[Message]) -> Returned:
    kinds = {part.get_content_type(): part for part in reversed(parts)}
    if "message/feedback-report" in kinds:
        said = _fields(kinds["message/feedback-report"])
        words = _first(said, "Feedback-Type").lower()
        return Returned("unclear" if words in _NO_COMPLAINT else "complaint", detail=one_line(words))
    if "message/delivery-status" in kinds:
        return _report(kinds["message/delivery-status"], _words(parts))
    if _says_daemon(message, parts):
        return _in_words(message, parts)
    if _joined(message, "Subject").strip().lower() == "unsubscribe":
        return Returned("unsubscribe")
    if _is_automatic(message):
        return Returned("automatic")
    if _known_to_flufl(data):
        return _in_words(message, parts)
    if _joined(message, "Return-Path").strip() == "<>":
        return Returned("automatic")
    answers = _joined(message, "In-Reply-To") + _joined(message, "References")
    return Returned("reply" if _MESSAGE_ID.search(answers) or _TOKEN.search(_joined(message, "To")) else "unclear")


def _report(part: Message, words: str) -> Returned:
    """A report on delivery (RFC 3464): the recipient that failed, else the first that is named."""
    recipients = [fields for fields in _groups(part) if "action" in fields or "status" in fields]
    failed = [fields for fields in recipients if fields.get("action", "failed").split()[:1] == ["failed"]]
    if recipients and not failed:  # delayed, delivered, relayed, expanded: nothing is over
        said = recipients[0]
        return Returned("automatic", status=status_in(said.get("status", ""), ""), detail=one_line(said["action"]))
    said = failed[0] if failed else {}
    reason = said.get("diagnostic-code", "") or words
    status = status_in(said.get("status", ""), reason)
    return Returned("bounce", severity(status, reason), status, one_line(reason))


def _in_words(message: Message, parts: Sequence[Message]) -> Returned:
    words = _words(parts)
    status = status_in("", words)
    if _DELAYED.search(_joined(message, "Subject")):
        return Returned("automatic", status=status, detail=one_line(words))
    return Returned("bounce", severity(status, words), status, one_line(words))


def _says_daemon(message: Message, parts: Sequence[Message]) -> bool:
    """Whether a mail system wrote it to say that something failed; a postmaster may also be a person."""
    if message.get("X-Failed-Recipients") is not None or message.get_content_type() == "multipart/report":
        return "disposition-notification" not in _joined(message, "Content-Type").lower()
    if _DAEMON.search(_joined(message, "From")):
        return True
    nobody = _joined(message, "Return-Path").strip() == "<>"
    subject = _joined(message, "Subject")
    if _POSTMASTER.search(_joined(message, "From")):
        return nobody or _FAILED.search(subject + _words(parts)) is not None
    return nobody and _FAILED.search(subject) is not None


def _is_automatic(message: Message) -> bool:
    """RFC 3834 section 5, and what was used before it."""
    said = _joined(message, "Auto-Submitted").strip().lower()
    old = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Response-Suppress")
    bulk = _joined(message, "Precedence").strip().lower() in ("bulk", "junk", "auto_reply", "auto-reply", "list")
    report = message.get_content_type() == "multipart/report"
    return bool(said and not said.startswith("no")) or bulk or report or any(message.get(name) for name in old)


def _known_to_flufl(data: bytes) -> bool:
    """Whether one of its detectors knows this form; a detector that stumbles over a message does not know it."""
    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs each detector that it tries
    try:
        temporary, permanent = all_failures(message_from_bytes(data[:_FLUFL]))
    except Exception as problem:
        log.info("flufl.bounce stumbled: %s", type(problem).__name__)
        return False
    return bool(temporary or permanent)


def _groups(part: Message) -> Iterator[dict[str, str]]:
    """The fields of each block of a delivery-status part, by lower-case name."""
    for block in (_carried(part) or [_fields(part)])[:_PARTS]:
        yield {name.lower(): " ".join(str(value)[:_TEXT].split()) for name, value in block.items()}


def _fields(part: Message) -> Message:
    """The fields that a part consists of, whichever way the parser kept them."""
    return next(iter(_carried(part)), None) or message_from_string(str(part.get_payload()).lstrip())


def _originals(parts: Sequence[Message]) -> Iterator[Message]:
    """Returned messages, or their headers."""
    for part in parts:
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            yield _fields(part)


def _words(parts: Sequence[Message]) -> str:
    """What a bounce says before it quotes what it returns."""
    text = ""
    for part in parts:
        if part.get_content_type() == "message/rfc822":
            break
        broken = part.get_content_maintype() == "multipart" and not part.is_multipart()
        if part.get_content_type() == "text/plain" or broken or (part is parts[0] and not part.is_multipart()):
            text += _decoded(part) + "\n"
    said = takewhile(lambda line: not _quotes(line), text[:_TEXT].splitlines(keepends=True))
    return "".join(said)


def _quotes(line: str) -> bool:
    """Whether the returned message begins with this line."""
    line = line.lower()
    ruled = line.strip(" \t>*|").startswith("--") and any(word in line for word in _RULED)
    return ruled or line.startswith(_HEADERS)


def _whole(data: bytes, parts: Sequence[Message]) -> Iterator[str]:
    """Everything in which a token of ours may stand: the bytes, and parts that were encoded."""
    yield data[:LOOKED_AT].decode("ascii", "replace")
    for part in parts:
        if not part.is_multipart() and _joined(part, "Content-Transfer-Encoding").strip().lower() not in ("", "7bit"):
            yield _bytes(part).decode("ascii", "replace")


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decoded(part: Message) -> str:
    """The beginning of a text part; in UTF-8 where its charset is none that is known."""
    begins = _bytes(part)[:_TEXT]
    try:
        return begins.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        return begins.decode("utf-8", "replace")


def _joined(message: Message, name: str) -> str:
    """All fields of this name on one line."""
    return " ".join(" ".join(str(value)[:_FIELD].split()) for value in message.get_all(name, [])[:10])


def _first(message: Message, name: str) -> str:
    return str(message.get(name, "")).strip()[:_FIELD]


def one_line(text: str) -> str | None:
    """One printable line of at most 200 characters; whose address it was stands elsewhere."""
    masked = _ADDRESS.sub("…", text[:_TEXT])
    kept = " ".join("".join(c if c.isprintable() else " " for c in masked).split())
    return kept[:200] or None
