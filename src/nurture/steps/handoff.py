"""`handoff`: ask sales to take the lead; the gate decides."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import ColumnElement, literal, select, true
from sqlmodel import col

from nurture.dialects import new_rows
from nurture.records import Enrolment, Milestone
from nurture.records.types import NOW_AT
from nurture.steps.base import Exit, Here, Step
from nurture.worklist import work_for


class HandOff(Step):
    """`{id: rep, handoff: engaged_evaluator, passed: done, refused: done}`: names a milestone of lifecycle.yaml."""

    kind_word: ClassVar[str] = "handoff"
    calls_sales: ClassVar[bool] = True
    handoff: str
    passed: str | None = None
    refused: str | None = None

    def targets(self) -> dict[str, str]:
        named = {"passed": self.passed, "refused": self.refused, "next": self.next}
        return {key: target for key, target in named.items() if target}

    def goes_on(self) -> bool:
        return self.next is None and (self.passed is None or self.refused is None)

    def writes(self, here: Here) -> list[Any]:
        rows = select(col(Enrolment.lead_id), literal(self.handoff), NOW_AT, -col(Enrolment.id)).where(here.cohort)
        cohort = select(col(Enrolment.lead_id)).where(here.cohort)
        return [
            new_rows(Milestone, ["lead_id", "name", "reached_at", "event_id"], rows),
            work_for(cohort),  # its new stage may end other sequences
        ]

    def exits(self, here: Here) -> list[Exit]:
        return [
            Exit(self.passed or self.next or here.following, self._handed(), here.due),
            Exit(self.refused or self.next or here.following, true(), here.due),
        ]

    def _handed(self) -> ColumnElement[bool]:
        mine = (
            (col(Milestone.lead_id) == col(Enrolment.lead_id))
            & (col(Milestone.name) == self.handoff)
            & (col(Milestone.event_id) == -col(Enrolment.id))
        )
        passed = col(Milestone.outcome).in_(("handed_off", "evidence"))
        return select(1).where(mine, passed).correlate(Enrolment).exists()
