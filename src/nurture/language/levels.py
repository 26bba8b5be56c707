"""Awareness, buying stage and MQL level: rules in the house's files, best first; a lead is at the first that holds.

Nothing is stored: a comparison with a level is put in terms of those rules, and compiled like any other condition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from nurture.language import conditions as c

#: Dimension to its levels with their conditions, best first.
Levels: TypeAlias = Mapping[str, Sequence[tuple[str, c.Condition]]]

_OPERATORS: dict[str, Callable[[int, list[int]], bool]] = {
    "is": lambda place, named: place in named,
    "one_of": lambda place, named: place in named,
    "not": lambda place, named: place not in named,
    "at_least": lambda place, named: place <= named[0],  # best first: the smaller place is the better level
    "at_most": lambda place, named: place >= named[0],
    "above": lambda place, named: place < named[0],
    "under": lambda place, named: place > named[0],
}


def meaning(test: c.Field, levels: Levels) -> c.Condition:
    """`test`, of a dimension in levels, in terms of the rules; a lead of no level compares with nothing."""
    rules = levels.get(test.name, ())
    if test.operator == "known":
        some = c.Any_(tuple(when for _, when in rules))
        return some if test.value else c.Not(some)
    wanted = _wanted(test, [level for level, _ in rules])
    before: list[c.Condition] = []
    found: list[c.Condition] = []
    for place, (_, when) in enumerate(rules):
        if place not in wanted:
            before.append(when)
        else:
            found.append(c.All((when, c.Not(c.Any_(tuple(before))))) if before else when)
    return c.Any_(tuple(found))


def _wanted(test: c.Field, names: list[str]) -> set[int]:
    """The places of the levels for which `test` holds."""
    values: tuple[Any, ...] = test.value if isinstance(test.value, tuple) else (test.value,)
    named = [names.index(value) for value in values if value in names]
    if not named and test.operator != "not":
        return set()
    return {place for place in range(len(names)) if _OPERATORS[test.operator](place, named)}
