"""The letters of docs/letters.md, checked and played as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

from nurture.cli.app import main
from nurture.program.load import read_folder

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/letters.md").read_text()
CHECK = """check: both letters go out, in the owner's name
start: 2026-03-02T09:00:00+02:00
leads: [{email: ana@acme.example, industry: saas, owner: mihai@brightdesk.example}]
events: [{at: +0m, lead: ana@acme.example, event: whitepaper_downloaded}]
until: +5d
expect:
  - {at: +0m, lead: ana@acme.example, email: tour}
  - {lead: ana@acme.example, email: ways}
  - {lead: ana@acme.example, left: completed}
"""


def blocks(kind: str) -> list[str]:
    """The blocks of code of this kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_program(tmp_path, capsys, monkeypatch):
    """Beside the shipped files, without a problem; its own check passes."""
    letters, yaml = blocks("jinja"), blocks("yaml")
    files = {
        name: text
        for name, text in read_folder(ROOT / "templates").items()
        if name.split("/")[0] in ("_shared", *names())
    }
    files |= {
        "steps/sequence.yaml": yaml[-1],
        "steps/tour.j2": letters[0],
        "steps/ways.j2": letters[-1],
        "steps/checks/both.yaml": CHECK,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert yaml[0].partition("#")[0].strip() in files["program.yaml"]
    monkeypatch.setenv("NURTURE_TEMPLATES", str(tmp_path))

    assert main(["check", str(tmp_path)]) == 0, capsys.readouterr().out
    assert main(["test"]) == 0, capsys.readouterr().out


def test_the_guards_it_shows_are_guards(tmp_path, capsys, monkeypatch):
    """Each of the four ways, in a letter of their own."""
    _, guards, _ = blocks("jinja")
    files = {
        name: text
        for name, text in read_folder(ROOT / "templates").items()
        if name.split("/")[0] in ("_shared", *names())
    }
    files["steps/sequence.yaml"] = (
        blocks("yaml")[-1].replace("ways.j2", "tour.j2", 1).replace("id: ways, email: ways.j2", "id: ways, wait: 1 day")
    )
    files["steps/tour.j2"] = blocks("jinja")[0].replace("<p>Hi", guards + "<p>Hi")
    files["steps/sequence.yaml"] = files["steps/sequence.yaml"].replace(
        "{id: ways, email: tour.j2}", "{id: ways, wait: 1 day}"
    )
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert main(["check", str(tmp_path)]) == 0, capsys.readouterr().out
    (tmp_path / "steps/tour.j2").write_text(
        files["steps/tour.j2"].replace('default("your team", true)', 'default("your team")')
    )
    assert main(["check", str(tmp_path)]) == 1
    assert "'lead.company' may be absent" in capsys.readouterr().out


def names() -> list[str]:
    """The files that all segments share."""
    return ["program.yaml", "lifecycle.yaml", "scoring.yaml", "offers.yaml"]
