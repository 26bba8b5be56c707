"""The public app: every address that stands in a message leads here."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from sqlalchemy import text
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault, NotPublished
from nurture.web import answers, api, confirming, crm, following, forms, hooks, opens, preferences, questions, website
from nurture.web.crossing import Crossing
from nurture.web.guard import BodyLimit, Guard
from nurture.web.pages import HEADERS, notice
from nurture.web.site import Fetch, Site
from nurture.web.visitors import MovingWindow

log = logging.getLogger("nurture.web")
#: What is said, by status; a status that is not here is a fault of ours.
_SAID = {
    400: "wrong_type", 404: "not_found", 405: "wrong_method", 408: "down", 413: "too_large",
    415: "wrong_type", 429: "too_often", 500: "fault", 503: "down",
}  # fmt: skip


def public_app(
    machine: Machine,
    *,
    forms_per_minute: int = 5,
    forms_per_address: int = 20,
    refused_per_minute: int = 20,
    fetch: Fetch | None = None,
) -> FastAPI:
    """The app over `machine`; it takes so many forms of one visitor, and so many an hour with one address.

    `refused_per_minute`: of one visitor it sends back so many to be mended.

    `fetch`: gets what proves a service's report; None: over the network.
    """
    taken, named = MovingWindow(forms_per_minute, 60), MovingWindow(forms_per_address, 3600)
    site = Site(machine, taken, named, MovingWindow(refused_per_minute, 60), fetch)
    app = FastAPI(
        title="Nurture",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Guard),
            Middleware(Crossing),
            Middleware(BodyLimit),
        ],
    )
    for door in (opens, following, hooks, forms, questions, confirming, answers, preferences, website, api, crm):
        app.include_router(door.routes(site))
    _own_pages(app, site)
    _faults(app, site)
    return app


def _own_pages(app: FastAPI, site: Site) -> None:
    @app.api_route("/", methods=following.READ)
    def home(request: Request) -> Response:
        """What this is."""
        with site.machine.db.read() as link:
            site.live(link)
        return notice("home", *site.surroundings(request))

    @app.api_route("/health", methods=following.READ)
    def health() -> Response:
        """Whether the database answers, and is no copy of another's."""
        with site.machine.db.read() as link:
            link.execute(text("SELECT 1"))
        if site.machine.instance is not None and site.machine.instance.cloned is not None:
            return JSONResponse({"ok": False}, 503)
        return JSONResponse({"ok": True})


def _faults(app: FastAPI, site: Site) -> None:
    """Plain words for whoever came with a browser, JSON for the rest; never how it came about."""

    def said(request: Request, status: int, key: str, headers: dict[str, str] | None = None) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            seconds = (headers or {}).get("Retry-After", "")
            answer: Response = notice(key, *site.surroundings(request), status=status, seconds=seconds)
        else:
            answer = JSONResponse({"detail": key.replace("_", " ")}, status)
        answer.headers.update(headers or {})
        return answer

    @app.exception_handler(HTTPException)
    def refused(request: Request, problem: HTTPException) -> Response:
        key = _SAID.get(problem.status_code, "fault")
        return said(request, problem.status_code, key, dict(problem.headers or {}))

    @app.exception_handler(NotPublished)
    def not_ready(request: Request, _: NotPublished) -> Response:
        return said(request, 503, "not_ready", {"Retry-After": "300"})

    @app.exception_handler(DatabaseFault)
    def down(request: Request, problem: DatabaseFault) -> Response:
        log.error("%s", problem)
        return said(request, 503, "down", {"Retry-After": "60"})

    @app.exception_handler(Exception)
    def fault(request: Request, _: Exception) -> Response:
        # the server logs what it was; this answer passes the guard by
        return said(request, 500, "fault", dict(HEADERS))
