"""`goto`: back to a step above, so many times in all."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from sqlalchemy import true
from sqlmodel import col

from nurture.records import Enrolment
from nurture.steps.base import Exit, Here, Step


class GoTo(Step):
    """`{id: again, goto: news, turns: 3, then: end}`: the way from `news` to here is walked three times at most.

    The first walk counts; afterwards leads go on to `then`, or to the next step. Turns are counted per enrolment: a
    loop inside of another does not begin anew with each turn of the outer one.
    """

    kind_word: ClassVar[str] = "goto"
    #: A step above.
    goto: str
    #: How often the way from there to here is walked, the first time included.
    turns: int = Field(ge=2, le=100)
    then: str | None = None

    def targets(self) -> dict[str, str]:
        named = {"goto": self.goto, "then": self.then, "next": self.next if self.then is None else None}
        return {key: target for key, target in named.items() if target}

    def goes_on(self) -> bool:
        return self.then is None and self.next is None

    def exits(self, here: Here) -> list[Exit]:
        return [
            Exit(self.goto, col(Enrolment.occurrence) < self.turns, here.due),
            Exit(self.then or self.next or here.following, true(), here.due),
        ]
