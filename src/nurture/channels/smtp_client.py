"""smtplib's commands with replies and time limits of our own, and the door that they knock at."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NoReturn

from nurture import clock

_LONGEST_REPLY = 65_536


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
        self.unread = b""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        link = socket.create_connection((host, port), timeout)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the dot is a small write
        return self.secured(link) if self.door.implicit_tls else link

    def secured(self, link: socket.socket) -> ssl.SSLSocket:
        link.settimeout(self.door.timeouts.connect)
        return self.door.tls.wrap_socket(link, server_hostname=self.door.host)

    def send(self, said: Any) -> None:
        """Send all of `said` within the present patience."""
        data = said.encode(self.command_encoding) if isinstance(said, str) else said
        try:
            if self.sock is None:
                self.cut("the connection is closed")
            self.sock.settimeout(self.patience)
            self.sock.sendall(data)
        except OSError as problem:
            self.cut(str(problem))

    def getreply(self) -> tuple[int, bytes]:
        end, said, size = clock.monotonic() + self.patience, [], 0
        while True:
            line = self._line(end)
            said.append(line[4:].strip())
            size += len(line)
            if size > _LONGEST_REPLY:
                self.cut("the reply has no end")
            if not line[:3].isdigit():
                return -1, line
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(said)  # smtplib reads EHLO by its lines

    def _line(self, end: float) -> bytes:
        while b"\n" not in self.unread:
            left = end - clock.monotonic()
            if left <= 0:
                self.cut(f"no answer within {self.patience:g} s")
            try:
                if self.sock is None:
                    self.cut("the connection is closed")
                self.sock.settimeout(left)
                data = self.sock.recv(4096)
            except TimeoutError:
                continue
            except OSError as problem:
                self.cut(str(problem))
            if not data or len(self.unread) > _LONGEST_REPLY:
                self.cut("the connection was closed" if not data else "the reply has no end")
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def cut(self, reason: str) -> NoReturn:
        """Close, and say so as smtplib does."""
        self.close()
        raise smtplib.SMTPServerDisconnected(reason)
