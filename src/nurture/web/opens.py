"""The image of a tracked letter: the same 43 bytes for whoever asks, and for any token."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from nurture.engine import doors
from nurture.errors import DatabaseFault
from nurture.tokens import BadToken
from nurture.web.following import READ
from nurture.web.site import Site, log
from nurture.web.visitors import machine_reason

#: One transparent point (GIF89a).
IMAGE = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
#: Web mail shows it on pages that are not ours.
HEADERS = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "cross-origin"}


def routes(site: Site) -> APIRouter:
    """/o/{token}.gif"""
    router = APIRouter()

    @router.api_route("/o/{token}.gif", methods=READ)
    def image(token: str, request: Request) -> Response:
        """The image; that it was fetched is noted of tracked letters alone, and never by a HEAD."""
        if request.method == "GET":
            _note(site, token, request)
        return Response(IMAGE, media_type="image/gif", headers=HEADERS)

    return router


def _note(site: Site, token: str, request: Request) -> None:
    """What cannot be noted is not: the letter shows its image all the same."""
    try:
        touch, _ = site.machine.keys.open("open", token)
    except BadToken:
        return
    why, now = machine_reason(request), site.machine.now()

    def work(link: Connection) -> None:
        doors.opened(link, touch, now, machine=why, rest=site.machine.click_rest)

    try:
        site.machine.db.transact(work, door=True)
    except DatabaseFault as problem:
        log.warning("an opening is not recorded touch=%d problem=%s", touch, problem)
