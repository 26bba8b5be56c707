"""A client of the YAML language server, the one that most editors run: LSP over standard input and output."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

#: The server, if it is installed: `npm install yaml-language-server`, then its bin folder on PATH, or this variable.
COMMAND = os.environ.get("YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")
_PATIENCE = 60.0


class Editor:
    """An editor with one folder open."""

    def __init__(self, folder: Path) -> None:
        assert COMMAND is not None
        command = ["node", COMMAND] if COMMAND.endswith(".js") else [COMMAND]
        self._server = subprocess.Popen([*command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._number, self._rest = 0, b""
        self._versions: dict[str, int] = {}
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        settings = {"yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}}
        self._settings = settings
        self.ask(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": folder.as_uri(),
                "capabilities": {
                    "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}, "hover": {}},
                    "workspace": {"configuration": True},
                },
            },
        )
        self.tell("initialized", {})
        self.tell("workspace/didChangeConfiguration", {"settings": settings})

    def open(self, file: Path, text: str | None = None) -> list[dict[str, Any]]:
        """Show `file`, or `text` as if it stood there; what is underlined."""
        uri, text = file.as_uri(), file.read_text("utf-8") if text is None else text
        self._diagnostics.pop(uri, None)
        self._versions[uri] = self._versions.get(uri, 0) + 1
        if self._versions[uri] == 1:
            document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
            self.tell("textDocument/didOpen", {"textDocument": document})
        else:
            changed = {"textDocument": {"uri": uri, "version": self._versions[uri]}}
            self.tell("textDocument/didChange", {**changed, "contentChanges": [{"text": text}]})
        while uri not in self._diagnostics:
            self._take()
        return self._diagnostics[uri]

    def completions(self, file: Path, line: int, column: int) -> list[dict[str, Any]]:
        """What is offered at a place, counted from 0."""
        place = {"textDocument": {"uri": file.as_uri()}, "position": {"line": line, "character": column}}
        answer = self.ask("textDocument/completion", place)
        return list(answer["items"] if isinstance(answer, dict) else answer or [])

    def hover(self, file: Path, line: int, column: int) -> str:
        """What is told of the word at a place."""
        place = {"textDocument": {"uri": file.as_uri()}, "position": {"line": line, "character": column}}
        answer = self.ask("textDocument/hover", place)
        return str(answer["contents"]["value"]) if answer else ""

    def close(self) -> None:
        """Leave politely."""
        self.ask("shutdown", None)
        self.tell("exit", None)
        self._server.communicate(timeout=_PATIENCE)

    def ask(self, method: str, params: Any) -> Any:
        """The answer to a request."""
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._take()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message["error"]
                return message["result"]

    def tell(self, method: str, params: Any) -> None:
        """A notification, which nobody answers."""
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._server.stdin is not None
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._server.stdin.flush()

    def _take(self) -> dict[str, Any]:
        message = self._read()
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif message.get("method") == "workspace/configuration":
            parts = [self._settings.get(item.get("section", "")) for item in message["params"]["items"]]
            self._send({"id": message["id"], "result": parts})
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": None})
        return message

    def _read(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        ends = monotonic() + _PATIENCE
        while True:
            head, found, body = self._rest.partition(b"\r\n\r\n")
            length = int(head.rpartition(b"Content-Length:")[2].split(b"\r\n")[0]) if found else 0
            if found and len(body) >= length:
                self._rest = body[length:]
                message: dict[str, Any] = json.loads(body[:length])
                return message
            ready, _, _ = select.select([self._server.stdout], [], [], max(0.0, ends - monotonic()))
            assert ready, "the language server is silent"
            part = os.read(self._server.stdout.fileno(), 1 << 16)
            assert part, "the language server has ended"
            self._rest += part
