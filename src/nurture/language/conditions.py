"""Conditions as a marketer writes them, read into a small tree. What they mean in SQL is in `compiler.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator

from nurture.durations import Duration, parse_duration
from nurture.language.source import Misread, Path, suggest
from nurture.language.words import OPERATORS, operand_fault


@dataclass(frozen=True)
class All:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Any_:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    part: Condition


@dataclass(frozen=True)
class Field:
    """A lead's field (or stage, status, source, owner, score, engagement, fit, or what is in levels) against values."""

    name: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Tagged:
    """The lead carries at least one of these tags (folded)."""

    tags: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """The lead is on at least one of these static lists (folded)."""

    lists: tuple[str, ...]


@dataclass(frozen=True)
class Did:
    """A person (or the house) did `name` at least so many times; `negated`: did not."""

    name: str
    where: tuple[tuple[str, str], ...] = ()
    at_least: int = 1
    within: Duration | None = None
    since: Literal["step", "enrolment"] | Duration | None = None
    negated: bool = False


@dataclass(frozen=True)
class Answered:
    """A person clicked in, or replied to, the message of a step of this enrolment."""

    step: str
    how: Literal["clicked", "replied"]


@dataclass(frozen=True)
class Received:
    """The lead was sent this message (`welcome.j2`, `segment/welcome.j2`) or this offer (its key)."""

    content: str


@dataclass(frozen=True)
class InSequence:
    sequence: str


@dataclass(frozen=True)
class SegmentLeft:
    """The sequence's standing `segment:` rule no longer holds."""


@dataclass(frozen=True)
class ByStep:
    """A milestone that only a handoff step reaches."""


Condition: TypeAlias = (
    All | Any_ | Not | Field | Tagged | Listed | Did | Answered | Received | InSequence | SegmentLeft | ByStep
)

Complaints = list[tuple[Path, str, str]]


def parse_condition(value: Any) -> Condition:
    """The tree of what was written; raises Misread with every complaint and its path."""
    complaints: Complaints = []
    condition = _parse(value, (), complaints)
    if complaints or condition is None:
        raise Misread(complaints or [((), "this is not a condition", "write {field: value}")])
    return condition


def _parse(value: Any, path: Path, complaints: Complaints) -> Condition | None:
    if value == "segment_left":
        return SegmentLeft()
    if value == "by_step":
        return ByStep()
    if not isinstance(value, dict) or not value:
        complaints.append((path, f"'{value}' is not a condition", "write {field: value}, {did: event} or {all: […]}"))
        return None
    parts: list[Condition | None] = []
    rest = dict(value)
    if "did" in rest or "did_not" in rest:
        own = {key: rest.pop(key) for key in ("did", "did_not", "where", "at_least", "within", "since") if key in rest}
        parts.append(_parse_did(own, path, complaints))
    for key, inner in rest.items():
        reader = _READERS.get(key, _parse_field)
        parts.append(reader(key, inner, (*path, key), complaints))
    known = tuple(part for part in parts if part is not None)
    if len(known) != len(parts):
        return None
    return known[0] if len(known) == 1 else All(known)


def _parse_list(key: str, value: Any, path: Path, complaints: Complaints) -> Condition | None:
    if not isinstance(value, list) or not value:
        complaints.append((path, f"'{key}' needs a list of conditions", f"write {key}: [{{…}}, {{…}}]"))
        return None
    parts = [_parse(inner, (*path, index), complaints) for index, inner in enumerate(value)]
    whole = tuple(part for part in parts if part is not None)
    return None if len(whole) != len(parts) else All(whole) if key == "all" else Any_(whole)


def _parse_not(_key: str, value: Any, path: Path, complaints: Complaints) -> Condition | None:
    part = _parse(value, path, complaints)
    return None if part is None else Not(part)


def _parse_did(own: dict[str, Any], path: Path, complaints: Complaints) -> Condition | None:
    negated = "did_not" in own
    key = "did_not" if negated else "did"
    before = len(complaints)
    name = own[key]
    if "did" in own and "did_not" in own:
        complaints.append((path, "both 'did' and 'did_not'", "write two conditions in a list under all:"))
    if not isinstance(name, str) or not name:
        complaints.append(((*path, key), f"'{name}' is not the name of an event", "write did: page_viewed"))
    where = own.get("where", {})
    if not isinstance(where, dict) or not all(isinstance(v, str | int | float) for v in where.values()):
        complaints.append(((*path, "where"), "'where' is not a mapping of words", 'write where: {path: "/pricing*"}'))
        where = {}
    times = own.get("at_least", 1)
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        complaints.append(((*path, "at_least"), f"'{times}' is not a number of times", "write at_least: 3"))
    within = _duration(own, "within", path, complaints)
    since = own.get("since")
    if since not in (None, "step", "enrolment"):
        since = _duration(own, "since", path, complaints)
    if len(complaints) > before:
        return None
    matches = tuple((str(field), _as_json(pattern)) for field, pattern in where.items())
    return Did(str(name), matches, times, within, since, negated)


def _as_json(pattern: Any) -> str:
    """A pattern as the data of events spell it."""
    return str(pattern).lower() if isinstance(pattern, bool) else str(pattern)


def _duration(own: dict[str, Any], key: str, path: Path, complaints: Complaints) -> Duration | None:
    if key not in own:
        return None
    try:
        return parse_duration(own[key])
    except ValueError as problem:
        what, _, remedy = str(problem).partition("; ")
        complaints.append(((*path, key), what, remedy))
        return None


def _parse_answered(key: str, value: Any, path: Path, complaints: Complaints) -> Condition | None:
    if not isinstance(value, str):
        complaints.append((path, f"'{value}' is not the id of a step", f"write {key}: welcome"))
        return None
    return Answered(value, "clicked" if key == "clicked" else "replied")


def _words(
    make: Callable[[tuple[str, ...]], Condition], example: str
) -> Callable[[str, Any, Path, Complaints], Condition | None]:
    """Reads one name or a list of them: any of these."""

    def read(key: str, value: Any, path: Path, complaints: Complaints) -> Condition | None:
        words = value if isinstance(value, list) else [value]
        if words and all(isinstance(word, str) and word for word in words):
            return make(tuple(words))
        complaints.append((path, f"'{value}' are not {key}", f"write {key}: {example} or {key}: [a, b]"))
        return None

    return read


def _word(make: Callable[[str], Condition]) -> Callable[[str, Any, Path, Complaints], Condition | None]:
    def read(key: str, value: Any, path: Path, complaints: Complaints) -> Condition | None:
        if isinstance(value, str) and value:
            return make(value)
        complaints.append((path, f"'{value}' is not a name", f"write {key}: name"))
        return None

    return read


def _parse_field(name: str, value: Any, path: Path, complaints: Complaints) -> Condition | None:
    tests = value if isinstance(value, dict) else {"one_of": value} if isinstance(value, list) else {"is": value}
    parts: list[Condition] = []
    before = len(complaints)
    if not tests:
        complaints.append((path, f"'{name}' has no test", f"write {name}: {{at_least: 5}}"))
    for operator, operand in tests.items():
        place = (*path, operator) if isinstance(value, dict) else path
        if operator not in OPERATORS:
            complaints.append((place, f"'{operator}' is not known here", suggest(str(operator), OPERATORS)))
        else:
            fault = operand_fault(name, operator, operand)
            if fault:
                complaints.append((place, *fault))
            parts.append(Field(name, operator, tuple(operand) if isinstance(operand, list) else operand))
    if len(complaints) > before:
        return None
    return parts[0] if len(parts) == 1 else All(tuple(parts))


_READERS: dict[str, Callable[[str, Any, Path, Complaints], Condition | None]] = {
    "all": _parse_list,
    "any": _parse_list,
    "not": _parse_not,
    "clicked": _parse_answered,
    "replied": _parse_answered,
    "tags": _words(Tagged, "evaluated"),
    "listed": _words(Listed, "newsletter-2026"),
    "received": _word(Received),
    "in_sequence": _word(InSequence),
}


def walk(condition: Condition) -> Iterator[Condition]:
    """`condition` and everything in it."""
    yield condition
    match condition:
        case All(parts) | Any_(parts):
            for part in parts:
                yield from walk(part)
        case Not(part):
            yield from walk(part)


#: A condition as a value of a YAML field.
When = Annotated[Any, BeforeValidator(parse_condition)]
