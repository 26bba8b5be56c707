"""What the kinds that reach a lead from outside have in common: a touch, and leaving when it has ended."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from sqlalchemy import ColumnElement, func, literal, null, select
from sqlmodel import col

from nurture.records import Enrolment, Touch
from nurture.records.types import micros
from nurture.steps.base import Exit, Here, Step


class Sending(Step):
    """A step with a touch. A lead leaves it when the touch is sent, failed, suppressed, expired or uncertain."""

    sends: ClassVar[bool] = True
    #: email (also for offers), sms, audience or webhook: which way out it takes.
    channel: ClassVar[str] = "email"
    #: Whether the lead reads it: then window, caps, priority, lateness and the same-content rule hold.
    is_message: ClassVar[bool] = True

    def purpose(self) -> Literal["marketing", "operational"]:
        """Operational messages need no marketing consent and are neither capped nor counted."""
        return "marketing"

    def content(self, here: Here) -> ColumnElement[Any]:
        """What the lead would receive, by name; NULL: there is nothing left to send (the lead idles here)."""
        return literal(None)

    def repeats(self) -> bool:
        """Whether a lead that already received this content gets it again."""
        return False

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
