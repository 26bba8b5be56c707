"""What pages show of edits to their own examples: docs/versions.md of a publication, docs/checks.md of a failure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nurture.cli import main
from nurture.clock import SystemClock
from nurture.rehearse import run_checks
from tests.docs.test_examples import ROOT, example, lay, shows

PAGE = ROOT / "docs" / "versions.md"
EDITED = "evaluators/checks/edited.yaml"


def test_publish_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two leads wait in the example's second step when its edit is published."""
    files = example(PAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime(2026, 3, 2, 7, 5, tzinfo=UTC))
    folder = tmp_path / "templates"
    lay({name: text for name, text in files.items() if "/checks/" not in name}, folder)
    (tmp_path / "leads.csv").write_text("email,industry,consent\nana@one.example,saas,yes\nben@two.example,saas,yes\n")
    (tmp_path / "events.csv").write_text(
        "email,event,occurred_at\n"
        "ana@one.example,whitepaper_downloaded,2026-03-02T07:00:00Z\n"
        "ben@two.example,whitepaper_downloaded,2026-03-02T07:00:00Z\n"
    )
    for words in (["publish"], ["import", "leads", "leads.csv"], ["import", "events", "events.csv"], ["tick"]):
        assert main(words) == 0, capsys.readouterr()
    (folder / "evaluators" / "sequence.yaml").write_text(files[EDITED])
    capsys.readouterr()

    assert main(["publish", "--dry-run"]) == 0

    (shown,) = re.findall(r"```\n(program: .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown in capsys.readouterr().out


def test_the_check_of_the_page_fails_where_the_edit_does_not_migrate(tmp_path: Path) -> None:
    files = example(PAGE)
    lay({**files, EDITED: files[EDITED].replace("on_edit: migrate\n", "")}, tmp_path)

    assert run_checks(tmp_path).failed == 1


def test_a_failing_check_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The letter is expected a day too early."""
    page = ROOT / "docs" / "checks.md"
    files = example(page)
    name = "saas/checks/quiet.yaml"
    lay({**files, name: files[name].replace("at: +3d, lead: ana", "at: +2d, lead: ana")}, tmp_path / "templates")
    monkeypatch.chdir(tmp_path)

    assert main(["test", f"templates/{name}"]) == 1

    (shown,) = re.findall(r"```\n(FAIL .*?)```", page.read_text("utf-8"), re.DOTALL)
    assert shows([*shown.splitlines(), "…"], capsys.readouterr().out)
