"""`audience`: put the lead into a retargeting audience, or take it out."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator
from sqlalchemy import ColumnElement, literal

from nurture.language.source import Written
from nurture.steps.base import Here
from nurture.steps.sending import Sending


class Change(Written):
    """Exactly one of `add` and `remove`."""

    add: str | None = None
    remove: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Change:
        if (self.add is None) == (self.remove is None):
            raise ValueError("an audience step adds or removes; write {add: name} or {remove: name}")
        return self

    @property
    def name(self) -> str:
        return self.add or self.remove or ""

    @property
    def verb(self) -> Literal["add", "remove"]:
        return "add" if self.add else "remove"


class Audience(Sending):
    """`{id: ads, audience: {add: linkedin-evaluators}}`; the lead leaves the audience with the sequence."""

    kind_word: ClassVar[str] = "audience"
    channel: ClassVar[str] = "audience"
    is_message: ClassVar[bool] = False
    keyed: ClassVar[bool] = True
    expires: ClassVar[bool] = False
    audience: Change

    def withdraws(self) -> bool:
        return self.audience.remove is not None

    def content(self, here: Here) -> ColumnElement[Any]:
        return literal(f"audience:{self.audience.verb}:{self.audience.name}")

    def repeats(self) -> bool:
        return True
