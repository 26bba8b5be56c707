"""The website's side: the snippet, what a page sends with it, and who came by a letter's link."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import Response

from nurture.engine import visitors
from nurture.engine.live import Live
from nurture.intake.posted import Line, Report, Sender, Told, read_events, take_events
from nurture.program.website import Website
from nurture.records import Touch
from nurture.tokens import BadToken, Keys
from nurture.web.evidence import opted_out
from nurture.web.site import Site
from nurture.web.visitors import machine_reason

#: For pages of any host, without cookies.
OPEN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
#: The parameter with which a letter's link says who followed it, and for how long that is believed.
PARAMETER, BELIEVED = "nurture", timedelta(days=30)
_SNIPPET = (resources.files("nurture.web") / "pages" / "nurture.js").read_bytes()
_TAG = f'"{hashlib.sha256(_SNIPPET).hexdigest()[:32]}"'
_SERVED = {**OPEN, "Cache-Control": "public, max-age=3600", "ETag": _TAG}


def routes(_: Site) -> APIRouter:
    """/nurture.js."""
    router = APIRouter()

    @router.api_route("/nurture.js", methods=["GET", "HEAD"])
    def snippet(request: Request) -> Response:
        """The script that pages load."""
        if request.headers.get("if-none-match") == _TAG:
            return Response(status_code=304, headers=_SERVED)
        return Response(_SNIPPET, media_type="text/javascript", headers=_SERVED)

    return router


def passed_on(target: str, website: Website, token: str) -> str:
    """`target` with the click's token behind what it asks, where it is a page of ours; else as it is."""
    if not website.has(target):
        return target
    page, hash_, fragment = target.partition("#")
    joint = "?" if "?" not in page else "" if page.endswith(("?", "&")) else "&"
    return f"{page}{joint}{PARAMETER}={token}{hash_}{fragment}"


def take_visit(
    link: Connection, live: Live, request: Request, whole: Mapping[str, Any], facts: list[Any], sender: Sender,
    now: datetime, keys: Keys,
) -> Report:  # fmt: skip
    """What one browser did, as far as pages may tell it; the leads to be settled.

    `whole` may say for all events: `visitor`, `gpc` (true: its person objects to the sale of its data), and `token`,
    with which it came by a letter's link.
    """
    visitor, machine = whole.get("visitor"), machine_reason(request)
    mine = [{"visitor": visitor, **fact} if isinstance(fact, dict) else fact for fact in facts]
    website = live.house.program.website
    told: list[Told | Line] = []
    for one in read_events(mine, sender, now):
        if isinstance(one, Told) and one.visitor is not None and website.allows(one.name):
            told.append(one)
    browsers = {one.visitor for one in told if isinstance(one, Told)}
    if len(browsers) != 1:  # a browser speaks for itself
        return Report([])
    gpc = (opted_out(request) or whole.get("gpc") is True) if machine is None else None
    report = take_events(link, live, told, sender, now, click_rest=timedelta(), machine=machine, opted_out=gpc)
    lead = None if machine else _came_by(link, keys, whole.get("token"), now)
    if lead is not None:
        visitors.stitch(link, live, str(browsers.pop()), lead, now)
        report.leads.add(lead)
    return report


def _came_by(link: Connection, keys: Keys, token: Any, now: datetime) -> int | None:
    """Whose letter's link was followed, if that is sure and not long ago."""
    if not isinstance(token, str):
        return None
    try:
        touch, _ = keys.open("click", token)
    except BadToken:
        return None
    query = select(col(Touch.lead_id)).where(
        col(Touch.id) == touch, col(Touch.tracked), col(Touch.sending_at) >= now - BELIEVED
    )
    return link.execute(query).scalar()
