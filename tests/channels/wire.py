"""A server that says what it is told to say, word by word, and keeps every byte that it hears."""

from __future__ import annotations

import select
import socketserver
import threading
from collections.abc import Mapping, Sequence

Reply = bytes | None
USUAL: dict[str, Reply] = {
    "greeting": b"220 wire\r\n",
    "EHLO": b"250-wire\r\n250 SIZE 1000000\r\n",
    "DATA": b"354 go on\r\n",
    "end": b"250 taken\r\n",
    "QUIT": b"221 bye\r\n",
}


class Wire:
    """`with Wire({"RCPT": b"550 no\\r\\n"}) as wire:`; a reply of None hangs up. Others are `250 ok`.

    A list is said one after the other, its last for ever. `wire.replies` may be changed at any time; `wire.taken` holds
    the messages, `wire.heard` every line. `glued`: what is said to lines that came together leaves together; `drip`:
    in single bytes.
    """

    def __init__(
        self, replies: Mapping[str, Reply | Sequence[Reply]] | None = None, *, glued: bool = False, drip: bool = False
    ) -> None:
        self.replies: dict[str, Reply | Sequence[Reply]] = {**USUAL, **(replies or {})}
        self.drip = drip
        self.heard: list[bytes] = []
        self.taken: list[bytes] = []
        self.connections = 0
        wire = self

        class Session(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True
            rbufsize = 0 if glued else -1
            wbufsize = -1 if glued else 0

            def handle(self) -> None:
                wire.connections += 1
                wire.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that hung up is no event."""

        self._server = Server(("127.0.0.1", 0), Session)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def serve(self, session: socketserver.StreamRequestHandler) -> None:
        """Answer until one of both goes."""
        verb = "greeting"
        while (reply := self._next(verb)) is not None:
            for part in (bytes([byte]) for byte in reply) if self.drip else [reply]:
                session.wfile.write(part)
            if verb == "DATA" and reply.startswith(b"354"):
                session.wfile.flush()
                body = []
                while (line := session.rfile.readline()) not in (b".\r\n", b""):
                    body.append(line)
                if not line:
                    return
                self.taken.append(b"".join(body))
                verb = "end"
                continue
            if session.wbufsize and not select.select([session.connection], [], [], 0.005)[0]:
                session.wfile.flush()
            line = session.rfile.readline()
            self.heard.append(line)
            verb = line.split()[0].decode("ascii", "replace").upper() if line.split() else "QUIT"
            if not line or verb == "QUIT":
                return

    def _next(self, verb: str) -> Reply:
        reply = self.replies.get(verb, b"250 ok\r\n")
        if reply is None or isinstance(reply, bytes):
            return reply
        self.replies[verb] = reply[1:] or reply
        return reply[0]
