"""`wait`: hold each lead for a while on its own clock."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import ColumnElement

from nurture.steps.base import Span, Step
from nurture.zones import after


class Wait(Step):
    """`{id: settle, wait: 2 days}`: calendar days on the lead's wall clock; hours and minutes are elapsed time."""

    kind_word: ClassVar[str] = "wait"
    wait: Span

    def due_on_entry(self, entered: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
        return after(entered, self.wait, zone)
