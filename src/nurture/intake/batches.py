"""The body of a request that holds facts: JSON in four shapes, bounded."""

from __future__ import annotations

import json
from typing import Any

#: Facts of one request, nesting of its JSON.
MOST, DEPTH = 500, 20


class Unreadable(ValueError):
    """A body of which nothing can be taken in; says why."""


def read_batch(body: bytes, noun: str) -> tuple[dict[str, Any], list[Any]]:
    """(what is said of all of them, the facts): of one object, an array, NDJSON, or an object with a list `noun`.

    Raises Unreadable.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("the body is not UTF-8") from None
    read = _parsed(text)
    if _deeper(read, DEPTH):
        raise Unreadable(f"the body is nested deeper than {DEPTH} levels")
    whole: dict[str, Any] = {}
    if isinstance(read, dict) and noun in read:
        facts = read.pop(noun)
        whole = read
    else:
        facts = read if isinstance(read, list) else [read]
    if not isinstance(facts, list) or not facts:
        raise Unreadable(f"the body holds no {noun}; send an object, an array, or one object a line")
    if len(facts) > MOST:
        raise Unreadable(f"the body holds {len(facts):,} {noun}; send {MOST} at a time")
    return whole, facts


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise Unreadable(f"the body is nested deeper than {DEPTH} levels") from None
    except ValueError as problem:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not lines[0][1].rstrip().endswith("}"):
            raise Unreadable(f"the body is not JSON: {problem}") from None
    facts = []
    for number, line in lines:
        try:
            facts.append(json.loads(line))
        except (ValueError, RecursionError) as problem:
            raise Unreadable(f"line {number} is not JSON: {problem}") from None
    return facts


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels < 1 or any(_deeper(part, levels - 1) for part in inner)
