"""`task`: ask a salesperson to do something for each lead; the lead goes on at once."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from nurture.folding import canonical_email
from nurture.language.source import Written
from nurture.steps.base import Span, Step


def _whom(value: Any) -> str:
    """`sales`, `owner`, or an address in its canonical form."""
    text = str(value)
    if text in ("sales", "owner"):
        return text
    try:
        return canonical_email(text)
    except ValueError:
        raise ValueError(f"'{text}' is nobody; write sales, owner, or the e-mail of one of the team") from None


class Asked(Written):
    """`for`: sales (whose turn it is), owner (the lead's, whoever that is) or the e-mail of one of the team."""

    whom: Annotated[str, BeforeValidator(_whom)] = Field(alias="for")
    #: Jinja2, rendered for the lead.
    text: str = Field(min_length=1)


class Task(Step):
    """`{id: ask, task: {for: sales, text: "Call {{ lead.first_name or 'them' }}"}, due: 1 day}`."""

    kind_word: ClassVar[str] = "task"
    task: Asked
    due: Span | None = None
