"""What holds for every request and answer: limits on the way in, headers on the way out."""

from __future__ import annotations

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nurture.web.pages import HEADERS

#: Bytes of a URL, of all headers, of a body; seconds that a body may take to arrive.
LONGEST_URL = 2_048
LONGEST_HEADERS = 16_384
LARGEST_BODY = 65_536
BODY_SECONDS = 10.0
#: Bytes where systems send many facts at once, if they bring a key or a signature: door to bytes.
LARGER_BODIES = {"/events": 1_048_576, "/leads": 1_048_576, "/answers": 1_048_576, "/crm": 1_048_576}
#: The same under /hooks/: services send batches, and prove themselves in ways of their own.
LARGEST_HOOK = 262_144
_PROOFS = {b"authorization", b"webhook-signature"}


class Guard:
    """Refuses what is too long before anything looks at it, and puts the house's headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = _refusal(scope)
        await (refusal or self.app)(scope, receive, dressed)


class BodyLimit:
    """Refuses (413) what is longer than its door takes, by what comes and not by what was announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._usual = RequestBodyLimitMiddleware(app, LARGEST_BODY)
        self._hooks = RequestBodyLimitMiddleware(app, LARGEST_HOOK)
        self._larger = {door: RequestBodyLimitMiddleware(app, most) for door, most in LARGER_BODIES.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").startswith("/hooks/"):
            await self._hooks(scope, receive, send)
            return
        larger = self._larger.get(scope.get("path", ""))
        if larger is not None and any(name in _PROOFS for name, _ in scope["headers"]):
            await larger(scope, receive, send)
        else:
            await self._usual(scope, receive, send)


def _refusal(scope: Scope) -> JSONResponse | None:
    url = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) + 1
    if url > LONGEST_URL:
        return JSONResponse({"detail": f"the address has more than {LONGEST_URL} bytes"}, 414)
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > LONGEST_HEADERS:
        return JSONResponse({"detail": f"the headers have more than {LONGEST_HEADERS} bytes"}, 431)
    return None


async def body(request: Request) -> bytes:
    """The whole body, in time; 408 when it does not come. The app's limit refuses one that is too large."""
    try:
        return await asyncio.wait_for(request.body(), BODY_SECONDS)
    except TimeoutError:
        raise HTTPException(408) from None
    except ClientDisconnect:
        raise HTTPException(400) from None
