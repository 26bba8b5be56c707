"""What marketing and sales sign: the meaning of lifecycle.yaml and scoring.yaml as one digest, and who signed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from nurture.durations import Duration
from nurture.language import conditions as c
from nurture.language.source import read_yaml
from nurture.program.lifecycle import Lifecycle
from nurture.program.scoring import Scoring

#: Keys of lifecycle.yaml and of its milestones that define nothing: who signed, and what a salesperson might do first.
_NO_MEANING = ("agreed", "definitions", "follow_up")
#: Lists in which the order says nothing; in the others the first that holds counts.
_UNORDERED = ("engagement", "fit", "statuses", "entrances")


#: Mappings in which the order does say something: the first level that holds counts, and of milestones reached at the
#: same instant the first one opens the hand-off.
_ORDERED = ("levels", "milestones")


@dataclass(frozen=True)
class Signed:
    """Somebody's name under the definitions; `team`: empty where the older `definitions: {agreed, by}` says it."""

    team: str
    name: str
    date: date


@dataclass(frozen=True)
class Agreed:
    """Definitions as they were once published."""

    lifecycle: Lifecycle
    scoring: Scoring

    @property
    def digest(self) -> str:
        """SHA-256 of what they mean, in hex."""
        return digest(self.lifecycle, self.scoring)


def signatures(lifecycle: Lifecycle) -> list[Signed]:
    """Everybody who signed, in the order of the file."""
    older = lifecycle.definitions
    found = [Signed(one.team, one.name, one.date) for one in lifecycle.agreed]
    return found + ([Signed("", name, older.agreed) for name in older.by] if older is not None else [])


def digest(lifecycle: Lifecycle, scoring: Scoring) -> str:
    """SHA-256, in hex, of what the definitions mean.

    Comments, spacing, the order of keys (but that of levels and milestones), defaults that are written out, `7 days`
    for `1 week` and the signatures themselves change nothing.
    """
    said = {
        **_plain(lifecycle), "statuses": sorted(lifecycle.known_statuses), "lost": lifecycle.lost_reasons,
        "scoring": _plain(scoring),
    }  # fmt: skip
    return hashlib.sha256(_json(said).encode()).hexdigest()


@lru_cache(maxsize=256)
def read_agreed(lifecycle: str, scoring: str) -> Agreed | None:
    """The definitions that these two files' texts say; None where today's language no longer reads them."""
    sources = read_yaml("lifecycle.yaml", lifecycle), read_yaml("scoring.yaml", scoring)
    first, second = sources[0].read(Lifecycle), sources[1].read(Scoring)
    return None if first is None or second is None else Agreed(first, second)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    """`value` as JSON knows it, with one spelling for what means the same."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return float(value)
        case date():
            return value.isoformat()
        case Duration():
            return [value.days, value.elapsed.total_seconds()]
        case BaseModel():
            names = [name for name in type(value).model_fields if name not in _NO_MEANING]
            return {name: _part(name, getattr(value, name)) for name in names}
        case c.All(parts) | c.Any_(parts):
            return {type(value).__name__: _sorted(parts)}
        case c.Field(name, "is", operand):
            return _plain(c.Field(name, "one_of", (operand,)))
        case c.Field(name, "one_of", operands):
            return {"Field": [name, "one_of", _sorted(operands)]}
        case c.Tagged(words) | c.Listed(words):
            return {type(value).__name__: sorted(words)}
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} has no plain form; give it one in program/agreed.py")
    own = {field.name: _part(field.name, getattr(value, field.name)) for field in fields(value)}
    return {type(value).__name__: own}


def _part(name: str, value: Any) -> Any:
    if name in _ORDERED:
        return [[key, _plain(rule)] for key, rule in value.items()]
    return _sorted(value) if name in (*_UNORDERED, "where") and value is not None else _plain(value)


def _sorted(values: Any) -> list[Any]:
    return sorted((_plain(value) for value in values), key=_json)
