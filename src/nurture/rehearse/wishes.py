"""What a lead must be, and have done, for a condition to hold: a guess that a made-up lead is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from nurture.clock import Chance
from nurture.language import conditions as c
from nurture.language.conditions import Condition

#: What a value is that no condition speaks of.
OTHER = "something else"
_OPPOSITE = {
    "is": "not", "not": "is", "one_of": "none_of", "at_least": "under", "under": "at_least", "at_most": "above",
    "above": "at_most", "before": "after", "after": "before", "contains": "not", "starts_with": "not",
}  # fmt: skip
#: Days by which something lies beyond what a condition asks for, at most.
_SPARE = 20


@dataclass(frozen=True)
class Act:
    """Something that a lead did: `days` before it came to us; 0: as it came."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    days: int = 0


@dataclass
class Wish:
    """Fields (None: unknown), tags and lists to have, acts done; `rests`: acts not done for so many days."""

    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    rests: dict[str, int] = field(default_factory=dict)

    def settled(self) -> Wish:
        """The same with acts that must have rested moved back."""
        acts = [Act(act.name, act.data, max(act.days, self.rests.get(act.name, 0))) for act in self.acts]
        return Wish(self.fields, self.tags, self.lists, acts)


def pick(among: Sequence[Any], chance: Chance) -> Any:
    """One of several."""
    return among[int(chance.random() * len(among))]


def wish(condition: Condition, kinds: Mapping[str, str], today: date, chance: Chance, *, holds: bool = True) -> Wish:
    """What would make `condition` hold, or not; of several ways one by chance. `kinds`: the fields' types."""
    made = Wish()
    _grant(made, condition, kinds, today, chance, holds)
    return made


def _grant(
    made: Wish, condition: Condition, kinds: Mapping[str, str], today: date, chance: Chance, holds: bool
) -> None:
    match condition:
        case c.Not(part):
            _grant(made, part, kinds, today, chance, not holds)
        case c.All(parts) | c.Any_(parts):
            every = isinstance(condition, c.All) == holds
            for part in parts if every else (pick(parts, chance),):
                _grant(made, part, kinds, today, chance, holds)
        case c.Field(name, operator, value) if (name in kinds and name != "email") or name == "stage":
            drawn = _value(kinds.get(name, "text"), operator, value, today, chance, holds)
            if name in kinds or drawn != OTHER:  # of stages there are no others: the lead keeps the first
                made.fields[name] = drawn
        case c.Tagged(tags) if holds:
            made.tags.append(pick(tags, chance))
        case c.Listed(lists) if holds:
            made.lists.append(pick(lists, chance))
        case c.Did():
            _act(made, condition, chance, condition.negated is not holds)


def _act(made: Wish, did: c.Did, chance: Chance, done: bool) -> None:
    if done:
        times = did.at_least
        made.acts += [Act(did.name, data_for(did, chance))] * times
    elif did.within is not None:
        made.rests[did.name] = max(
            made.rests.get(did.name, 0), did.within.roughly.days + 1 + int(chance.random() * _SPARE)
        )


def data_for(did: c.Did, chance: Chance) -> dict[str, str]:
    """Data of an event that `did` speaks of."""
    return {key: pattern.replace("*", pick(("", "/a", "/b"), chance)) for key, pattern in did.where}


def _value(kind: str, operator: str, value: Any, today: date, chance: Chance, holds: bool) -> Any:
    """A value of which `operator value` is true, or false; None: none."""
    if operator == "known":
        return _any(kind, today, chance) if value is holds else None
    if operator in ("is", "not", "one_of") and (operator == "not") is holds:
        return _besides(kind, value, today, chance)
    if not holds:
        return _value(kind, _OPPOSITE[operator], value, today, chance, True)
    if operator in ("is", "one_of", "none_of"):
        return pick(value, chance) if isinstance(value, tuple) else value
    if operator in ("contains", "starts_with"):
        return f"{value} {OTHER}" if operator == "starts_with" else f"{OTHER} {value}"
    if operator in ("before", "after"):
        days = 1 + int(chance.random() * 2 * _SPARE)
        return (date.fromisoformat(str(value)) + timedelta(days=days if operator == "after" else -days)).isoformat()
    spare = int(chance.random() * (abs(value) + 2))
    beyond = 0 if operator in ("at_least", "at_most") else 1
    return value + spare + beyond if operator in ("at_least", "above") else value - spare - beyond


def _besides(kind: str, value: Any, today: date, chance: Chance) -> Any:
    """A value that is none of these."""
    if kind == "flag":
        return value is not True
    if kind == "number":
        return 1 + max(value) if isinstance(value, tuple) else value + 1
    return OTHER if kind == "text" else _any(kind, today, chance)


def _any(kind: str, today: date, chance: Chance) -> Any:
    """Some value of a type."""
    if kind == "number":
        return int(chance.random() ** 2 * 500)
    if kind == "flag":
        return chance.random() < 0.5
    if kind == "date":
        return (today - timedelta(days=int(chance.random() * 400))).isoformat()
    return OTHER
