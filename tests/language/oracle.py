"""A slow, plain reader of conditions: what a person would say of one lead, reading the YAML aloud."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

GRADES = ["F", "D-", "D", "D+", "C-", "C", "C+", "B-", "B", "B+", "A-", "A", "A+"]
UNITS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}


@dataclass
class Deed:
    """Something that happened to a lead."""

    name: str
    occurred: datetime
    ripe: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    actor: str = "person"


@dataclass
class Person:
    """A lead as it is known. `state`: stage, status, source, owner, score and fit; `kinds`: declared fields."""

    values: dict[str, Any]
    state: dict[str, Any]
    kinds: Mapping[str, str]
    tags: set[str] = field(default_factory=set)
    deeds: list[Deed] = field(default_factory=list)
    lists: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)
    #: Rules of awareness and buying stage, best first, as scoring.yaml has them.
    levels: Mapping[str, list[tuple[str, Any]]] = field(default_factory=dict)


def plain(text: Any) -> str:
    """Without case, compatibility forms, doubled spaces and the letters that Arabic and Persian write differently."""
    folded = unicodedata.normalize("NFKC", str(text)).casefold()
    for written, meant in (("ي", "ی"), ("ى", "ی"), ("ك", "ک"), ("\u200c", ""), ("\u200e", ""), ("\u200f", "")):
        folded = folded.replace(written, meant)
    return " ".join(folded.split())


def holds(condition: Mapping[str, Any], who: Person, now: datetime) -> bool:
    """Whether `condition`, as it stands in the YAML, holds for `who`; everything in one mapping must."""
    rest = dict(condition)
    answers = []
    if "did" in rest or "did_not" in rest:
        answers.append(_did(rest, who, now))
        rest = {k: v for k, v in rest.items() if k not in ("did", "did_not", "where", "at_least", "within", "since")}
    for key, value in rest.items():
        if key == "all":
            answers.append(all(holds(part, who, now) for part in value))
        elif key == "any":
            answers.append(any(holds(part, who, now) for part in value))
        elif key == "not":
            answers.append(not holds(value, who, now))
        elif key == "tags":
            wanted = value if isinstance(value, list) else [value]
            answers.append(any(plain(tag) in who.tags for tag in wanted))
        elif key == "listed":
            wanted = value if isinstance(value, list) else [value]
            answers.append(any(plain(name) in who.lists for name in wanted))
        elif key in ("awareness", "buying_stage"):
            tests = value if isinstance(value, dict) else {"one_of" if isinstance(value, list) else "is": value}
            answers += [_level(key, operator, operand, who, now) for operator, operand in tests.items()]
        elif key == "received":
            answers.append(value in who.received)
        elif key == "in_sequence":
            answers.append(value in who.inside)
        else:
            tests = value if isinstance(value, dict) else {"one_of" if isinstance(value, list) else "is": value}
            answers += [_compare(key, operator, operand, who) for operator, operand in tests.items()]
    return all(answers)


def _level(name: str, operator: str, operand: Any, who: Person, now: datetime) -> bool:
    """The lead is at the first level whose condition holds; at none, nothing is true of it."""
    order = [level for level, _ in who.levels[name]]
    mine = next((level for level, when in who.levels[name] if holds(when, who, now)), None)
    if operator == "known":
        return (mine is not None) is operand
    if mine is None:
        return False
    several = operand if isinstance(operand, list) else [operand]
    worse = order.index(mine) - order.index(several[0])  # steps below the level that is named
    tests = {
        "is": mine in several, "one_of": mine in several, "not": mine not in several, "at_least": worse <= 0,
        "at_most": worse >= 0, "above": worse < 0, "under": worse > 0,
    }  # fmt: skip
    return tests[operator]


def _did(rule: Mapping[str, Any], who: Person, now: datetime) -> bool:
    name = rule.get("did", rule.get("did_not"))
    count = 0
    for deed in who.deeds:
        spans = [_span(rule[key]) for key in ("within", "since") if key in rule]
        if deed.name != name or deed.actor == "machine" or deed.ripe > now:
            continue
        if any(deed.occurred <= now - span for span in spans):
            continue
        if all(_like(deed.data.get(key), pattern) for key, pattern in rule.get("where", {}).items()):
            count += 1
    enough = count >= rule.get("at_least", 1)
    return not enough if "did_not" in rule else enough


def _span(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(seconds=float(number) * UNITS[unit.rstrip("s")])


def _like(value: Any, pattern: Any) -> bool:
    if value is None:
        return False
    said, wanted = (_word(v) for v in (value, pattern))
    parts = [re.escape(part) for part in wanted.split("*")]
    return re.fullmatch(".*".join(parts), said, re.DOTALL) is not None


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compare(name: str, operator: str, operand: Any, who: Person) -> bool:
    value = who.state[name] if name in who.state else who.values.get(name)
    if operator == "known":
        return (value is not None) is operand
    if value is None:
        return False
    kind = "fit" if name == "fit" else "exact" if name in who.state else who.kinds.get(name, "text")
    reads: dict[str, Callable[[Any], Any]] = {
        "fit": lambda v: GRADES.index(v) if isinstance(v, str) else v, "text": plain, "date": str
    }  # fmt: skip
    read = reads.get(kind, lambda v: v)
    if kind == "fit":
        value = value + 2  # thirds above D, to the place in GRADES
    mine = read(value)
    several = [read(v) for v in operand] if isinstance(operand, list) else [read(operand)]
    theirs = several[0]
    tests: dict[str, Callable[[], bool]] = {
        "is": lambda: mine == theirs,
        "one_of": lambda: mine in several,
        "not": lambda: mine not in several,
        "at_least": lambda: mine >= theirs,
        "at_most": lambda: mine <= theirs,
        "above": lambda: mine > theirs,
        "under": lambda: mine < theirs,
        "before": lambda: mine < theirs,
        "after": lambda: mine > theirs,
        "contains": lambda: theirs in mine,
        "starts_with": lambda: mine.startswith(theirs),
    }
    return bool(tests[operator]())
