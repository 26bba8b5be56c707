"""One SMTP connection: opened, and one message at a time carried over it (RFC 5321).

A message passes the phases MAIL, RCPT, DATA (its envelope), BODY, END (its dot has left). Where the server offers
PIPELINING (RFC 2920) the envelope leaves in one write, and that of the next message *rides* behind the dot of the one
before: its replies are read once that one's is, and its body waits for them, the journal and the stop like any other.

Where the connection breaks decides what is known. Before the final dot the server must forget the message
(RFC 5321 section 4.1.1.4): *try later*. After it, nobody knows: *unknown*, never a second attempt. An envelope that
rode is said again on another line.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Sequence

from nurture import clock
from nurture.channels.base import Journal, Parcel, Receipt, Stop, Verdict, receipt
from nurture.channels.smtp_client import Client, Door, LineDown
from nurture.channels.smtp_message import envelope, needs_utf8, stuffed
from nurture.failpoints import armed, reach

#: What is asked before the body, and the replies that consent; how many replies an earlier refusal leaves unread.
_CONSENTS = {"MAIL": (250,), "RCPT": (250, 251, 252), "DATA": (354,)}
_OWED = {"MAIL": 2, "RCPT": 1}
#: Bytes of a body that leave with their dot in one write: with an envelope behind, what one TLS record holds.
_ONE_WRITE = 15_000
#: The next parcel, if one may go at once.
Ahead = Callable[[], Parcel | None]


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
        #: Whose envelope left with the last message's dot, and its body as it will be said.
        self._riding: tuple[Parcel, bytes] | None = None
        #: Where in the last write the dot stood.
        self._dot = 0
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
        #: The extensions that the server offers, in small letters.
        self.offers = frozenset(client.esmtp_features)
        self._pipelines = "pipelining" in self.offers
        size = client.esmtp_features.get("size", "")
        #: Bytes of a message that it takes at most; 0: it does not say; None: it asks for no size.
        self._most = (int(size) if size.isdecimal() else 0) if "size" in self.offers else None

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

    def send(self, parcel: Parcel, journal: Journal, stop: Stop, ahead: Ahead = lambda: None) -> Receipt:
        """Carry one message; `ahead` may give the next one, which this line must then be given next.

        Raises LineDown when the server refuses whatever comes, Stale on a lost line.
        """
        client, fresh = self._client, not self.phase
        if self._riding is not None and self._riding[0] is not parcel:  # the server waits for another's body
            self.close()
            raise Stale
        try:
            refused = self._offer(parcel, fresh)
            if refused is not None:
                return refused
            body = self._riding[1] if self._riding is not None else stuffed(parcel.payload)
            self._riding = None
            self._note(journal, parcel)
            if stop(parcel):  # asked after the journal's line: who slept in between finds out that another took over
                self.close()  # no RSET after 354: without the dot the server forgets it
                return receipt(parcel, "not_started", "not begun: called off before the body")
            reach("journaled")
            early = self._carry(body, ahead)
            if early is not None:
                self.close()
                return receipt(parcel, _verdict(early[0]), "BODY", early[0], _text(early[1]))
            client.patience = self.door.timeouts.end
            code, text = client.getreply()
            reach("answered")
        except (smtplib.SMTPServerDisconnected, OSError) as cut:
            self.close()
            if self.phase == "MAIL" and not fresh:
                raise Stale from None
            if self.phase == "END" and client.left <= self._dot:  # it broke before the dot could leave
                self.phase = "BODY"
            return receipt(parcel, "unknown" if self.phase == "END" else "try_later", self.phase, cut)
        self.carried += 1
        if 200 <= code < 300:
            return receipt(parcel, "accepted", "END", code, _text(text))
        return self._refused(parcel, code, text)

    def _offer(self, parcel: Parcel, fresh: bool) -> Receipt | None:
        """Say the envelope, unless it rode with the last message; None as soon as the server asks for the body."""
        client = self._client
        self.phase, client.patience = "MAIL", self.door.timeouts.reply
        said: Sequence[bytes] = ()
        if self._riding is None:
            asked = envelope(parcel, self.offers, self._most)
            if isinstance(asked, Receipt):
                return asked
            said = asked
            if self._pipelines:
                client.send(b"".join(said))
        if self._pipelines and client.consents():
            return None
        for place, (self.phase, wanted) in enumerate(_CONSENTS.items()):
            if not self._pipelines:
                client.send(said[place])
            code, text = client.getreply()
            if code not in wanted:
                self._riding = None
                return self._refused(parcel, code, text) if place else self._mail_refused(parcel, code, text, fresh)
        return None

    def _carry(self, body: bytes, ahead: Ahead) -> tuple[int, bytes] | None:
        """The body, its dot and the envelope that rides with it; what the server said before the dot, if it did.

        What fits into one write leaves with its dot: nobody could hear a word in between.
        """
        client, self.phase = self._client, "BODY"
        following = ahead() if self._pipelines else None
        rides = envelope(following, self.offers, self._most) if following is not None else ()
        if len(body) > _ONE_WRITE or armed("half_body"):
            half = len(body) // 2
            client.send(body[:half])
            reach("half_body")
            client.send(body[half:])
            body = b""
        if client.spoken():
            client.patience = min(5, self.door.timeouts.reply)
            return client.getreply()
        self.phase, self._dot = "END", len(body)
        if following is None or isinstance(rides, Receipt):
            client.send(body + b".\r\n")
            reach("dotted")
        else:
            client.send(b"".join((body, b".\r\n", *rides)))
            reach("dotted")
            self._riding = (following, stuffed(following.payload))  # while the server works
        return None

    def when_slow(self, do: Callable[[], None] | None) -> None:
        """`do` is called while a reply is waited for that is late."""
        self._client.slow = do

    @property
    def secured(self) -> bool:
        """Whether the line is encrypted, the certificate verified."""
        return isinstance(self._client.sock, ssl.SSLSocket)

    def close(self, *, politely: bool = False) -> None:
        """Hang up; `politely` with QUIT."""
        self.alive, self._riding = False, None
        if politely:
            try:
                self._client.patience = min(5, self.door.timeouts.reply)
                self._client.docmd("QUIT")
            except (OSError, smtplib.SMTPException):
                pass
        self._client.close()

    def _mail_refused(self, parcel: Parcel, code: int, text: bytes, fresh: bool) -> Receipt:
        """Of 5xx, 552 speaks of this message's size, and any may speak of SMTPUTF8 where this one asks for it."""
        if code in (421, 503) and not fresh:  # "too long idle", "enough messages", "nested": said to the connection
            self.close()
            raise Stale
        if 500 <= code < 600 and code != 552 and not needs_utf8(parcel):
            self.close()
            raise LineDown(f"MAIL {code} {_text(text)}")
        return self._refused(parcel, code, text)

    def _refused(self, parcel: Parcel, code: int, text: bytes) -> Receipt:
        """A reply that is no consent; the line is made clean, so that the next message is not harmed."""
        unclear = self.phase == "END" and not 400 <= code < 600
        verdict: Verdict = "unknown" if unclear else _verdict(code)
        if not 400 <= code < 600 or code == 421:
            self.close()
        elif self._riding is None:  # else the next envelope has begun anew already
            self._clean()
        return receipt(parcel, verdict, self.phase, code, _text(text))

    def _clean(self) -> None:
        """Hear out what is still owed to an envelope that left whole, then RSET; a line that is not clean is closed."""
        client = self._client
        client.patience = self.door.timeouts.reply
        try:
            code = 250
            for _ in range(_OWED.get(self.phase, 0) if self._pipelines else 0):
                code = client.getreply()[0]
            if code == 354:  # it waits for a body that would go to nobody: an empty one is refused (RFC 2920 3.1)
                if self.phase == "MAIL":  # to nobody, or to whom it took after all
                    return self.close()
                client.send(b".\r\n")
                if not 400 <= client.getreply()[0] < 600:
                    return self.close()
            if client.docmd("RSET")[0] != 250:
                self.close()
        except (OSError, smtplib.SMTPException):
            self.close()

    def _note(self, journal: Journal, parcel: Parcel) -> None:
        try:
            journal.started(parcel.touch_id)
        except Exception as problem:
            self.close()
            raise LineDown(f"the journal cannot be written: {problem}") from None


def _verdict(code: int) -> Verdict:
    return "refused" if 500 <= code < 600 else "try_later"


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
