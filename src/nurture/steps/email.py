"""`email`: one message to each lead."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, literal

from nurture.steps.base import Here
from nurture.steps.sending import Sending


class Email(Sending):
    """`{id: welcome, email: welcome.j2, kind: marketing}`; `operational` mail needs no consent, counts for no cap."""

    kind_word: ClassVar[str] = "email"
    email: str = Field(pattern=r"^[\w./-]+\.j2$")
    kind: Literal["marketing", "operational"] = "marketing"
    repeat: bool = False

    def purpose(self) -> Literal["marketing", "operational"]:
        return self.kind

    def content(self, here: Here) -> ColumnElement[Any]:
        return literal(f"{here.sequence}/{self.email}")

    def repeats(self) -> bool:
        return self.repeat
