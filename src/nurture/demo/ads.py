"""An advertising platform's endpoint on loopback: it takes members in and out."""

from __future__ import annotations

import json
from email.message import Message

from nurture.demo.endpoint import Endpoint


class AdPlatform(Endpoint):
    """`members`: hashed addresses by audience; `calls`: their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, set[str]] = {}
        self.calls: set[str] = set()

    def take(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        """One signed call."""
        said = json.loads(body)
        self.calls.add(headers["webhook-id"])
        inside = self.members.setdefault(said["audience"], set())
        inside |= set(said.get("add", ()))
        inside -= set(said.get("remove", ()))
        return 204, b""
