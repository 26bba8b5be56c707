"""`topics:` of program.yaml: what messages are about, so that a lead may refuse some and keep the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from nurture.durations import parse_duration
from nurture.language.source import Written
from nurture.program.check_expected import Moment
from nurture.program.wording import Wording, in_language

#: As many as fit into one form beside the page's other fields.
MOST_TOPICS = 30
#: Days of the longest pace.
_LONGEST = 366

#: Key to title: `{product: Product news}`, or a title for each language.
Topics = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], Wording], Field(max_length=MOST_TOPICS)
]


def titles(topics: Mapping[str, str | dict[str, str]], *tags: str | None) -> dict[str, str]:
    """Key to title in the first of `tags` that each has, in the order of the file."""
    return {key: in_language(title, *tags) for key, title in topics.items()}


def _pace(value: Any) -> int:
    try:
        days = parse_duration(value).roughly / timedelta(days=1)
    except ValueError:
        days = 0
    if days != int(days) or not 1 <= days <= _LONGEST:
        raise ValueError(f"'{value}' is not a pace; write whole days, such as 7 days")
    return int(days)


class Prefers(Written):
    """`prefers: {topics: {events: no}, every: 7 days, pause_until: +10d}` of a check; unsaid, it stays as it was."""

    #: Topic to whether the lead wants to hear of it.
    topics: dict[str, bool] = {}
    #: From now on a marketing message so often at most.
    every: Annotated[int, BeforeValidator(_pace), WithJsonSchema({"type": "string"})] | None = None
    #: No marketing before this moment; one that is over lifts a pause.
    pause_until: Moment | None = None
    language: str | None = None

    @model_validator(mode="after")
    def _something(self) -> Prefers:
        if not self.model_fields_set:
            raise ValueError("nothing is preferred; write topics:, every:, pause_until: or language:")
        return self
