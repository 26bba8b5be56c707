"""The examples of docs/ are true: each page's files are checked, its checks are played, its commands are run.

A block belongs to the example when its first line names its file: `# templates/saas/sequence.yaml` in YAML,
`{# templates/saas/welcome.j2 #}` in Jinja2. A page need not spell out what its reader knows: the layouts are supplied,
the four files of docs/house.md unless it has a program.yaml of its own, and letters that it names and does not give.

In a block of the kind `console` each line `$ nurture …` is run in the folder of the page's program (a page without one
has the shipped templates). It must exit with 0, or with N where the line ends in `# exit N`. The lines under it are all
that it prints; `…` alone on a line stands for any lines.
"""

from __future__ import annotations

import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nurture.cli import main
from nurture.clock import SystemClock
from nurture.program.check import check
from nurture.reading.picture import BROWSERS
from nurture.rehearse import run_checks

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```(?:yaml|jinja)\n(?:# |\{#-? ?)templates/(\S+?)(?: -?#\})?\n(.*?)^```", re.M | re.S)
_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
_EXIT = re.compile(r"# exit (\d+)$")
_NAMED = re.compile(r"[\w.-]+\.j2")
_NOTICE = "<html><body>{% block subject %}{{ handoff.milestone }}{% endblock %}</body></html>\n"
_LETTER = """\
{% extends "_shared/letter.j2" %}
{% block subject %}Hello{% endblock %}
{% block body %}<p>Hello.</p>{% endblock %}
"""
#: Pages without an example of their own: reference, and the operator's.
WITHOUT = {
    "architecture", "commands", "doctor", "faults", "hooks", "importing", "inbound", "made-fast", "mail", "many-hosts",
    "operators", "performance", "serving", "stopping", "trust", "web-security",
}  # fmt: skip


def told(page: Path) -> dict[str, str]:
    """The files that a page gives."""
    return dict(_BLOCK.findall(page.read_text("utf-8")))


def example(page: Path) -> dict[str, str]:
    """The files of a page's example, with what it need not spell out; none where it gives none."""
    given = told(page)
    if not given:
        return {}
    shared = {f"_shared/{path.name}": path.read_text("utf-8") for path in (ROOT / "templates" / "_shared").iterdir()}
    house = {name: text for name, text in told(ROOT / "docs" / "house.md").items() if "/" not in name}
    files = {**shared, "_shared/notice.j2": _NOTICE, **({} if "program.yaml" in given else house), **given}
    for name, text in given.items():
        if name.endswith("/sequence.yaml") or "/checks/" in name:
            folder = name.split("/")[0]
            for letter in _NAMED.findall(text):
                arms = f"{folder}/{letter.removesuffix('j2')}"
                if f"_shared/{letter}" not in files and not any(name.startswith(arms) for name in files):
                    files[f"{folder}/{letter}"] = _LETTER
    return files


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Each command of a page as written, with the lines that are shown under it."""
    found: list[tuple[str, list[str]]] = []
    for block in _CONSOLE.findall(page.read_text("utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def lay(files: dict[str, str], folder: Path) -> None:
    """Write a program into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def shows(lines: list[str], printed: str) -> bool:
    """Whether this is what was printed, blanks at the ends of lines apart."""
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else f"{re.escape(line.rstrip())}\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_works(page: Path, tmp_path: Path) -> None:
    """`check` finds nothing in its files, and every check of it passes."""
    files = example(page)
    if page.stem in WITHOUT:
        assert {**files, **dict(commands(page))} == {}, "it has an example now: take it out of WITHOUT"
        return
    if not files:
        assert commands(page), f"{page.name} has neither an example nor a command that is run"
        return
    assert any("/checks/" in name for name in files), f"{page.name} has no example with a check"
    lay(files, tmp_path)
    problems = [str(problem) for problem in check(files)]
    assert problems == []
    played = run_checks(tmp_path)
    assert played.failed == 0, played.text()
    assert played.passed


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_a_page_shows_what_is_printed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of its commands, in order, on Monday, 2 March 2026, 09:05 in Bucharest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NURTURE_TEMPLATES", "templates")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime(2026, 3, 2, 7, 5, tzinfo=UTC))
    if files := example(page):
        lay(files, tmp_path / "templates")
    else:
        shutil.copytree(ROOT / "templates", tmp_path / "templates")
    for line, shown in commands(page):
        program, *words = shlex.split(line, comments=True)
        assert program == "nurture", line
        if "png" in words and not any(map(shutil.which, BROWSERS)):
            continue
        capsys.readouterr()
        code = main(words)
        printed = "".join(capsys.readouterr())
        wanted = _EXIT.search(line)
        assert code == (int(wanted[1]) if wanted else 0), f"{line}\n{printed}"
        assert not shown or shows(shown, printed), f"{line}\n{printed}"


@pytest.mark.parametrize(
    ("lines", "printed", "shown"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a", "b"], "a  \nb\n", True),
        (["a"], "a\nb\n", False),
        (["b"], "a\nb\n", False),
        (["a", "…"], "a\nb\nc\n", True),
        (["…", "c"], "a\nb\nc\n", True),
        (["…", "b", "…"], "a\nb\nc\n", True),
        (["c", "…", "a"], "a\nb\nc\n", False),
        (["a", "c"], "a\nb\nc\n", False),
    ],
)
def test_what_is_shown_is_compared(lines: list[str], printed: str, shown: bool) -> None:
    assert shows(lines, printed) is shown
