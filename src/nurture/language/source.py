"""YAML read with the place of every value, so that each problem says where, what and the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from nurture.errors import NurtureError

Path = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
MAX_BYTES, MAX_ALIASES = 1 << 20, 50


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in the marketer's files; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.problem}; {self.remedy}"


class ProgramError(NurtureError):
    """The marketer's files have problems; nothing of them is live. Carries all of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Misread(ValueError):
    """A value inside a field is wrong: where in it, what, and the way out; may carry several."""

    def __init__(self, complaints: Sequence[tuple[Path, str, str]]) -> None:
        self.complaints = list(complaints)
        super().__init__("; ".join(f"{what}; {remedy}" for _, what, remedy in self.complaints))


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
            raise Misread([((key,), f"'{key}' is not known here", suggest(str(key), known)) for key in unknown])
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
        if self.problems:
            return None
        try:
            return model.model_validate(self.value)
        except ValidationError as refused:
            for error in refused.errors():
                self._explain(error)
            return None

    def _explain(self, error: ErrorDetails) -> None:
        path = self._real(error["loc"])
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Misread):
            for inner, what, remedy in cause.complaints:
                self.complain(path + inner, what, remedy, at_key=what.endswith("is not known here"))
            return
        kind, given = error["type"], error.get("input")
        where = ".".join(str(part) for part in path) or "the file"
        if kind == "missing":
            self.complain(path[:-1], f"'{error['loc'][-1]}' is missing", f"add '{error['loc'][-1]}:'")
        elif kind == "value_error" and cause is not None:
            text, _, remedy = str(cause).partition("; ")
            self.complain(path, text, remedy or "see docs/language.md")
        elif kind == "literal_error":
            expected = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
            self.complain(path, f"'{given}' is not one of {', '.join(expected)}", suggest(str(given), expected))
        else:
            self.complain(path, f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}", "see docs/language.md")

    def _real(self, loc: Sequence[str | int]) -> Path:
        """`loc` without the names that the validator adds for unions."""
        path: Path = ()
        value = self.value
        for index, part in enumerate(loc):
            if isinstance(value, dict) and part in value:
                path, value = (*path, part), value[part]
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                path, value = (*path, part), value[part]
            elif index == len(loc) - 1:
                path = (*path, part)
        return path


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or what is known."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    if not known:
        return "remove it"
    shown = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
    return f"known: {shown}"


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
        source.problems.append(Problem(file, line, column, f"not YAML: {what}", "check colons, quotes and indentation"))
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
