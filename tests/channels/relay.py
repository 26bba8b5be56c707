"""A real SMTP server (aiosmtpd) that misbehaves as a recipient's or sender's name says.

A local part is `phase-what`: `rcpt-550`, `data-451`, `end-554`, `mail-421` answer with that code at that
phase; `cut-body` hangs up inside the body, `cut-end` after the dot, `mute-end` never answers, `slow-end`
answers late, `drip-end` answers a byte at a time, `early-body` speaks before the dot. `rcpt-550-go` goes on to 354 all
the same. Anything else is taken.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class Peer(SMTP):
    """One connection of the relay."""

    relay: Relay

    async def push(self, status: Any) -> None:
        text = status.decode() if isinstance(status, bytes) else status
        if text.startswith("220 ") and self.relay.greeting is not None and not self.relay.greeted(self):
            text = self.relay.greeting
        await super().push(text)

    async def smtp_MAIL(self, arg: str) -> None:
        self.relay.said.append(f"MAIL {arg}")
        self.relay.together += bool(vars(self._reader)["_buffer"])  # what follows came with it
        told = _told(arg, "mail")
        if told == "421":
            await self.push("421 4.4.2 too long idle")
            self.hang_up()
        elif told is not None:
            await self.push(f"{told} 4.0.0 at MAIL")
        else:
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:
        self.relay.said.append(f"RCPT {arg}")
        told = _told(arg, "rcpt")
        if told is None:
            await super().smtp_RCPT(arg)
        else:
            await self.push(f"{told} 5.1.1 at RCPT")

    async def smtp_AUTH(self, arg: str) -> None:
        self.relay.said.append("AUTH")
        await super().smtp_AUTH(arg)

    def hang_up(self) -> None:
        """At once, without a word."""
        cast(asyncio.Transport, self.transport).abort()

    async def smtp_RSET(self, arg: str) -> None:
        self.relay.said.append("RSET")
        await super().smtp_RSET(arg)

    async def smtp_DATA(self, arg: str) -> None:
        to = self.envelope.rcpt_tos[0] if self.envelope and self.envelope.rcpt_tos else ""
        if not to and self.relay.said[-1].startswith("RCPT TO:<rcpt-550-go"):
            await self.push("354 go on")
            assert await self._reader.readline() == b".\r\n"
            await self.push("554 5.5.1 no valid recipients")
        elif (told := _told(to, "data")) is not None:
            await self.push(f"{told} 4.3.0 at DATA")
        elif to.startswith("cut-body"):
            await self.push("354 go on")
            await self._reader.readline()
            self.hang_up()
        elif to.startswith("early-body"):
            await super().push("354 go on\r\n451 4.3.2 out of disk")
            await self._reader.read(-1)
        else:
            await super().smtp_DATA(arg)


class Relay:
    """`with Relay() as relay:`; `relay.taken` is what it took, `relay.said` the commands that it heard.

    `greeting`: said instead of 220. `password`: what AUTH wants. `pipelining`: True, or `secured` for offered over TLS
    alone; `together` counts the envelopes that came whole. `options` are aiosmtpd's own.
    """

    def __init__(
        self,
        *,
        greeting: str | None = None,
        starttls: ssl.SSLContext | None = None,
        implicit_tls: ssl.SSLContext | None = None,
        password: str | None = None,
        pipelining: bool | str = False,
        **options: Any,
    ) -> None:
        self.greeting, self.password, self.pipelining, self.together = greeting, password, pipelining, 0
        self.taken: list[Envelope] = []
        self.said: list[str] = []
        self.connections = self.logins = self.port = 0
        self._greeted: set[int] = set()
        self._tls = implicit_tls
        self._options = {
            "tls_context": starttls,
            "authenticator": self.authenticate,
            "auth_required": password is not None,
            "auth_require_tls": True,
            "enable_SMTPUTF8": True,
        } | options

    def __enter__(self) -> Relay:
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(self._peer, host="127.0.0.1", port=0, ssl=self._tls)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.02)  # transports close in the loop's next turns

    def _peer(self) -> Peer:
        self.connections += 1
        peer = Peer(self, loop=self._loop, **self._options)
        peer.relay = self
        return peer

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def greeted(self, peer: Peer) -> bool:
        known = id(peer) in self._greeted
        self._greeted.add(id(peer))
        return known

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, how: str, data: Any) -> AuthResult:
        self.logins += 1
        return AuthResult(success=data.password.decode() == self.password, handled=False)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, name: str, offers: list[str]
    ) -> list[str]:
        session.host_name = name
        if self.pipelining is True or (self.pipelining == "secured" and session.ssl is not None):
            offers.insert(1, "250-PIPELINING")
        return offers

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        to = envelope.rcpt_tos[0]
        if (told := _told(to, "end")) is not None:
            return f"{told} 4.3.0 at the end"
        if to.startswith("mute-end"):
            await asyncio.sleep(30)
        if to.startswith("slow-end"):
            await asyncio.sleep(0.4)
        if to.startswith("drip-end"):
            for letter in "250 " + "o" * 100:
                server._writer.write(letter.encode())
                await asyncio.sleep(0.1)
        self.taken.append(envelope)
        if to.startswith("cut-end"):
            cast(Peer, server).hang_up()
        return "250 2.0.0 taken"


def _told(address: str, phase: str) -> str | None:
    """The code that an address asks for at `phase`."""
    local = address.partition("<")[2] or address
    word, _, code = local.partition("@")[0].partition("-")
    return code[:3] if word == phase and code[:3].isdigit() else None
