"""A condition in plain words, for pictures, definitions and explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nurture.language import conditions as c

_OPERATORS = {
    "is": "is",
    "not": "is not",
    "one_of": "is",
    "at_least": "is at least",
    "at_most": "is at most",
    "above": "is above",
    "under": "is under",
    "contains": "contains",
    "starts_with": "starts with",
    "before": "is before",
    "after": "is after",
}


def sentence(condition: c.Condition) -> str:
    """What must be true, in words that sales can read."""
    match condition:
        case c.All(parts):
            return " and ".join(_inner(part, c.Any_) for part in parts)
        case c.Any_(parts):
            return " or ".join(_inner(part, c.All) for part in parts)
        case c.Not(part):
            return _negated(part)
        case c.Field(name, operator, value):
            return _field(name, operator, value)
        case c.Tagged(tags):
            return f"tagged {_words(tags)}"
        case c.Listed(lists):
            return f"on the list {_words(lists)}"
        case c.Did():
            return _did(condition)
        case c.Answered(step, how):
            return f"{'clicked in' if how == 'clicked' else 'replied to'} {step}"
        case c.Received(content):
            return f"has received {content}"
        case c.InSequence(sequence):
            return f"is in {sequence}"
        case c.SegmentLeft():
            return "no longer belongs to the segment"
        case c.ByStep():
            return "a step of a sequence says so"


def tests(field: c.Field) -> str:
    """What must be true of a field, without its name: a cell under the name."""
    return _field(field.name, field.operator, field.value).removeprefix(f"{_name(field.name)} ").removeprefix("is ")


def several(words: Sequence[str], joined: str = "or") -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joined} {words[-1]}"


def _inner(part: c.Condition, other: type) -> str:
    return f"({sentence(part)})" if isinstance(part, other) else sentence(part)


def _negated(part: c.Condition) -> str:
    if isinstance(part, c.Field) and part.operator in ("is", "one_of"):
        return f"{_name(part.name)} is not {_words(part.value)}"
    if isinstance(part, c.Field) and part.operator == "known":
        return _field(part.name, "known", not part.value)
    if isinstance(part, c.Any_) and all(isinstance(inner, c.Field | c.Not) for inner in part.parts):
        return " and ".join(_negated(inner) for inner in part.parts)
    return f"not ({sentence(part)})"


def _field(name: str, operator: str, value: Any) -> str:
    if operator == "known":
        return f"{_name(name)} is {'known' if value else 'not known'}"
    return f"{_name(name)} {_OPERATORS[operator]} {_words(value)}"


def _did(did: c.Did) -> str:
    where = " and ".join(f"{key} is {pattern}" for key, pattern in did.where)
    parts = [f"{'no ' if did.negated else ''}{did.name.replace('_', ' ')}"]
    if where:
        parts.append(f"({where})")
    if did.at_least > 1:
        parts.append(f"at least {did.at_least} times")
    if did.within is not None:
        parts.append(f"within {did.within}")
    if did.since is not None:
        parts.append(f"since {'the ' if isinstance(did.since, str) else ''}{did.since}")
    return " ".join(parts)


def _name(field: str) -> str:
    return {"email": "e-mail"}.get(field, field.replace("_", " "))


def _words(value: Any) -> str:
    return several([_word(each) for each in (value if isinstance(value, tuple | list) else (value,))])


def _word(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
