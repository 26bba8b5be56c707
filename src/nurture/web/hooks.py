"""`POST /hooks/{provider}`: what sending services report. Size, proof and instant first, then whether it is known."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nurture.channels.outbound import fetched
from nurture.errors import NurtureError
from nurture.inbound.hooks import VENDORS, Posted, Unproven, Unsigned
from nurture.inbound.hooks.taking import known, take
from nurture.web.guard import body
from nurture.web.site import Site

log = logging.getLogger("nurture.hooks")
#: Certificates that are kept.
_KEPT = 32


class Fetched:
    """What was fetched from services, kept: certificates never change at their address."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._lock = Lock()

    def __call__(self, url: str) -> bytes:
        """The body behind `url`. Raises Unproven."""
        with self._lock:
            if url in self._kept:
                return self._kept[url]
        got = fetched(url)
        if got is None:
            raise Unproven("what proves it cannot be fetched")
        with self._lock:
            if url.endswith(".pem"):
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[url] = got
        return got


def routes(site: Site) -> APIRouter:
    """/hooks"""
    router = APIRouter()
    fetch = site.fetch or Fetched()

    @router.api_route("/hooks/{provider}", methods=["POST", "HEAD"])
    def hook(provider: str, request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """200 for what is taken in, was known before, or says nothing to us; a HEAD asks whether there is a door."""
        machine = site.machine
        vendor, secret = VENDORS.get(provider), machine.hooks.get(provider)
        if vendor is None or secret is None:
            raise HTTPException(404)
        content, kind = vendor.answer
        if request.method == "HEAD":
            return Response(media_type=kind)
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{machine.public_url}/hooks/{provider}{query}"
        posted = Posted(sent, dict(request.headers), url, machine.now(), fetch)
        try:
            vendor.check(posted, secret)
        except (Unsigned, ValueError, NurtureError) as problem:  # nobody who can sign sends what cannot be read
            said = str(problem) if isinstance(problem, Unsigned) else type(problem).__name__
            log.warning("a report to %s is not believed: %s", provider, said)
            ways = {"WWW-Authenticate": 'Basic realm="hooks"'}
            return JSONResponse({"detail": "not signed"}, 401, headers=ways)
        except Unproven as problem:
            log.error("a report to %s cannot be proved: %s", provider, problem)
            return JSONResponse({"detail": "cannot be proved now"}, 503, headers={"Retry-After": "60"})
        try:
            if not known(machine, vendor, posted):
                done = take(machine, vendor, posted)
                log.info("hook %s: %s", provider, " ".join(f"{word}={count}" for word, count in sorted(done.items())))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            log.warning("a report to %s cannot be read: %s", provider, type(problem).__name__)
            return JSONResponse({"detail": "cannot be read"}, 422)
        return Response(content, media_type=kind)

    return router
