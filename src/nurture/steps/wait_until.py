"""`wait_until`: go one way the moment something is recorded, another way at the deadline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, not_, select, update
from sqlmodel import col

from nurture.language import conditions as c
from nurture.language.conditions import Condition, When
from nurture.records import Enrolment, Event
from nurture.records.types import NOW_AT, instant, micros
from nurture.steps.base import Exit, Here, Span, Step
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

    def writes(self, here: Here) -> list[Any]:
        deadline = instant(after(here.entered, self.at_most, here.clock))  # anew each time: a lead may change its zone
        return [update(Enrolment).where(here.cohort).values(deadline_at=deadline)]

    def exits(self, here: Here) -> list[Exit]:
        goal = _since_step(self.wait_until)
        reached = here.holds(goal, recorded_by=col(Enrolment.deadline_at))
        came = here.moment(goal, recorded_by=col(Enrolment.deadline_at))
        over = and_(col(Enrolment.deadline_at) <= NOW_AT, not_(self._resting(here).exists()))
        return [
            Exit(self.then or self.next or here.following, reached, here.due if came is None else came),
            Exit(self.otherwise or self.next or here.following, over, micros(col(Enrolment.deadline_at))),
        ]

    def stay(self, here: Here) -> ColumnElement[Any] | None:
        ripe = self._resting(here).with_only_columns(func.min(micros(col(Event.ripe_at)))).scalar_subquery()
        return case((col(Enrolment.deadline_at) <= NOW_AT, ripe), else_=micros(col(Enrolment.deadline_at)))

    def _resting(self, here: Here) -> Any:
        """Events recorded in time whose class is not certain yet."""
        return (
            select(1)
            .where(
                col(Event.lead_id) == col(Enrolment.lead_id),
                col(Event.settled_at).is_(None),
                col(Event.recorded_at) <= col(Enrolment.deadline_at),
                col(Event.ripe_at) > NOW_AT,
            )
            .correlate_except(Event)
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
