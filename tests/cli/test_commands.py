"""Commands as a person uses them: what they say, what they leave, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nurture.cli.app import COMMANDS, build
from tests.cli.conftest import Desk

DOCS = Path(__file__).parents[2] / "docs"
NOON = "2026-03-02T10:00:00Z"


def every_command() -> list[tuple[str, str]]:
    """(words, the sentence of its help) of each command."""
    app = build()
    found = []
    for _, name, command in COMMANDS:
        for words in [[name, word] for word in command] if isinstance(command, dict) else [[name]]:
            sub = app
            for word in words:
                sub = sub[word]
            found.append((" ".join(words), str(sub.help).split("\n\n")[0]))
    return found


@pytest.mark.parametrize(("words", "sentence"), every_command())
def test_a_command_has_one_sentence(words: str, sentence: str) -> None:
    """Help is read in a list: a sentence, with a full stop."""
    assert re.fullmatch(r"[A-Z].*\.", sentence)
    assert len(sentence) < 120


def test_the_table_of_commands_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/commands.md names every command with the sentence of its own help, and every option."""
    rows = re.findall(r"^\| `nurture (.+?)` \| (.+?) \|$", (DOCS / "commands.md").read_text(), re.MULTILINE)
    told = {re.split(r" [A-Z\[-]", words)[0]: (words, sentence) for words, sentence in rows}

    assert [(words, told.get(words, ("", ""))[1]) for words, _ in every_command()] == every_command()
    assert len(told) == len(every_command())
    for words, _ in every_command():
        build()([*words.split(), "--help"], result_action="return_value")
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", capsys.readouterr().out)) - {"--help"}
        assert set(re.findall(r"--[a-z-]+", told[words][0])) == options, words


def test_help_is_there_at_once() -> None:
    """Nothing heavy is imported before a command needs it."""
    heavy = "sqlalchemy pydantic prefect fastapi jinja2 babel asyncio"
    program = f"""
import sys
from nurture.cli import main
main(["--help"])
print([name for name in "{heavy}".split() if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words", [["chek"], ["check", "--foo"], ["reject", "1"], ["accept", "one"], ["import", "people"]]
)
def test_wrong_use_is_2(desk: Desk, words: list[str]) -> None:
    """And it says where help is."""
    told = desk.nurture(*words)

    assert told.code == 2
    assert "See: nurture" in told.err


def test_a_program_from_nothing(desk: Desk) -> None:
    """init, check: the starter is clean, and init never writes over what is there."""
    assert desk.nurture("init", "mine").code == 0
    assert desk.nurture("check", "mine") == desk.nurture("check", "templates")
    assert desk.nurture("init", "mine").code == 1


def test_check_prints_clickable_lines(desk: Desk) -> None:
    """The path as it is from here, so that an editor finds it."""
    desk.write("templates/evaluators/sequence.yaml", "name: Evaluators\n")

    told = desk.nurture("check")

    assert told.code == 1
    assert told.out.splitlines()[0].startswith("templates/evaluators/sequence.yaml:1:1: ")
    listed = json.loads(desk.nurture("check", "--json").out)
    assert [
        f"{p['file']}:{p['line']}:{p['column']}: {p['problem']}; {p['remedy']}" for p in listed
    ] == told.out.splitlines()


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk, once on each database."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    monkeypatch.setenv("NURTURE_DATABASE_URL", url.replace("postgresql+psycopg", "postgresql"))
    return desk


def test_an_instant_that_is_yet_to_come_is_no_rehearsal(desk: Desk) -> None:
    """Whoever only wants to look hears that it is really done, and of the command that looks."""
    desk.open_for_business()
    desk.now = datetime(2026, 3, 3, 9, tzinfo=UTC)
    assert "yet to come" not in desk.nurture("tick", "--now", NOON).err
    ticked = desk.nurture("tick", "--now", "2026-03-04T12:00:00Z")
    assert ticked.code == 0
    assert "--now is yet to come: what is due until then is really sent" in ticked.err
    assert "nurture simulate" in ticked.err


def test_from_publish_to_hand_off(either: Desk) -> None:
    """Two leads, a letter each, a demo request, an answer: everything from the terminal."""
    desk = either
    desk.open_for_business()
    ticked = desk.nurture("tick", "--now", NOON)
    assert ticked.code == 0
    assert "NURTURE_SMTP_URL is not set" in ticked.err
    assert "2 leads entered evaluators." in ticked.out
    assert len(list((desk.folder / ".nurture" / "mail").glob("*.eml"))) == 2

    desk.now = datetime(2026, 3, 3, 9, tzinfo=UTC)
    desk.write("more.csv", "email,event,occurred_at\nana@acme.example,demo_requested,2026-03-03T09:00:00Z\n")
    assert desk.nurture("import", "events", "more.csv").code == 0
    later = json.loads(
        desk.nurture("tick", "--now", "2026-03-03T09:00:00Z", "--until", "2026-03-20T00:00:00Z", "--json").out
    )
    assert later["settled"]["handoffs"] == 1
    assert {step["step"]: step["sent"] for step in later["steps"]}["bye"] == 1

    (row,) = json.loads(desk.nurture("handoffs", "--json").out)
    assert (row["owner"], row["milestone"], row["who"]) == (
        "mihai@brightdesk.example",
        "demo_requested",
        "Ana",
    )
    assert desk.nurture("reject", str(row["id"]), "--reason", "premature").code == 0
    assert desk.nurture("accept", str(row["id"])).code == 1
    assert desk.nurture("handoffs").out == "No hand-off waits for an answer.\n"
    assert "premature" in desk.nurture("handoffs", "--all").out

    report = json.loads(desk.nurture("report", "--json").out)
    assert report["funnel"][0] == {"segment": "evaluators", "leads": 2, "mql": 1, "sal": 1, "accepted": 0}
    assert {row["step"]: row["sent"] for row in report["touches"]} == {"welcome": 2, "bye": 1}
    cohorts = json.loads(desk.nurture("cohorts", "evaluators", "--json").out)
    assert [(row["step"], row["waiting"], row["sent"]) for row in cohorts] == [
        ("welcome", 0, 2),
        ("settle", 0, 0),
        ("bye", 0, 1),
    ]
    assert "left<br/>completed: 1<br/>objective: 1" in desk.nurture("diagram", "evaluators", "--live").out
    assert desk.nurture("publish").out.splitlines()[-1] == "evaluators: unchanged (version 1)"


def test_explain_adds_up(either: Desk) -> None:
    """The lines sum to the number, today and on any day before; who is not enrolled is told why."""
    desk = either
    desk.write(
        "templates/scoring.yaml",
        "engagement:\n  - {rule: read, when: {did: whitepaper_downloaded}, points: 15}\n",
    )
    desk.open_for_business()
    desk.nurture("tick", "--now", NOON)

    for at in ("2026-03-01T00:00:00Z", "2026-03-02T08:00:00Z", "2026-04-30T00:00:00Z"):
        told = json.loads(desk.nurture("explain", "ana@acme.example", "--at", at, "--json").out)
        assert sum(line["points"] for line in told["lines"]) == pytest.approx(told["score"], abs=0.001)
        assert told["score"] == {"03-01": 0, "03-02": 15, "04-30": 4}[at[5:10]]
    text = desk.nurture("explain", "ana@acme.example", "--at", "2026-03-02T12:00:00Z").out
    assert "Mon 2 Mar 2026, 09:00:00; 2026-03-02 07:00:00Z  event: whitepaper downloaded" in text
    early = desk.nurture("explain", "ana@acme.example", "--at", "2026-03-01T00:00:00Z").out
    assert "evaluators: not enrolled: enrol does not hold (whitepaper downloaded: no)" in early


def test_holding_and_going_on(desk: Desk) -> None:
    """A segment, a lead, everything; what is still held is said."""
    desk.open_for_business()
    for scope in ("evaluators", "ana@acme.example", "all"):
        assert desk.nurture("pause", scope).code == 0
    held = json.loads(desk.nurture("tick", "--now", NOON, "--json").out)
    assert all(step["sent"] == 0 for step in held["steps"])

    assert "Still paused: lead 1 since" in desk.nurture("resume", "all").out
    assert desk.nurture("resume", "all").code == 1
    assert desk.nurture("pause", "evaluater").err.endswith("did you mean 'evaluators'?\n")


def test_unsubscribing_by_hand(desk: Desk) -> None:
    """Nothing more is sent, and `explain` says why."""
    desk.open_for_business()

    assert desk.nurture("unsubscribe", "ana@acme.example").code == 0

    desk.nurture("tick", "--now", NOON)
    assert len(list((desk.folder / ".nurture" / "mail").glob("*.eml"))) == 1
    assert "Never written to: address suppressed (unsubscribed" in desk.nurture("explain", "ana@acme.example").out


def test_definitions_are_sentences(desk: Desk) -> None:
    """What sales has signed, without a word of YAML."""
    told = desk.nurture("definitions").out

    assert "1. student: company is Campus; it stays in nurture" in told
    assert not re.search(r"[{}\[\]]", told)


def test_publish_refuses_what_is_broken(desk: Desk) -> None:
    """A problem, or a check that fails: nothing goes live."""
    desk.write("templates/evaluators/checks/wrong.yaml", (
        "check: nobody gets anything\nstart: 2026-03-02T09:00:00+02:00\n"
        "leads: [{email: a@x.example, industry: saas}]\n"
        "events: [{at: +0m, lead: a@x.example, event: whitepaper_downloaded}]\nuntil: +1d\n"
        "expect: [{never: {lead: a@x.example, email: welcome}}]\n"))  # fmt: skip

    told = desk.nurture("publish")
    assert (told.code, told.err) == (1, "Nothing was published: 1 check failed.\n")
    assert desk.nurture("tick").code == 1


def test_flows_are_elsewhere(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` becomes the flows, with its words and our settings."""
    became: list[tuple[list[str], str]] = []

    def fake(program: str, words: list[str], env: dict[str, str]) -> None:
        became.append((words, env["PREFECT_API_URL"]))
        sys.exit(1)

    monkeypatch.setattr(os, "execve", fake)
    with pytest.raises(SystemExit, match="1"):
        desk.nurture("run", "evaluators")
    assert became == [([sys.executable, "-m", "flows", "tick", "evaluators"], "http://127.0.0.1:4200/api")]
