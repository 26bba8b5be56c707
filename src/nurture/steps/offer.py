"""`offer`: the best piece of the content library that fits the lead and that it has not had."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, literal, null, or_, select, true
from sqlmodel import col

from nurture.dialects import text_in
from nurture.folding import fold
from nurture.language.source import Written
from nurture.records import Enrolment, Event, Lead, Touch
from nurture.steps.base import Here
from nurture.steps.sending import Message


class Topic(Written):
    """`{field: industry}`: the topic is what this field of the lead says."""

    field: str


class Wanted(Written):
    """Which pieces may be offered; without a topic, any of the stage."""

    topic: Topic | str | None = None
    stage: Literal["awareness", "consideration", "decision"] | None = None


class Offer(Message):
    """`{id: case, offer: {topic: {field: industry}, stage: consideration}}`: in the lead's language, best first."""

    kind_word: ClassVar[str] = "offer"
    offer: Wanted
    message: str = Field(default="_shared/offer.j2", pattern=r"^[\w./-]+\.j2$")

    def content(self, here: Here) -> ColumnElement[Any]:
        pieces = [piece for piece in here.library if self.offer.stage in (None, piece["stage"])]
        if not pieces:
            return null()
        cases = [(self._fits(piece, here), literal(piece["key"])) for piece in pieces]
        chosen = case(*cases, else_=null())
        return select(chosen).where(col(Lead.id) == col(Enrolment.lead_id)).correlate(Enrolment).scalar_subquery()

    def _fits(self, piece: Any, here: Here) -> ColumnElement[bool]:
        topics = [fold(topic) for topic in piece["topics"]]
        on_topic: ColumnElement[bool] = true()
        if isinstance(self.offer.topic, Topic) and topics:
            on_topic = func.coalesce(text_in(col(Lead.folded), self.offer.topic.field).in_(topics), literal(False))
        elif isinstance(self.offer.topic, str) and topics:
            on_topic = literal(fold(self.offer.topic) in topics)
        spoken = func.coalesce(col(Lead.language), literal(here.language))
        language = piece["language"]
        in_language = or_(spoken == language, spoken.startswith(f"{language}-"))
        had = (
            select(1)
            .where(
                col(Touch.lead_id) == col(Lead.id),
                col(Touch.content) == piece["key"],
                col(Touch.state).not_in(("cancelled", "suppressed", "failed", "expired")),
            )
            .correlate(Lead)
        )
        fits = [on_topic, in_language, ~had.exists()]
        if piece["events"]:
            asked_for = (
                select(1)
                .where(
                    col(Event.lead_id) == col(Lead.id),
                    col(Event.name).in_(piece["events"]),
                    text_in(col(Event.data), "offer") == piece["key"],
                )
                .correlate(Lead)
            )
            fits.append(~asked_for.exists())
        return and_(*fits)
