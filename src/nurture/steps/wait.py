"""`wait`: hold each lead for a while, or until a day that its own field names, on its own clock."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import ColumnElement, func, literal, or_, true
from sqlmodel import col

from nurture.dialects import day_in
from nurture.durations import Duration, parse_clock, parse_duration
from nurture.language.source import Written
from nurture.records import Enrolment
from nurture.records.types import micros
from nurture.steps.base import Exit, Here, Span, Step, Whose, lead_of_enrolment
from nurture.zones import DAY, after, to_utc

_WRITTEN_CLOCK = Annotated[str, Field(pattern=r"^\s*([01]?[0-9]|2[0-3]):[0-5][0-9]\s*$", examples=["09:00"])]
Clock = Annotated[time, BeforeValidator(parse_clock, json_schema_input_type=_WRITTEN_CLOCK)]


class Until(Written):
    """`{until: renews_on, before: 7 days, at: "09:00"}`: so many days off a day of the lead's, on its own clock."""

    #: A field of the kind `date`.
    until: str
    before: Span | None = None
    after: Span | None = None
    #: On the lead's clock.
    at: Clock = time(0)

    @model_validator(mode="after")
    def _days_one_way(self) -> Until:
        if self.before is not None and self.after is not None:
            raise ValueError("both 'before' and 'after'; keep one of them")
        if any(span is not None and not span.days for span in (self.before, self.after)):
            raise ValueError("a day is so many days off, not hours; write before: 7 days, and the hour as at:")
        return self

    @property
    def off(self) -> int:
        """Days after the day (below zero: before it)."""
        return self.after.days if self.after else -self.before.days if self.before else 0

    def instant(self, whose: Whose) -> ColumnElement[int]:
        """When it is, for a lead; NULL where its field says no day."""
        hour = (self.at.hour * 60 + self.at.minute) * 60_000_000
        return to_utc(day_in(whose.fields, self.until) + literal(self.off * DAY + hour), whose.zone)

    def __str__(self) -> str:
        off = f"{self.before} before " if self.before else f"{self.after} after " if self.after else ""
        return f"until {off}{self.until}" + (f", {self.at:%H:%M}" if self.at != time(0) else "")


def _span_or_day(value: Any) -> Duration | Until:
    if isinstance(value, Duration | Until):
        return value
    return Until.model_validate(value) if isinstance(value, dict) else parse_duration(value)


class Wait(Step):
    """`{id: settle, wait: 2 days}`: calendar days on the lead's wall clock; hours and minutes are elapsed time.

    `{id: remind, wait: {until: renews_on, before: 7 days, at: "09:00"}, past: done}`: leads of whom no such day is
    known, or for whom it was over when they came, go to `past` at once.
    """

    kind_word: ClassVar[str] = "wait"
    wait: Annotated[Duration | Until, BeforeValidator(_span_or_day, json_schema_input_type=Duration | Until)]
    #: Where leads go whose day is over or unknown; only beside a day.
    past: str | None = None

    @model_validator(mode="after")
    def _past_with_a_day(self) -> Wait:
        if isinstance(self.wait, Until) and self.past is None:
            raise ValueError("'past' is missing; say where leads go whose day is over or unknown")
        if self.past is not None and not isinstance(self.wait, Until):
            raise ValueError("'past' stands beside a day only; take it away, or write wait: {until: field}")
        return self

    def targets(self) -> dict[str, str]:
        named = {"past": self.past, "next": self.next}
        return {key: target for key, target in named.items() if target}

    def due_on_entry(self, entered: ColumnElement[int], whose: Whose) -> ColumnElement[int]:
        if isinstance(self.wait, Until):
            return func.coalesce(self.wait.instant(whose), entered)
        return after(entered, self.wait, whose.zone)

    def exits(self, here: Here) -> list[Exit]:
        on = Exit(self.next or here.following, true(), here.due)
        if not isinstance(self.wait, Until):
            return [on]
        day = self.wait.instant(lead_of_enrolment(here.zone))
        over = or_(day.is_(None), day < micros(col(Enrolment.entered_at)))
        return [Exit(self.past, over, here.entered), on]
