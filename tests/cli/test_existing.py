"""Those who matched before a sequence was live are let in after all: counted first, and by the rules that hold for all."""

from __future__ import annotations

import io
import sys

import pytest

from tests.cli.conftest import SEQUENCE, Desk

MATCHING = "enrol: {when: {did: whitepaper_downloaded}}"


def before_it_was_live(desk: Desk, leads: int = 3, more: str = "") -> None:
    """So many leads whose trigger has come, then the first publication."""
    desk.write("templates/evaluators/sequence.yaml", SEQUENCE.replace(MATCHING, MATCHING[:-1] + more + "}"))
    names = [f"lead{number}@acme.example" for number in range(leads)]
    desk.write("leads.csv", "email,industry,consent\n" + "".join(f"{name},saas,yes\n" for name in names))
    rows = "".join(f"{name},whitepaper_downloaded,2026-03-02T07:00:00Z\n" for name in names)
    desk.write("events.csv", "email,event,occurred_at\n" + rows)
    assert desk.nurture("import", "leads", "leads.csv").code == 0
    assert desk.nurture("import", "events", "events.csv").code == 0
    assert desk.nurture("publish").code == 0


def test_they_enter_with_the_next_tick(desk: Desk) -> None:
    """Who unsubscribed stays out and is counted so; nobody enters twice."""
    before_it_was_live(desk)
    desk.nurture("tick")
    nobody = desk.rows("SELECT count(*) FROM enrolment")
    desk.nurture("unsubscribe", "lead0@acme.example")
    tried = desk.nurture("enrol", "evaluators", "--existing", "--dry-run").out
    told = desk.nurture("enrol", "evaluators", "--existing")
    desk.nurture("tick")
    again = desk.nurture("enrol", "evaluators", "--existing").out

    said = "'evaluators': 3 leads matched before it was live, still do, and were never in it; 2 may enter.\n"
    why = "  1 may not: it is on the suppression list, which is stronger than everything\n"
    assert nobody == [(0,)]
    assert tried == f"{said}{why}Nothing was changed.\n"
    assert (told.code, told.out) == (0, f"{said}{why}They enter with the next tick.\n")
    assert desk.rows("SELECT enrolled_by, count(*) FROM enrolment GROUP BY 1") == [("rule", 2)]
    assert "0 may enter" in again
    assert desk.rows("SELECT count(*) FROM audit WHERE act = 'enrolled_existing'") == [(1,)]


def test_the_limit_holds_for_them(desk: Desk) -> None:
    before_it_was_live(desk, more=", limit: 1 per day")
    told = desk.nurture("enrol", "evaluators", "--existing").out
    desk.nurture("tick")

    assert "3 may enter, 1 a day; the others queue." in told
    assert desk.rows("SELECT count(*) FROM enrolment") == [(1,)]
    assert desk.rows("SELECT count(*) FROM enrolment_queue") == [(2,)]


def test_many_ask_for_their_number(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal --yes is asked for; at one the number is repeated, and another is a no."""
    before_it_was_live(desk, leads=101)
    alone = desk.nurture("enrol", "evaluators", "--existing")
    answers = []
    for typed in ("100\n", "101\n"):
        terminal = io.StringIO(typed)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", terminal)
        answers.append(desk.nurture("enrol", "evaluators", "--existing"))
    left = desk.nurture("enrol", "evaluators", "--existing", "--yes").out

    assert (alone.code, "say --yes if that is the number you mean" in alone.err) == (1, True)
    assert [(said.code, "Nobody was enrolled." in said.err) for said in answers] == [(1, True), (0, False)]
    assert "nobody matches who matched before" in left


def test_publishing_existing_later_takes_them(desk: Desk) -> None:
    """`existing: false`, then `true`: the publication says how many, and does the same."""
    before_it_was_live(desk)
    written = SEQUENCE.replace(MATCHING, MATCHING[:-1] + ", existing: true}")
    desk.write("templates/evaluators/sequence.yaml", written)
    told = desk.nurture("publish", "--dry-run").out
    desk.nurture("publish")
    desk.nurture("tick")

    assert "3 enter at the next tick (existing: true)" in told
    assert desk.rows("SELECT count(*) FROM enrolment") == [(3,)]


MISUSED = {
    "nobody": ([], "say whom to enrol"),
    "both": (["lead0@acme.example", "--existing"], "say whom to enrol"),
    "one, dry": (["lead0@acme.example", "--dry-run"], "go with --existing"),
}


@pytest.mark.parametrize("name", MISUSED)
def test_what_does_not_go_together_is_said(desk: Desk, name: str) -> None:
    words, said = MISUSED[name]
    told = desk.nurture("enrol", "evaluators", *words)

    assert (told.code, said in told.err) == (1, True)
