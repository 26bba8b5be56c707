"""`nurture backtest` and `nurture forecast` as a marketer meets them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture.backtest.judging import Judged
from nurture.backtest.replay import Compared, Outcome
from nurture.backtest.telling import better, sentences
from nurture.cli import main
from nurture.clock import SystemClock
from tests.backtest.worlds import IDLE
from tests.engine.world import MONDAY, World, program

DAY = timedelta(days=1)
SCORING = "half_life: 30 days\nengagement: [{rule: read, when: {did: read}, points: POINTS}]\n"
LIFECYCLE = """
mql: {when: {score: {at_least: 40}}, levels: {hot: {engagement: {at_least: 40}}}}
milestones:
  asked: {when: {did: asked}, handoff: true}
  told: {when: by_step, handoff: true}
  warmest: {when: {mql_level: hot}, handoff: true}
"""


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four leads with a past of a hundred days. Ana reads twice and buys 20 days after the second time; Ben reads
    twice and does not; Cem buys unannounced; Dan reads once, asks, and buys 10 days later. Eva reads twice, and is imported as a
    customer. Of these only Ana was really named an MQL."""
    world = World(
        sqlite_url, program({"scoring.yaml": SCORING.replace("POINTS", "25"), "lifecycle.yaml": LIFECYCLE}, idle=IDLE)
    )
    for name in ("Ana", "Ben", "Cem", "Dan", "Eva"):
        world.lead(name)
    did = [
        ("Ana", "read", 1),
        ("Ana", "read", 2),
        ("Ben", "read", 3),
        ("Ben", "read", 4),
        ("Dan", "read", 5),
        ("Dan", "asked", 6),
        ("Eva", "read", 7),
        ("Eva", "read", 8),
    ]
    for who, name, day in did:
        world.at(day * DAY).event(who, name)
    went = [
        ("Ana", "lead", "mql", 2),
        ("Ana", "mql", "customer", 22),
        ("Cem", "lead", "customer", 30),
        ("Dan", "visitor", "lead", 0),
        ("Dan", "lead", "customer", 16),
        ("Eva", "visitor", "customer", 40),
        ("Eva", "customer", "sal", 50),
    ]
    for who, before, to, day in went:
        world.sql(
            "INSERT INTO stage_transition (lead_id, from_stage, to_stage, at, cause, author) "
            "VALUES (:lead, :before, :to, :at, 'paid', 'test')",
            lead=world.ids[who], before=before, to=to, at=int((MONDAY + day * DAY).timestamp() * 1_000_000),
        )  # fmt: skip
    world.close()
    for name, value in {"NURTURE_DATABASE_URL": sqlite_url, "NURTURE_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SystemClock, "now", lambda _: MONDAY + 100 * DAY)
    (tmp_path / "kinder.yaml").write_text(SCORING.replace("POINTS", "45"))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_rules_are_compared_by_what_came_of_it(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, precision, recall, lead time, too early and too late, each worked out by hand."""
    found = told(capsys, "backtest", "--scoring", str(house / "kinder.yaml"), "--success", "customer")

    ways = {name: rules["ways"] for name, rules in found["rules"].items()}
    today, kinder = ways["today's rules"], ways[str(house / "kinder.yaml")]
    keys = ("named", "came", "precision", "successes", "foreseen", "days", "too_early", "too_late")
    assert [today["MQL"][key] for key in keys] == [2, 1, 0.5, 3, 1, 20.0, 1, 2]
    assert [kinder["MQL"][key] for key in keys] == [3, 2, 2 / 3, 3, 2, 16.0, 1, 1]
    assert [today["asked"][key] for key in keys] == [1, 1, 1.0, 3, 1, 10.0, 0, 2]
    assert [today["all together"][key] for key in keys] == [3, 2, 2 / 3, 3, 2, 15.0, 1, 1]
    table = {int(level): one["named"] for level, one in found["rules"]["today's rules"]["thresholds"].items()}
    assert (table[20], table[25], table[30], table[50]) == (3, 3, 2, 0)
    assert today["warmest"] == today["MQL"]  # a level over engagement, known at each instant
    assert found["rules"]["today's rules"]["left_out"] == [
        "'told' is reached by a step of a sequence: it is no matter of scoring"
    ]


def test_only_a_span_of_time_is_counted(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What happened before still earns points, but who was named then is not counted."""
    since = (MONDAY + 3 * DAY).date().isoformat()
    found = told(capsys, "backtest", "--success", "customer", "--since", since)

    (rules,) = found["rules"].values()
    assert (rules["ways"]["MQL"]["named"], rules["ways"]["MQL"]["foreseen"]) == (1, 1)


def test_sentences_come_first(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--scoring", str(house / "kinder.yaml"), "--success", "customer"]) == 0

    said = capsys.readouterr().out
    assert "today's rules: 2 MQLs" in said
    assert "1 of them (50 %) succeeded afterwards" in said
    assert said.index("succeeded afterwards") < said.index("What would have gone to sales")
    assert "as it stands" in said


def test_what_would_mislead_is_said(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who came in as a customer, a replay unlike what really was, and too few to choose a threshold by."""
    assert main(["backtest", "--success", "customer"]) == 0
    said = capsys.readouterr().out
    assert "1 lead was a customer already when it came in. It is left out of the successes" in said
    assert "replayed, they name 2 MQLs; by the history of stages 1 really became one in that time" in said
    assert "2 named and 3 successes are too few to say which threshold would be better; it takes 20 and 10" in said
    assert "would have been better" not in said

    until = (MONDAY + 3 * DAY).date().isoformat()  # Ana alone, by both
    found = told(capsys, "backtest", "--success", "customer", "--until", until)
    assert (found["came_so"], found["named_in_life"]) == (1, 1)
    assert main(["backtest", "--success", "customer", "--until", until]) == 0
    assert "really became one" not in capsys.readouterr().out


def judged(named: int, came: int, successes: int) -> Judged:
    """With as many foreseen as came; half of them within a day."""
    return Judged(named, 1.0, came, came / named, successes, came, came / successes, 1.0, 0, 0)


FEW = {
    "enough": (judged(20, 5, 10), judged(21, 9, 10), [30]),
    "too few named": (judged(19, 5, 10), judged(21, 9, 10), []),
    "too few successes": (judged(20, 5, 9), judged(21, 8, 9), []),
}


@pytest.mark.parametrize(("stands", "other", "levels"), FEW.values(), ids=FEW)
def test_a_threshold_is_better_where_enough_say_so(stands: Judged, other: Judged, levels: list[int]) -> None:
    outcome = Outcome({"MQL": stands}, {30: other, 50: stands}, "score", 50, 0, [], [])
    found = Compared([outcome], 40, 1, MONDAY, MONDAY + DAY, 0, stands.named)

    said = " ".join(sentences(found, ["rules"], "sql"))

    assert list(better(outcome)) == levels
    assert ("too few" in said) == (not levels)
    assert "1 event of 40 leads" in said
    assert "half of them within 1 day;" in said


WRONG = {
    "thresholds": (["--thresholds", "90..10"], 1, "write the lowest and the highest as 10..90"),
    "day": (["--since", "March"], 1, "write it as 2026-01-31"),
    "no file": (["--scoring", "no.yaml"], 1, "there is no file no.yaml;"),
    "an empty span": (["--since", "2030-01-01"], 1, "nothing lies between"),
}


@pytest.mark.parametrize(("words", "code", "why"), WRONG.values(), ids=WRONG)
def test_wrong_use_says_the_way_out(
    house: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, why: str
) -> None:
    assert main(["backtest", *words]) == code
    assert why in capsys.readouterr().err


def test_without_numpy_it_says_what_to_install(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nurture.backtest.numbers.find_spec", lambda _: None)

    assert main(["backtest"]) == 1
    assert "pip install 'nurture[backtest]'" in capsys.readouterr().err


def test_a_thin_past_is_refused_with_its_numbers(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast"]) == 1
    assert "too little to learn from" in capsys.readouterr().err


def test_a_young_base_says_from_when_on_it_can_be_asked(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "--within", "120 days"]) == 1
    day = (MONDAY + 121 * DAY).date()  # the first that begins when somebody is known for so long
    assert f"nobody is known for 120 days yet, so nobody's outcome is; ask again from {day} on" in (
        " ".join(capsys.readouterr().err.split())
    )
