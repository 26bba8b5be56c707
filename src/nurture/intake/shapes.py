"""Names and nested values made plain."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NoReturn

from nurture.folding import fold

_APART = re.compile(r"[\W_]+")
#: Characters of a cell that a sentence repeats.
_QUOTED = 40


@lru_cache(maxsize=4096)
def squeeze(name: str) -> str:
    """A column's name without case, spaces and marks: `E-mail Address` and `email_address` are one."""
    return _APART.sub("", fold(name))


@lru_cache(maxsize=4096)
def snake(name: str) -> str:
    """A name as conditions write it: `Email Opened` becomes `email_opened`."""
    return _APART.sub("_", fold(name)).strip("_")


def flat(line: str) -> dict[str, Any]:
    """One JSON object as a row; nested objects by dotted names. ValueError: no database can store it."""
    read = json.loads(line, parse_constant=_no_number)
    if not isinstance(read, dict):
        raise ValueError('is JSON, but not an object: write {"email": …} on one line')
    cells: dict[str, Any] = {}
    _flatten("", read, cells)
    if "\\u" in line:
        _storable(cells)
    return cells


def _flatten(prefix: str, branch: dict[str, Any], cells: dict[str, Any]) -> None:
    for key, value in branch.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}{key}.", value, cells)
        else:
            cells[prefix + key] = value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"holds {word}, which is not a number of JSON")


def _storable(value: Any) -> None:
    if isinstance(value, dict | list):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _storable(part)
    elif isinstance(value, str):
        if "\0" in value:
            raise ValueError("holds a NUL character; remove it")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("holds half of a character (a lone surrogate)")


def quoted(text: str) -> str:
    """The beginning of a cell, quoted for a sentence; what would not be seen is spelled out."""
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_QUOTED])
    return f"'{seen}{'…' if len(text) > _QUOTED else ''}'"


def as_text(cell: Any) -> str:
    """A cell as the text a CSV would hold."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list):
        return ";".join(as_text(part) for part in cell)
    return str(cell)
