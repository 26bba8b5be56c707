"""What a link in a letter opens: the page it names, an offer, or the way out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nurture.engine import consents, doors, visitors
from nurture.errors import DatabaseFault
from nurture.mail.render import TRAP_PLACE
from nurture.records import Suppression, Touch
from nurture.web.evidence import opted_out
from nurture.web.guard import body
from nurture.web.letters import Letters, followable
from nurture.web.pages import Sign, direction, page
from nurture.web.site import Site, log, masked
from nurture.web.visitors import machine_reason
from nurture.web.website import passed_on
from nurture.web.words import kind_name, spoken

#: The place of an offer's own link among a letter's links; no static link has it.
OFFER_PLACE = 0xFFFE
READ = ["GET", "HEAD"]


def follow(
    site: Site,
    request: Request,
    touch: int,
    place: int,
    name: str = "email_clicked",
    data: dict[str, Any] | None = None,
) -> None:
    """Record that a link was followed, if its letter is tracked, and heed what its browser says of the sale of data.

    A HEAD follows nothing.     Who follows a link gets where it leads, even while the database takes no writes.
    """
    if request.method == "HEAD":
        return
    why, now = machine_reason(request) or _no_visit(request), site.machine.now()

    def work(link: Connection) -> None:
        if why is None:
            heed(site, link, request, touch, now)
        doors.click(link, touch, place, now, machine=why, rest=site.machine.click_rest, name=name, data=data)

    try:
        site.machine.db.transact(work, door=True)
    except DatabaseFault as problem:
        log.warning("a click is not recorded touch=%d problem=%s", touch, problem)


def _no_visit(request: Request) -> str | None:
    """The reason, if a browser says itself that it fetches this for no page (Fetch Metadata, `Sec-Fetch-Dest`)."""
    wanted = request.headers.get("sec-fetch-dest", "document")
    return None if wanted == "document" else "fetched by a browser for no page"


def heed(site: Site, link: Connection, request: Request, touch: int, now: datetime) -> None:
    """A browser that sends `Sec-GPC: 1` says for its person: no audiences (Global Privacy Control)."""
    if opted_out(request):
        lead = link.execute(select(col(Touch.lead_id)).where(col(Touch.id) == touch)).scalar_one()
        consents.object_to(link, site.live(link), lead, "sharing", now, visitors.GPC)


def routes(site: Site) -> APIRouter:
    """/c, /o and /u."""
    router = APIRouter()
    letters = Letters(site.machine.library, site.machine.public_url)

    @router.api_route("/c/{token}", methods=READ)
    def click(token: str, request: Request) -> Response:
        """On to where the link leads."""
        number, place = site.opened("click", token)
        with site.machine.db.read() as link:
            touch = site.touch(link, number)
            target = f"{site.machine.public_url}/" if place == TRAP_PLACE else letters.target(link, touch, place)
            website = letters.house(link, touch).program.website
        if target is None:
            raise HTTPException(404)
        if touch.tracked or opted_out(request):
            follow(site, request, number, place)
        if touch.tracked:
            target = passed_on(target, website, token)
        return RedirectResponse(target, 302)

    @router.api_route("/o/{token}", methods=READ)
    def offer(token: str, request: Request) -> Response:
        """The piece that was offered, in its own language."""
        number, _ = site.opened("offer", token)
        with site.machine.db.read() as link:
            program = site.live(link).house.program
            touch = site.touch(link, number)
            piece = letters.piece(link, touch)
        if piece is None or not followable(piece["url"]):
            raise HTTPException(404)
        if touch.tracked or opted_out(request):
            follow(site, request, number, OFFER_PLACE, "offer_viewed", {"offer": piece["key"]})
        language = spoken(piece["language"], touch.language, program.language)
        host = (urlsplit(piece["url"]).hostname or "").removeprefix("www.")
        return page(
            "offer",
            language,
            Sign.of(program),
            piece=piece,
            piece_dir=direction(piece["language"]),
            kind=kind_name(piece["kind"], spoken(piece["language"])),
            host=host,
        )

    @router.api_route("/u/{token}", methods=READ)
    def ask(token: str) -> Response:
        """The question; a scanner that comes here changes nothing."""
        touch, program = _letter(token)
        language = spoken(touch.language, program.language)
        with site.machine.db.read() as link:
            gone = _unsubscribed(link, touch)
        address = masked(touch.address or touch.email)
        name, way = "stopped" if gone else "stop", choices(touch.id)
        return page(name, language, Sign.of(program), address=address, already=gone, choices=way)

    @router.post("/u/{token}")
    def unsubscribe(token: str, request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """Out, in one transaction that is over before the answer (RFC 8058: no cookie, no redirect)."""
        touch, program = _letter(token)
        now: datetime = site.machine.now()
        source = "one click" if b"One-Click" in sent else "unsubscribe page"

        def work(link: Connection) -> None:
            doors.unsubscribe(link, site.live(link), touch.id, now, source=source)
            heed(site, link, request, touch.id, now)

        site.machine.db.transact(work, door=True)
        language = spoken(touch.language, program.language)
        address = masked(touch.address or touch.email)
        task, way = site.afterwards(), choices(touch.id)
        return page("stopped", language, Sign.of(program), task=task, address=address, already=False, choices=way)

    def choices(touch: int) -> str:
        return f"../p/{site.machine.keys.seal('preferences', touch)}"

    def _letter(token: str) -> tuple[Any, Any]:
        number, _ = site.opened("unsubscribe", token)
        with site.machine.db.read() as link:
            return site.touch(link, number), site.live(link).house.program

    return router


def _unsubscribed(link: Connection, touch: Any) -> bool:
    """Whether the lead of this letter has unsubscribed before."""
    query = select(col(Suppression.id)).where(
        col(Suppression.kind) == "lead",
        col(Suppression.value) == str(touch.lead_id),
        col(Suppression.reason) == "unsubscribed",
    )
    return link.execute(query).first() is not None
