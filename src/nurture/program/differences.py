"""What an edit changed in a sequence, in words: `step settle: wait 2 days → 1 day`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from nurture.language.source import read_yaml
from nurture.program.load import Segment

#: A value that takes more signs than this is not told, only that it changed.
_LONGEST = 48


def differences(old: Segment, new: Segment) -> list[str]:
    """One line for each thing that differs: keys of the sequence, steps in their new order, files."""
    before, after = _written(old), _written(new)
    found = [_change(key, before.get(key), after.get(key)) for key in _keys(before, after) if key != "steps"]
    was, now = _steps(before), _steps(after)
    moved = _moved(list(was), list(now))
    for step, written in now.items():
        if step not in was:
            found.append(f"step {step} added")
            continue
        found += [
            f"step {step}: {_change(key, was[step].get(key), written.get(key))}" for key in _keys(was[step], written)
        ]
        if step in moved:
            place = list(now).index(step)
            found.append(f"step {step} moved {f'after {list(now)[place - 1]}' if place else 'to the beginning'}")
    found += [f"step {step} removed" for step in was if step not in now]
    return found + list(_files(old, new))


def _written(segment: Segment) -> dict[str, Any]:
    name = f"{segment.slug}/sequence.yaml"
    value = read_yaml(name, segment.files[name]).value
    return value if isinstance(value, dict) else {}


def _steps(written: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(step["id"]): step for step in written.get("steps", [])}


def _keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys whose values differ, in the order in which they are written now."""
    return [key for key in dict.fromkeys([*after, *before]) if before.get(key) != after.get(key)]


def _change(key: str, before: Any, after: Any) -> str:
    was, now = _words(before), _words(after)
    if before is None:
        return f"{key} {now} added" if now else f"{key} added"
    if after is None:
        return f"{key} removed"
    return f"{key} {was} → {now}" if was and now else f"{key} changed"


def _words(value: Any) -> str:
    """A value as it may stand in a line; nothing where it is too long."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=str).replace('"', "")
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else ""


def _moved(before: list[str], after: list[str]) -> set[str]:
    """The steps whose place among those that are in both has changed; as few as tell it."""
    was, now = [step for step in before if step in after], [step for step in after if step in before]
    blocks = difflib.SequenceMatcher(None, was, now, autojunk=False).get_matching_blocks()
    kept = {step for block in blocks for step in now[block.b : block.b + block.size]}
    return set(now) - kept


def _files(old: Segment, new: Segment) -> Iterator[str]:
    own = f"{new.slug}/"
    for name in sorted({*old.files, *new.files} - {f"{own}sequence.yaml"}):
        if old.files.get(name) == new.files.get(name):
            continue
        how = "added" if name not in old.files else "removed" if name not in new.files else "changed"
        yield f"{'letter' if name.endswith('.j2') else 'file'} {name.removeprefix(own)} {how}"
