"""The company's CRM on loopback: it believes a call only if its signature is right, and counts each one once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from email.message import Message
from typing import Any

from nurture.demo.endpoint import Endpoint

#: Of so many new calls one finds it busy at first.
_BUSY = 25


class Crm(Endpoint):
    """`key`: what signs the calls, as `nurture endpoints --secret crm` prints it.

    `told`: what each call said, by its id; `later`: ids that came again after a 503; `forged`: calls that were not
    signed with the key (Standard Webhooks 1.0.0: HMAC-SHA256 over id, timestamp and body).
    """

    def __init__(self) -> None:
        super().__init__()
        self.key = b""
        self.told: dict[str, dict[str, Any]] = {}
        self.later: set[str] = set()
        self.forged = 0
        self._seen: set[str] = set()

    def take(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        """One call."""
        number = headers["webhook-id"] or ""
        signed = f"{number}.{headers['webhook-timestamp']}.".encode() + body
        ours = "v1," + base64.b64encode(hmac.digest(self.key, signed, hashlib.sha256)).decode()
        if not self.key or not hmac.compare_digest(ours, headers["webhook-signature"] or ""):
            self.forged += 1
            return 401, b""
        if number not in self._seen:
            self._seen.add(number)
            if len(self._seen) % _BUSY == 0:
                return 503, b""
        elif number not in self.told:
            self.later.add(number)
        self.told.setdefault(number, json.loads(body))
        return 204, b""
