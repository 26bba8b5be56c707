"""`webhook`: tell another system that a lead is here."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, WithJsonSchema
from sqlalchemy import ColumnElement, literal

from nurture.steps.base import Here
from nurture.steps.sending import Refusal, Sending

#: As an editor's schema has it.
_PLAIN = {"type": ["string", "number", "boolean"]}


def _plain(value: Any) -> Any:
    """A word, a number or true and false."""
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"'{value}' is no plain word; write a word, a number, true or false")


class Webhook(Sending):
    """`{id: tell, webhook: crm, data: {reason: engaged}}`: one signed call to an endpoint of program.yaml.

    It is no message to the lead, so it waits for no window and needs no consent; of a lead that is suppressed it
    tells nothing.
    """

    kind_word: ClassVar[str] = "webhook"
    channel: ClassVar[str] = "webhook"
    is_message: ClassVar[bool] = False
    keyed: ClassVar[bool] = True
    consent: ClassVar[str | None] = None
    webhook: str
    #: Said with each call, as it is written.
    data: dict[str, Annotated[Any, BeforeValidator(_plain), WithJsonSchema(_PLAIN)]] = {}

    def purpose(self) -> Literal["marketing", "operational"]:
        return "operational"

    def content(self, here: Here) -> ColumnElement[Any]:
        return literal(f"webhook:{self.webhook}")

    def repeats(self) -> bool:
        return True

    def unreachable(self) -> list[Refusal]:
        return []
