"""Public forms: asked, understood, stored, settled at once, and told to sales."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, select, update
from sqlmodel import col
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from nurture import clock
from nurture.engine import doors
from nurture.intake.write import put_lead
from nurture.mail.render import FORM_PLACE
from nurture.program.load import House
from nurture.program.models import Form
from nurture.records import Consent, Lead
from nurture.tokens import BadToken
from nurture.web.fields import HONEYPOT, TOLD_AGAIN, asked, understood
from nurture.web.following import READ, follow
from nurture.web.pages import Sign, page
from nurture.web.posted import Posted, posted
from nurture.web.site import Site
from nurture.web.visitors import origin
from nurture.web.words import WORDS, spoken, wished

#: Boxes under a form: the purpose of the consent that a tick is.
BOXES = {"consent": "mail", "tracking": "tracking"}
_ONCE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Visit:
    """One look at a form: which, in which language, and the letter that led there."""

    key: str
    house: House
    form: Form
    language: str
    #: The touch whose link was followed, if the token says so.
    touch: Any = None
    token: str = ""


def routes(site: Site) -> APIRouter:
    """/f."""
    router = APIRouter()

    @router.api_route("/f/{key}", methods=READ)
    def ask(key: str, request: Request, t: str = "") -> Response:
        """The form; who came by a letter finds filled in what the letter's reader told before."""
        visit = _visit(site, request, key, t)
        known = {}
        if visit.touch is not None:
            follow(site, request, visit.touch.id, FORM_PLACE)
            known = _known(site, visit.touch.lead_id, visit.form)
        return _form_page(visit, known)

    @router.post("/f/{key}")
    def take(key: str, request: Request, sent: Annotated[Posted, Depends(posted)]) -> Response:
        """Stored and settled before the answer, which is the same whoever it was."""
        said = sent.values
        visit = _visit(site, request, key, said.get("t", ""))
        wait = site.forms_by_visitor.wait(origin(request))
        typed, wrong = understood(visit.house, visit.form, said)
        if not wait and not wrong:
            wait = site.forms_by_address.wait(str(typed["email"]))
        if wait:
            raise HTTPException(429, headers={"Retry-After": str(wait)})
        if wrong:
            return _mend(visit, sent, wrong)
        task = None
        if not said.get(HONEYPOT) and _store(site, visit, typed, said):
            task = site.afterwards()
        if sent.json:
            return JSONResponse({"status": "accepted"}, 202, background=task)
        return RedirectResponse(f"{key}/thanks?{urlencode({'lang': visit.language})}", 303, background=task)

    @router.api_route("/f/{key}/thanks", methods=READ)
    def thank(key: str, request: Request, lang: str = "") -> Response:
        """What a form says once it was sent."""
        visit = _visit(site, request, key)
        return page("thanks", spoken(lang, visit.language), Sign.of(visit.house.program), text=visit.form.thanks)

    return router


def _visit(site: Site, request: Request, key: str, token: str = "") -> Visit:
    with site.machine.db.read() as link:
        house = site.live(link).house
        form = house.program.forms.get(key)
        if form is None:
            raise HTTPException(404)
        touch = _came_by(site, link, token)
    told = touch.language if touch is not None else None
    wish = wished(request.headers.get("accept-language"))
    language = spoken(form.language, told, wish, house.program.language)
    return Visit(key, house, form, language, touch, token if touch is not None else "")


def _came_by(site: Site, link: Connection, token: str) -> Any:
    """The touch that a form's address was made for; a broken token is as good as none."""
    try:
        number, place = site.machine.keys.open("click", token)
        return site.touch(link, number) if place == FORM_PLACE else None
    except (BadToken, HTTPException):
        return None


def _known(site: Site, lead: int, form: Form) -> dict[str, str]:
    names = [name for name in TOLD_AGAIN if name == "email" or name in form.fields]
    with site.machine.db.read() as link:
        row = link.execute(select(*(col(getattr(Lead, name)) for name in names)).where(col(Lead.id) == lead)).one()
    return {name: value for name, value in zip(names, row, strict=True) if value}


def _form_page(visit: Visit, said: dict[str, str], wrong: dict[str, str] | None = None, once: str = "") -> Response:
    say = WORDS[visit.language]
    return page(
        "form",
        visit.language,
        Sign.of(visit.house.program),
        status=422 if wrong else 200,
        form=visit.form,
        asked=asked(visit.house, visit.form, visit.language),
        said=said,
        wrong={name: say[complaint] for name, complaint in (wrong or {}).items()},
        boxes=list(BOXES),
        token=visit.token,
        once=once or clock.unguessable(),
        honeypot=HONEYPOT,
    )


def _mend(visit: Visit, sent: Posted, wrong: dict[str, str]) -> Response:
    if sent.json:
        say = WORDS[visit.language]
        return JSONResponse({"errors": {name: say[complaint] for name, complaint in wrong.items()}}, 422)
    return _form_page(visit, sent.values, wrong, _once(sent.values))


def _once(said: dict[str, str]) -> str:
    """The page's own number, so that two taps on its button are one request."""
    given = said.get("once", "")
    return given if _ONCE.fullmatch(given) else ""


def _store(site: Site, visit: Visit, typed: dict[str, Any], said: dict[str, str]) -> bool:
    """Lead, consent, event and all that follows, in one transaction; True if sales is to be told."""
    now, source = site.machine.now(), f"form:{visit.key}"
    basis = {box: "consent" if said.get(box) else None for box in BOXES}
    once = _once(said) or clock.unguessable()
    data = {"form": visit.key, "title": visit.form.title}

    def work(link: Connection) -> bool:
        live = site.live(link)
        lead, _ = put_lead(link, typed, now=now, source=source, consent=basis["consent"], tracking=basis["tracking"])
        doors.lock_lead(link, lead, now)
        for box, purpose in BOXES.items():
            if basis[box]:
                _keep_wording(link, lead, purpose, source, f"{visit.language}: {WORDS[visit.language][box]}", now)
        mine = visit.touch is not None and visit.touch.lead_id == lead
        touch = visit.touch.id if mine else None
        doors.add_event(link, lead, visit.form.event, now, source=source, key=once, data=data, touch=touch)
        return doors.settle_one(link, live, lead, now).handoffs > 0

    return site.machine.db.transact(work, door=True)


def _keep_wording(link: Connection, lead: int, purpose: str, source: str, wording: str, now: Any) -> None:
    given = (
        (col(Consent.lead_id) == lead) & (col(Consent.purpose) == purpose) & (col(Consent.source) == source)
        & (col(Consent.given_at) == now)
    )  # fmt: skip
    link.execute(update(Consent).where(given).values(wording=wording))
