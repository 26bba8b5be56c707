"""`guard:` of program.yaml: when a large send is tried on a few first, and when it waits for a person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from nurture.durations import Duration, parse_duration
from nurture.language.schema import SHARE
from nurture.language.source import Written

_OFF = Literal["off"]


def _share(value: Any) -> float:
    """A percentage as a part of one: 1% is 0.01."""
    text = str(value).strip()
    number = text.removesuffix("%").strip()
    if text.endswith("%") and number.replace(".", "", 1).isdigit() and 0 < float(number) <= 100:
        return float(number) / 100
    raise ValueError(f"'{value}' is not a share; write it as 1%")


def _watch(value: Any) -> Duration:
    watch = parse_duration(value)
    if watch.days or not watch.elapsed:
        raise ValueError(f"'{value}' is no time to watch; write it in minutes or hours, such as 15 minutes")
    return watch


def _or_off(value: Any) -> Any:
    """`off` means none; a mapping is read as one."""
    if value == "off":
        return None
    if not isinstance(value, dict):
        raise ValueError(f"'{value or ''}' says neither; write off, or a mapping such as {{above: 1000}}")
    return value


class Canary(Written):
    """A version's first send to more than `above`: the smaller of `most` and `share` go first and are watched."""

    above: int = Field(default=1000, ge=1)
    share: Annotated[float, BeforeValidator(_share), WithJsonSchema(SHARE)] = 0.01
    most: int = Field(default=50, ge=1)
    watch: Annotated[Duration, BeforeValidator(_watch)] = Field(default_factory=lambda: parse_duration("15 minutes"))


class Growth(Written):
    """More messages of a sequence than `above`, and than `times` what is usual, on one local day of the program."""

    above: int = Field(default=1000, ge=1)
    times: float = Field(default=2, ge=1)


class Guard(Written):
    """What keeps a wrong filter from mailing everybody; None: off."""

    canary: Annotated[Canary | None, BeforeValidator(_or_off, json_schema_input_type=Canary | _OFF)] = Canary()
    growth: Annotated[Growth | None, BeforeValidator(_or_off, json_schema_input_type=Growth | _OFF)] = Growth()
    #: Per sequence and local day of the program.
    most_per_day: int | None = Field(default=None, ge=1)

    @property
    def silent(self) -> float:
        """Up to how many may be due before anybody needs to ask more."""
        limits = [rule.above for rule in (self.canary, self.growth) if rule is not None]
        return min([*limits, *([self.most_per_day] if self.most_per_day else [])], default=float("inf"))
