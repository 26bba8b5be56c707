"""A platform for text messages on loopback, which answers as Twilio's Messages API does."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qs

from nurture.demo.endpoint import Endpoint

_ACCOUNT, _TOKEN = "AC" + "d" * 32, "a token for the demo alone"
#: "Invalid 'To' phone number": https://www.twilio.com/docs/api/errors/21211
_NO_SUCH_NUMBER = 21211


@dataclass(frozen=True)
class Text:
    """One message that was taken."""

    to: str
    body: str


class TextPlatform(Endpoint):
    """`taken`: the messages; `refused`: the numbers that do not exist; `strangers`: calls with another login."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Text] = []
        self.refused: list[str] = []
        self.strangers = 0
        self._login = "Basic " + base64.b64encode(f"{_ACCOUNT}:{_TOKEN}".encode()).decode()

    @property
    def account(self) -> str:
        """What NURTURE_SMS_URL says."""
        token = _TOKEN.replace(" ", "%20")
        return f"twilio+http://{_ACCOUNT}:{token}@127.0.0.1:{self.port}?from=%2B15005550006"

    def take(self, headers: Message, body: bytes) -> tuple[int, bytes]:
        """One message; of forty numbers one does not exist."""
        if headers["authorization"] != self._login:
            self.strangers += 1
            return 401, b"{}"
        form = parse_qs(body.decode())
        to = form["To"][0]
        if int(to[-3:]) % 40 == 0:
            self.refused.append(to)
            return 400, json.dumps({"code": _NO_SUCH_NUMBER, "status": 400}).encode()
        self.taken.append(Text(to, form["Body"][0]))
        return 201, json.dumps({"sid": f"SM{len(self.taken):032x}", "status": "queued"}).encode()
