"""What the kinds that reach a lead from outside have in common: a touch, and leaving when it has ended."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from sqlalchemy import ColumnElement, func, literal, null, select, true
from sqlmodel import col

from nurture.records import Enrolment, Lead, Touch
from nurture.records.types import micros
from nurture.steps.base import Exit, Here, Step

#: When a lead cannot be reached, and the word for why.
Refusal = tuple[ColumnElement[bool], str]


class Sending(Step):
    """A step with a touch. A lead leaves it when the touch is sent, failed, suppressed, expired or uncertain."""

    #: email (also for offers), sms, audience or webhook: which way out it takes.
    channel: ClassVar[str] = "email"
    #: Whether the lead reads it: then window, caps, priority, lateness and the same-content rule hold.
    is_message: ClassVar[bool] = True
    #: Whether each delivery carries a key by which the other side knows a repeated one: then none is ever in doubt.
    keyed: ClassVar[bool] = False
    #: Whether it is given up when it could not leave within `max_late`.
    expires: ClassVar[bool] = True
    #: The purpose under which a lead must have agreed to what is marketing; None: none is asked for.
    consent: ClassVar[str | None] = "mail"

    def purpose(self) -> Literal["marketing", "operational"]:
        """Operational messages need no marketing consent and are neither capped nor counted."""
        return "marketing"

    def withdraws(self) -> bool:
        """Whether it takes back what was told of a lead: that needs no consent, and is done for the suppressed too."""
        return False

    def unreachable(self) -> list[Refusal]:
        """What else a lead must have for this way out: when it lacks that, and the word for it."""
        return [(col(Lead.email).is_(None), "no_address")]

    def content(self, here: Here) -> ColumnElement[Any]:
        """What the lead would receive, by name; NULL: there is nothing left to send (the lead idles here)."""
        return literal(None)

    def repeats(self) -> bool:
        """Whether a lead that already received this content gets it again."""
        return False

    def passing(self, here: Here) -> list[Exit]:
        return [Exit(self.next or here.following, true(), here.due)]

    def exits(self, here: Here) -> list[Exit]:
        ended = (
            select(func.max(micros(col(Touch.ended_at))))
            .where(
                col(Touch.enrolment_id) == col(Enrolment.id),
                col(Touch.step) == self.id,
                col(Touch.occurrence) == col(Enrolment.occurrence),
            )
            .correlate(Enrolment)
            .scalar_subquery()
        )
        return [Exit(self.next or here.following, ended.is_not(null()), ended)]


class Message(Sending):
    """A sending step whose message the lead reads."""

    #: What it is about, of `topics:` in program.yaml; the sequence's unless said.
    topic: str | None = None
