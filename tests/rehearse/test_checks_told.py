"""`nurture test` as a marketer and a build server read it: the diff, the diary, JUnit XML, coverage, colour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nurture.cli.app import main
from nurture.program.load import read_folder
from nurture.rehearse import CheckRun, run_checks

SCENARIOS = {n: text for n, text in read_folder(Path(__file__).parent / "scenarios").items() if "/checks/" not in n}
RIGHT = """\
check: a letter, "two" days, <a> letter
start: 2026-03-28T10:00:00+02:00
leads: [{email: ana@lead.example, timezone: Asia/Tokyo}]
events: [{at: +0m, lead: ana@lead.example, event: signed_up}]
until: +4d
expect: [{at: +0m, lead: ana@lead.example, email: first}]
"""
WRONG = """\
check: what nobody does
start: 2026-03-02T10:00:00+02:00
leads: [{email: ana@lead.example, timezone: Asia/Tokyo, industry: "a\\x0bb"}, {email: ion@lead.example}]
events: [{at: +0m, lead: ana@lead.example, event: signed_up}]
until: +4d
expect:
  - {at: +0m, lead: ana@lead.example, email: first}
  - {at: +1d, lead: ana@lead.example, email: second}
  - {lead: ana@lead.example, score: 5, at: +1d}
  - {lead: ion@lead.example, left: completed}
  - {count: 2, email: first}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with one check that passes."""
    write(tmp_path, {**SCENARIOS, "all/checks/right.yaml": RIGHT})
    monkeypatch.setenv("NURTURE_TEMPLATES", str(tmp_path))
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def test_a_failure_is_told_line_by_line_on_the_leads_clock(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What came true, what did not, what was found instead, then the diary."""
    write(folder, {"all/checks/wrong.yaml": WRONG})

    assert main(["test"]) == 1
    told = capsys.readouterr().out.splitlines()

    start = told.index("     ana@lead.example (Asia/Tokyo)")
    assert told[start + 1 : start + 6] == [
        "       = Mon 2026-03-02 17:00:00+0900  email first",
        "       - Tue 2026-03-03 17:00:00+0900  email second",
        "       + Wed 2026-03-04 17:00:00+0900  email second",
        "       - Tue 2026-03-03 17:00:00+0900  score 5",
        "       + Tue 2026-03-03 17:00:00+0900  score 0",
    ]
    ion = told.index("     ion@lead.example (Europe/Bucharest)")
    assert told[ion + 1].split() == ["-", "left", "completed"]
    assert told[ion + 2].split() == ["+", "nothing", "of", "the", "kind"]
    assert any("+ " in line and "it came true for 1 of 2 leads" in line for line in told)
    assert "     diary of ana@lead.example (Asia/Tokyo)" in told
    assert "     Wed 2026-03-04 17:00:00  touch      email all/second: sent" in told
    assert told[-1] == "1 passed, 1 failed"
    assert not any("\x1b" in line for line in told)


def test_junit_xml_is_what_its_readers_expect(folder: Path, tmp_path: Path) -> None:
    """Suites, cases, counts and times by the names that common readers look for; nothing that XML cannot hold."""
    write(folder, {"all/checks/wrong.yaml": WRONG.replace("what nobody does", '"what \\x01 nobody does"')})
    file = tmp_path / "results.xml"

    assert main(["test", "--junit", str(file)]) == 1
    root = ElementTree.parse(file).getroot()

    assert root.tag == "testsuites"
    (suite,) = root
    assert (suite.tag, suite.get("name")) == ("testsuite", "all")
    for level in (root, suite):
        counts = {key: level.get(key) for key in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "2", "failures": "1", "errors": "0", "skipped": "0"}
        assert float(level.get("time", "")) > 0
    right, wrong = suite
    assert right.attrib.items() >= {"classname": "all", "name": 'a letter, "two" days, <a> letter'}.items()
    assert right.get("file") == "all/checks/right.yaml"
    assert list(right) == []
    (failure,) = wrong
    assert wrong.get("name") == "what \ufffd nobody does"
    assert failure.get("type") == "difference"
    assert "expected email second at +1d" in failure.get("message", "")
    assert "+ Wed 2026-03-04 17:00:00+0900  email second" in (failure.text or "")


def test_junit_into_a_folder_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, no traceback."""
    assert main(["test", "--junit", str(folder / "nowhere" / "x.xml")]) == 1
    assert "name a file in a folder that is there" in capsys.readouterr().err


def test_coverage_names_steps_and_ways(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What no check passes through, in the order of the steps."""
    sequence = """\
name: All
segment: {email: {known: true}}
enrol: {when: {did: signed_up}}
steps:
  - {id: fork, branch: [{if: {industry: saas}, then: first}, {if: {industry: retail}, then: second}], else: over}
  - {id: first, email: first.j2, next: over}
  - {id: second, email: second.j2}
  - {id: over, exit: completed}
"""
    check = RIGHT.replace("timezone: Asia/Tokyo", "industry: saas")
    write(folder, {"all/sequence.yaml": sequence, "all/checks/right.yaml": check})

    assert main(["test", "--coverage"]) == 0
    (told,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("all: ")]
    assert "step second is never entered" in told
    assert "way fork -> second (branch) is never taken" in told
    assert "way fork -> over (else) is never taken" in told
    assert "fork -> first" not in told
    assert "second -> over" not in told

    assert main(["test", "--coverage", "--json"]) == 0
    assert "step second is never entered" in json.loads(capsys.readouterr().out)["coverage"]["all"]


def test_all_is_covered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then it says so."""
    write(folder, {"all/checks/right.yaml": RIGHT})

    assert main(["test", "--coverage"]) == 0
    assert "every one of 3 steps is entered, and every way between them taken" in capsys.readouterr().out


def test_colour_is_for_terminals(folder: Path) -> None:
    """On a terminal, unless NO_COLOR says otherwise."""
    write(folder, {"all/checks/wrong.yaml": WRONG})

    assert "\x1b[31m" in on_a_terminal(folder)
    assert "\x1b" not in on_a_terminal(folder, NO_COLOR="1")


def on_a_terminal(folder: Path, **more: str) -> str:
    """What `nurture test` of the wrong check prints there."""
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "nurture", "test", str(folder / "all/checks/wrong.yaml")]
    known = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(words, stdout=theirs, env={**known, "NURTURE_TEMPLATES": str(folder), **more}) as run:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not part:
                break
            said += part
    os.close(ours)
    assert run.returncode == 1
    return said.decode()


def test_many_checks_are_played_side_by_side(folder: Path) -> None:
    """With the same results, in the same order, as one after the other."""
    idle = RIGHT.replace("event: signed_up", "event: page_viewed")
    write(folder, {f"all/checks/c{n:02}.yaml": idle.replace("email: first}]", f"score: {n}}}]") for n in range(24)})

    def told(run: CheckRun) -> list[tuple[str, list[str]]]:
        return [(outcome.file, outcome.differences) for outcome in run.outcomes]

    alone: list[CheckRun] = []
    other = threading.Thread(target=lambda: alone.append(run_checks(folder)))  # with a thread beside it none is forked
    other.start()
    other.join()
    words = [sys.executable, "-m", "nurture", "test", "--json", "--coverage"]
    found = json.loads(subprocess.run(words, capture_output=True, check=False).stdout)

    assert [(one["file"], one["differences"]) for one in found["checks"]] == told(alone[0])
    assert found["coverage"] == alone[0].coverage.missed() == {}
    assert (found["passed"], found["failed"]) == (alone[0].passed, alone[0].failed) == (2, 23)
