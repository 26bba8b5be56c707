"""A command line of one's own: an empty folder, a small program, and what was said."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nurture.cli import main
from nurture.clock import SystemClock
from nurture.mail import trial

TEMPLATES = Path(__file__).parents[2] / "templates"

PROGRAM = """\
name: Brightdesk
sender: {name: Lena at Brightdesk, address: lena@brightdesk.example}
address: Brightdesk SRL, Strada Lungă 12, 500123 Brașov, Romania
zone: Europe/Bucharest
country: RO
fields: {industry: text, employees: number, role: text, use_case: text, last_purchase: date}
sales:
  - {name: Mihai Ionescu, email: mihai@brightdesk.example, hours: "09:00-18:00", countries: [RO]}
"""
LIFECYCLE = """\
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
gate:
  - {reason: student, refuse: {company: Campus}}
"""
SEQUENCE = """\
name: Evaluators
objective: demo_requested
segment: {industry: saas}
enrol: {when: {did: whitepaper_downloaded}}
steps:
  - {id: welcome, email: welcome.j2}
  - {id: settle, wait: 2 days}
  - {id: bye, email: bye.j2}
"""
LETTER = """\
{% extends "_shared/letter.j2" %}
{% block subject %}Hello{% endblock %}
{% block body %}<p>Hello {{ lead.first_name or "there" }}</p>{% endblock %}
"""
LEADS = (
    "email,first_name,industry,employees,consent\nana@acme.example,Ana,saas,10,yes\nben@acme.example,Ben,saas,0,yes\n"
)
EVENTS = (
    "email,event,occurred_at\n"
    "ana@acme.example,whitepaper_downloaded,2026-03-02T07:00:00Z\n"
    "ben@acme.example,whitepaper_downloaded,2026-03-02T07:00:00Z\n"
)


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


class Desk:
    """A folder with a program in it; `nurture(words…)` runs a command there, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], migrated: Path | None = None) -> None:
        self.folder, self._capsys, self._migrated = folder, capsys, migrated
        #: What the wall clock shows.
        self.now = datetime(2026, 3, 2, 7, 5, tzinfo=UTC)

    def nurture(self, *words: str) -> Said:
        self._capsys.readouterr()
        code = main(list(words))
        told = self._capsys.readouterr()
        return Said(code, told.out, told.err)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database holds."""
        with sqlite3.connect(self.folder / ".nurture" / "nurture.db") as link:
            return link.execute(query).fetchall()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def program(self) -> None:
        """The small program, in templates/."""
        shutil.copytree(TEMPLATES / "_shared", self.folder / "templates" / "_shared")
        self.write("templates/program.yaml", PROGRAM)
        self.write("templates/lifecycle.yaml", LIFECYCLE)
        self.write("templates/evaluators/sequence.yaml", SEQUENCE)
        self.write("templates/evaluators/welcome.j2", LETTER)
        self.write("templates/evaluators/bye.j2", LETTER)

    def open_for_business(self) -> None:
        """Published, with two leads whose trigger has come."""
        file = self.folder / ".nurture" / "nurture.db"
        if self._migrated is not None and not file.exists():  # tables are made once, and copied
            file.parent.mkdir(exist_ok=True)
            shutil.copyfile(self._migrated, file)
        assert self.nurture("publish").code == 0
        self.write("leads.csv", LEADS)
        self.write("events.csv", EVENTS)
        assert self.nurture("import", "leads", "leads.csv").code == 0
        assert self.nurture("import", "events", "events.csv").code == 0


#: The same letters come to the same end: a process of their own for each publication took half a second.
_try_once = cache(trial._tried)


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], migrated_sqlite: Path
) -> Desk:
    """An empty folder with the small program, and nothing else of anybody's."""
    monkeypatch.chdir(tmp_path)
    made = Desk(tmp_path, capsys, migrated_sqlite)
    monkeypatch.setattr(SystemClock, "now", lambda _: made.now)
    monkeypatch.setattr(trial, "_tried", _try_once)
    made.program()
    return made
