"""`split`: shares of the leads go different ways, each lead the same way whenever it comes by."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator
from sqlalchemy import select, true
from sqlmodel import col

from nurture.language.arms import Shares, bounds, experiment, place
from nurture.language.source import Misread
from nurture.records import Enrolment, Lead
from nurture.steps.base import Exit, Here, Step


class Split(Step):
    """`{id: half, split: {nudge: 60, case: 40}}`: step to the percentage of leads that go there."""

    kind_word: ClassVar[str] = "split"
    #: Step to its share.
    split: Shares

    @model_validator(mode="after")
    def _no_next(self) -> Split:
        if self.next is not None:
            raise Misread([(("next",), "a split has no next", "name each way in the split itself")])
        return self

    def targets(self) -> dict[str, str]:
        return {f"split.{target}": target for target in self.split}

    def goes_on(self) -> bool:
        return False

    def exits(self, here: Here) -> list[Exit]:
        key = select(col(Lead.draw)).where(col(Lead.id) == col(Enrolment.lead_id)).correlate_except(Lead)
        where = place(experiment(here.sequence, self.id), key.scalar_subquery())
        *ways, (last, _) = bounds(self.split)
        return [*(Exit(way, where < bound, here.due) for way, bound in ways), Exit(last, true(), here.due)]
