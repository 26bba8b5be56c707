"""scoring.yaml: rules in sentences, each a condition with what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from nurture.durations import parse_duration
from nurture.language.conditions import Did, When
from nurture.language.schema import CAP
from nurture.language.source import Written
from nurture.program.kinds import LEVEL, Span


@dataclass(frozen=True)
class Cap:
    """How many events count for a rule: of one day of the lead's, and in all; None: as many as there are."""

    per_day: int | None = None
    in_total: int | None = None


_CAPS = {"per day": "per_day", "in total": "in_total"}


def _cap(value: Any) -> Cap:
    said: dict[str, int] = {}
    for part in value if isinstance(value, list) else [value]:
        words = str(part).split()
        kind = _CAPS.get(" ".join(words[1:]))
        if kind is None or not words[0].isdigit() or int(words[0]) < 1 or kind in said:
            raise ValueError(f"'{value}' is not a cap; write '2 per day', '5 in total' or ['2 per day', '5 in total']")
        said[kind] = int(words[0])
    return Cap(**said)


class EngagementRule(Written):
    """Points for each matching event by a person; they fade, run out or stay as its group says, or `half_life`."""

    rule: str
    when: When
    points: float
    cap: Annotated[Cap, BeforeValidator(_cap), WithJsonSchema(CAP)] = Cap()
    #: A name of `groups`.
    group: str | None = None
    half_life: Span | None = None

    @field_validator("when")
    @classmethod
    def _an_event(cls, value: Any) -> Any:
        if not isinstance(value, Did) or value.negated or value.at_least > 1 or value.within or value.since:
            raise ValueError(
                "an engagement rule counts single events; write when: {did: page_viewed, where: {…}} and nothing else"
            )
        return value

    @model_validator(mode="after")
    def _one_way_to_fade(self) -> EngagementRule:
        if self.group is not None and self.half_life is not None:
            raise ValueError("'half_life' and 'group' are both said; a group says how the points of its rules fade")
        return self


class Group(Written):
    """Rules whose points fade alike, and together count for no more than `at_most` and no less than `at_least`."""

    half_life: Span | None = None
    #: After this long points are worth nothing; until then they are worth all.
    expires: Span | None = None
    at_most: float | None = Field(default=None, ge=0)
    at_least: float | None = Field(default=None, le=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Group:
        if self.half_life is not None and self.expires is not None:
            raise ValueError("'half_life' and 'expires' are both said; points fade by half or run out, write one")
        if self.at_most is not None and self.at_least is not None and self.at_most < self.at_least:
            raise ValueError(f"'at_most' {self.at_most:g} is below 'at_least' {self.at_least:g}; swap them")
        return self


class FitRule(Written):
    """Thirds of a letter, and points of the score, while the condition holds."""

    rule: str
    when: When
    thirds: int = 0
    points: float = 0


class AwarenessRule(Written):
    """A level of awareness and what makes it; best first, a lead is at the first whose condition holds."""

    level: str = Field(pattern=LEVEL)
    when: When


class StageRule(Written):
    """A buying stage and what makes it; best first, a lead is at the first whose condition holds."""

    stage: str = Field(pattern=LEVEL)
    when: When


class Scoring(Written):
    """scoring.yaml."""

    half_life: Span = Field(default_factory=lambda: parse_duration("30 days"))
    #: What all engagement together counts for at most.
    at_most: float | None = Field(default=None, gt=0)
    groups: dict[str, Group] = {}
    engagement: list[EngagementRule] = []
    fit: list[FitRule] = []
    awareness: list[AwarenessRule] = []
    buying_stage: list[StageRule] = []
