"""`wait_until`: go one way the moment something is recorded, another way at the deadline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, not_, select
from sqlmodel import col

from nurture.language import conditions as c
from nurture.language.conditions import Condition, When
from nurture.records import Enrolment, Event
from nurture.records.types import instant, micros
from nurture.steps.base import Exit, Here, Step
from nurture.steps.wait import Span
from nurture.zones import after


class WaitUntil(Step):
    """`{id: engaged, wait_until: {clicked: welcome}, at_most: 3 days, then: case, else: nudge}`.

    `then` if and only if the event was recorded at or before the deadline, however late the tick; else `else` is
    entered at the deadline. A `did:` counts since the step was entered unless it says otherwise.
    """

    kind_word: ClassVar[str] = "wait_until"
    listens: ClassVar[bool] = True
    wait_until: When
    at_most: Span
    then: str | None = None
    otherwise: str | None = Field(default=None, alias="else")

    def targets(self) -> dict[str, str]:
        named = {"then": self.then, "else": self.otherwise, "next": self.next}
        return {key: target for key, target in named.items() if target}

    def goes_on(self) -> bool:
        return self.next is None and (self.then is None or self.otherwise is None)

    def conditions(self) -> list[tuple[tuple[str | int, ...], Condition]]:
        return [(("wait_until",), self.wait_until)]

    def exits(self, here: Here) -> list[Exit]:
        deadline = self._deadline(here)
        goal = _since_step(self.wait_until)
        reached = here.holds(goal, recorded_by=instant(deadline))
        over = and_(deadline <= here.instant, not_(self._resting(here, deadline).exists()))
        return [
            Exit(self.then or self.next or here.following, reached, here.due),
            Exit(self.otherwise or self.next or here.following, over, deadline),
        ]

    def stay(self, here: Here) -> ColumnElement[Any] | None:
        deadline = self._deadline(here)
        ripe = self._resting(here, deadline).with_only_columns(func.min(micros(col(Event.ripe_at)))).scalar_subquery()
        return case((deadline <= here.instant, ripe), else_=deadline)

    def _deadline(self, here: Here) -> ColumnElement[int]:
        return after(here.entered, self.at_most, here.clock)

    def _resting(self, here: Here, deadline: ColumnElement[int]) -> Any:
        """Events recorded in time whose class is not certain yet."""
        return (
            select(1)
            .where(
                col(Event.lead_id) == col(Enrolment.lead_id),
                col(Event.settled_at).is_(None),
                micros(col(Event.recorded_at)) <= deadline,
                micros(col(Event.ripe_at)) > here.instant,
            )
            .correlate(Enrolment)
        )


def _since_step(condition: Condition) -> Condition:
    match condition:
        case c.All(parts):
            return c.All(tuple(_since_step(part) for part in parts))
        case c.Any_(parts):
            return c.Any_(tuple(_since_step(part) for part in parts))
        case c.Not(part):
            return c.Not(_since_step(part))
        case c.Did() if condition.since is None:
            return replace(condition, since="step")
    return condition
