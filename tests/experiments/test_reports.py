"""What is told of experiments: the commands, `explain`, the diagram."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nurture.cli.app import main
from nurture.reading.diagram import diagram
from nurture.reading.explain import explain
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World
from tests.experiments import plain
from tests.experiments.dealt import arms, click, crowd, key, letter, some, written

STEPS = """
  - {id: nudge, email: nudge.j2, variants: {a: 50, b: 50}, winner: {by: clicked, after: 1 days}}
  - {id: half, split: {call: 60, case: 40}}
  - {id: call, wait: 9 days}
  - {id: case, wait: 9 days}"""
LETTERS = {"nudge.a.j2": letter("Text A"), "nudge.b.j2": letter("Text B")}
Ask = Callable[..., tuple[int, str]]


def house(share: str = "holdout: 10%\n") -> dict[str, str]:
    files = written(STEPS, LETTERS, share, objective="demo_requested")
    files.pop("tour/nudge.j2")
    return files


@pytest.fixture
def world(make: Make) -> World:
    """100 leads that got their letters: more of arm a click, more of the treated ask for a demo; then two more."""
    made = make(house())
    names = crowd(made, 100)
    made.event_of(names, "signed_up")
    made.tick()
    held = {who for who in names if plain.place("holdout", key(made, who)) < 1000}
    click(made, [w for w in some(made, "nudge", "a", 0.6) + some(made, "nudge", "b", 0.1) if w not in held], "nudge")
    made.at(HOUR).event_of([who for who in names if who not in held][:50], "demo_requested")
    made.tick()
    late = crowd(made.at(2 * DAY), 2, "late")
    made.event_of(late, "signed_up")
    made.tick()
    return made


@pytest.fixture
def ask_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ask]:
    """Commands on the database of a world: the exit code, and what was printed."""

    def asked(world: World) -> Ask:
        url = world.machine.db.url.render_as_string(hide_password=False)
        monkeypatch.setenv("NURTURE_DATABASE_URL", url.replace("postgresql+psycopg", "postgresql"))
        monkeypatch.setenv("NURTURE_HOME", str(tmp_path / "home"))

        def nurture(*words: str) -> tuple[int, str]:
            capsys.readouterr()
            code = main(list(words))
            return code, capsys.readouterr().out

        return nurture

    return asked


@pytest.fixture
def ask(world: World, ask_of: Callable[..., Ask]) -> Ask:
    """Commands on the world above."""
    return ask_of(world)


def test_the_report_of_experiments(ask: Ask) -> None:
    """A table for each, with rates, intervals and both p-values, and the verdict in words."""
    code, out = ask("report", "experiments")

    assert code == 0
    assert "tour, nudge: variants; counted is who clicked within 1 days of its sending" in out
    assert "tour, half: split; counted is who reached demo_requested after enrolment" in out
    assert "a is the winner since 2026-03-04 08:00Z: newcomers get it" in out
    assert "no winner can be told at 95 %: " in out
    assert re.search(r"^p below 0.0001, always-valid p (below )?0\.00", out, re.MULTILINE)
    assert "95 % interval" in out
    assert ask("report", "experiments", "tour") == (code, out)
    assert ask("report", "experiments", "tuor")[0] == 1
    nudge, half = json.loads(ask("report", "experiments", "--json")[1])
    assert (nudge["segment"], nudge["step"], nudge["kind"], nudge["winner"]) == ("tour", "nudge", "variants", "a")
    assert nudge["decided"] == "2026-03-04T08:00:00Z"
    assert sum(arm["exposed"] for arm in half["arms"]) == 102
    for row in (nudge, half):
        for arm in row["arms"]:
            assert arm["low"] <= arm["rate"] <= arm["high"]
            assert arm["rate"] == pytest.approx(arm["converted"] / arm["exposed"], abs=1e-6)


def test_the_report_of_the_holdout(ask: Ask) -> None:
    """Both groups, the difference with its interval, and what can be told."""
    code, out = ask("report", "holdout")

    assert code == 0
    assert "leads treated," in out
    assert "objective: more of the treated: of the treated " in out
    assert "won: no difference can be told: " in out
    told = json.loads(ask("report", "holdout", "--json")[1])
    assert told["share"] == 10
    assert [row["outcome"] for row in told["outcomes"]] == ["objective", "handed over", "won"]
    assert ask("report") == ask("report", "funnel")  # as before there was anything else to report


def test_nothing_to_report(make: Make, ask_of: Callable[..., Ask]) -> None:
    """A program without experiments says how to begin one."""
    ask = ask_of(make(written("  - {id: done, exit: done}")))

    assert ask("report", "experiments") == (
        0, "No step has arms: write split: {nudge: 50, case: 50}, or variants: {a: 50, b: 50} beside an email.\n",
    )  # fmt: skip
    assert ask("report", "holdout") == (0, "Nobody is held out: write holdout: 5% in program.yaml, and publish.\n")


def test_explain_tells_the_arm_and_why(world: World) -> None:
    """By the key, or as the winner; held out, with the share."""
    own = arms(world, "nudge")
    b = next(who for who, arm in own.items() if arm == "b" and plain.place("holdout", key(world, who)) >= 1000)
    way = plain.arm("tour/half", key(world, b), {"call": 60, "case": 40})
    told = explain(world.machine, f"{b}@lead.example")

    assert list(told.arms) == [
        f"tour, split 'half': {way} ({'60' if way == 'call' else '40'} %, by the lead's key)",
        "tour, 'nudge': arm b (50 %, by the lead's key)",
    ]
    assert "email tour/nudge, arm b: sent" in told.text()
    assert told.as_dict()["arms"] == list(told.arms)
    late = explain(world.machine, "late0@lead.example")
    assert "tour, 'nudge': arm a, the winner since 2026-03-04 08:00Z" in late.text()
    held = next(who for who in own if plain.place("holdout", key(world, who)) < 1000)
    told = explain(world.machine, f"{held}@lead.example")
    assert "held out (10 % of all leads, by the lead's key): it gets no marketing" in told.arms
    assert ": suppressed (holdout)" in told.text()


def test_the_diagram_shows_shares(world: World) -> None:
    """On the arrows of a split, and in the letter's box."""
    drawn = diagram(world.machine.live().segment("tour"))

    assert '-- "60 %" -->' in drawn
    assert '-- "40 %" -->' in drawn
    assert "a 50 %, b 50 %" in drawn
