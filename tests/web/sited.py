"""A program whose website tells of visits: the sample with hosts, keys, and ways to tell."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks import Webhook

from nurture.engine import keys
from nurture.engine.machine import Machine
from tests.web.factories import FILES, PAGE, Visitor

#: Of a browser: 32 hexadecimal digits.
BROWSER_KEY = "c0ffee00" * 4
WEBSITE = "website: {hosts: [acorn.example], events: [video_watched]}\n"
SITED = FILES | {"program.yaml": FILES["program.yaml"] + WEBSITE}
_serial = itertools.count(1)


def key(machine: Machine, name: str, kind: str) -> str:
    """A new key."""
    number = machine.db.transact(lambda link: keys.add(link, name, kind, "test", machine.now()))
    return keys.written(machine.keys, number)


class Page:
    """A page with the snippet, in one browser."""

    def __init__(self, visit: Visitor, site_key: str, browser: str = BROWSER_KEY) -> None:
        self.visit, self.key, self.browser = visit, site_key, browser

    def tells(
        self, event: str = "page_viewed", *, headers: dict[str, str] | None = None, data: Any = None, id: str = "",
        **whole: Any,
    ) -> httpx.Response:  # fmt: skip
        """As nurture.js sends it: text/plain, so that no browser asks beforehand."""
        one = {"event": event, "id": id or f"e{next(_serial)}", "data": data or {"path": "/"}}
        sent = {"visitor": self.browser, "gpc": False, **whole, "events": [one]}
        kind = {**PAGE, "content-type": "text/plain;charset=UTF-8", **(headers or {})}
        return self.visit.post(f"/events?key={self.key}", headers=kind, content=json.dumps(sent))


class System:
    """Another system with a server key; `tells` to /events or /leads."""

    def __init__(self, visit: Visitor, server_key: str) -> None:
        self.visit, self.headers = visit, {"authorization": f"Bearer {server_key}"}

    def tells(self, facts: Any, door: str = "/events") -> httpx.Response:
        content = facts if isinstance(facts, str | bytes) else json.dumps(facts)
        return self.visit.post(door, headers=self.headers, content=content)

    def hears(self, facts: Any, door: str = "/events") -> list[Any]:
        """The lines of the answer: a status, or status and reason."""
        answer = self.tells(facts, door)
        assert answer.status_code == 202, answer.text
        lines = answer.json()[door.removeprefix("/")]
        return [(line["status"], line["reason"]) if "reason" in line else line["status"] for line in lines]


def signed(machine: Machine, name: str, body: bytes, *, number: str = "msg_1", at: int | None = None) -> dict[str, str]:
    """The headers of a delivery as the standard's own library signs it; of two signatures the second is right."""
    moment = machine.now() if at is None else datetime.fromtimestamp(at, UTC)
    right = Webhook(keys.secret(machine.keys, name)).sign(number, moment, body.decode())
    stamp = str(int(moment.timestamp()))
    return {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": f"v1,AAAA {right}"}
