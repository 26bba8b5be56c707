"""The preference centre: about what, how often, in which language, and whether at all; GET only shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, select
from sqlmodel import col
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nurture.engine import consents, doors, preferences
from nurture.engine.preferences import PACES, SOURCE, Wish
from nurture.engine.running import Run
from nurture.records import Lead, Touch
from nurture.web.evidence import evidence
from nurture.web.fields import ticked
from nurture.web.following import READ, heed
from nurture.web.posted import Posted, posted
from nurture.web.preference_page import (
    BREAKS,
    TOPIC,
    Reader,
    languages_of,
    may_return,
    months_later,
    own_language,
    show,
)
from nurture.web.site import Site
from nurture.web.words import WORDS

_TOUCH = (
    col(Touch.id), col(Touch.lead_id), col(Touch.kind), col(Touch.address), col(Lead.email), col(Lead.language),
    col(Lead.zone),
)  # fmt: skip


def routes(site: Site) -> APIRouter:
    """/p."""
    router = APIRouter()

    @router.api_route("/p/{token}", methods=READ)
    def look(token: str) -> Response:
        """What holds now; a scanner that comes here changes nothing."""
        number, _ = site.opened("preferences", token)
        with site.machine.db.read() as link:
            return show(link, _reader(site, link, number))

    @router.post("/p/{token}")
    def save(token: str, request: Request, sent: Annotated[Posted, Depends(posted)]) -> Response:
        """Kept and settled before the answer, which says what holds now."""
        number, _ = site.opened("preferences", token)
        said, proof = sent.values, evidence(site, request)
        done = said.get("do") or "save"

        def work(link: Connection) -> bool:
            """False: a day was written on which no break may end, and nothing is kept."""
            reader = _reader(site, link, number)
            heed(site, link, request, number, reader.now)
            if done == "stop":
                doors.unsubscribe(link, reader.live, number, reader.now, source=SOURCE)
            elif done == "again":
                _subscribe_again(link, reader, proof)
            else:
                try:
                    wish = _wish(reader, said)
                except ValueError:
                    return False
                _follow(link, reader, said, proof)
                preferences.choose(link, reader.live, reader.touch.lead_id, wish, reader.now, touch=number)
            return True

        kept = site.machine.db.transact(work, door=True)
        with site.machine.db.read() as link:
            reader = _reader(site, link, number)
            return show(link, reader, done) if kept else show(link, reader, mend=said)

    return router


def _reader(site: Site, link: Connection, number: int) -> Reader:
    """Whose link it is; 404 once its person was forgotten."""
    query = select(*_TOUCH).join(Lead, col(Lead.id) == col(Touch.lead_id)).where(col(Touch.id) == number)
    row = link.execute(query.where(col(Lead.forgotten_at).is_(None))).one_or_none()
    if row is None:
        raise HTTPException(404)
    return Reader(site.live(link), row, site.machine.now())


def _wish(reader: Reader, said: Mapping[str, str]) -> Wish:
    """What was asked for, of what the page had shown: no box stands for a topic that is newer than the page.

    Raises ValueError for a day on which no pause may end.
    """
    shown = [topic for topic in said.get("shown", "").split() if topic in reader.live.house.program.topics]
    every, language = said.get("every", ""), said.get("language", "")
    known = language in languages_of(reader) and language != own_language(reader)
    return Wish(
        topics={topic: ticked(said, TOPIC + topic) for topic in shown},
        every_days=int(every) if every in map(str, (0, *PACES)) else None,
        paused_until=_until(reader, said),
        language=language if known else None,
    )


def _until(reader: Reader, said: Mapping[str, str]) -> datetime | None:
    """When the break ends; an instant that is over where there is to be none, None where it stays as it is."""
    written, word, today = said.get("until", "").strip(), said.get("pause", ""), reader.today
    if written:
        day = date.fromisoformat(written)
        if not today < day <= months_later(today, 12):
            raise ValueError(written)
        return reader.instant(day)
    if word in BREAKS:
        days, months = BREAKS[word]
        return reader.instant(months_later(today, months) + timedelta(days=days))
    return reader.now if word == "none" else None


def _follow(link: Connection, reader: Reader, said: Mapping[str, str], proof: Mapping[str, Any]) -> None:
    """Consent to tracking, given or withdrawn by its own box; nothing where the page did not show the box."""
    lead, now, live = reader.touch.lead_id, reader.now, reader.live
    if "asked" not in said:
        return
    doors.lock_lead(link, lead, now)
    stands = preferences.standing(Run(link, live, now), lead, reader.address).tracking_since is not None
    if not ticked(said, "tracking"):
        consents.withdraw(link, live, lead, "tracking", now, SOURCE)
    elif not stands:
        consents.give(
            link, lead, "tracking", "consent", source=SOURCE, now=now, wording=_worded(reader, "prefs_tracking_box"),
            evidence=proof, expires_at=live.house.program.consents.end("consent", now), confirmed_at=now,
        )  # fmt: skip


def _subscribe_again(link: Connection, reader: Reader, proof: Mapping[str, Any]) -> None:
    if may_return(reader):
        preferences.subscribe_again(
            link, reader.live, reader.touch.lead_id, reader.address, reader.now,
            wording=_worded(reader, "prefs_again_box"), evidence=proof, touch=reader.touch.id,
        )  # fmt: skip


def _worded(reader: Reader, key: str) -> str:
    return consents.worded(reader.language, WORDS[reader.language][key])
