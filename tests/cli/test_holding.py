"""Stopping at the command line: the four verbs, what waits for an answer, and who said what."""

from __future__ import annotations

import getpass
import json
from datetime import timedelta

import pytest

from nurture.cli import holding
from tests.cli.conftest import PROGRAM, Desk

#: verb: (what it says, what ends it, what the tick says of it meanwhile).
VERBS = {
    "pause": ("is paused; 'nurture resume {0}' ends it.", "resume", "Paused: "),
    "stop": ("is stopped; 'nurture start {0}' starts it again.", "start", "Stopped: "),
}


@pytest.mark.parametrize("scope", ["all", "evaluators", "ana@acme.example"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_word_holds_until_its_end(desk: Desk, verb: str, scope: str) -> None:
    """Said once it holds, said twice it says so; tick and holds name it; the other verb does not end it."""
    says, end, told = VERBS[verb]
    other = "start" if end == "resume" else "resume"
    desk.open_for_business()
    first, again = desk.nurture(verb, scope), desk.nurture(verb, scope)
    tick, listed, wrong = desk.nurture("tick"), desk.nurture("holds"), desk.nurture(other, scope)
    ended, twice = desk.nurture(end, scope), desk.nurture(end, scope)

    assert (first.code, first.out) == (0, f"{scope} {says.format(scope)}\n")
    assert (again.code, again.out.startswith("Nothing changed. ")) == (0, True)
    assert told in tick.out
    assert f"since 2026-03-02 07:05Z by {getpass.getuser()}; 'nurture {end} {scope}'" in listed.out
    assert (wrong.code, wrong.out) == (1, f"{scope} {says.format(scope)}\n")
    assert (ended.code, ended.out) == (0, f"{scope} goes on.\n")
    assert (twice.code, twice.out) == (1, f"{scope} was not {told.strip(': ').lower()}.\n")
    assert "No send waits" in desk.nurture("holds").out


def test_explain_names_the_stop(desk: Desk) -> None:
    desk.open_for_business()
    desk.nurture("tick")
    desk.nurture("stop", "evaluators")

    assert "Stopped: segment evaluators, since" in desk.nurture("explain", "ana@acme.example").out


def test_an_unknown_scope_is_told(desk: Desk) -> None:
    desk.open_for_business()
    told = desk.nurture("stop", "evaluatos")

    assert (told.code, told.err) == (1, "there is no live segment 'evaluatos'; did you mean 'evaluators'?\n")


@pytest.fixture
def asking(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Two leads are due where one a day is the most; `ana` sits at the keyboard."""
    monkeypatch.setattr(holding, "who", lambda: "ana")
    desk.write("templates/program.yaml", PROGRAM + "guard: {most_per_day: 1}\n")
    desk.open_for_business()
    return desk


def test_a_hold_is_released_by_its_number(asking: Desk) -> None:
    """The tick says that it asks; a wrong number is refused and not put right; the right one sends."""
    tick = asking.nurture("tick")
    listed = json.loads(asking.nurture("holds", "--json").out)
    wrong = asking.nurture("holds", "release", "1", "--count", "3")
    right = asking.nurture("holds", "release", "1", "--count", "2")
    again = asking.nurture("holds", "release", "1", "--count", "2")
    after = json.loads(asking.nurture("tick", "--json").out)
    shown = json.loads(asking.nurture("holds", "list", "--all", "--json").out)

    assert "growth 2" in tick.out
    assert "Hold 1: growth in evaluators (version 1): 2 wait for a person since 2026-03-02 07:05Z" in tick.out
    assert [(one["hold"], one["waiting"], one["state"]) for one in listed["holds"]] == [(1, 2, "asked")]
    assert (wrong.code, wrong.err) == (
        1,
        "3 is not how many wait for hold 1; look at 'nurture holds' and repeat its number\n",
    )
    assert (right.code, right.out) == (0, "2 touches go out with the next tick.\n")
    assert (again.code, again.err) == (1, "hold 1 is released already, by ana on 2026-03-02 07:05Z\n")
    assert sum(step["sent"] for step in after["steps"]) == 2
    assert [(one["state"], one["by"]) for one in shown["holds"]] == [("released", "ana")]


def test_a_hold_is_discarded(asking: Desk) -> None:
    """Nothing of it is sent, and the leads go on with the next tick."""
    asking.nurture("tick")
    done = asking.nurture("holds", "discard", "1")
    asking.now += timedelta(minutes=1)
    tick = json.loads(asking.nurture("tick", "--json").out)

    assert (done.code, done.out) == (0, "2 touches are called off; the leads go on with the next tick.\n")
    assert [(step["step"], step["sent"], step["moved"]) for step in tick["steps"]] == [("welcome", 0, 2)]
    assert asking.nurture("holds", "discard", "7").code == 1
