"""POST /crm: what a CRM without an API that we know says of leads: owner, status, fields of its own, deals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nurture.crm.hearing import AT_ONCE, settle_them
from nurture.crm.posted import take
from nurture.intake.batches import Unreadable, read_batch
from nurture.web.guard import body
from nurture.web.origins import Origins, Turned
from nurture.web.site import Site


def routes(site: Site) -> APIRouter:
    """/crm."""
    router = APIRouter()
    origins = Origins(site)

    @router.post("/crm")
    def changes(request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """Changes of records, by a server key or signed: one line of answer for each."""
        try:
            origins.caller(request, sent, servers_only=True)
            _, facts = read_batch(sent, "changes")
        except Unreadable as problem:
            return Turned(422, str(problem)).answer()
        except Turned as turned:
            return turned.answer()
        now = site.machine.now()
        db, lines, leads = site.machine.db, list[dict[str, Any]](), set[int]()
        for begin in range(0, len(facts), AT_ONCE):
            some = facts[begin : begin + AT_ONCE]
            part = db.transact(lambda link, some=some: take(link, site.live(link), some, now), door=True)  # type: ignore[misc]
            lines, leads = lines + part[0], leads | part[1]
        db.transact(lambda link: settle_them(link, site.live(link), leads, now))
        return JSONResponse({"status": "accepted", "changes": lines}, 202)

    return router
