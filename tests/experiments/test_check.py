"""What `check` says of experiments: the place, the problem, the way out."""

from __future__ import annotations

import pytest

from nurture.program.check import check
from tests.experiments.dealt import letter, written

ENDS = "\n  - {id: one, exit: one}\n  - {id: two, exit: two}"
ARMS = {"nudge.a.j2": letter("Text A"), "nudge.b.j2": letter("Text B")}
#: Stands before the place of the problem, and is not written.
HERE = "¦"
FORK = "{id: half, split: {nudge: 50, two: 50}}\n  - "


def said(steps: str, letters: dict[str, str] | None = None, house: str = "") -> list[str]:
    """The problems of a program; of sequence.yaml and program.yaml, those at HERE are told as `here`."""
    files = written(f"  - {steps}{ENDS}", letters, house)
    files["program.yaml"] = files["program.yaml"].replace(", since: date", "")
    files = {name: text for name, text in files.items() if name != "tour/nudge.j2" and HERE not in name}
    found = []
    for name in ("tour/sequence.yaml", "program.yaml"):
        marked = files[name]
        files[name] = marked.replace(HERE, "")
        for part in range(1, marked.count(HERE) + 1):
            before = "".join(marked.split(HERE)[:part])
            found.append(f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: ")
    told = []
    for problem in map(str, check(files)):
        place = next((place for place in found if problem.startswith(place)), None)
        told.append(f"here: {problem.removeprefix(place)}" if place else problem)
    return told


#: A step, the letters, and what is said.
CASES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "a split that is right": ("{id: half, split: {one: 60, two: 40}}", {}, []),
    "arms that are right": (FORK + "{id: nudge, email: nudge.j2, variants: {a: 33.3, b: 66.7}}", ARMS, []),
    "arms in two languages": (
        FORK + "{id: nudge, email: nudge.j2, variants: {a: 33.3, b: 66.7}}",
        {**ARMS, "nudge.a.ar.j2": letter("النص")}, [],
    ),
    "a sum that is none": (
        "{id: half, split: ¦{one: 60, two: 30}}", {}, ["here: the shares sum to 90; let them sum to 100"],
    ),
    "a share that is none": (
        "{id: half, split: {one: ¦most, two: 30}}", {},
        ["here: 'most' is not a share; write a percentage such as 60 or 33.3"],
    ),
    "no such step": (
        "{id: half, split: {one: 60, ¦twoo: 40}}\n  - {id: more, split: {one: 50, two: 50}}", {},
        ["here: there is no step 'twoo'; did you mean 'two'?"],
    ),
    "its own step": (
        "{id: half, split: {one: 60, ¦half: 20, two: 20}}", {},
        ["here: 'half' names its own step; name a step further down"],
    ),
    "a split with a next": (
        "{id: half, next: ¦one, split: {one: 60, two: 40}}", {},
        ["here: a split has no next; name each way in the split itself"],
    ),
    "one arm": (
        FORK + "{id: nudge, email: nudge.j2, variants: ¦{a: 100}}", ARMS,
        ["here: fewer than two arms; write {a: 50, b: 50}"],
    ),
    "an arm without its letter": (
        FORK + "{id: nudge, email: nudge.j2, variants: {a: 50, b: 20, c: ¦30}}", ARMS,
        ["here: there is no letter 'nudge.c.j2' in tour/; write it"],
    ),
    "a letter without its arm": (
        FORK + "{id: nudge, email: nudge.j2, variants: {a: 50, b: 50}}", {**ARMS, "nudge.c.j2": letter("Text C")},
        ["tour/nudge.c.j2:1:1: no step sends this letter; name it in a step, or remove the file"],
    ),
    "a translation of no arm": (
        FORK + "{id: nudge, email: nudge.j2, variants: {a: 50, b: 50}}", {**ARMS, "nudge.ar.j2": letter("نص")},
        ["tour/nudge.ar.j2:1:1: no step sends this letter; name it in a step, or remove the file"],
    ),
    "arms named like languages": (
        FORK + "{id: nudge, email: nudge.j2, variants: {ar: ¦50, new: ¦50}}",
        {"nudge.ar.j2": letter("A"), "nudge.new.j2": letter("B")},
        [
            "here: the arm 'ar' is named like a language; write one letter, or a word of four letters or more",
            "here: the arm 'new' is named like a language; write one letter, or a word of four letters or more",
        ],
    ),
    "an arm that no file is called by": (
        FORK + "{id: nudge, email: nudge.j2, variants: {Ab: ¦50, b: 50}}", {**ARMS, "nudge.Ab.j2": letter("Ab")},
        ["here: 'Ab' cannot name an arm; use small letters and digits"],
    ),
    "a winner among nothing": (
        FORK + "{id: nudge, email: hi.j2, winner: ¦{by: clicked, after: 3 days}}", {"hi.j2": letter("Hi")},
        ["here: a winner among nothing; add variants: {a: 50, b: 50}"],
    ),
}  # fmt: skip
_NO_MEASURE = (
    "does not tell a better letter; write one of clicked, replied, objective, or {did: event} with where: at most"
)
#: `winner:` of a step whose arms are right, and what is said of it.
WINNERS = {
    "right": ("{by: {did: tour_taken, where: {path: /a}}, after: 3 days, confidence: 90%}", None),
    "of what": ("{by: ¦opened, after: 3 days}", f"'opened' {_NO_MEASURE}"),
    "counted": ("{by: ¦{did: seen, at_least: 2}, after: 3 days}", f"'{{'did': 'seen', 'at_least': 2}}' {_NO_MEASURE}"),
    "a field": ("{by: ¦{industry: saas}, after: 3 days}", f"'{{'industry': 'saas'}}' {_NO_MEASURE}"),
    "no event": (
        "{by: {did: ¦Tour Taken}, after: 3 days}", "no event is called 'Tour Taken'; did you mean 'tour_taken'?",
    ),
    "not by what": ("¦{after: 3 days}", "'by' is missing; add 'by:'"),
    "not when": ("¦{by: clicked}", "'after' is missing; add 'after:'"),
    "how long": (
        "{by: clicked, after: ¦3}",
        "'3' is not a duration; write it as '2 days', '48 hours', '90 minutes' or '1 week'",
    ),
    "too sure": (
        "{by: clicked, after: 3 days, confidence: ¦100}", "'100' is not a confidence; write a percentage such as 95",
    ),
    "no objective": (
        "{by: ¦objective, after: 3 days}",
        "the sequence has no objective; name one under objective:, or write by: clicked",
    ),
    "a strange key": (
        "{by: clicked, after: 3 days, ¦sure: 95}", "'sure' is not known here; known: after, by, confidence",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "letters", "expected"), CASES.values(), ids=CASES)
def test_what_is_said(steps: str, letters: dict[str, str], expected: list[str]) -> None:
    """Each problem once, at its place."""
    assert said(steps, letters) == expected


@pytest.mark.parametrize(("winner", "expected"), WINNERS.values(), ids=WINNERS)
def test_what_is_said_of_a_winner(winner: str, expected: str | None) -> None:
    """The place is that of the word that is wrong."""
    steps = f"{FORK}{{id: nudge, email: nudge.j2, variants: {{a: 50, b: 50}}, winner: {winner}}}"

    assert said(steps, ARMS) == ([] if expected is None else [f"here: {expected}"])


NO_SHARE = "is not a share; write a percentage such as 60 or 33.3"
HOLDOUTS = {
    "5": [],
    "2.5%": [],
    "0": [f"here: '0' {NO_SHARE}"],
    "100%": [f"here: '100%' {NO_SHARE}"],
    "some": [f"here: 'some' {NO_SHARE}"],
}


@pytest.mark.parametrize(("share", "expected"), HOLDOUTS.items(), ids=HOLDOUTS)
def test_what_is_said_of_a_holdout(share: str, expected: list[str]) -> None:
    """A part of all leads, neither none nor everybody."""
    assert said("{id: half, split: {one: 60, two: 40}}", house=f"holdout: ¦{share}\n") == expected
