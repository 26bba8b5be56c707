"""`branch`: the first case that holds says where a lead goes.

A lead branches at its due instant: what happened between that and a late tick changes nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from sqlalchemy import true

from nurture.language.conditions import Condition, When
from nurture.language.source import Written
from nurture.steps.base import Exit, Here, Step


class Case(Written):
    """`{if: {score: {at_least: 60}}, then: rep}`."""

    when: When = Field(alias="if")
    then: str


class Branch(Step):
    """`{id: fork, branch: [{if: …, then: …}], else: done}`; without `else` the others go on to the next step."""

    kind_word: ClassVar[str] = "branch"
    branch: list[Case] = Field(min_length=1)
    otherwise: str | None = Field(default=None, alias="else")

    def targets(self) -> dict[str, str]:
        named = {f"branch.{index}.then": case.then for index, case in enumerate(self.branch)}
        if self.otherwise or self.next:
            named["else"] = self.otherwise or self.next or ""
        return named

    def goes_on(self) -> bool:
        return self.otherwise is None and self.next is None

    def conditions(self) -> list[tuple[tuple[str | int, ...], Condition]]:
        return [(("branch", index, "if"), case.when) for index, case in enumerate(self.branch)]

    def exits(self, here: Here) -> list[Exit]:
        cases: list[Any] = [Exit(case.then, here.holds(case.when, here.due), here.due) for case in self.branch]
        return [*cases, Exit(self.otherwise or self.next or here.following, true(), here.due)]
