"""Who looks at a form: by which letter or after which step they came, what they may be asked, in which language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.exceptions import HTTPException
from starlette.requests import Request

from nurture.engine.objecting import has_consent
from nurture.engine.running import Run
from nurture.language.words import BUILT_IN
from nurture.mail.render import FORM_PLACE
from nurture.program.forms import Form
from nurture.program.load import House
from nurture.program.wording import in_language
from nurture.records import Event, Lead
from nurture.steps.sms import e164
from nurture.tokens import BadToken
from nurture.web.fields import TOLD_AGAIN, line
from nurture.web.site import Site
from nurture.web.words import spoken, wished

#: How long the thank-you page of a submission may ask the next step.
STEP_LASTS = timedelta(days=1)
_TAG = re.compile(r"[A-Za-z]{2,3}")


@dataclass(frozen=True)
class Sent:
    """A submission that its own thank-you page knows of: the event, its form, and whose it is."""

    token: str
    form: str
    lead: int
    email: str


@dataclass(frozen=True)
class Visit:
    """One look at a form: which, in which language, and what led there."""

    key: str
    house: House
    form: Form
    language: str
    #: The touch whose link was followed, if the token says so.
    touch: Any = None
    token: str = ""
    #: The submission whose next step this form is.
    before: Sent | None = None
    #: What we know of who came by a letter; None: a stranger.
    known: Mapping[str, Any] | None = None
    #: Whether who came by a letter to their own address agreed, and still does, to what the boxes ask.
    agreed: bool = False
    #: Parameters of the page's address that the form keeps.
    carried: Mapping[str, str] = field(default_factory=dict)

    @property
    def questions(self) -> list[str]:
        """The fields to ask for, besides the address."""
        return self.form.questions(self.known)

    def judged(self, said: Mapping[str, str]) -> list[str]:
        """The questions of the page that `said` this: it may have been made before we learned what we know now.

        What is asked by a box of its own sends nothing when it is not ticked, and counts as asked.
        """
        boxes = {name for name in self.questions if self.house.fields.get(name) == "flag"}
        came = [name for name in self.form.answered if name != "email" and name in said]
        if self.known is None or not came:
            return self.questions
        return [name for name in self.questions if name in said or name in boxes]

    @property
    def told_again(self) -> dict[str, str]:
        """What the form shows as filled in: what the letter's reader told before, and is no secret of theirs.

        Nothing by a letter to an address that the lead has left: another may read there now.
        """
        known = self.known or {}
        if self.touch is None or self.touch.address not in (known.get("email"), e164(known.get("phone"))):
            return {}
        return {name: str(known[name]) for name in TOLD_AGAIN if known.get(name)}

    def says(self, text: str | dict[str, str] | None) -> str:
        """A text of the program as this page's reader reads it."""
        return in_language(text, self.language, self.house.program.language)

    @property
    def piece(self) -> dict[str, Any] | None:
        """The piece of the library that the form is for."""
        return self.house.piece(self.says(self.form.offer)) if self.form.offer is not None else None

    @property
    def title(self) -> str:
        """The form's title; of a form for a piece the piece's."""
        return self.says(self.form.title) or str((self.piece or {}).get("title", ""))


def visited(site: Site, request: Request, key: str, said: Mapping[str, str]) -> Visit:
    """The visit to form `key` with what came along (`t`, `s`, `lang`, parameters); 404 if there is no such form."""
    with site.machine.db.read() as link:
        house = site.live(link).house
        form = house.program.forms.get(key)
        if form is None:
            raise HTTPException(404)
        touch = _came_by(site, link, said.get("t", ""))
        before = sent(site, link, said.get("s", ""))
        known = _known(link, touch.lead_id, house) if touch is not None else None
        agreed = touch is not None and touch.address == touch.email and _agreed(site, link, touch.lead_id)
    if before is not None and not _leads_to(house, before.form, key):
        before = None
    asked = said.get("lang", "")
    language = spoken(
        form.language, asked if _TAG.fullmatch(asked) else None, touch.language if touch is not None else None,
        wished(request.headers.get("accept-language")), house.program.language,
    )  # fmt: skip
    carried = {name: said[name] for name in form.from_query if _short(said.get(name, ""))}
    token = said.get("t", "") if touch is not None else ""
    return Visit(key, house, form, language, touch, token, before, known, agreed, carried)


def sent(site: Site, link: Connection, token: str) -> Sent | None:
    """The submission that a thank-you page's address names, for a day; None for anything else."""
    try:
        number, _ = site.machine.keys.open("form", token)
    except BadToken:
        return None
    query = select(col(Event.data), col(Event.lead_id), col(Lead.email)).join(Lead, col(Lead.id) == col(Event.lead_id))
    lately = col(Event.recorded_at) > site.machine.now() - STEP_LASTS
    row = link.execute(query.where(col(Event.id) == number, lately)).one_or_none()
    return Sent(token, str(row.data.get("form", "")), row.lead_id, row.email) if row and row.email else None


def _leads_to(house: House, form: str, key: str) -> bool:
    before = house.program.forms.get(form)
    return before is not None and before.next is not None and before.next.form == key


def _came_by(site: Site, link: Connection, token: str) -> Any:
    """The touch that a form's address was made for; a broken token is as good as none."""
    try:
        number, place = site.machine.keys.open("click", token)
        return site.touch(link, number) if place == FORM_PLACE else None
    except (BadToken, HTTPException):
        return None


def _agreed(site: Site, link: Connection, lead: int) -> bool:
    """Whether a valid consent to mail and one to tracking stand."""
    query = select(col(Lead.id)).where(col(Lead.id) == lead, has_consent("mail"), has_consent("tracking"))
    return Run(link, site.live(link), site.machine.now())(query).first() is not None


def _known(link: Connection, lead: int, house: House) -> dict[str, Any]:
    """Every field of the lead by name, as it is stored; None where we know nothing."""
    columns = [col(getattr(Lead, name)) for name in BUILT_IN]
    row = link.execute(select(*columns, col(Lead.fields)).where(col(Lead.id) == lead)).one()
    own = {name: row.fields.get(name) for name in house.program.fields}
    return {**{name: getattr(row, name) for name in BUILT_IN}, **own}


def _short(text: str) -> bool:
    """Whether a parameter can be kept as a field's text; what cannot is nobody's mistake, and is left out."""
    try:
        return bool(line(text))
    except ValueError:
        return False
