"""A scoring.yaml and a lifecycle.yaml as tables of numbers: channels of points, caps, and tests on what they add up to.

What is asked of a lead's fields, tags, lists and places is asked once, of today: no history of these is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil, floor
from typing import Any, Protocol

import numpy as np
from sqlalchemy import ColumnElement, case, literal, or_

from nurture.backtest.history import Array, Pattern
from nurture.durations import Duration
from nurture.errors import NurtureError
from nurture.language import conditions as c
from nurture.language.compiler import compile_condition
from nurture.language.levels import meaning
from nurture.language.words import GRADE_OF, LEVELS
from nurture.program.load import House
from nurture.program.scoring import Cap, EngagementRule, FitRule
from nurture.records.types import span_micros

_LOWEST, _HIGHEST = min(GRADE_OF.values()), max(GRADE_OF.values())
#: Fields whose value the running sums give.
NUMBERS = ("score", "engagement")
#: Stands for a fit that is unknown.
NO_FIT = -100


class Unanswerable(NurtureError):
    """A condition that the past cannot be asked."""


@dataclass(frozen=True)
class Channel:
    """Points that fade or run out alike, and are bounded together. Times in microseconds; 0: never.

    `worth`: pattern to what one event of it earns; `caps`: (pattern, points, cap) of each rule that has one.
    """

    worth: Mapping[int, float]
    half_life: int = 0
    expires: int = 0
    at_least: float | None = None
    at_most: float | None = None
    caps: tuple[tuple[int, float, Cap], ...] = ()


class Sums(Protocol):
    """What a test is asked of: rows of some leads, as arrays (rows, leads)."""

    def number(self, name: str) -> Array: ...
    def count(self, channel: int) -> Array: ...
    def fact(self, name: str) -> Array: ...


Test = Callable[[Sums], Array]


@dataclass
class Model:
    """The rules of one house over the patterns of a history. The first `engaging` channels make up engagement."""

    house: House
    patterns: list[Pattern]
    facts: dict[str, ColumnElement[Any]]
    channels: list[Channel] = field(default_factory=list)
    engaging: int = 0
    #: What was taken as it is today, in words.
    today: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """Of the names of this house's own facts."""
        return f"{id(self.house)}:"

    def pattern(self, did: c.Did) -> int:
        """The number of an event's pattern."""
        key = (did.name, did.where)
        if key not in self.patterns:
            self.patterns.append(key)
        return self.patterns.index(key)

    def fact(self, name: str, value: ColumnElement[Any]) -> str:
        """Have `value` asked of every lead, under this name."""
        self.facts[self.prefix + name] = value
        return self.prefix + name

    def test(self, condition: c.Condition, assume: bool | None = None) -> Test:
        """`condition` as a test; `assume`: what its bounds of a number are taken to be."""
        match condition:
            case c.All(parts) | c.Any_(parts):
                tests = [self.test(part, assume) for part in parts]
                join = np.logical_and if isinstance(condition, c.All) else np.logical_or
                return partial(_joined, join, tests, isinstance(condition, c.All))
            case c.Not(part):
                inner = self.test(part, assume)
                return lambda sums: ~inner(sums)
            case c.Field(name) if name in LEVELS:
                return self.test(meaning(condition, self.house.scope.levels), assume)
            case c.Field(name) if name in NUMBERS:
                if assume is not None:
                    return lambda _: np.array(assume)
                if condition.operator == "known":
                    return lambda _: np.array(bool(condition.value))
                compare = _COMPARE[condition.operator]
                return lambda sums: compare(sums.number(name), condition.value)
            case c.Field("fit"):
                return self._fit(condition)
            case c.Did():
                return self._did(condition)
            case _:
                return self._as_of_today(condition)

    def _fit(self, test: c.Field) -> Test:
        self.note("the fit")
        if test.operator == "known":
            return lambda sums: (sums.fact(self.prefix + "fit") != NO_FIT) == test.value
        values = tuple(GRADE_OF[v] for v in (test.value if isinstance(test.value, tuple) else (test.value,)))
        compare, value = _COMPARE[test.operator], values if isinstance(test.value, tuple) else values[0]
        return lambda sums: (sums.fact(self.prefix + "fit") != NO_FIT) & compare(sums.fact(self.prefix + "fit"), value)

    def _did(self, did: c.Did) -> Test:
        if did.since in ("step", "enrolment"):
            raise Unanswerable(
                f"'did: {did.name}' counts since a {did.since}; outside of a sequence write within: 30 days"
            )
        spans = [span for span in (did.within, did.since) if isinstance(span, Duration)]
        lasts = min((span_micros(span.roughly) for span in spans), default=0)
        channel = Channel({self.pattern(did): 1.0}, expires=lasts)
        if channel not in self.channels[self.engaging :]:
            self.channels.append(channel)
        number = self.channels.index(channel, self.engaging)
        if did.negated:
            return lambda sums: sums.count(number) < did.at_least - 0.5
        return lambda sums: sums.count(number) > did.at_least - 0.5

    def _as_of_today(self, condition: c.Condition) -> Test:
        if isinstance(condition, c.ByStep | c.SegmentLeft | c.Answered):
            return lambda _: np.array(False)  # as everywhere outside of a sequence
        self.note(words_of(condition))
        holds = case((compile_condition(condition, self.house.scope), 1), else_=0)
        name = self.fact(repr(condition), holds)
        return lambda sums: sums.fact(name) == 1

    def note(self, what: str) -> None:
        """Remember that this was taken as it is today."""
        if what not in self.today:
            self.today.append(what)


def _joined(join: Any, tests: list[Test], start: bool, sums: Sums) -> Array:
    held: Any = np.bool_(start)
    for test in tests:
        held = join(held, test(sums))
    return held  # type: ignore[no-any-return]


def words_of(condition: c.Condition) -> str:
    """What of a lead a condition asks, in a word or two."""
    match condition:
        case c.Field(name):
            return f"the field '{name}'" if name not in ("stage", "status", "owner", "source") else f"the {name}"
        case c.Tagged():
            return "tags"
        case c.Listed():
            return "lists"
        case _:
            return "what was sent, and in which sequence the lead is"


_COMPARE: dict[str, Callable[[Array, Any], Array]] = {
    "is": lambda number, value: number == value,
    "not": lambda number, value: ~np.isin(number, value),
    "one_of": lambda number, value: np.isin(number, value),
    "at_least": lambda number, value: number >= value,
    "at_most": lambda number, value: number <= value,
    "above": lambda number, value: number > value,
    "under": lambda number, value: number < value,
}


def model_of(house: House, patterns: list[Pattern], facts: dict[str, ColumnElement[Any]]) -> Model:
    """The engagement and the fit of a house; new patterns and facts are added to those that are shared."""
    made = Model(house, patterns, facts)
    alike: dict[tuple[str, int], list[EngagementRule]] = {}
    for rule in house.scoring.engagement:
        if rule.group is not None and rule.group not in house.scoring.groups:
            known = ", ".join(house.scoring.groups) or "none"
            raise Unanswerable(f"scoring.yaml: rule '{rule.rule}' is of the group '{rule.group}'; known: {known}")
        alike.setdefault((rule.group or "", _half_life(rule, house)), []).append(rule)
    made.channels = [_channel(made, name, half_life, rules) for (name, half_life), rules in alike.items()]
    made.engaging = len(made.channels)
    _fit_facts(made, house.scoring.fit)
    return made


def _half_life(rule: EngagementRule, house: House) -> int:
    group = house.scoring.groups[rule.group] if rule.group else None
    if group is not None and group.expires is not None:
        return 0
    said = rule.half_life or (group.half_life if group else None) or house.scoring.half_life
    return span_micros(said.roughly)


def _channel(made: Model, name: str, half_life: int, rules: list[EngagementRule]) -> Channel:
    group = made.house.scoring.groups.get(name)
    worth: dict[int, float] = {}
    caps = []
    for rule in rules:
        number = made.pattern(rule.when)
        worth[number] = worth.get(number, 0.0) + rule.points
        if rule.cap != Cap():
            caps.append((number, rule.points, rule.cap))
    if group is None:
        return Channel(worth, half_life, caps=tuple(caps))
    expires = span_micros(group.expires.roughly) if group.expires else 0
    return Channel(worth, half_life, expires, group.at_least, group.at_most, tuple(caps))


def _fit_facts(made: Model, rules: list[FitRule]) -> None:
    """The fit and its points from today's fields, as the engine grades a lead."""
    tests = [(rule, compile_condition(rule.when, made.house.scope)) for rule in rules]
    points = sum((case((holds, rule.points), else_=0.0) for rule, holds in tests), literal(0.0))
    made.fact("fit points", points)
    thirds = sum((case((holds, rule.thirds), else_=0) for rule, holds in tests), literal(0))
    clamped = case((thirds < _LOWEST, _LOWEST), (thirds > _HIGHEST, _HIGHEST), else_=thirds)
    known = or_(literal(False), *(holds for rule, holds in tests if rule.thirds))
    made.fact("fit", case((known, clamped), else_=NO_FIT))
    if any(rule.points for rule in rules):
        made.note("fit points")


def expanded(condition: c.Condition, house: House) -> c.Condition:
    """`condition` with levels put in terms of their rules."""
    match condition:
        case c.All(parts):
            return c.All(tuple(expanded(part, house) for part in parts))
        case c.Any_(parts):
            return c.Any_(tuple(expanded(part, house) for part in parts))
        case c.Not(part):
            return c.Not(expanded(part, house))
        case c.Field(name) if name in LEVELS:
            return expanded(meaning(condition, house.scope.levels), house)
        case _:
            return condition


def only_bound(condition: c.Condition) -> c.Field | None:
    """The one lower bound of a number in `condition`, if moving it moves the condition one way; else None."""
    bounds = [part for part in c.walk(condition) if isinstance(part, c.Field) and part.name in NUMBERS]
    inside = [
        part for outer in c.walk(condition) if isinstance(outer, c.Not) for part in c.walk(outer) if part in bounds
    ]
    if len(bounds) != 1 or inside or bounds[0].operator not in ("at_least", "above"):
        return None
    return bounds[0]


def threshold_of(bound: c.Field) -> int:
    """The smallest whole number that meets a lower bound."""
    number = float(bound.value)
    return floor(number) + 1 if bound.operator == "above" else ceil(number)
