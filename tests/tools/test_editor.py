"""The schemas in the language server that editors run: what is underlined, offered and told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nurture.program.schema import FILES, schema
from tests.tools.language_server import COMMAND, Editor

pytestmark = pytest.mark.skipif(COMMAND is None, reason="needs yaml-language-server on the PATH")
TEMPLATES = Path(__file__).parents[2] / "templates"
MODELINE = "# yaml-language-server: $schema=../.schema/sequence.json\n"
HEAD = """\
name: Mine
segment: {industry: saas}
enrol: {when: {did: whitepaper_downloaded}}
"""


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Editor, Path]]:
    """An editor with the shipped program open, and its folder."""
    folder = tmp_path_factory.mktemp("editor") / "mine"
    shutil.copytree(TEMPLATES, folder)
    (folder / ".schema").mkdir(exist_ok=True)
    for kind in FILES:
        (folder / ".schema" / f"{kind}.json").write_text(schema(kind), "utf-8")
    opened = Editor(folder)
    yield opened, folder
    opened.close()


def _named(file: Path, folder: Path) -> str:
    """The text with a first line that names its schema."""
    text = file.read_text("utf-8")
    if text.startswith("# yaml-language-server:"):
        return text
    kind = file.stem if "checks" not in file.parts else "checks" if "\ncheck:" in f"\n{text}" else "sequence"
    up = "../" * len(file.relative_to(folder).parts[:-1])
    return f"# yaml-language-server: $schema={up or './'}.schema/{kind}.json\n{text}"


def test_nothing_is_underlined_in_what_is_shipped(editor: tuple[Editor, Path]) -> None:
    opened, folder = editor
    found = {file.name: opened.open(file, _named(file, folder)) for file in sorted(folder.rglob("*.yaml"))}

    assert len(found) > 12
    assert {name: said for name, said in found.items() if said} == {}


UNDERLINED = {
    "a key": ("priority:", "priorty:", "priorty"),
    "a kind of step": ("{id: nudge, email:", "{id: nudge, emial:", "emial"),
    "a key of a step": ("then: case, else", "than: case, else", "than"),
    "a duration": ("wait: 2 days", "wait: 4 hrs", "duration"),
    "a word": ("next_opening", "next_openin", "next_opening"),
    "an operator": ("at_least: 60", "at_leats: 60", "at_leats"),
    "a grade": ("at_least: C", "at_least: E", "grade"),
}


@pytest.mark.parametrize(("name", "case"), UNDERLINED.items(), ids=UNDERLINED.keys())
def test_a_slip_is_underlined_where_it_is(name: str, case: tuple[str, str, str], editor: tuple[Editor, Path]) -> None:
    opened, folder = editor
    file = folder / "saas-evaluators" / "sequence.yaml"
    text = _named(file, folder)
    written, instead, told = case
    assert written in text, name
    changed = text.replace(written, instead, 1)
    line = next(n for n, (a, b) in enumerate(zip(text.splitlines(), changed.splitlines(), strict=True)) if a != b)

    said = opened.open(file, changed)

    assert told in " ".join(one["message"] for one in said)
    assert {one["range"]["start"]["line"] for one in said} == {line}


OFFERED = {
    "in a new step": ("steps:\n  - id: a\n    ", {"email", "offer", "wait", "wait_until", "branch", "handoff", "exit"}),
    "in a step that waits": ("steps:\n  - id: a\n    wait_until: {did: x}\n    ", {"at_most", "then", "else"}),
    "in an e-mail step": ("steps:\n  - id: a\n    email: a.j2\n    ", {"kind", "repeat", "next"}),
    "in send": ("send:\n  ", {"days", "hours", "holidays", "outside"}),
    "in a word of send": ("send:\n  outside: ", {"next_opening", "keep_time"}),
    "in a condition": ("leave:\n  ", {"any", "all", "not", "did", "did_not", "clicked", "stage", "score"}),
    "in an event": ("leave:\n  did: x\n  ", {"where", "at_least", "within", "since"}),
    "in a duration": ("max_late: ", {"2 days", "48 hours"}),
    "at the top": ("", {"objective", "priority", "send", "steps"}),
}


@pytest.mark.parametrize(("name", "case"), OFFERED.items(), ids=OFFERED.keys())
def test_what_may_come_next_is_offered(name: str, case: tuple[str, set[str]], editor: tuple[Editor, Path]) -> None:
    opened, folder = editor
    written, wanted = case
    file = folder / "saas-evaluators" / "sequence.yaml"
    text = MODELINE + HEAD + written
    opened.open(file, f"{text}\n")

    offered = opened.completions(file, text.count("\n"), len(text.rpartition("\n")[2]))

    assert wanted <= {one["label"] for one in offered}, name


def test_another_kinds_keys_are_not_offered(editor: tuple[Editor, Path]) -> None:
    opened, folder = editor
    file = folder / "saas-evaluators" / "sequence.yaml"
    text = f"{MODELINE}{HEAD}steps:\n  - id: a\n    wait: 2 days\n    "
    opened.open(file, f"{text}\n")

    offered = {one["label"] for one in opened.completions(file, text.count("\n"), 4)}

    assert "next" in offered
    assert not offered & {"email", "at_most", "branch"}


def test_a_word_is_explained(editor: tuple[Editor, Path]) -> None:
    opened, folder = editor
    file = folder / "saas-evaluators" / "sequence.yaml"
    text = f"{MODELINE}{HEAD}priority: 50\n"
    opened.open(file, text)

    assert "the higher one sends" in opened.hover(file, text.count("\n") - 1, 3)
