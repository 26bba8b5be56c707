"""What docs/identity.md and docs/moving-in.md show with files of leads: their `csv` blocks, and what is printed of them."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nurture.cli import main
from nurture.clock import SystemClock
from tests.docs.test_examples import ROOT, example, lay, shows

PAGES = ("identity", "moving-in", "enrolment")
_FILE = re.compile(r"^```csv\n# (\S+)\n(.*?)^```", re.M | re.S)
_SESSION = re.compile(r"^```shell-session\n(.*?)^```", re.M | re.S)
_EXIT = re.compile(r"# exit (\d+)$")


def session(text: str) -> list[tuple[str, list[str]]]:
    """Each command of a page as written, with the lines that are shown under it."""
    found: list[tuple[str, list[str]]] = []
    for block in _SESSION.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_is_printed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of its commands, in order, on Monday, 2 March 2026, 09:05 in Bucharest."""
    path = ROOT / "docs" / f"{page}.md"
    text = path.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime(2026, 3, 2, 7, 5, tzinfo=UTC))
    lay(example(path), tmp_path / "templates")
    for name, content in _FILE.findall(text):
        (tmp_path / name).write_text(content, "utf-8")
    commands = session(text)
    assert commands
    for line, shown in commands:
        program, *words = shlex.split(line, comments=True)
        assert program == "nurture", line
        capsys.readouterr()
        code = main(words)
        printed = "".join(capsys.readouterr())
        wanted = _EXIT.search(line)
        assert code == (int(wanted[1]) if wanted else 0), f"{line}\n{printed}"
        assert not shown or shows(shown, printed), f"{line}\n{printed}"
