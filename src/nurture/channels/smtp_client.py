"""smtplib's commands with replies and time limits of our own, and the door that they knock at."""

from __future__ import annotations

import re
import select
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NoReturn, TypeVar

from nurture import clock

#: Seconds after which a reply is late; it is said so again whenever the wait has doubled.
SLOW = 0.001
_LONGEST_REPLY = 65_536
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_CONSENTS = re.compile(rb"250 [^\n]*\n25[012] [^\n]*\n354 [^\n]*\n")
Link = TypeVar("Link", bound=socket.socket)


class LineDown(Exception):
    """The server cannot be used at all, for whatever message; the text says in which phase and why."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds. RFC 5321 section 4.5.3.2 asks for at least these for a reply and for the one after the dot."""

    connect: float = 30
    reply: float = 300
    end: float = 600


@dataclass(frozen=True)
class Door:
    """Where the server is and how it is entered."""

    host: str
    port: int
    implicit_tls: bool
    user: str | None
    password: str | None = field(repr=False)
    #: What we call ourselves (RFC 5321 section 4.1.1.1).
    helo: str
    timeouts: Timeouts
    tls: ssl.SSLContext
    #: The operator says that the way there is safe without TLS.
    plain: bool = False

    @property
    def loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Client(smtplib.SMTP):
    """smtplib's commands; replies are read here, against one deadline each (a byte a second is no answer)."""

    def __init__(self, door: Door) -> None:
        super().__init__(local_hostname=door.helo, timeout=door.timeouts.connect)
        self.door = door
        self.patience = door.timeouts.reply
        #: What came, and belongs to replies that nobody has asked for yet.
        self.unread = b""
        #: How many bytes of the last `send` may have left.
        self.left = 0
        #: Called while a reply is late.
        self.slow: Callable[[], None] | None = None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        link = socket.create_connection((host, port), timeout)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is said waits for no answer
        return self.secured(link) if self.door.implicit_tls else self._opened(link)

    def secured(self, link: socket.socket) -> ssl.SSLSocket:
        link.settimeout(self.door.timeouts.connect)
        return self._opened(self.door.tls.wrap_socket(link, server_hostname=self.door.host))

    def _opened(self, link: Link) -> Link:
        """From now on nothing blocks but `_wait`, which keeps the deadlines."""
        link.settimeout(0)
        self._tls = link if isinstance(link, ssl.SSLSocket) else None
        self._readable = select.poll()
        self._readable.register(link, select.POLLIN)
        return link

    def send(self, said: Any) -> None:
        """Send all of `said` within the present patience."""
        data = memoryview(said.encode(self.command_encoding) if isinstance(said, str) else said)
        end, self.left = 0.0, 0
        try:
            while self.left < len(data):
                try:
                    self.left += self._link().send(data[self.left :])
                except _NOT_YET as busy:
                    end = end or clock.monotonic() + self.patience
                    self._wait(select.POLLIN if isinstance(busy, ssl.SSLWantReadError) else select.POLLOUT, end)
        except OSError as problem:
            if self._tls is not None:  # how far it came with what it was given, nobody can say
                self.left = len(data)
            self.cut(str(problem))

    def getreply(self) -> tuple[int, bytes]:
        end, said, size = 0.0, [], 0
        while True:
            line, whole, rest = self.unread.partition(b"\n")
            if not whole:
                end = end or clock.monotonic() + self.patience
                self._hear(end)
                continue
            self.unread = rest
            size += len(line)
            if size > _LONGEST_REPLY:
                self.cut("the reply has no end")
            if not line[:3].isdigit():
                return -1, line
            said.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(said)  # smtplib reads EHLO by its lines

    def consents(self) -> bool:
        """Whether the usual replies to MAIL, RCPT and DATA are here, one line each; if so, they are read."""
        found = _CONSENTS.match(self.unread)
        if found is not None:
            self.unread = self.unread[found.end() :]
        return found is not None

    def spoken(self) -> bool:
        """Whether the server said what nobody asked for; raises if it hung up. Not seen through TLS."""
        if self.unread:
            return True
        if self._tls is not None or not self._readable.poll(0):
            return False
        if not self._link().recv(1, socket.MSG_PEEK):
            self.cut("the connection was closed")
        return True

    def _hear(self, end: float) -> None:
        """Read what is said next, until `end`."""
        if self._tls is None or not self._tls.pending():
            self._wait(select.POLLIN, end)
        try:
            data = self._link().recv(4096)
        except _NOT_YET as busy:
            if isinstance(busy, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT, end)
            return
        except OSError as problem:
            self.cut(str(problem))
        if not data or len(self.unread) > _LONGEST_REPLY:
            self.cut("the reply has no end" if data else "the connection was closed")
        self.unread += data

    def _wait(self, what: int, end: float) -> None:
        """Until the line can be read or written; raises at `end` of the monotonic clock."""
        ready = self._readable
        if what != select.POLLIN:
            ready = select.poll()
            ready.register(self._link(), what)
        pause = SLOW
        while (left := end - clock.monotonic()) > 0:
            if ready.poll(min(pause, left) * 1e3):
                return
            if self.slow is not None:
                self.slow()
            pause *= 2
        self.cut(f"no answer within {self.patience:g} s")

    def _link(self) -> socket.socket:
        if self.sock is None:
            self.cut("the connection is closed")
        return self.sock

    def cut(self, reason: str) -> NoReturn:
        """Close, and say so as smtplib does."""
        self.close()
        raise smtplib.SMTPServerDisconnected(reason)
