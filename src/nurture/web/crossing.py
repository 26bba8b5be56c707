"""Forms may be sent by the script of another site's page: without cookies, since there are none, and nothing else."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Of this address alone another site's script may read the answer.
_FORMS = "/f/"
#: Seconds that a browser remembers it.
_REMEMBERED = "86400"
_LEAVE = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": _REMEMBERED,
}


class Crossing:
    """Answers a browser that asks beforehand (Fetch standard, CORS-preflight), and lets it read what became of a form.

    Pages that are looked at (GET) stay closed: their address may be a letter's, and they show what a lead told us.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_FORMS):
            await self.app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and Headers(scope=scope).get("access-control-request-method") == "POST":
            await Response(status_code=204, headers=_LEAVE)(scope, receive, send)
            return

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] == "POST":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        await self.app(scope, receive, readable)
