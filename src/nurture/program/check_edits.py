"""What a check changes of its program for itself: parts laid over the files, with problems told at its own lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nurture.language.source import Path, Problem, Source, read_yaml

#: The word in a check, and the file that it speaks of.
_HOUSE = {name: f"{name}.yaml" for name in ("program", "lifecycle", "scoring", "offers")}
WORDS = (*_HOUSE, "sequence", "sequences", "letters")
#: Conditions stand under these: one takes the place of another as a whole.
_WHOLE = ("segment", "when", "leave", "refuse")


@dataclass
class Laid:
    """The files of a program with an edit over them. `places`: for each file that changed, where the check says so."""

    files: dict[str, str]
    source: Source
    places: dict[str, Path] = field(default_factory=dict)
    #: The changed YAML files as they are read now.
    sources: dict[str, Source] = field(default_factory=dict)

    def complain(self) -> None:
        """Note everything that is wrong with what changed, where the check says so."""
        from nurture.program.check import check  # which reads checks itself

        slugs = {name.split("/")[0] for name in self.places if "/" in name}
        trimmed = {name: text for name, text in self.files.items() if _counts(name, slugs)}
        found = _found(check, frozenset(trimmed.items()))
        for problem in found:
            if problem.file in self.places:
                self._note(problem)

    def _note(self, problem: Problem) -> None:
        root, spot = self.places[problem.file], (problem.line, problem.column)
        if problem.file not in self.sources:
            self.source.complain(root, f"line {problem.line}: {problem.problem}", problem.remedy)
            return
        merged = self.sources[problem.file]
        keys, values = ({at: path for path, at in known.items()} for known in (merged.keys, merged.places))
        path = keys.get(spot) or values.get(spot, ())
        self.source.complain((*root, *path), problem.problem, problem.remedy, at_key=spot in keys)


@lru_cache(maxsize=256)
def _found(check: Any, files: frozenset[tuple[str, str]]) -> list[Problem]:
    """The problems of these files; the same edit is looked through once."""
    found: list[Problem] = check(dict(files))
    return found


def _counts(name: str, slugs: set[str]) -> bool:
    """Whether a file may tell something of an edit: the house's, the sequences, and the letters of what changed."""
    folder, _, rest = name.partition("/")
    return "/checks/" not in name and (not rest or folder in ("_shared", *slugs) or rest == "sequence.yaml")


def lay_over(files: Mapping[str, str], source: Source, at: Path, slug: str) -> Laid:
    """`files` with the edit that stands at `at` of the check `source`; its segment is `slug`."""
    written = source.at(at)
    laid = Laid(dict(files), source)
    for word in WORDS if isinstance(written, dict) else ():
        part = written.get(word)
        if not isinstance(part, dict):
            continue
        if word in _HOUSE:
            _merge(laid, _HOUSE[word], part, (*at, word))
        elif word == "sequence":
            _merge(laid, f"{slug}/sequence.yaml", part, (*at, word))
        elif word == "sequences":
            for other, changes in part.items():
                if isinstance(changes, dict):
                    _merge(laid, f"{other}/sequence.yaml", changes, (*at, word, other))
        else:
            for name, text in part.items():
                file = name if "/" in name else f"{slug}/{name}"
                laid.files[file], laid.places[file] = str(text), (*at, word, name)
    return laid


def _merge(laid: Laid, file: str, changes: dict[str, Any], at: Path) -> None:
    before = read_yaml(file, laid.files[file]).value if file in laid.files else {}
    text = json.dumps(merged(before if isinstance(before, dict) else {}, changes), ensure_ascii=False, indent=1)
    laid.files[file], laid.places[file], laid.sources[file] = text, at, read_yaml(file, text)


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`before` with `changes`: mappings are merged, null takes a key away, conditions and all else are replaced."""
    result = dict(before)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif key not in _WHOLE and isinstance(value, dict):
            known = result.get(key)
            result[key] = merged(known if isinstance(known, dict) else {}, value)
        else:
            result[key] = value
    return result
