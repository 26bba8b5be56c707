"""The second yes of a double opt-in: the letter's link asks, the button answers, a scanner changes nothing."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nurture.engine import confirming, consents, doors, visitors
from nurture.web.evidence import evidence
from nurture.web.following import READ
from nurture.web.guard import body
from nurture.web.pages import Sign, page
from nurture.web.site import Site, masked
from nurture.web.words import spoken

#: The field of the page's form that says which purposes it spoke of.
SHOWN = "shown"


def routes(site: Site) -> APIRouter:
    """/y."""
    router = APIRouter()

    @router.api_route("/y/{token}", methods=READ)
    def ask(token: str) -> Response:
        """What was agreed to, and a button; or that it is done, or too late."""
        return _show(site, site.opened("confirm", token)[0])

    @router.post("/y/{token}")
    def answer(token: str, request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """The consents count from now on; once is enough, and twice does no harm.

        What was asked for after the page was shown is shown first.
        """
        number = site.opened("confirm", token)[0]
        now, proof = site.machine.now(), evidence(site, request)
        said = parse_qs(sent.decode("latin-1")).get(SHOWN)
        spoken_of = said[-1].split() if said else None

        def work(link: Connection) -> bool:
            live = site.live(link)
            news = consents.confirm(link, live, number, now, proof, spoken_of)
            row: Any = consents.confirmation(link, number) if news else None
            if row is not None and (browser := consents.first_yes(row, "tracking")[1].get("visitor")):
                visitors.stitch(link, live, browser, row.lead_id, now)
                doors.settle_one(link, live, row.lead_id, now)
            return news

        news = site.machine.db.transact(work, door=True)
        shown = _show(site, number)
        if news:
            shown.background = site.afterwards()
        return shown

    return router


def _show(site: Site, number: int) -> Response:
    """The page of a confirmation as it stands; 404 where its person is not known any more."""
    with site.machine.db.read() as link:
        program = site.live(link).house.program
        row: Any = consents.confirmation(link, number)
        if row is None:
            raise HTTPException(404)
        refused = consents.overtaken(link, row)
    state = "confirmed" if row.confirmed_at is not None else "late"
    if consents.open_until(row, site.machine.now()):
        state = "refused" if refused else "open"
    return page(
        "confirm",
        spoken(row.language, program.language),
        Sign.of(program),
        state=state,
        address=masked(row.address),
        agreed=confirming.texts(row.wording),
        shown=" ".join(row.purposes),
    )
