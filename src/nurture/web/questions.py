"""The answer to a one-question letter. A scanner opens every link of a letter, so GET only shows and asks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nurture.engine import questions
from nurture.program.load import House
from nurture.program.questions import Answer, listed
from nurture.program.wording import in_language
from nurture.web.following import READ
from nurture.web.guard import body
from nurture.web.letters import Letters
from nurture.web.pages import Sign, page
from nurture.web.site import Site
from nurture.web.words import WORDS, spoken


def routes(site: Site) -> APIRouter:
    """/q."""
    router = APIRouter()
    letters = Letters(site.machine.library, site.machine.public_url)

    @router.api_route("/q/{token}", methods=READ)
    def ask(token: str) -> Response:
        """The question with this answer chosen, and a button."""
        with site.machine.db.read() as link:
            touch, house, said = _asked(site, letters, link, token)
            given = questions.answer_to(link, touch.id, said.question) == said.answer
            return _page(site, link, touch, house, said, given=given)

    @router.post("/q/{token}")
    def answer(token: str, _: Annotated[bytes, Depends(body)]) -> Response:
        """This is the answer, until another one is given."""
        now = site.machine.now()
        with site.machine.db.read() as link:
            touch, house, said = _asked(site, letters, link, token)

        def work(link: Connection) -> bool:
            return questions.given(link, site.live(link), touch.id, said, now)

        news = site.machine.db.transact(work, door=True)
        with site.machine.db.read() as link:
            touch, house, said = _asked(site, letters, link, token)
            shown = _page(site, link, touch, house, said, given=True)
        if news:
            shown.background = site.afterwards()
        return shown

    return router


def _asked(site: Site, letters: Letters, link: Connection, token: str) -> tuple[Any, House, Answer]:
    """The touch, the program that its letter was made of, and the answer that the link stands for.

    404 for none, and once the letter's person was forgotten.
    """
    number, place = site.opened("question", token)
    touch = site.touch(link, number)
    if touch.forgotten_at is not None:
        raise HTTPException(404)
    house = letters.house(link, touch)
    known = listed(house.program.questions)
    if place >= len(known):
        raise HTTPException(404)
    return touch, house, known[place]


def _page(site: Site, link: Connection, touch: Any, house: House, said: Answer, *, given: bool) -> Response:
    """`given`: this is the answer already; else the button makes it so. The other answers are links."""
    program = site.live(link).house.program
    language = spoken(touch.language, program.language)
    question = house.program.questions[said.question]

    def read(text: str | dict[str, str] | None) -> str:
        return in_language(text, language, house.program.language)

    seal = site.machine.keys.seal
    others = [
        (seal("question", touch.id, place), read(question.answers[one.answer]))
        for place, one in enumerate(listed(house.program.questions))
        if one.question == said.question and one.answer != said.answer
    ]
    return page(
        "question",
        language,
        Sign.of(program),
        ask=read(question.ask),
        answer=read(question.answers[said.answer]),
        thanks=read(question.thanks) or WORDS[language]["q_thanks_text"],
        given=given,
        others=others,
    )
