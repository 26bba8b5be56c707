"""Slack and Teams as far as their documentation says what they take; a rule that is broken is answered as they do.

A path says what else happens: `/busy` is above its rate, `/gone`, `/archived`, `/broken`, `/silent`, `/inside` (Teams took
the request, and its endpoint did not take the message).
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DOCS = "https://docs.slack.dev/reference/block-kit"
#: What Slack would make a link, a mention or a date of: https://docs.slack.dev/messaging/formatting-message-text
SPECIAL = re.compile(r"<[^>]*>|&(?!amp;|lt;|gt;)")
#: 28 KB: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
TEAMS_LARGEST = 28 * 1024


def units(text: str) -> int:
    """Characters as UTF-16 counts them: no count that a vendor may use gives more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def slack_faults(body: bytes) -> list[str]:
    """What Slack's documentation forbids in a message, each with its page."""
    said = json.loads(body)
    blocks = said.get("blocks", [])
    faults = [f"{DOCS}/blocks: 50 blocks"] if len(blocks) > 50 else []
    if not said.get("text") or SPECIAL.search(said["text"]):
        faults.append("https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: text")
    for block in blocks:
        faults += _block_faults(block)
    return faults


def _block_faults(block: dict[str, Any]) -> list[str]:
    kind, page = block["type"], f"{DOCS}/blocks/{block['type']}-block"
    if kind == "header":
        return _text_faults(block["text"], ("plain_text",), 150, page)
    if kind == "section":
        fields = block.get("fields", [])
        faults = [f"{page}: text or fields"] if not fields and "text" not in block else []
        faults += [f"{page}: 10 fields"] if len(fields) > 10 else []
        faults += _text_faults(block["text"], ("plain_text", "mrkdwn"), 3000, page) if "text" in block else []
        return faults + [fault for one in fields for fault in _text_faults(one, ("plain_text", "mrkdwn"), 2000, page)]
    if kind == "actions":
        buttons = block["elements"]
        faults = [f"{page}: 25 elements"] if len(buttons) > 25 else []
        names = [button["action_id"] for button in buttons]
        faults += [f"{page}: action_id is not unique"] if len(set(names)) < len(names) else []
        for button in buttons:
            page = f"{DOCS}/block-elements/button-element"
            faults += _text_faults(button["text"], ("plain_text",), 75, page)
            faults += [f"{page}: url"] if units(button["url"]) > 3000 or button["type"] != "button" else []
            faults += [f"{page}: style"] if button.get("style", "primary") not in ("primary", "danger") else []
        return faults
    if kind == "context":
        faults = [f"{page}: 10 elements"] if not 1 <= len(block["elements"]) <= 10 else []
        return faults + [
            fault for one in block["elements"] for fault in _text_faults(one, ("plain_text", "mrkdwn"), 3000, page)
        ]
    return [f"{DOCS}/blocks: no block '{kind}'"]


def _text_faults(text: dict[str, Any], kinds: tuple[str, ...], most: int, page: str) -> list[str]:
    faults = [] if text["type"] in kinds else [f"{page}: a text of the type {text['type']}"]
    if not 1 <= units(text["text"]) <= most:
        faults.append(f"{page}: 1 to {most} characters")
    if text["type"] == "mrkdwn":
        page = f"{DOCS}/composition-objects/text-object"
        faults += [f"{page}: emoji is for plain_text"] if "emoji" in text else []
        faults += [f"{page}: what it says makes a link or a mention"] if SPECIAL.search(text["text"]) else []
        faults += [f"{page}: plain addresses become links"] if text.get("verbatim") is not True else []
    elif "verbatim" in text:
        faults.append(f"{page}: verbatim is for mrkdwn")
    return faults


def teams_faults(body: bytes) -> list[str]:
    """What Microsoft's documentation forbids in a message, each with its page."""
    page = "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using"
    faults = [f"{page}: 28 KB"] if len(body) > TEAMS_LARGEST else []
    said = json.loads(body)
    faults += [f"{page}: type must be message"] if said.get("type") != "message" else []
    for attachment in said["attachments"]:
        kind, card = attachment["contentType"], attachment["content"]
        faults += [f"{page}: contentType"] if kind != "application/vnd.microsoft.card.adaptive" else []
        faults += [f"{page}: no adaptive card"] if card["type"] != "AdaptiveCard" or card["version"] != "1.5" else []
        strange = [action["type"] for action in card["actions"] if action["type"] != "Action.OpenUrl"]
        faults += [f"{page}: {strange[0]} is not supported"] if strange else []
        for block in card["body"]:
            plain = block["type"] == "RichTextBlock" and all(run["type"] == "TextRun" for run in block["inlines"])
            if not plain:  # a TextBlock's Markdown makes a link of [a](b)
                faults.append("https://learn.microsoft.com/adaptive-cards/schema-explorer/text-run: Markdown")
            elif not all(isinstance(run["text"], str) and run["text"] for run in block["inlines"]):
                faults.append("https://learn.microsoft.com/adaptive-cards/schema-explorer/text-run: text is required")
    return faults


class ChatServer(ThreadingHTTPServer):
    """Both vendors on loopback, under /slack and /teams. `told`: (path, message) that were taken."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.told: list[tuple[str, Any]] = []
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.last: dict[str, float] = {}

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Answer(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        server, path = self.server, self.path
        server.asked.append(path)
        _, vendor, what = [*path.split("/"), "", ""][:3]
        if not self.headers["content-type"].startswith("application/json"):
            return self._say(400, "invalid_payload")
        if what == "silent":
            time.sleep(3)
            return None
        if what in ANSWERS:
            status, word, headers = ANSWERS[what]
            return self._say(status, word, headers)
        # one message a second, https://docs.slack.dev/apis/web-api/rate-limits; Teams takes four
        last, server.last[path] = server.last.get(path, -9.0), time.monotonic()
        if time.monotonic() - last < 0.95:
            return self._say(429, "rate_limited", {"Retry-After": "1"})
        faults = slack_faults(body) if vendor == "slack" else teams_faults(body)
        server.faults += faults
        if faults:
            return self._say(400, "invalid_blocks" if vendor == "slack" else "Bad Request")
        server.told.append((path, json.loads(body)))
        return self._say(200, "ok") if vendor == "slack" else self._say(202, "")

    def _say(self, status: int, word: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(word)), "connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(word.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


INSIDE = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId 1"
ANSWERS: dict[str, tuple[int, str, dict[str, str] | None]] = {
    "busy": (429, "rate_limited", {"Retry-After": "30"}),
    "gone": (404, "no_service", None),
    "archived": (410, "channel_is_archived", None),
    "broken": (503, "", None),
    "inside": (200, INSIDE, None),
}
