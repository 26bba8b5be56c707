"""Facts from pages and systems: POST /events, POST /leads and POST /answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nurture.engine import doors
from nurture.engine.live import Live
from nurture.engine.notices import Claimed
from nurture.failpoints import reach
from nurture.intake.batches import Unreadable, read_batch
from nurture.intake.posted import Report, Sender, read_events, take_events
from nurture.intake.posted_answers import take_answers
from nurture.intake.posted_leads import take_leads
from nurture.rights.remembered import Remembered
from nurture.web.guard import body
from nurture.web.origins import Caller, Origins, Turned
from nurture.web.site import Site
from nurture.web.website import OPEN, take_visit

#: What a page's browser may ask before it posts; it asks nothing of text/plain (Fetch, CORS-safelisted).
_PREFLIGHT = {
    **OPEN,
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": "86400",
    "Allow": "POST, OPTIONS",
}
#: Answers of one transaction: each is two dozen statements, and every other writer waits meanwhile.
_ANSWERS = 20


def routes(site: Site) -> APIRouter:
    """/events, /leads and /answers."""
    router = APIRouter()
    origins = Origins(site)

    @router.options("/events")
    def ask() -> Response:
        """Any page may post, without cookies."""
        return Response(status_code=204, headers=_PREFLIGHT)

    @router.post("/events")
    def events(request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """What happened: page views by the key of a website, everything by a server key."""
        try:
            answer = _events(site, origins.caller(request, sent), request, sent)
        except Turned as turned:
            answer = turned.answer()
        answer.headers.update(OPEN)
        return answer

    @router.post("/leads")
    def leads(request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """Who is new, or known better: created and completed as by an import."""
        try:
            caller = origins.caller(request, sent, servers_only=True)
            _, facts = _read(sent, "leads")
        except Turned as turned:
            return turned.answer()

        def take(link: Connection, live: Live, now: datetime) -> Report:
            return take_leads(link, live, facts, _sender(live, caller), now, Remembered(site.machine.keys))

        return _answer(site, *_store(site, take), "leads")

    @router.post("/answers")
    def answers(request: Request, sent: Annotated[bytes, Depends(body)]) -> Response:
        """What sales said of hand-offs, by a system that knows."""
        try:
            caller = origins.caller(request, sent, servers_only=True)
            _, facts = _read(sent, "answers")
        except Turned as turned:
            return turned.answer()

        report, now = Report([]), site.machine.now()
        for first in range(0, len(facts), _ANSWERS):
            some = facts[first : first + _ANSWERS]

            def take(link: Connection, some: list[Any] = some, first: int = first) -> Report:
                live = site.live(link)
                return take_answers(link, live, some, _sender(live, caller), now, first)

            taken = site.machine.db.transact(take, door=True)
            report.lines += taken.lines
            report.leads |= taken.leads
        return _answer(site, *_store(site, lambda *_: report), "answers")

    return router


def _events(site: Site, caller: Caller, request: Request, sent: bytes) -> Response:
    whole, facts = _read(sent, "events")
    machine = site.machine

    def take(link: Connection, live: Live, now: datetime) -> Report:
        sender = _sender(live, caller)
        if caller.key.kind == "site":
            return take_visit(link, live, request, whole, facts, sender, now, machine.keys)
        read = read_events(facts, sender, now)
        return take_events(link, live, read, sender, now, click_rest=machine.click_rest)

    report, told = _store(site, take)
    if caller.key.kind == "site":  # the same whoever it was
        return JSONResponse({"status": "accepted"}, 202, background=site.afterwards(told) if told else None)
    return _answer(site, report, told, "events")


def _read(sent: bytes, noun: str) -> tuple[dict[str, Any], list[Any]]:
    try:
        return read_batch(sent, noun)
    except Unreadable as problem:
        raise Turned(422, str(problem)) from None


def _sender(live: Live, caller: Caller) -> Sender:
    return Sender(caller.key.name, live.house.program.zone, caller.delivery)


def _store(site: Site, take: Callable[[Connection, Live, datetime], Report]) -> tuple[Report, Claimed | None]:
    """One transaction; a single lead is settled in it, several are for the next tick. And what sales is to be told."""
    now = site.machine.now()

    def work(link: Connection) -> tuple[Report, Claimed | None]:
        live = site.live(link)
        report = take(link, live, now)
        if len(report.leads) != 1:
            return report, None
        (lead,) = report.leads
        handed = doors.settle_one(link, live, lead, now).handoffs > 0
        told = site.machine.claim_notices(link, now) if handed else None
        reach("form_stored")
        return report, told

    done = site.machine.db.transact(work, door=True)
    reach("form_committed")
    return done


def _answer(site: Site, report: Report, told: Claimed | None, noun: str) -> Response:
    lines = [line.as_dict() for line in report.lines]
    task = site.afterwards(told) if told else None
    return JSONResponse({"status": "accepted", noun: lines}, 202, background=task)
