"""A folder, or the bytes of a published version, to a program; every problem is collected with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from nurture.errors import FileFault
from nurture.language.compiler import Scope
from nurture.language.source import Problem, ProgramError, Source, read_yaml
from nurture.language.words import BUILT_IN
from nurture.mail.templates import Templates
from nurture.program.lifecycle import Lifecycle
from nurture.program.models import ProgramFile
from nurture.program.offers import Offers
from nurture.program.scoring import Scoring
from nurture.program.sequence import Sequence
from nurture.windows import Window

Model = TypeVar("Model", bound=BaseModel)
HOUSE_FILES: dict[str, type[BaseModel]] = {
    "program.yaml": ProgramFile,
    "lifecycle.yaml": Lifecycle,
    "scoring.yaml": Scoring,
    "offers.yaml": Offers,
}
_OPTIONAL = {"lifecycle.yaml": "{}", "scoring.yaml": "{}", "offers.yaml": "{offers: []}"}


def content_hash(files: Mapping[str, str]) -> str:
    """SHA-256 over names and bytes: the name of a version."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name, files[name]):
            digest.update(len(part.encode()).to_bytes(8) + part.encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class House:
    """What all sequences share: program, lifecycle, scoring, offers and `_shared`. `id`: of its published version."""

    program: ProgramFile
    lifecycle: Lifecycle
    scoring: Scoring
    offers: Offers
    files: Mapping[str, str]
    id: int = 0

    @cached_property
    def fields(self) -> dict[str, str]:
        """Every field of a lead and its type."""
        return {**dict.fromkeys(BUILT_IN, "text"), **self.program.fields}

    @cached_property
    def scope(self) -> Scope:
        """What a condition may refer to, outside of a sequence."""
        awareness = [(rule.level, rule.when) for rule in self.scoring.awareness]
        stages = [(rule.stage, rule.when) for rule in self.scoring.buying_stage]
        mql = list(self.lifecycle.mql.levels.items()) if self.lifecycle.mql is not None else []
        return Scope(self.fields, levels={"awareness": awareness, "buying_stage": stages, "mql_level": mql})

    @cached_property
    def templates(self) -> Templates:
        """The letters that all sequences share: each is compiled once."""
        return Templates(self.files)

    @cached_property
    def library(self) -> list[dict[str, Any]]:
        """The offers as plain data, best first. `events`: of the forms that give the piece."""
        given: dict[str, list[str]] = {}
        for form in self.program.forms.values():
            for key in [form.offer] if isinstance(form.offer, str) else (form.offer or {}).values():
                given.setdefault(key, []).append(form.event)
        return [{**piece.model_dump(), "events": given.get(piece.key, [])} for piece in self.offers.offers]

    def piece(self, key: str) -> dict[str, Any] | None:
        return next((piece for piece in self.library if piece["key"] == key), None)


@dataclass(frozen=True)
class Segment:
    """A sequence and the files it names. `id` and `number`: of its published version."""

    slug: str
    spec: Sequence
    files: Mapping[str, str]
    id: int = 0
    number: int = 0

    def window(self, house: House) -> Window:
        """When this sequence may write."""
        return self.spec.send.window(house.program.closed_days, house.program.quiet)


@dataclass
class Loaded:
    """What was read, as far as it could be; `sources` know the place of everything."""

    house: House | None = None
    segments: dict[str, Segment] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def require(self) -> Loaded:
        """Itself, or ProgramError with all problems."""
        if self.problems:
            raise ProgramError(self.problems)
        return self


def read_folder(folder: Path) -> dict[str, str]:
    """Every .yaml and .j2 file below `folder`, name to text. Raises FileFault when the folder cannot be used."""
    if not folder.is_dir():
        raise FileFault(f"{folder}: there is no such folder; give NURTURE_TEMPLATES, or run 'nurture init DIR'")
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in (".yaml", ".j2") or not path.is_file() or any(p.startswith(".") for p in path.parts[1:]):
            continue
        try:
            files[name] = path.read_text("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise FileFault(f"{path}: byte {problem.start} is not UTF-8; save the file as UTF-8") from None
    return files


def load_house(files: Mapping[str, str], into: Loaded) -> None:
    """program, lifecycle, scoring and offers."""
    parts: dict[str, Any] = {}
    for name, model in HOUSE_FILES.items():
        text = files.get(name)
        if text is None or not text.strip():
            if name not in _OPTIONAL:
                into.problems.append(Problem(name, 1, 1, "the file is missing", "write it; 'nurture init' makes one"))
                continue
            text = _OPTIONAL[name]
        parts[name] = _read(name, text, model, into)
    if all(parts.get(name) is not None for name in HOUSE_FILES):
        shared = {name: text for name, text in files.items() if name in HOUSE_FILES or name.startswith("_shared/")}
        program, lifecycle, scoring, offers = (parts[name] for name in HOUSE_FILES)
        into.house = House(program, lifecycle, scoring, offers, shared)


def load_segment(slug: str, files: Mapping[str, str], into: Loaded) -> None:
    """One segment's folder; `files` are named from the root of templates."""
    name = f"{slug}/sequence.yaml"
    spec = _read(name, files[name], Sequence, into)
    own = {key: text for key, text in files.items() if key.startswith(f"{slug}/") and "/checks/" not in key}
    if spec is not None:
        into.segments[slug] = Segment(slug, spec, own)


def load(files: Mapping[str, str]) -> Loaded:
    """Everything in `files`, with the problems of each file by itself."""
    loaded = Loaded(files=dict(files))
    load_house(files, loaded)
    for name in sorted(files):
        slug, _, rest = name.partition("/")
        if rest == "sequence.yaml":
            load_segment(slug, files, loaded)
    return loaded


def _read(name: str, text: str, model: type[Model], into: Loaded) -> Model | None:
    source = read_yaml(name, text)
    into.sources[name] = source
    value = source.read(model)
    into.problems += source.problems
    return value
