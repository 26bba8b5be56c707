"""Servers that witness and misbehave: what they took stands in a log that outlives every worker.

`MailSink` speaks SMTP. A recipient's local part may begin with a fault, `PHASE-WHAT.` or `PHASE-WHAT-once.` (the first
time alone): PHASE is `rcpt`, `data`, `body` or `end`, WHAT a code or one of
`cut`    hangs up (at `body`: inside it; at `end`: after the dot, and keeps nothing)
`kept`   takes the message, and hangs up without a word
`hang`   never answers
`drip`   answers a byte at a time, more slowly than anybody waits
`late`   answers after half a second
`close`  answers 250 and hangs up
`early`  speaks before the dot
What concerns everybody (`greeting`, `ehlo`, `mail`) is said in `weather`. `AdsSink` speaks HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_LARGEST = 2**24
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
_DATE = re.compile(rb"^date:[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)
_FAULT = re.compile(r"(rcpt|data|body|end)-(\w+?)(-once)?\.")


@dataclass(frozen=True)
class Came:
    """One body as it came whole. `sha256` leaves the Date line out; `said`: the reply, empty where none was heard."""

    at: float
    to: str
    message_id: str
    sha256: str
    kept: bool
    said: str


def came(log: Path) -> list[Came]:
    """The log of a sink, in order."""
    return [Came(**json.loads(line)) for line in log.read_bytes().splitlines()]


class Hangup(Exception):
    """This connection ends here."""


@dataclass
class MailSink:
    """`with MailSink(log) as sink:` serves in a thread; `serve(socket)` serves in this process until it is killed.

    Every body is written to `log` before it is answered, by one write that no kill can tear. `lost`: the share of
    messages that are kept and whose reply is lost; `later`: the share that is answered 451; both drawn from `seed`.
    """

    log: Path
    lost: float = 0.0
    later: float = 0.0
    seed: int = 0
    #: Seconds, from and to, after which a body is answered.
    thinks: tuple[float, float] = (0.0, 0.0)
    #: `greeting`, `ehlo`, `mail` to a reply, `cut` or `hang`; may be changed at any time.
    weather: dict[str, str] = field(default_factory=dict)
    port: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._chance = random.Random(self.seed)
        self._tries: Counter[str] = Counter()

    def __enter__(self) -> MailSink:
        self._loop = asyncio.new_event_loop()
        self._socket = listening()
        self.port = self._socket.getsockname()[1]
        self._server = self._loop.run_until_complete(self._start(self._socket))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        os.close(self._file)

    def serve(self, listener: socket.socket) -> None:
        """Serve on `listener` for ever."""

        async def forever() -> None:
            await (await self._start(listener)).serve_forever()

        asyncio.run(forever())

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def came(self) -> list[Came]:
        return came(self.log)

    def kept(self) -> list[Came]:
        """What was taken, in order."""
        return [one for one in self.came() if one.kept]

    async def _start(self, listener: socket.socket) -> asyncio.Server:
        return await asyncio.start_server(self._session, sock=listener, limit=_LARGEST)

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.02)  # transports close in the loop's next turns

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = _Talk(reader, writer)
        try:
            await talk.do(self.weather.get("greeting", "220 sink"))
            await self._converse(talk)
        except (Hangup, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _converse(self, talk: _Talk) -> None:
        said = to = ""
        while line := await talk.reader.readline():
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                await talk.do(self.weather.get("ehlo", "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8"))
            elif verb == b"MAIL":
                said, to = self.weather.get("mail", "250 sender"), ""
                await talk.do(said)
            elif verb == b"RCPT":
                named = line.decode().partition("<")[2].partition(">")[0]
                refusal = self._fault("rcpt", named) if said.startswith("250") else "503 5.5.1 MAIL first"
                to = "" if refusal else named
                await talk.do(refusal or "250 recipient")
            elif verb == b"DATA":
                await (self._data(talk, to) if to else talk.do("503 5.5.1 RCPT first"))
            elif verb == b"QUIT":
                await talk.do("221 bye")
                return
            else:
                await talk.do("250 so be it")

    async def _data(self, talk: _Talk, to: str) -> None:
        refusal = self._fault("data", to)
        if refusal is not None:
            await talk.do(refusal)
            return
        await talk.do("354 go on")
        inside = self._fault("body", to)
        if inside is not None:
            await talk.reader.readline()
            await talk.do("451 4.3.2 out of disk" if inside == "early" else inside)
        body = await talk.reader.readuntil(b"\r\n.\r\n")
        answer = self._fault("end", to) or self._drawn()
        kept = answer in ("kept", "late", "close", "drip", "250 taken")
        mark = _MESSAGE_ID.search(body)
        self._note(
            Came(
                at=time.time(),
                to=to,
                message_id=mark[1].decode() if mark else "",
                sha256=hashlib.sha256(_DATE.sub(b"", body, count=1)).hexdigest(),
                kept=kept,
                said={"late": "250", "close": "250"}.get(answer, answer[:3] if answer[:3].isdigit() else ""),
            )
        )
        if self.thinks[1]:
            await asyncio.sleep(self._chance.uniform(*self.thinks))
        await talk.do({"kept": "cut", "late": "late 250 taken"}.get(answer, answer))

    def _drawn(self) -> str:
        draw = self._chance.random()
        return "kept" if draw < self.lost else "451 4.3.0 busy" if draw < self.lost + self.later else "250 taken"

    def _fault(self, phase: str, to: str) -> str | None:
        """What the address asks for at `phase`."""
        found = _FAULT.match(to)
        if found is None or found[1] != phase:
            return None
        self._tries[to] += 1
        if found[3] and self._tries[to] > 1:
            return None
        return f"{found[2]} 4.0.0 as you asked" if found[2].isdigit() else found[2]

    def _note(self, one: Came) -> None:
        os.write(self._file, json.dumps(asdict(one)).encode() + b"\n")


@dataclass
class _Talk:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def do(self, what: str) -> None:
        """Say `what`, or do it; raises Hangup."""
        if what == "cut":
            raise Hangup
        if what == "hang":
            await asyncio.sleep(3600)
        if what == "drip":
            for letter in "250 " + "o" * 3600:
                self.writer.write(letter.encode())
                await asyncio.sleep(1)
        if what.startswith("late "):
            await asyncio.sleep(0.5)
            what = what.removeprefix("late ")
        self.writer.write((b"250 taken" if what == "close" else what.encode()) + b"\r\n")
        await self.writer.drain()
        if what == "close" or what.startswith("421"):
            raise Hangup


def listening() -> socket.socket:
    """A socket on a free port of loopback that listens already."""
    made = socket.create_server(("127.0.0.1", 0), backlog=128)
    made.setblocking(False)
    return made


@dataclass(frozen=True)
class Call:
    """One call of an audience's endpoint."""

    webhook_id: str
    sha256: str
    #: The status, 0 where the line was dropped without an answer.
    answer: int


class AdsSink:
    """`with AdsSink() as sink:`; `sink.calls` is what came. `script`: the next answers; then 200. 0: hangs up."""

    def __init__(self, script: Sequence[int] = ()) -> None:
        self.script = list(script)
        self.calls: list[Call] = []

    def __enter__(self) -> AdsSink:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = sink.script.pop(0) if sink.script else 200
                sink.calls.append(Call(self.headers["webhook-id"], hashlib.sha256(body).hexdigest(), answer))
                if not answer:
                    self.close_connection = True
                    return
                self.send_response(answer)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *said: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What comes meanwhile is answered well and forgotten."""
        before = self.script, self.calls
        self.script, self.calls = [], []
        yield
        self.script, self.calls = before

    def converged(self) -> bool:
        """Whether every key came with one body, and was answered well at the last."""
        bodies: dict[str, set[str]] = {}
        for call in self.calls:
            bodies.setdefault(call.webhook_id, set()).add(call.sha256)
        last = {call.webhook_id: call.answer for call in self.calls}
        return all(len(found) == 1 for found in bodies.values()) and set(last.values()) <= {200}
