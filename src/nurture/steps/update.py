"""`update`: change what we know of the lead: tags, status, fields."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import delete, literal, select, update
from sqlmodel import col

from nurture.dialects import merged, new_rows
from nurture.folding import fold
from nurture.histories import status_moves
from nurture.language.source import Written
from nurture.records import Enrolment, Lead, LeadTag
from nurture.records.types import NOW_AT
from nurture.steps.base import Here, Step
from nurture.worklist import work_for


class Tags(Written):
    """Tags to add and to remove; one word or several."""

    add: str | list[str] = []
    remove: str | list[str] = []

    def words(self, which: str) -> list[str]:
        """Folded."""
        value = getattr(self, which)
        return [fold(tag) for tag in ([value] if isinstance(value, str) else value)]


class Changes(Written):
    """What changes; fields must be declared in program.yaml."""

    tags: Tags | None = None
    status: str | None = None
    fields: dict[str, str | float | bool | None] = {}


class Update(Step):
    """`{id: tag, update: {tags: {add: evaluated}, status: open, fields: {evaluated: true}}}`."""

    kind_word: ClassVar[str] = "update"
    update: Changes

    def writes(self, here: Here) -> list[Any]:
        cohort = select(col(Enrolment.lead_id)).where(here.cohort)
        statements: list[Any] = []
        if self.update.tags:
            for tag in self.update.tags.words("add"):
                rows = select(col(Enrolment.lead_id), literal(tag)).where(here.cohort)
                statements.append(new_rows(LeadTag, ["lead_id", "tag"], rows))
            gone = self.update.tags.words("remove")
            if gone:
                mine = col(LeadTag.lead_id).in_(cohort) & col(LeadTag.tag).in_(gone)
                statements.append(delete(LeadTag).where(mine))
        if self.update.status is not None:
            author = f"sequence {here.sequence}/{self.id}"
            moving = col(Lead.id).in_(cohort)
            statements += status_moves(moving, self.update.status, cause=self.title, author=author)
        values: dict[str, Any] = {"changed_at": NOW_AT}
        if self.update.fields:
            values["fields"] = merged(col(Lead.fields), self.update.fields)
            words = {
                name: fold(value) if isinstance(value, str) else None for name, value in self.update.fields.items()
            }  # None takes the shadow of an emptied field away
            values["folded"] = merged(col(Lead.folded), words)
        statements.append(update(Lead).where(col(Lead.id).in_(cohort)).values(values))
        statements.append(work_for(cohort))
        return statements
