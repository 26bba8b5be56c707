"""YAML read with the place of every value, so that each problem says where, what and the way out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from nurture.language.problems import Misread, Path, Problem, ProgramError, nearest, suggest

Model = TypeVar("Model", bound=BaseModel)
MAX_BYTES, MAX_ALIASES = 1 << 20, 50
#: Rounds in which unknown keys are set right, so that the problems behind them show too.
MAX_CORRECTIONS = 20
_STRANGE = "is not known here"

__all__ = [
    "Misread",
    "Path",
    "Problem",
    "ProgramError",
    "Source",
    "Written",
    "nearest",
    "read_yaml",
    "suggest",
]


class Written(BaseModel):
    """A mapping that a marketer writes: unknown keys are refused with what was probably meant."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Misread([((), f"'{value}' is not a mapping", "write {key: value}")])
        known = [info.alias or name for name, info in cls.model_fields.items()]
        unknown = [key for key in value if key not in known]
        if unknown:
            raise Misread([((key,), f"'{key}' {_STRANGE}", suggest(str(key), known)) for key in unknown])
        return value


class _Loader(yaml.CSafeLoader):
    """YAML 1.2 scalars: `no` and `on` are words, `12:30` is a word; only true and false are flags."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?[0-9]+\.[0-9]+$", "-+0123456789"),
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


#: What the validator says of numbers and lists, in a marketer's words.
_PLAIN = {
    "greater_than_equal": ("'{given}' is too small", "write {ge} or more"),
    "less_than_equal": ("'{given}' is too large", "write {le} or less"),
    "too_short": ("there is nothing in it", "write at least one"),
    "string_too_short": ("'{given}' is too short", "write at least {min_length} characters"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), ("'{given}' is not a whole number", "write 3")),
    **dict.fromkeys(("float_parsing", "float_type"), ("'{given}' is not a number", "write it in digits")),
    **dict.fromkeys(("bool_parsing", "bool_type"), ("'{given}' is not true or false", "write true or false")),
    **dict.fromkeys(
        ("date_parsing", "date_from_datetime_parsing", "date_type"), ("'{given}' is not a date", "write 2026-03-02")
    ),
}


@dataclass
class Source:
    """One YAML file: its value, and the place of every key and value in it."""

    file: str
    value: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def complain(self, path: Path, problem: str, remedy: str, *, at_key: bool = False) -> None:
        """Note a problem at `path`, or at the nearest place around it."""
        places = self.keys if at_key and path in self.keys else self.places
        while path and path not in places:
            path = path[:-1]
        line, column = places.get(path, (1, 1))
        self.problems.append(Problem(self.file, line, column, problem, remedy))

    def read(self, model: type[Model]) -> Model | None:
        """The file as `model`, or None with every problem noted."""
        if not isinstance(self.value, dict):
            return None
        for _ in range(MAX_CORRECTIONS):
            try:
                value = model.model_validate(self.value)
            except ValidationError as refused:
                errors = refused.errors()
                strange = [error for error in errors if _strange_keys(error)]
                for error in strange or errors:
                    self._explain(error)
                if not self._correct(strange):
                    return None
            else:
                return None if self.problems else value
        return None

    def _correct(self, errors: Sequence[Mapping[str, Any]]) -> bool:
        """Read on as if unknown keys had been spelled right, or left out; whether there were any."""
        corrected = False
        for error in errors:
            for inner in _strange_keys(error):
                path = self._real(error["loc"]) + inner.at
                holder: Any = self.at(path[:-1])
                if not isinstance(holder, dict) or path[-1] not in holder:
                    continue
                value, corrected = holder.pop(path[-1]), True
                if inner.meant is not None and inner.meant not in holder:
                    holder[inner.meant] = value
                    for places in (self.places, self.keys):
                        for known in [known for known in places if known[: len(path)] == path]:
                            places[(*path[:-1], inner.meant, *known[len(path) :])] = places[known]
        return corrected

    def at(self, path: Path) -> Any:
        """What is written at `path`; None where nothing is."""
        value = self.value
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def _explain(self, error: Mapping[str, Any]) -> None:
        path = self._real(error["loc"])
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Misread):
            for inner, what, remedy in cause.complaints:
                self.complain(path + inner, what, remedy, at_key=what.endswith(_STRANGE))
            return
        kind, given = error["type"], error.get("input")
        where = ".".join(str(part) for part in path) or "the file"
        if kind == "missing":
            self.complain(path[:-1], f"'{error['loc'][-1]}' is missing", f"add '{error['loc'][-1]}:'")
        elif kind == "value_error" and cause is not None:
            text, _, remedy = str(cause).partition("; ")
            self.complain(path, text, remedy or "see docs/language.md")
        elif kind == "literal_error":
            words = error["ctx"]["expected"].replace(" or ", ", ").split(",")
            expected = [word.strip("' ") for word in words]
            what = f"'{given}' is not one of {', '.join(expected)}"
            self.complain(path, what, suggest(str(given), expected))
        elif kind in _PLAIN:
            what, remedy = (text.format(given=given, **error.get("ctx", {})) for text in _PLAIN[kind])
            self.complain(path, f"{where}: {what}", remedy)
        else:
            said = error["msg"][0].lower() + error["msg"][1:]
            self.complain(path, f"{where}: {said}", "see docs/language.md")

    def _real(self, loc: Sequence[str | int]) -> Path:
        """`loc` without the names that the validator adds for unions."""
        path: Path = ()
        value = self.value
        for index, part in enumerate(loc):
            if path[:1] == ("steps",) and len(path) == 2 and index == 2:
                continue  # the kind of the step, which the validator tells as a part of the way
            listed = isinstance(value, list) and isinstance(part, int) and part < len(value)
            if listed or (isinstance(value, dict) and part in value):
                path, value = (*path, part), value[part]
            elif index == len(loc) - 1:
                path = (*path, part)
        return path


@dataclass(frozen=True)
class _Strange:
    """A key that is not known, and what was probably meant."""

    at: Path
    meant: str | None


def _strange_keys(error: Mapping[str, Any]) -> list[_Strange]:
    cause = error.get("ctx", {}).get("error")
    complaints = cause.complaints if isinstance(cause, Misread) else []
    return [
        _Strange(at, remedy.split("'")[1] if remedy.startswith("did you mean '") else None)
        for at, what, remedy in complaints
        if at and what.endswith(_STRANGE)
    ]


def read_yaml(file: str, text: str) -> Source:
    """`text` with the place of everything in it; syntax problems and doubled keys are noted, never raised."""
    source = Source(file)
    if len(text.encode()) > MAX_BYTES:
        source.complain((), "the file is larger than 1 MiB", "split it")
        return source
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as refused:
        mark = refused.problem_mark or refused.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = (refused.problem or "it cannot be read").rstrip(".")
        remedy = "check colons, quotes and indentation"
        source.problems.append(Problem(file, line, column, f"not YAML: {what}", remedy))
        return source
    except yaml.YAMLError as refused:
        source.complain((), f"not YAML: {refused}", "save the file as plain UTF-8 text")
        return source
    if node is None:
        source.complain((), "the file is empty", "write it, or remove the file")
        return source
    source.value = _build(source, node, (), _Budget())
    if not source.problems and not isinstance(source.value, dict):
        source.complain((), "the file is not a mapping of keys", "begin with 'key: value'")
    return source


@dataclass
class _Budget:
    seen: set[int] = field(default_factory=set)
    aliases: int = 0


def _build(source: Source, node: yaml.Node, path: Path, budget: _Budget) -> Any:
    place = (node.start_mark.line + 1, node.start_mark.column + 1)
    source.places[path] = place
    if isinstance(node, yaml.ScalarNode):
        return _scalar(source, node, path)
    if id(node) in budget.seen:
        budget.aliases += 1
        if budget.aliases > MAX_ALIASES:
            source.complain(path, "more than 50 aliases", "write the values out")
            return None
    budget.seen.add(id(node))
    if node.tag not in ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
        source.complain(path, f"the tag {node.tag} is not allowed", "write a plain value")
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_build(source, item, (*path, index), budget) for index, item in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            source.complain(path, "a key is not a word", "write 'key: value'")
            continue
        key = key_node.value
        source.keys[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if key in result:
            source.complain((*path, key), f"'{key}' stands twice", "keep one of them", at_key=True)
        result[key] = _build(source, value_node, (*path, key), budget)
    return result


def _scalar(source: Source, node: yaml.ScalarNode, path: Path) -> Any:
    tag = node.tag.rpartition(":")[2]
    if tag == "str":
        return node.value
    if tag == "int":
        return int(node.value)
    if tag == "float":
        return float(node.value)
    if tag == "bool":
        return node.value.lower() == "true"
    if tag == "null":
        return None
    source.complain(path, f"the tag {node.tag} is not allowed", "write a plain value")
    return None
