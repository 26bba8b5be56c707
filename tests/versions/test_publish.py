"""`nurture publish` tells what it means in leads before it acts, asks a person at a terminal, and can only look."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from nurture.program.differences import differences
from nurture.program.load import load
from tests.cli.conftest import SEQUENCE, Desk, desk
from tests.engine.world import program

__all__ = ["desk"]

EDITED = SEQUENCE.replace("wait: 2 days", "wait: 1 day").replace("steps:", "on_edit: migrate\nsteps:")


@pytest.fixture
def inside(desk: Desk) -> Desk:
    """Two leads, who have had their first letter and wait; and an edit that shortens their wait."""
    desk.open_for_business()
    assert desk.nurture("tick").code == 0
    desk.write("templates/evaluators/sequence.yaml", EDITED)
    return desk


MEANS = """\
0 checks passed.
program: version 1 is unchanged
evaluators: version 2 {}; 0 enrol now; 0 matched before (existing: false); 2 inside go on in it (on_edit: migrate)
  on_edit migrate added
  step settle: wait 2 days → 1 day
  2 leads wait in step settle: 2 move sooner
"""


def test_a_dry_run_tells_and_changes_nothing(inside: Desk) -> None:
    tables = ("enrolment", "touch", "work", "holding", "sequence_version", "lead", "score_entry")
    before = {table: inside.rows(f"SELECT * FROM {table}") for table in tables}
    told = inside.nurture("publish", "--dry-run")

    assert (told.code, told.out) == (0, MEANS.format("would be live") + "Nothing was changed.\n")
    assert {table: inside.rows(f"SELECT * FROM {table}") for table in tables} == before


def test_without_a_terminal_it_acts(inside: Desk) -> None:
    """Scripts are asked nothing; a second time nothing is new."""
    told = inside.nurture("publish")
    assert (told.code, told.out) == (0, MEANS.format("is live"))
    assert inside.rows("SELECT DISTINCT number FROM enrolment JOIN sequence_version v ON v.id = version_id") == [(2,)]
    assert inside.nurture("publish").out.splitlines()[-1] == "evaluators: unchanged (version 2)"


def test_programs_read_the_same(inside: Desk) -> None:
    looked = json.loads(inside.nurture("publish", "--dry-run", "--json").out)
    done = json.loads(inside.nurture("publish", "--json").out)

    assert (looked.pop("dry run"), done.pop("dry run")) == (True, False)
    assert looked == done
    effect = done["effects"][0]
    assert (effect["inside"], effect["moved"], effect["on_edit"]) == (2, 2, "migrate")
    assert effect["steps"] == [
        {"step": "settle", "version": 1, "leads": 2, "waits": True, "now": 0, "sooner": 2, "later": 0, "keep": 0,
         "deleted": False, "to": None}
    ]  # fmt: skip
    assert effect["differences"] == ["on_edit migrate added", "step settle: wait 2 days → 1 day"]


def test_pinned_leads_are_told_by_their_version(inside: Desk) -> None:
    inside.write("templates/evaluators/sequence.yaml", EDITED.replace("on_edit: migrate", "on_edit: pin"))
    told = inside.nurture("publish")

    assert "; 2 inside finish on version 1\n" in told.out
    assert inside.rows("SELECT DISTINCT number FROM enrolment JOIN sequence_version v ON v.id = version_id") == [(1,)]


def test_a_step_that_changes_its_kind_is_told_with_its_place(inside: Desk) -> None:
    inside.write("templates/evaluators/sequence.yaml", EDITED.replace("wait: 1 day", "email: bye.j2"))
    for words in (["publish"], ["publish", "--dry-run"]):
        told = inside.nurture(*words)
        assert told.code == 1
        assert told.out.startswith(
            "templates/evaluators/sequence.yaml:8:10: step 'settle' is a wait in version 1, and an"
        )
        assert told.err == "Nothing was published: 1 problem.\n"


LINES = {
    "a retimed wait": ("wait: 2 days", "wait: 1 day", ["step settle: wait 2 days → 1 day"]),
    "a step more": (
        "  - {id: bye,", "  - {id: more, wait: 1 day}\n  - {id: bye,",
        ["step more added"],
    ),
    "a step less": ("  - {id: settle, wait: 2 days}\n", "", ["step settle removed"]),
    "another way": ("wait: 2 days", "wait: 2 days, next: bye", ["step settle: next bye added"]),
    "another end": ("objective: demo_requested\n", "", ["objective removed"]),
    "another order": (
        "  - {id: settle, wait: 2 days}\n  - {id: bye, email: bye.j2}\n",
        "  - {id: bye, email: bye.j2}\n  - {id: settle, wait: 2 days}\n",
        ["step bye moved after welcome"],
    ),
    "another letter": ("email: bye.j2", "email: other.j2", ["step bye: email bye.j2 → other.j2", "letter bye.j2 removed", "letter other.j2 added"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_an_edit_in_words(name: str) -> None:
    """The lines that the edit itself is told with."""
    old, new, lines = LINES[name]
    before, after = (
        load(program(drip=text)).require().segments["drip"] for text in (SEQUENCE, SEQUENCE.replace(old, new))
    )
    assert differences(before, after) == lines


def test_a_changed_letter_is_named(inside: Desk) -> None:
    inside.write("templates/evaluators/bye.j2", (inside.folder / "templates/evaluators/bye.j2").read_text() + "\n")
    assert "  letter bye.j2 changed\n" in inside.nurture("publish", "--dry-run").out


@pytest.mark.parametrize(("typed", "code", "version"), [("y\n", 0, 2), ("\n", 1, 1), ("n\n", 1, 1)])
def test_a_person_at_a_terminal_is_asked(inside: Desk, typed: str, code: int, version: int) -> None:
    """A real terminal: the effect first, then the question; anything but yes changes nothing."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    run = subprocess.Popen(
        [sys.executable, "-m", "nurture", "publish"], cwd=inside.folder, env=environment, stdin=theirs, stdout=theirs,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    assert inside.rows("SELECT max(number) FROM sequence_version") == [(1,)]
    os.write(ours, typed.encode())
    assert run.wait(timeout=60) == code
    os.close(ours)

    assert "2 leads wait in step settle" in said.decode()
    assert inside.rows("SELECT max(number) FROM sequence_version") == [(version,)]
