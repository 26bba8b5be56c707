"""Public forms: asked, understood, stored, settled at once, and told to sales."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from nurture.mail.render import FORM_PLACE
from nurture.web import form_pages
from nurture.web.evidence import evidence, opted_out
from nurture.web.fields import HONEYPOT, understood
from nurture.web.following import READ, follow
from nurture.web.form_visits import Visit, sent, visited
from nurture.web.posted import Posted, posted
from nurture.web.site import Site
from nurture.web.submitting import Submission, hexadecimal, store, swallowed
from nurture.web.visitors import origin
from nurture.web.words import WORDS


def routes(site: Site) -> APIRouter:
    """/f."""
    router = APIRouter()

    @router.api_route("/f/{key}", methods=READ)
    def ask(key: str, request: Request) -> Response:
        """The form; who came by a letter is asked what we do not know yet."""
        visit = visited(site, request, key, request.query_params)
        if visit.touch is not None:
            follow(site, request, visit.touch.id, FORM_PLACE)
        return form_pages.form(visit, visit.told_again)

    @router.post("/f/{key}")
    def take(key: str, request: Request, came: Annotated[Posted, Depends(posted)]) -> Response:
        """Stored and settled before the answer, which is the same whoever it was."""
        visit = visited(site, request, key, came.values)
        if came.refused & {*visit.form.answered, *visit.form.from_query}:
            raise HTTPException(400)
        step = visit.before
        typed, wrong = understood(visit.house, visit.form, came.values, visit.judged(came.values), address=step is None)
        if step is not None:
            typed["email"] = step.email
        wait = (site.forms_refused if wrong else site.forms_by_visitor).wait(origin(request))
        if not wait and not wrong:
            wait = site.forms_by_address.wait(str(typed["email"]))
        if wait:
            raise HTTPException(429, headers={"Retry-After": str(wait)})
        if wrong:
            return _mend(visit, came, wrong)
        proof = evidence(site, request)
        submission = Submission(visit, typed, came.values, proof, opted_out(request))
        stored = swallowed() if came.values.get(HONEYPOT) else store(site, submission)
        task = site.afterwards(stored.to_tell) if stored.to_tell else None
        if came.json:
            return JSONResponse({"status": "accepted"}, 202, background=task)
        return RedirectResponse(_thanks(site, visit, stored.event), 303, background=task)

    @router.api_route("/f/{key}/thanks", methods=READ)
    def thank(key: str, request: Request, s: str = "") -> Response:
        """What a form says once it was sent, and what comes next."""
        visit = visited(site, request, key, {**request.query_params, "s": ""})
        with site.machine.db.read() as link:
            submission = sent(site, link, s)
        return form_pages.thanks(visit, submission if submission and submission.form == key else None)

    @router.api_route("/f/{key}/embed", methods=READ)
    def embed(key: str, request: Request) -> Response:
        """For the marketer: the form to try, and its HTML for a page of one's own."""
        visit = visited(site, request, key, {"lang": request.query_params.get("lang", "")})
        return form_pages.embed(visit, f"{site.machine.public_url.rstrip('/')}/f/{key}")

    return router


def _thanks(site: Site, visit: Visit, event: int) -> str:
    """Where the thank-you page is; it knows the submission only where it leads on."""
    parameters = {"lang": visit.language}
    if visit.form.next is not None and visit.form.next.url is None:
        parameters["s"] = site.machine.keys.seal("form", event)
    return f"{visit.key}/thanks?{urlencode(parameters)}"


def _mend(visit: Visit, came: Posted, wrong: dict[str, str]) -> Response:
    if came.json:
        say = WORDS[visit.language]
        return JSONResponse({"errors": {name: say[complaint] for name, complaint in wrong.items()}}, 422)
    return form_pages.form(visit, came.values, wrong, hexadecimal(came.values, "once"))
