"""The private app: an index for people of the house, `/health` and `/metrics`. On loopback unless told otherwise."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault, NotPublished
from nurture.program.forms import Form
from nurture.program.load import House
from nurture.program.wording import in_language
from nurture.web.declared import declare
from nurture.web.following import READ
from nurture.web.guard import Guard
from nurture.web.metrics import Metrics
from nurture.web.pages import HEADERS, Sign, page
from nurture.web.public import public_app
from nurture.web.readiness import Readiness
from nurture.web.words import spoken, wished

log = logging.getLogger("nurture.web")
#: Names by which a machine calls itself.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ASK = {"WWW-Authenticate": 'Bearer realm="nurture", Basic realm="nurture", charset="UTF-8"'}


@dataclass(frozen=True)
class Surroundings:
    """`hosts`: names besides LOOPBACK by which it may be asked for. `token`: what it asks for; None: nothing.

    `environment`: PREFECT_API_URL, if Prefect belongs to this installation. `prefect`: where its pages are.
    """

    hosts: Collection[str] = ()
    token: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    prefect: str | None = None


def private_app(machine: Machine, given: Surroundings, metrics: Metrics | None = None) -> FastAPI:
    """The app over `machine`; `metrics` are those of the process's public app, if it has one."""
    metrics = metrics or Metrics.of(machine)
    ready = Readiness(machine, metrics.pulse, given.environment)
    app = FastAPI(
        title="Nurture, the private app",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Guard), Middleware(Doorkeeper, given=given)],
    )
    _index(app, machine, given, metrics, ready)
    _for_machines(app, machine, metrics, ready)
    _faults(app)
    return app


def _index(app: FastAPI, machine: Machine, given: Surroundings, metrics: Metrics, ready: Readiness) -> None:
    @app.api_route("/", methods=READ)
    def index(request: Request) -> Response:
        """What waits for a person, and where everything is."""
        checks = ready.checks()
        language, sign, forms = wished(request.headers.get("accept-language")), Sign(), []
        try:
            house = machine.live().house
        except (NotPublished, DatabaseFault):
            language = spoken(language)
        else:
            program = house.program
            language, sign = spoken(language, program.language), Sign.of(program)
            forms = [
                {"title": _title(form, house, language) or key, "url": f"{machine.public_url}/f/{key}"}
                for key, form in program.forms.items()
            ]
        return page(
            "private",
            language,
            sign,
            wrong=[check for check in checks if check.verdict == "wrong"],
            now=metrics.pulse.gauges(),
            forms=forms,
            public=machine.public_url,
            prefect=given.prefect,
        )


def _title(form: Form, house: House, language: str) -> str:
    """A form's title; of a form for a piece the piece's."""
    if form.title is None and form.offer is not None:
        return str((house.piece(in_language(form.offer, language, house.program.language)) or {}).get("title", ""))
    return in_language(form.title, language, house.program.language)


def _for_machines(app: FastAPI, machine: Machine, metrics: Metrics, ready: Readiness) -> None:
    @app.api_route("/health", methods=READ)
    def health(request: Request) -> Response:
        """Whether it is fit to work, and each thing that was looked at; 503 when one is wrong."""
        checks = ready.checks()
        fit = all(check.verdict == "ok" for check in checks)
        said: dict[str, Any] = {"ok": fit}
        if request.scope["nurture_known"]:
            said["checks"] = [{"name": one.name, "ok": one.verdict == "ok", "said": one.said} for one in checks]
        return JSONResponse(said, 200 if fit else 503)

    @app.api_route("/health/live", methods=READ)
    def live() -> Response:
        """Whether this process answers at all."""
        return JSONResponse({"ok": True})

    @app.api_route("/metrics", methods=READ)
    def expose() -> Response:
        """The text format of Prometheus."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.api_route("/openapi.json", methods=READ)
    def own() -> Response:
        """What this app answers to."""
        return JSONResponse(described(app))

    @app.api_route("/openapi/public.json", methods=READ)
    def public() -> Response:
        """What the public app answers to."""
        return JSONResponse(described(public_app(machine)))


def described(app: FastAPI) -> dict[str, Any]:
    """An app's OpenAPI document. HEAD is left out: it is GET without a body, and would bear GET's name once more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Duplicate Operation ID")
        document = app.openapi()
    for path, operations in document["paths"].items():
        operations.pop("head", None)
        for method, operation in operations.items():
            operation["operationId"] = "_".join([method, *re.findall(r"[A-Za-z0-9]+", path)])
    declare(document)
    return document


def _faults(app: FastAPI) -> None:
    """JSON for everybody; never how it came about."""

    @app.exception_handler(HTTPException)
    def refused(_: Request, problem: HTTPException) -> Response:
        return JSONResponse({"detail": problem.detail}, problem.status_code, headers=dict(problem.headers or {}))

    @app.exception_handler(DatabaseFault)
    def down(_: Request, problem: DatabaseFault) -> Response:
        log.error("%s", problem)
        return JSONResponse({"detail": "the database does not answer"}, 503, headers={"Retry-After": "60"})

    @app.exception_handler(Exception)
    def fault(_: Request, __: Exception) -> Response:
        return JSONResponse({"detail": "a fault of ours"}, 500, headers=dict(HEADERS))


class Doorkeeper:
    """Lets in who asks for this very house, from no other site, and shows the token if there is one.

    A name that is not ours would be DNS rebinding. Liveness, and one word on readiness, are told to everybody.
    """

    def __init__(self, app: ASGIApp, given: Surroundings) -> None:
        self.app, self._token = app, given.token
        self._hosts = LOOPBACK | {host.casefold() for host in given.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        scope["nurture_known"] = self._known(request.headers.get("authorization", ""))
        await (self._refusal(request) or self.app)(scope, receive, send)

    def _refusal(self, request: Request) -> JSONResponse | None:
        host = request.headers.get("host", "")
        if (_parts(f"//{host}").hostname or "").casefold() not in self._hosts:
            return JSONResponse({"detail": f"this is not '{host}'; set NURTURE_PRIVATE_URL if it is"}, 403)
        origin = request.headers.get("origin")
        if origin is not None and _parts(origin).netloc.casefold() != host.casefold():
            return JSONResponse({"detail": "pages of another site may not ask here"}, 403)
        if not request.scope["nurture_known"] and request.url.path not in ("/health", "/health/live"):
            return JSONResponse({"detail": "show the token: Authorization: Bearer …"}, 401, headers=_ASK)
        return None

    def _known(self, shown: str) -> bool:
        """A browser shows it as the password of any name (RFC 7617)."""
        if self._token is None:
            return True
        kind, _, value = shown.partition(" ")
        if kind.casefold() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif kind.casefold() != "bearer":
            return False
        return hmac.compare_digest(value.encode(), self._token.encode())


def _parts(url: str) -> SplitResult:
    """The parts of an address; all are empty for what is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
