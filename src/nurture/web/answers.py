"""A salesperson's answer to a hand-off by a signed link; scanners follow links too, so GET only shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_currency, format_decimal
from fastapi import APIRouter, Depends
from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nurture import clock
from nurture.engine import answers, doors
from nurture.engine.answered import ENDS, PROGRESS
from nurture.engine.answers import FORMS
from nurture.engine.story import tell
from nurture.engine.telling_sales import ACCEPT, ANSWERS, PAGE, letter_names
from nurture.errors import Refused
from nurture.program.sales import Salesperson
from nurture.records import Handoff, HandoffAnswer
from nurture.web.answer_forms import Choice, Wrong, choice_of, plain, read, usual_currency
from nurture.web.fields import field_words
from nurture.web.following import READ
from nurture.web.guard import body
from nurture.web.pages import Sign, page
from nurture.web.posted import posted
from nurture.web.site import Site
from nurture.web.words import WORDS, spoken

#: Built-in facts of a lead that a salesperson reads first, in this order; the program's own fields follow.
_FACTS = ("email", "phone", "company", "title", "country", "language", "timezone")


async def _said(request: Request, sent: Annotated[bytes, Depends(body)]) -> dict[str, str]:
    """The fields of a form; a button alone sends none."""
    return (await posted(request, sent)).values if sent else {}


def routes(site: Site) -> APIRouter:
    """/h."""
    router = APIRouter()

    def opened(token: str) -> tuple[int, Choice]:
        number, item = site.opened("handoff", token)
        choice = choice_of(item)
        if choice is None:
            raise HTTPException(404)
        return number, choice

    @router.api_route("/h/{token}", methods=READ)
    def look(token: str) -> Response:
        """Everything about the hand-off, and buttons."""
        number, choice = opened(token)
        with site.machine.db.read() as link:
            return _Page(site, link, number).show(choice)

    @router.post("/h/{token}")
    def answer(token: str, said: Annotated[dict[str, str], Depends(_said)]) -> Response:
        """The answer that this link stands for."""
        number, choice = opened(token)
        if choice.answer is None:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        try:
            new = site.machine.db.transact(lambda link: _answer(site, link, number, choice, said), door=True)
        except Wrong as wrong:
            with site.machine.db.read() as link:
                return _Page(site, link, number).show(choice, mend={**said, "wrong": str(wrong)})
        except Refused as refused:
            with site.machine.db.read() as link:
                return _Page(site, link, number).show(choice, answered=False, refused=str(refused))
        with site.machine.db.read() as link:
            shown = _Page(site, link, number).show(choice, answered=new)
        if new:
            shown.background = site.afterwards()
        return shown

    return router


def _answer(site: Site, link: Connection, number: int, choice: Choice, said: Mapping[str, str]) -> bool:
    """Take it; False: nothing was changed. A link of the notice answers an open hand-off, and corrects none."""
    now, row, live = site.machine.now(), _handoff(link, number), site.live(link)
    doors.lock_lead(link, row.lead_id, now)
    row = _handoff(link, number)
    if not choice.form and row.state != "open":
        return False
    more = read(choice, said, live.house.lifecycle, answers.day_of(live.house, now))
    key = f"{number}:{clock.unguessable() if choice.form else choice.item}"
    told = {"by": row.owner, "now": now, "source": "link", "key": key, **more}
    return answers.answer(link, live, number, str(choice.answer), **told).news


def _handoff(link: Connection, number: int) -> Any:
    row = link.execute(select(Handoff.__table__).where(col(Handoff.id) == number)).one_or_none()  # type: ignore[attr-defined]
    if row is None:
        raise HTTPException(404)
    return row


class _Page:
    """The page of one hand-off, in its owner's language."""

    def __init__(self, site: Site, link: Connection, number: int) -> None:
        self.site, self.link, self.row, self.live = site, link, _handoff(link, number), site.live(link)
        self.program, self.now = self.live.house.program, site.machine.now()
        team = self.program.sales
        self.owner: Salesperson = next((person for person in team if person.email == self.row.owner), team[0])
        self.language = spoken(self.owner.language, self.program.language)

    def show(
        self, choice: Choice, *, answered: bool | None = None, mend: Mapping[str, str] | None = None, refused: str = ""
    ) -> Response:
        """`answered`: whether the answer just given was news, None: none was; `mend`: what could not be read;
        `refused`: why it was not taken.
        """
        row, keys = self.row, self.site.machine.keys
        names = self._names()
        ways = {ACCEPT: "accepted", **ANSWERS}
        return page(
            "handoff",
            self.language,
            Sign.of(self.program),
            status=422 if mend else 200,
            **names | {"facts": self._facts(names["lead"])},
            state=row.state,
            progress=row.progress,
            ended=row.progress in ENDS,
            state_reason=row.reason or row.lost_reason,
            answered=answered,
            answered_by=row.answered_by,
            answered_at=self._moment(row.progress_at or row.answered_at),
            now_with=answers.successor(self.link, row).owner,
            choice=choice,
            mend=mend or {},
            links={word: keys.seal("handoff", row.id, item) for item, word in ways.items()},
            forms={word: keys.seal("handoff", row.id, item) for item, word in FORMS.items()},
            everything=keys.seal("handoff", row.id, PAGE),
            said=self._told(),
            following=[word for word in PROGRESS[:3] if row.progress not in PROGRESS[PROGRESS.index(word) :]],
            rejections=list(ANSWERS.values()),
            losses={reason: self._reason(reason) for reason in self.live.house.lifecycle.lost_reasons},
            currency=row.currency or usual_currency(self.program, self.now),
            value=plain(row.value),
            refused=refused,
            tomorrow=answers.day_of(self.live.house, self.now) + timedelta(days=1),
        )

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.owner.zone or self.program.zone)

    def _names(self) -> dict[str, Any]:
        """What the page prints: everything as of now, and the score as it was at the hand-over (`score_then`)."""
        machine = self.site.machine
        story = tell(self.link, self.live, self.row.lead_id, self.now)
        names = letter_names(
            self.link, self.live.house, story, self.row, self.owner, machine.keys, machine.public_url, self.now
        )
        del names["say"]  # the page has its own
        return {**names, "score": story.score, "fit": story.fit, "score_then": self.row.score}

    def _facts(self, lead: dict[str, Any]) -> list[tuple[str, str, str]]:
        """(field, what it is called, what is known), of what is known."""
        names, fields = [*_FACTS, *self.program.fields], self.live.house.fields
        return [
            (name, *field_words(name, lead[name], fields.get(name, "text"), self.language))
            for name in names
            if lead.get(name) not in (None, "", False)
        ]

    def _told(self) -> list[dict[str, str]]:
        """What was said of this hand-off so far, the latest first."""
        mine = select(HandoffAnswer.__table__).where(col(HandoffAnswer.handoff_id) == self.row.id)  # type: ignore[attr-defined]
        say = WORDS[self.language]
        return [
            {
                "when": self._moment(one.at), "what": say[f"h_said_{one.answer}"], "by": one.by, "note": one.note or "",
                "more": self._reason(one.reason) if one.reason else self._worth(one.value, one.currency),
            }
            for one in self.link.execute(mine.order_by(col(HandoffAnswer.id).desc()))
        ]  # fmt: skip

    def _reason(self, word: str) -> str:
        say = WORDS[self.language]
        return say.get(f"lost_{word}") or say.get(word) or word.replace("_", " ").capitalize()

    def _worth(self, value: float | None, currency: str | None) -> str:
        if value is None:
            return ""
        if currency is None:
            return str(format_decimal(value, locale=self.language))
        return str(format_currency(value, currency, locale=self.language))

    def _moment(self, at: datetime | None) -> str:
        if at is None:
            return ""
        return str(format_datetime(at.astimezone(self._zone), "EEE d MMM, HH:mm", locale=self.language))
