"""A salesperson's answer to a hand-off by a signed link; scanners follow links too, so GET only shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from fastapi import APIRouter, Depends
from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nurture.engine import doors
from nurture.engine.live import Live
from nurture.engine.notices import ACCEPT, ANSWERS, PAGE, notice_names
from nurture.engine.story import tell
from nurture.program.sales import Salesperson
from nurture.records import Handoff
from nurture.web.fields import field_words
from nurture.web.following import READ
from nurture.web.guard import body
from nurture.web.pages import Sign, page
from nurture.web.site import Site
from nurture.web.words import spoken

#: Built-in facts of a lead that a salesperson reads first, in this order; the program's own fields follow.
_FACTS = ("email", "phone", "company", "title", "country", "language", "timezone")


@dataclass(frozen=True)
class Choice:
    """What a link stands for: `accepted`, `rejected` with a reason, or None, the page with all choices."""

    verdict: str | None
    reason: str | None = None


def _choice(item: int) -> Choice:
    if item == PAGE:
        return Choice(None)
    if item == ACCEPT:
        return Choice("accepted")
    if item in ANSWERS:
        return Choice("rejected", ANSWERS[item])
    raise HTTPException(404)


def routes(site: Site) -> APIRouter:
    """/h."""
    router = APIRouter()

    @router.api_route("/h/{token}", methods=READ)
    def look(token: str) -> Response:
        """Everything about the hand-off, and buttons."""
        number, item = site.opened("handoff", token)
        choice = _choice(item)
        with site.machine.db.read() as link:
            return _show(site, link, number, choice)

    @router.post("/h/{token}")
    def answer(token: str, _: Annotated[bytes, Depends(body)]) -> Response:
        """The answer that this link stands for."""
        number, item = site.opened("handoff", token)
        choice, now = _choice(item), site.machine.now()
        if choice.verdict is None:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        verdict = choice.verdict

        def work(link: Connection) -> bool:
            owner = _handoff(link, number).owner
            return doors.answer_handoff(link, site.live(link), number, verdict, choice.reason, owner, now)

        new = site.machine.db.transact(work, door=True)
        with site.machine.db.read() as link:
            shown = _show(site, link, number, choice, answered=new)
        if new:
            shown.background = site.afterwards()
        return shown

    return router


def _handoff(link: Connection, number: int) -> Any:
    row = link.execute(select(Handoff.__table__).where(col(Handoff.id) == number)).one_or_none()  # type: ignore[attr-defined]
    if row is None:
        raise HTTPException(404)
    return row


def _show(site: Site, link: Connection, number: int, choice: Choice, *, answered: bool | None = None) -> Response:
    """The page of a hand-off. `answered`: whether the answer just given was the first; None: none was."""
    live, row = site.live(link), _handoff(link, number)
    program = live.house.program
    owner = next((person for person in program.sales if person.email == row.owner), program.sales[0])
    language = spoken(owner.language, program.language)
    names = _names(site, live, link, row, owner)
    answers = {ACCEPT: "accepted", **ANSWERS}
    return page(
        "handoff",
        language,
        Sign.of(program),
        **names,
        facts=_facts(names["lead"], live, language),
        state=row.state,
        state_reason=row.reason,
        answered=answered,
        answered_by=row.answered_by,
        answered_at=_moment(row.answered_at, owner, program.zone, language),
        choice=choice,
        links={word: site.machine.keys.seal("handoff", number, item) for item, word in answers.items()},
        everything=site.machine.keys.seal("handoff", number, PAGE),
    )


def _names(site: Site, live: Live, link: Connection, row: Any, owner: Salesperson) -> dict[str, Any]:
    """What the page prints: everything as of now, and the score as it was at the hand-over (`score_then`)."""
    machine = site.machine
    story = tell(link, live, row.lead_id, machine.now())
    names = notice_names(live.house, story, row, owner, machine.keys, machine.public_url)
    return {**names, "score": story.score, "fit": story.fit, "score_then": row.score}


def _facts(lead: dict[str, Any], live: Live, language: str) -> list[tuple[str, str, str]]:
    """(field, what it is called, what is known), of what is known."""
    names = [*_FACTS, *live.house.program.fields]
    return [
        (name, *field_words(name, lead[name], live.house.fields.get(name, "text"), language))
        for name in names
        if lead.get(name) not in (None, "", False)
    ]


def _moment(at: datetime | None, owner: Salesperson, zone: str, language: str) -> str:
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(owner.zone or zone))
    return str(format_datetime(local, "EEE d MMM, HH:mm", locale=language))
