"""`exit`: the end of the sequence, with a word for it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from sqlalchemy import true

from nurture.steps.base import Exit, Here, Step


class Leave(Step):
    """`{id: done, exit: completed}`: the word is the outcome that reports and `left:` in checks name."""

    kind_word: ClassVar[str] = "exit"
    ends: ClassVar[bool] = True
    exit: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")

    def goes_on(self) -> bool:
        return False

    def exits(self, here: Here) -> list[Exit]:
        return [Exit(None, true(), here.due, self.exit)]
