"""`nurture simulate`: what it shows, of the real base and of made-up leads, of the live program and of a draft."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import LETTER, Desk
from tests.simulate.conftest import NEWS, Base


def by_step(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["step"]: row for row in told["steps"]}


def test_the_real_base(base: Base) -> None:
    """Twelve days of it, as a program and as a person reads them, and the diaries of those who are asked for."""
    words = ("simulate", "evaluators", "--days", "9")
    told, text = json.loads(base.nurture(*words, "--json").out), base.nurture(*words).out
    asked = base.simulate(*words[1:], "--diary", "p00@acme.example", "--diary", "p04@acme.example")

    everybody_is_somewhere(told)
    what_is_never_reached_is_named(told, text)
    diaries_are_on_the_leads_clock(told, asked, text)
    assert (told["leads"], told["program"], told["segment"], told["version"]) == ("real", "live", "evaluators", 1)
    assert (told["from"], told["to"]) == ("2026-03-05T07:00:00Z", "2026-03-14T07:00:00Z")
    assert told["first sent"].startswith("2026-03-09")
    assert told["sent by other segments"]["news"] > 10
    assert max(map(len, text.splitlines())) <= 100
    assert "Nothing was sent, and nothing was written to the database." in text


def everybody_is_somewhere(told: dict[str, Any]) -> None:
    """Leads that stood on a step or entered it went on, left, or stand there at the end."""
    steps, edges = by_step(told), told["edges"]
    stood, standing = (sum(row[word] for row in steps.values()) for word in ("stood", "standing"))

    assert stood == 8
    assert stood + told["entered"] == standing + sum(told["left"].values())
    for name, row in steps.items():
        onward = sum(edge["leads"] for edge in edges if edge["from"] == name)
        assert row["stood"] + row["entered"] >= onward + row["standing"], name


def what_is_never_reached_is_named(told: dict[str, Any], text: str) -> None:
    """Nobody has fewer than no employees; so that step and the ways to and from it are named, and only what is so."""
    never = {(edge["from"], edge["way"], edge["to"]) for edge in told["never reached"]["edges"]}

    assert "lost" in told["never reached"]["steps"]
    assert "fork" not in told["never reached"]["steps"]
    assert {("fork", "branch 2", "lost"), ("lost", "next", "done"), ("looked", "then", "fork")} <= never
    assert ("looked", "else", "nudge") not in never
    assert "fork → lost (branch 2)" in " ".join(text.split())


def diaries_are_on_the_leads_clock(told: dict[str, Any], asked: dict[str, Any], text: str) -> None:
    """One for each way out; a line for each happening, in order, in the lead's zone; or of who was asked for."""
    ways = [diary["way"] for diary in told["diaries"]]

    assert 1 <= len(ways) <= 5
    assert len(set(ways)) == len(ways)
    assert [diary["who"] for diary in asked["diaries"]] == ["p00@acme.example", "p04@acme.example"]
    for diary in [*told["diaries"], *asked["diaries"]]:
        instants = [datetime.fromisoformat(line["at"]) for line in diary["lines"]]
        assert instants == sorted(instants)
        nudges = [at for at, line in zip(instants, diary["lines"], strict=True) if line["what"].endswith("nudge: sent")]
        assert all(9 <= at.hour < 17 for at in nudges)
    words = [line["what"] for line in asked["diaries"][0]["lines"] if "evaluators" in line["what"]]
    assert asked["diaries"][0]["zone"] == "Europe/Bucharest"
    order = ["looked → nudge", "/nudge: sent", "nudge → fork", "fork → done", "completed"]
    places = [next(place for place, word in enumerate(words) if word.endswith(what)) for what in order]
    assert places == sorted(places)
    assert re.search(r"^p\d\d@acme.example \(\S+/\S+\): left: completed$", text, re.MULTILINE)


def test_events_that_are_to_come(base: Base) -> None:
    """A demo asked for on Friday ends the sequence then; what lies before now or after the end changes nothing."""
    base.desk.write(
        "coming.csv",
        "email,event,occurred_at\n"
        "p00@acme.example,demo_requested,2026-03-06T10:00:00Z\n"
        "p06@acme.example,demo_requested,2026-03-01T10:00:00Z\n"
        "p06@acme.example,demo_requested,2026-05-01T10:00:00Z\n",
    )
    told = base.simulate("evaluators", "--days", "2", "--events", "coming.csv", "--diary", "p00@acme.example")
    lines = {line["what"]: line["at"] for line in told["diaries"][0]["lines"]}

    assert told["left"] == {"objective": 1}
    assert told["handoffs"] == [
        {"milestone": "demo_requested", "owner": "mihai@brightdesk.example", "state": "open", "leads": 1}
    ]
    assert lines["evaluators: objective"] == "2026-03-06T12:00:00+02:00"


def test_a_draft_beside_the_live_version(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """The effect first, as publish says it; then each step's counts, live and draft; and nothing is published."""
    monkeypatch.setenv("COLUMNS", "100")
    base.desk.write("templates/news/sequence.yaml", NEWS.replace("rest, wait: 3 days", "rest, wait: 30 days"))
    before = base.dump()
    said = base.nurture("simulate", "news", "--days", "5", "--draft", "--no-diaries")
    told = base.simulate("news", "--days", "5", "--draft")
    live, draft = by_step(told["live"]), by_step(told["draft"])
    effect, _, rest = said.out.partition("\n\n")

    assert effect.startswith("What publishing this draft would mean:\n  news: version 2 is live;")
    assert "By step, live | draft" in rest
    assert re.search(r"second +24 \| +24 +17 \| +17", rest), rest
    assert max(map(len, said.out.splitlines())) <= 100
    assert [line for line in told["effects"] if line.startswith("news: version 2 is live")] == told["effects"]
    assert (live["second"]["sent"], draft["second"]["sent"]) == (17, 17)
    assert base.dump() == before


def test_a_paused_segment(base: Base) -> None:
    """It says so, shows what waits for the word, and sends nothing."""
    base.nurture("pause", "evaluators")
    told = base.simulate("evaluators", "--days", "5")

    assert (told["state"], told["sent"]) == ("paused", 0)
    assert told["deferred"]["paused"] > 0
    assert any("'nurture resume evaluators' ends that" in line for line in told["surprises"])


#: The guard's rule, and: why messages are held, the state of the hold at the end, whether anything is sent after it.
GUARDS = {
    "nobody answers": ("{most_per_day: 1}", "growth", "asked", False),
    "a few go first": ("{canary: {above: 5, share: 10%, most: 2, watch: 15 minutes}}", "canary", "passed", True),
}


@pytest.mark.parametrize("case", GUARDS)
def test_the_guard_is_shown(base: Base, case: str) -> None:
    """What waits is held, with number and reason; what only a person can let go stays so, and the rest follows."""
    rule, kind, state, goes_on = GUARDS[case]
    file = base.desk.folder / "templates/program.yaml"
    file.write_text(file.read_text() + f"guard: {rule}\n")
    assert base.nurture("publish").code == 0
    told = base.simulate("news", "--days", "4", "--no-diaries")

    assert told["held"][kind] > 0
    assert (told["sent"] > 8) is goes_on
    assert any(line.startswith(f"held: {kind}. ") for line in told["surprises"])
    assert {(one["kind"], one["state"]) for one in told["holds"]} == {(kind, state)}


@pytest.fixture
def fresh(desk: Desk, lived: Path) -> Desk:
    """The program in its folder; no database, nothing published."""
    shutil.rmtree(desk.folder / "templates")
    shutil.copytree(lived / "templates", desk.folder / "templates")
    return desk


def test_the_same_seed_gives_the_same_bytes(base: Base) -> None:
    """And another seed others. Nobody of the base is in it; sales is asked, letters wait, people leave."""
    words = ("simulate", "evaluators", "--leads", "12", "--days", "5", "--json", "--seed")
    one, again, other = (base.nurture(*words, seed) for seed in ("7", "7", "8"))
    told = json.loads(one.out)

    assert (one.code, one.err) == (0, "")
    assert one.out == again.out != other.out
    assert told["entered"] > 6
    assert told["sent"] > 6
    assert told["deferred"]["window"] > 0
    assert {diary["who"].partition("@")[2] for diary in told["diaries"]} == {"made-up.example"}


#: What is said wrongly, what is answered to it, and the exit code.
WRONG = {
    "unknown segment": (["evaluatos"], "there is no segment 'evaluatos'; did you mean 'evaluators'?", 1),
    "no days": (["evaluators", "--days", "0"], "--days: 0 is not a number from 1 to 366", 1),
    "days that are none": (["evaluators", "--days", "soon"], "--days", 2),
    "no leads": (["evaluators", "--leads", "0"], "--leads: 0 is not a number from 1 to 1,000,000", 1),
    "a seed for real leads": (["evaluators", "--seed", "3"], "say how many with --leads N", 1),
    "events of made-up leads": (["evaluators", "--leads", "3", "--events", "x.csv"], "leave one out", 1),
    "draft and live": (["evaluators", "--draft", "--live"], "--draft shows the live program beside it", 1),
    "no such lead": (["evaluators", "--diary", "x@acme.example"], "no lead is known as 'x@acme.example'", 1),
    "a file that is there": (["evaluators", "--keep", "leads.csv"], "--keep: leads.csv is there already", 1),
    "no such file of events": (["evaluators", "--events", "none.csv"], "none.csv", 1),
    "an instant without a zone": (["evaluators", "--now", "2026-03-02"], "has no zone", 1),
    "no segment": ([], "SEGMENT", 2),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_told(base: Base, case: str) -> None:
    words, remedy, code = WRONG[case]
    base.desk.write("leads.csv", "email\n")
    said = base.nurture("simulate", *words)

    assert (said.code, said.out) == (code, "")
    assert remedy in " ".join(said.err.split())


def test_an_empty_base(fresh: Desk) -> None:
    """Nothing is published: --draft is named, and works; nobody is there, and it says so."""
    live = fresh.nurture("simulate", "evaluators")
    draft = fresh.nurture("simulate", "evaluators", "--draft", "--days", "3")
    fresh.write("templates/evaluators/welcome.j2", LETTER.replace("first_name", "frist_name"))
    broken = fresh.nurture("simulate", "evaluators", "--draft")

    assert (live.code, live.out) == (1, "")
    assert "'nurture simulate --draft' rehearses the folder's program" in live.err
    assert draft.code == 0, draft.err
    assert "Nobody was in the sequence, and nobody entered" in draft.out
    assert "evaluators is not published yet" in draft.out
    assert list(fresh.folder.rglob("*.db")) == []
    assert (broken.code, "Nothing was rehearsed: the draft has 1 problem." in broken.err) == (1, True)


def test_a_kept_rehearsal_is_known_as_a_copy(make_base: Callable[[str], Base], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner alone may read it, and ticked by mistake it sends nothing."""
    base = make_base("sqlite")
    assert base.nurture("simulate", "evaluators", "--days", "2", "--keep", "kept.db").code == 0
    kept = base.desk.folder / "kept.db"
    monkeypatch.setenv("NURTURE_DATABASE_URL", f"sqlite:///{kept}")
    taken = len(base.relay.taken)
    said = base.nurture("tick", "--now", "2026-03-09T08:00:00Z")

    assert kept.stat().st_mode & 0o777 == 0o600
    assert "it was copied or moved" in said.err
    assert len(base.relay.taken) == taken
