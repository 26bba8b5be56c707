"""docs/experiments.md is true: its program checks clean, and its check holds on both databases."""

from __future__ import annotations

import re
from pathlib import Path

from nurture.program.check import check
from nurture.program.load import read_folder
from nurture.rehearse.run import run_check

ROOT = Path(__file__).parents[2]


def page() -> dict[str, str]:
    """The shipped house, without its segments, and every file that the page writes; settings are added to theirs."""
    files = {name: text for name, text in read_folder(ROOT / "templates").items() if "/" not in name or name[0] == "_"}
    written = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    for body in re.findall(r"```(?:yaml|jinja)\n(.*?)```", written, re.DOTALL):
        name = body.splitlines()[0].strip("{# }")
        files[name] = files.get(name, "") + body
    return files


def test_the_page_is_true(database_url: str) -> None:
    """Nothing to complain of, and the arms get their shares."""
    files = page()
    assert [str(problem) for problem in check(files)] == []

    outcome = run_check(files, "tour/checks/shares.yaml", database_url)

    assert outcome is not None
    assert outcome.differences == []
