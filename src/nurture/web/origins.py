"""Who posts facts, by which key or signature, how much and how often."""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse

from nurture.engine import keys
from nurture.engine.keys import Known
from nurture.intake.batches import Unreadable, read_batch
from nurture.records.types import to_micros
from nurture.tokens import Keys
from nurture.web.guard import LARGEST_BODY
from nurture.web.site import Site
from nurture.web.visitors import MovingWindow, origin

#: Requests a minute: of one network with the key of a website, and with one server key.
BY_VISITOR, BY_SERVER = 240, 600
#: Seconds by which a signed delivery's time may differ from ours (Standard Webhooks 1.0.0).
APART = 300
_DELIVERY = re.compile(r"[!-~]{1,200}")
_SECONDS = re.compile(r"[0-9]{1,12}")


class Turned(Exception):
    """A request that is not taken in: status, one sentence, headers."""

    def __init__(self, status: int, said: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(said)
        self.status, self.headers = status, headers

    def answer(self) -> JSONResponse:
        return JSONResponse({"detail": str(self)}, self.status, self.headers)


@dataclass(frozen=True)
class Caller:
    """A valid key; `delivery`: the id of a signed delivery."""

    key: Known
    delivery: str | None = None


class Origins:
    """Knows callers. Raises Turned for size, then for who it is, then for how often."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._visitors, self._servers = MovingWindow(BY_VISITOR, 60), MovingWindow(BY_SERVER, 60)

    def caller(self, request: Request, sent: bytes, *, servers_only: bool = False) -> Caller:
        """Who sent this request."""
        with self._site.machine.db.read() as link:
            found = self._found(link, request, sent)
        if found is None:
            said = "no valid key or signature; 'nurture key list' shows which keys are valid"
            raise Turned(401, said, {"WWW-Authenticate": "Bearer"})
        a_page = found.key.kind == "site"
        if a_page and servers_only:
            said = "the key of a website sends page views and the events of 'website:' alone; this takes a server key"
            raise Turned(403, said)
        if a_page and len(sent) > LARGEST_BODY:
            raise Turned(413, f"with the key of a website a body may have {LARGEST_BODY:,} bytes")
        wait = self._visitors.wait(origin(request)) if a_page else self._servers.wait(str(found.key.id))
        if wait:
            raise Turned(429, "too many requests", {"Retry-After": str(wait)})
        return found

    def _found(self, link: Connection, request: Request, sent: bytes) -> Caller | None:
        ours = self._site.machine.keys
        said = request.headers.get("authorization", "")
        if said:
            scheme, _, text = said.partition(" ")
            key = keys.opened(link, ours, text.strip()) if scheme.casefold() == "bearer" else None
            return None if key is None else Caller(key)
        if "webhook-signature" in request.headers:
            named = keys.named(link, request.query_params.get("source", ""))
            if named is None or named.kind != "server":
                return None
            delivery = _delivery(request, sent, ours, named.name, self._site.machine.now())
            return None if delivery is None else Caller(named, delivery)
        text = request.query_params.get("key") or _in_body(sent)
        key = keys.opened(link, ours, text) if text else None
        return Caller(key) if key is not None and key.kind == "site" else None  # a secret in an address is none


def _delivery(request: Request, sent: bytes, ours: Keys, name: str, now: datetime) -> str | None:
    """The id of a delivery whose signature and time are right (Standard Webhooks 1.0.0)."""
    number, at = (request.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp"))
    if not _DELIVERY.fullmatch(number) or not _SECONDS.fullmatch(at):
        return None
    said = f"{number}.{at}.".encode() + sent
    rights = [b"v1," + base64.b64encode(hmac.digest(key, said, "sha256")) for key in keys.signings(ours, name)]
    signatures = request.headers["webhook-signature"].encode("latin-1").split()
    if not any([hmac.compare_digest(right, one) for right in rights for one in signatures]):
        return None
    return number if abs(to_micros(now) // 1_000_000 - int(at)) <= APART else None


def _in_body(sent: bytes) -> str:
    if not sent or len(sent) > LARGEST_BODY:
        return ""
    try:
        whole, _ = read_batch(sent, "events")
    except Unreadable:
        return ""
    said = whole.get("key")
    return said if isinstance(said, str) else ""
