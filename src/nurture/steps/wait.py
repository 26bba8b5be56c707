"""`wait`: hold each lead for a while on its own clock."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator
from sqlalchemy import ColumnElement

from nurture.durations import Duration, parse_duration
from nurture.steps.base import Step
from nurture.zones import after

Span = Annotated[Duration, BeforeValidator(parse_duration)]


class Wait(Step):
    """`{id: settle, wait: 2 days}`: calendar days on the lead's wall clock; hours and minutes are elapsed time."""

    kind_word: ClassVar[str] = "wait"
    wait: Span

    def due_on_entry(self, entered: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
        return after(entered, self.wait, zone)
