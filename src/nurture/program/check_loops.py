"""What is wrong with loops: a goto that leads down, a way round without a wait, a letter that goes out once only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nurture.language import conditions as c
from nurture.language.conditions import parse_condition
from nurture.language.source import Misread, Source, suggest
from nurture.steps import KINDS


def check_gotos(source: Source, raw: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> None:
    """Note gotos whose target does not stand above them."""
    for index, step in enumerate(raw):
        target, at = step.get("goto"), ("steps", index, "goto")
        if not isinstance(target, str):
            continue
        if target not in ids:
            remedy = suggest(target, ids[:index]) if index else "name a step above"
            source.complain(at, f"there is no step '{target}'", remedy)
        elif target == ids[index]:
            source.complain(at, f"'{target}' names its own step", "name a step above")
        elif ids.index(target) > index:
            source.complain(
                at, f"'{target}' stands below, and a goto leads back", f"use next: {target} in the step above"
            )


def check_loops(
    source: Source, raw: Sequence[Mapping[str, Any]], ids: Sequence[str], ways: Mapping[str, Iterable[str]]
) -> None:
    """Note ways round without a wait, and letters on one that nobody gets twice. `ways`: each step's targets."""
    down = {
        step_id: [target for target in ways[step_id] if "goto" in step or ids.index(target) > index]
        for index, (step_id, step) in enumerate(zip(ids, raw, strict=True))
    }  # other ways up are told as such
    waits = {step_id for step_id, step in zip(ids, raw, strict=True) if _holds(step)}
    for index, step in enumerate(raw):
        target = step.get("goto")
        if isinstance(target, str) and ids[index] != target and (path := _path(down, target, ids[index], waits)):
            what = f"no wait on the way {' > '.join(path)}: leads would come round at once"
            remedy = "put a wait, or a wait_until for an event, on each way between the two"
            source.complain(("steps", index, "goto"), what, remedy)
    if isinstance(source.at(("enrol", "again")), dict):  # then every letter is asked for repeat:
        return
    for index, step in enumerate(raw):
        word = next((word for word in KINDS if word in step), None)
        once = word is not None and "repeat" in KINDS[word].model_fields and step.get("repeat") is not True
        if word is not None and once and any(_path(down, after, ids[index], set()) for after in down[ids[index]]):
            what = f"in the second turn '{ids[index]}' would be passed over: nobody gets a letter twice"
            source.complain(("steps", index, word), what, "add repeat: true, or send an offer")


def _holds(step: Mapping[str, Any]) -> bool:
    """Whether a step holds every lead for a while: a day may be over, and what is no event may hold at once."""
    if "wait_until" not in step:
        return "wait" in step and not isinstance(step["wait"], dict)
    try:
        awaited = parse_condition(step["wait_until"])
    except Misread:
        return True  # told elsewhere
    return all(
        isinstance(part, c.All | c.Any_ | c.Answered)
        or (isinstance(part, c.Did) and not part.negated and part.since in (None, "step"))
        for part in c.walk(awaited)
    )


def _path(ways: Mapping[str, Iterable[str]], begin: str, end: str, closed: set[str]) -> list[str]:
    """The steps of a way from `begin` to `end` that passes none of `closed`; empty: there is none."""
    before: dict[str, str | None] = {begin: None}
    ahead = [begin]
    while ahead:
        step = ahead.pop(0)
        if step in closed:
            continue
        if step == end:
            path = [step]
            while (previous := before[path[0]]) is not None:
                path.insert(0, previous)
            return path
        for target in ways[step]:
            if target not in before:
                before[target] = step
                ahead.append(target)
    return []
