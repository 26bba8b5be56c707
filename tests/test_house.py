"""Rules about the repository itself: what lies where, and what is written nowhere."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TOP_LEVEL = {
    *("README.md", "CHANGELOG.md", "LICENSE", "docs"),
    *("templates", "flows", "prefect.yaml", "src", "tests", "benchmarks"),
    *("pyproject.toml", "constraints.txt", "Makefile", ".ci", ".gitignore"),
}
LOCK_FILES = re.compile(r"(?:^|/)(?:[^/]+\.lock|(?:package-lock|npm-shrinkwrap)\.json|pnpm-lock\.yaml)$")
LONGEST_SOURCE = 300
PIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*==[0-9][a-z0-9.!+]*")

#: A mirror or a home folder that works on one machine only.
FORBIDDEN_TEXT = {
    "the host of a package registry": re.compile(
        r"\b(?:pypi\.(?:org|python\.org)|pythonhosted\.org|registry\.(?:npmjs|yarnpkg)\.\w+|deb\.debian\.org)\b"
    ),
    "an index of packages": re.compile(r"--(?:extra-)?index-(?:url)|--find-(?:links)"),
    "a path of one machine": re.compile(r"(?<![\w.:~/$}*])/(?:work|root|home|Users|opt)/[\w.]"),
}


@cache
def files() -> list[str]:
    """Every file that git knows or would add, by its path in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return sorted({name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()})


def text_of(name: str) -> str:
    """The file's text; of a file that is none, nothing."""
    content = (ROOT / name).read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


def forbidden_in(text: str) -> list[str]:
    """What must not be written down, each with its line."""
    return [
        f"{number}: {what}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FORBIDDEN_TEXT.items()
        if pattern.search(line)
    ]


def test_the_top_level_holds_only_what_was_agreed() -> None:
    """Whoever opens the repository sees three rooms and the few files that tools look for."""
    assert {name.split("/")[0] for name in files()} - TOP_LEVEL == set()


def test_there_are_no_lock_files() -> None:
    """Lock files name hosts; constraints.txt pins without."""
    assert [name for name in files() if LOCK_FILES.search(name)] == []


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    """What is committed works from any mirror and in any folder."""
    found = [f"{name}:{problem}" for name in files() for problem in forbidden_in(text_of(name))]

    assert not found, "\n" + "\n".join(found)


def test_constraints_are_names_and_versions_in_order() -> None:
    """One `name==version` a line, each name once."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_no_source_file_is_long() -> None:
    """A file that outgrows its page wants to be two files."""
    sources = [name for name in files() if name.startswith("src/") and name.endswith(".py")]
    sources = [name for name in sources if "/migrations/versions/" not in name]  # a migration is one list of columns
    lengths = {name: text_of(name).count("\n") for name in sources}

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_SOURCE} == {}


def test_the_marketers_room_holds_no_python() -> None:
    """templates/ is YAML, Jinja2 and text."""
    assert [name for name in files() if name.startswith("templates/") and name.endswith(".py")] == []


@pytest.mark.parametrize(
    "line",
    [
        "https://pypi" + ".org/simple/rich/",
        "https://files.pythonhosted" + ".org/packages/rich.whl",
        '"resolved": "https://registry.npmjs' + '.org/rich"',
        "--extra-" + "index-url file:///srv/wheels",
        "cd " + "/" + "home/ana/nurture",
        'open("' + "/" + 'root/.netrc")',
    ],
)
def test_a_planted_line_is_found(line: str) -> None:
    """The rule about text is worth something."""
    assert len(forbidden_in(line)) == 1


@pytest.mark.parametrize(
    "line",
    ["/usr/lib/postgresql", "https://example.com/home/ana", "work/due", "$HOME/nurture", "/tmp/x"],
)
def test_an_innocent_line_passes(line: str) -> None:
    """Public addresses and the system's own folders may be named."""
    assert forbidden_in(line) == []
