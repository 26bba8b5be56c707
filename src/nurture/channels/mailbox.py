"""A mail server for the demo and for tests, on loopback only: it keeps what comes and passes nothing on."""

from __future__ import annotations

import socketserver
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import cast

#: Bytes of one message, as EHLO announces it.
LARGEST = 20_000_000
_LONGEST_LINE = 65_536


@dataclass(frozen=True)
class Kept:
    """One message as it came: its envelope and its bytes, dots unstuffed."""

    sender: str
    to: tuple[str, ...]
    payload: bytes


class _Session(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Speak SMTP until the client goes."""
        sender, to = "", list[str]()
        self.say("220 kept mail")
        while line := self.rfile.readline(_LONGEST_LINE):
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            address = rest.partition("<")[2].partition(">")[0]
            match verb.upper():
                case "EHLO" | "HELO":
                    self.say(f"250-kept mail\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE {LARGEST}")
                case "MAIL" | "RSET":
                    sender, to = address, []
                    self.say("250 ok")
                case "RCPT":
                    to.append(address)
                    self.say("250 ok")
                case "DATA" if to:
                    self.say("354 go on")
                    if (payload := self.body()) is None:
                        return
                    cast(_Server, self.server).keep(Kept(sender, tuple(to), payload))
                    self.say("250 kept")
                    to = []
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("503 not now")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def body(self) -> bytes | None:
        """What comes before CRLF dot CRLF, which alone ends it (CVE-2023-51764); None: that never came."""
        lines, size, whole = list[bytes](), 0, True
        while (line := self.rfile.readline(_LONGEST_LINE)) and size < LARGEST:
            if whole and line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if whole and line.startswith(b".") else line)
            size, whole = size + len(line), line.endswith(b"\r\n")
        return None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, keep: Callable[[Kept], None]) -> None:
        self.keep = keep
        super().__init__(("127.0.0.1", port), _Session)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no event."""


class KeptMail:
    """The server; use it in a `with`. `folder`: also written there as 00001.eml; `port` 0: any free one."""

    def __init__(self, folder: Path | None = None, port: int = 0) -> None:
        self.folder = folder
        self.messages: list[Kept] = []
        self._told = 0
        self._came = Condition()
        self._server = _Server(port, self._keep)
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> KeptMail:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def new(self) -> Iterator[Kept]:
        """Messages that were not yet given out here."""
        while self._told < len(self.messages):
            self._told += 1
            yield self.messages[self._told - 1]

    def wait(self, count: int, seconds: float = 10) -> bool:
        """True as soon as `count` messages have come in all; False after `seconds`."""
        with self._came:
            return self._came.wait_for(lambda: len(self.messages) >= count, seconds)

    def _keep(self, kept: Kept) -> None:
        with self._came:
            self.messages.append(kept)
            if self.folder is not None:
                (self.folder / f"{len(self.messages):05d}.eml").write_bytes(kept.payload)
            self._came.notify_all()
