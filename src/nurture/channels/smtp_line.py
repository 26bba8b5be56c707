"""One SMTP connection: opened, and one message at a time carried over it (RFC 5321).

Where the connection breaks decides what is known. Before the final dot the server must forget the message
(RFC 5321 section 4.1.1.4): *try later*. After it, nobody knows: *unknown*, never a second attempt.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl

from nurture import clock
from nurture.channels.base import Journal, Parcel, Receipt, Stop, Verdict, receipt
from nurture.channels.smtp_client import Client, Door, LineDown
from nurture.failpoints import armed, reach

_ENDS = re.compile(rb"\r\n|\r|\n")
_PART = r"[^\s<>@,;:()\"\\\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+"
_ADDRESS = re.compile(f"{_PART}@{_PART}")


class Stale(Exception):
    """A connection from before had been closed by the server; nothing of this message was said."""


class Line:
    """An open connection; `alive` until an error after which it cannot be used again."""

    def __init__(self, door: Door) -> None:
        """Connect, greet, secure, log in; raises LineDown."""
        self.door = door
        self.alive = True
        #: How far the message under way has come: MAIL, RCPT, DATA, BODY, END.
        self.phase = ""
        self.carried = 0
        self.opened = clock.monotonic()
        self._client = client = Client(door)
        phase = "CONNECT"
        try:
            self._demand(phase, client.connect(door.host, door.port), 220)
            phase = "EHLO"
            self._greet()
            phase = "STARTTLS"
            self._secure()
            phase = "AUTH"
            if door.user is not None:
                client.login(door.user, door.password or "")
        except LineDown:
            client.close()
            raise
        except smtplib.SMTPResponseException as refusal:
            client.close()
            raise LineDown(f"{phase} {refusal.smtp_code} {_text(refusal.smtp_error)}") from None
        except (OSError, smtplib.SMTPException, ValueError) as problem:
            client.close()
            raise LineDown(f"{phase} {type(problem).__name__}: {problem}") from None
        client.command_encoding = "utf-8"

    def _greet(self) -> None:
        code, text = self._client.ehlo()
        if 500 <= code < 600 or code == -1:  # an old server that knows HELO alone
            code, text = self._client.helo()
        self._demand("EHLO", (code, text), 250)

    def _secure(self) -> None:
        door, client = self.door, self._client
        if door.implicit_tls or door.plain or (door.loopback and door.user is None):
            return
        if not client.has_extn("starttls"):  # nobody on the way may talk us out of it
            if not door.loopback:
                raise LineDown(
                    "STARTTLS is not offered; nothing was sent (write smtps://, or smtp+plain:// where that is safe)"
                )
            return
        self._demand("STARTTLS", client.docmd("STARTTLS"), 220)
        if client.unread or client.sock is None:
            raise LineDown("STARTTLS: something was said before the line was secure")
        client.sock = client.secured(client.sock)
        self._greet()  # what was said before does not count (RFC 3207 section 4.2)

    def _demand(self, phase: str, reply: tuple[int, bytes], wanted: int) -> None:
        if reply[0] != wanted:
            raise LineDown(f"{phase} {reply[0]} {_text(reply[1])}")

    def send(self, parcel: Parcel, journal: Journal, stop: Stop) -> Receipt:
        """Carry one message; raises LineDown when the server refuses whatever comes, Stale on a lost line."""
        client, fresh = self._client, not self.phase
        client.patience, self.phase = self.door.timeouts.reply, "MAIL"
        try:
            options = self._options(parcel)
            if isinstance(options, Receipt):
                return options
            code, text = client.docmd("MAIL", f"FROM:<{parcel.sender}>{options}")
            if code != 250:
                return self._mail_refused(parcel, code, text, fresh, peculiar="SMTPUTF8" in options)
            self.phase = "RCPT"
            code, text = client.docmd("RCPT", f"TO:<{parcel.to}>")
            if code not in (250, 251, 252):
                return self._refused(parcel, code, text)
            self.phase = "DATA"
            code, text = client.docmd("DATA")
            if code != 354:
                return self._refused(parcel, code, text)
            self._note(journal, parcel)
            if stop(parcel):  # asked after the journal's line: who slept in between finds out that another took over
                self.close()  # no RSET after 354: without the dot the server forgets it
                return receipt(parcel, "not_started", "not begun: called off before the body")
            reach("journaled")
            self.phase = "BODY"
            self._body(stuffed(parcel.payload))
            early = self._spoken()
            if early is not None:
                self.close()
                return receipt(parcel, _verdict(early[0]), "BODY", early[0], _text(early[1]))
            self.phase = "END"
            client.send(b".\r\n")
            reach("dotted")
            client.patience = self.door.timeouts.end
            code, text = client.getreply()
            reach("answered")
        except (smtplib.SMTPServerDisconnected, OSError) as cut:
            self.close()
            if self.phase == "MAIL" and not fresh:
                raise Stale from None
            return receipt(parcel, "unknown" if self.phase == "END" else "try_later", self.phase, cut)
        self.carried += 1
        if 200 <= code < 300:
            return receipt(parcel, "accepted", "END", code, _text(text))
        return self._refused(parcel, code, text)

    @property
    def offers(self) -> frozenset[str]:
        """The extensions that the server offers, in small letters."""
        return frozenset(self._client.esmtp_features)

    @property
    def secured(self) -> bool:
        """Whether the line is encrypted, the certificate verified."""
        return isinstance(self._client.sock, ssl.SSLSocket)

    def close(self, *, politely: bool = False) -> None:
        """Hang up; `politely` with QUIT."""
        self.alive = False
        if politely:
            try:
                self._client.patience = min(5, self.door.timeouts.reply)
                self._client.docmd("QUIT")
            except (OSError, smtplib.SMTPException):
                pass
        self._client.close()

    def _options(self, parcel: Parcel) -> str | Receipt:
        """What MAIL says of the message, or why it cannot go this way."""
        for address in (parcel.to, parcel.sender) if parcel.sender else (parcel.to,):
            if not _ADDRESS.fullmatch(address):
                return receipt(parcel, "refused", "MAIL: not one address in the envelope")
        client, size, options = self._client, len(parcel.payload), ""
        if client.has_extn("size"):
            most = client.esmtp_features["size"].strip()
            if most.isdigit() and 0 < int(most) < size:
                return receipt(parcel, "refused", f"MAIL: {size} bytes, the server takes {most}")
            options = f" SIZE={size}"
        if not parcel.payload.isascii():
            if not client.has_extn("8bitmime"):
                return receipt(parcel, "refused", "MAIL: the server takes no 8-bit messages")
            options += " BODY=8BITMIME"
        head = parcel.payload.partition(b"\r\n\r\n")[0]
        if not (head.isascii() and parcel.to.isascii() and parcel.sender.isascii()):
            if not client.has_extn("smtputf8"):
                return receipt(parcel, "refused", "MAIL: the server takes no SMTPUTF8 (RFC 6531)")
            options += " SMTPUTF8"
        return options

    def _mail_refused(self, parcel: Parcel, code: int, text: bytes, fresh: bool, peculiar: bool) -> Receipt:
        """Of 5xx, 552 speaks of this message's size, and any may speak of what only this one asks for (`peculiar`)."""
        if code == 421 and not fresh:  # "too long idle", "enough messages": said to the connection
            self.close()
            raise Stale
        if 500 <= code < 600 and code != 552 and not peculiar:
            self.close()
            raise LineDown(f"MAIL {code} {_text(text)}")
        return self._refused(parcel, code, text)

    def _refused(self, parcel: Parcel, code: int, text: bytes) -> Receipt:
        """A reply that is no consent; the line is made clean, so that the next message is not harmed."""
        unclear = self.phase == "END" and not 400 <= code < 600
        verdict: Verdict = "unknown" if unclear else _verdict(code)
        if not 400 <= code < 600 or code == 421:
            self.close()
        else:
            try:
                if self._client.docmd("RSET")[0] != 250:
                    self.close()
            except (OSError, smtplib.SMTPException):
                self.close()
        return receipt(parcel, verdict, self.phase, code, _text(text))

    def _note(self, journal: Journal, parcel: Parcel) -> None:
        try:
            journal.started(parcel.touch_id)
        except Exception as problem:
            self.close()
            raise LineDown(f"the journal cannot be written: {problem}") from None

    def _body(self, data: bytes) -> None:
        half = len(data) // 2 if armed("half_body") else 0
        if half:
            self._client.send(data[:half])
            reach("half_body")
        self._client.send(data[half:])

    def _spoken(self) -> tuple[int, bytes] | None:
        """What the server said before the dot, if it did; raises if it hung up. Not seen through TLS."""
        link = self._client.sock
        if not self._client.unread:
            if link is None or isinstance(link, ssl.SSLSocket):
                return None
            link.settimeout(0)
            try:
                said = link.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return None
            if not said:
                raise ConnectionResetError("the connection was closed")
        self._client.patience = min(5, self.door.timeouts.reply)
        return self._client.getreply()


def stuffed(payload: bytes) -> bytes:
    """`payload` as it follows DATA: only CRLF ends a line, leading dots doubled (RFC 5321 section 4.5.2)."""
    lines = payload.count(b"\r\n")
    if payload.count(b"\n") != lines or payload.count(b"\r") != lines:
        payload = _ENDS.sub(b"\r\n", payload)
    payload = payload.replace(b"\r\n.", b"\r\n..")
    first = b"." if payload.startswith(b".") else b""
    last = b"" if payload.endswith(b"\r\n") else b"\r\n"
    return first + payload + last


def _verdict(code: int) -> Verdict:
    return "refused" if 500 <= code < 600 else "try_later"


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
