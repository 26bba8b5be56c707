"""`wait_until`: go one way the moment something is recorded, another way at the deadline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, case, func, not_, select, true, update
from sqlmodel import col

from nurture.dialects import greatest, least
from nurture.language import conditions as c
from nurture.language.conditions import Condition, When
from nurture.records import Enrolment, Event, SequenceVersion
from nurture.records.types import NOW, NOW_AT, instant, micros
from nurture.steps.base import Exit, Here, Span, Step
from nurture.zones import after


class WaitUntil(Step):
    """`{id: engaged, wait_until: {clicked: welcome}, at_most: 3 days, then: case, else: nudge}`.

    `then` if and only if the event was recorded at or before the deadline, however late the tick; else `else` is
    entered at the deadline. A `did:` counts since the step was entered unless it says otherwise. A field, a tag or a
    stage counts only if the lead was last changed by the deadline.
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
        ends = after(here.entered, self.at_most, here.clock)  # anew each time: a lead may change its zone
        return [update(Enrolment).where(here.cohort).values(deadline_at=instant(greatest(ends, _published(here))))]

    def exits(self, here: Here) -> list[Exit]:
        goal = _since(self.wait_until, "step")
        deadline = col(Enrolment.deadline_at)
        by_then = least(NOW, micros(deadline))
        reached = here.holds(goal, by_then, recorded_by=deadline)
        came = here.moment(goal, by_then, recorded_by=deadline)
        over = and_(deadline <= NOW_AT, not_(self._resting(here).exists()))
        return [
            Exit(self._met(here), reached, here.due if came is None else greatest(came, _published(here))),
            Exit(self._unmet(here), over, micros(deadline)),
        ]

    def passing(self, here: Here) -> list[Exit]:
        met = here.holds(_since(self.wait_until, "enrolment"), NOW)
        return [Exit(self._met(here), met, here.due), Exit(self._unmet(here), true(), here.due)]

    def _met(self, here: Here) -> str | None:
        return self.then or self.next or here.following

    def _unmet(self, here: Here) -> str | None:
        return self.otherwise or self.next or here.following

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


def _published(here: Here) -> ColumnElement[int]:
    """When this version became live: nothing that it says comes to pass before, for those whom it found waiting."""
    mine = select(micros(col(SequenceVersion.published_at))).where(col(SequenceVersion.id) == here.version_id)
    return mine.scalar_subquery()


def _since(condition: Condition, place: Literal["step", "enrolment"]) -> Condition:
    """`condition`, with each `did:` that does not say since when counting since `place`; silence counts as it is."""
    match condition:
        case c.All(parts):
            return c.All(tuple(_since(part, place) for part in parts))
        case c.Any_(parts):
            return c.Any_(tuple(_since(part, place) for part in parts))
        case c.Not(part):
            return c.Not(_since(part, place))
        case c.Did() if condition.since is None and not (condition.negated and condition.within):
            return replace(condition, since=place)
    return condition
