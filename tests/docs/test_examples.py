"""The examples of docs/ are a program that works: each page's files are checked and its checks are played.

A block belongs to the example when its first line names its file: `# templates/saas/sequence.yaml` in YAML,
`{# templates/saas/welcome.j2 #}` in Jinja2. A page need not spell out what its reader knows: the layout, the house's
files and letters that a sequence names are supplied where the page gives none.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nurture.program.check import check
from nurture.rehearse import run_checks

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```(?:yaml|jinja)\n(?:# |\{#-? ?)templates/(\S+?)(?: -?#\})?\n(.*?)^```", re.M | re.S)
_NAMED = re.compile(r"[\w.-]+\.j2")
_HOUSE = {
    "program.yaml": """\
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, 500001 Brașov
zone: Europe/Bucharest
fields: {industry: text, employees: number, role: text}
sales: [{name: Mihai, email: mihai@acme.example, country: RO}]
""",
    "_shared/notice.j2": "<html><body>{% block subject %}{{ handoff.milestone }}{% endblock %}</body></html>\n",
    "lifecycle.yaml": "milestones: {demo_requested: {when: {did: demo_requested}, handoff: true}}\n",
}
_LETTER = """\
{% extends "_shared/letter.j2" %}
{% block subject %}Hello{% endblock %}
{% block body %}<p>Hello.</p>{% endblock %}
"""
#: Pages without an example of their own: reference, and the operator's.
WITHOUT = {
    "architecture", "commands", "doctor", "faults", "importing", "inbound", "mail", "operators", "stopping", "trust",
}  # fmt: skip


def example(page: Path) -> dict[str, str]:
    """The files of a page's example, with what it need not spell out."""
    told = dict(_BLOCK.findall(page.read_text("utf-8")))
    shared = {f"_shared/{path.name}": path.read_text("utf-8") for path in (ROOT / "templates" / "_shared").iterdir()}
    files = {**shared, **_HOUSE, **told} if told else {}
    for name, text in list(told.items()):
        if name.endswith("/sequence.yaml") or "/checks/" in name:
            folder = name.split("/")[0]
            for letter in _NAMED.findall(text):
                if f"_shared/{letter}" not in files:
                    files.setdefault(f"{folder}/{letter}", _LETTER)
    return files


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_works(page: Path, tmp_path: Path) -> None:
    """`check` finds nothing in its files, and every check of it passes."""
    files = example(page)
    if page.stem in WITHOUT:
        assert not files, "it has an example now: take it out of WITHOUT"
        return
    assert any("/checks/" in name for name in files), f"{page.name} has no example with a check"
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    problems = [str(problem) for problem in check(files)]
    assert problems == []
    played = run_checks(tmp_path)
    assert played.failed == 0, played.text()
    assert played.passed
