"""The shipped checks, on both databases: what a marketer rehearses in memory is what runs on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from nurture.program.load import read_folder
from nurture.rehearse.run import run_check

TEMPLATES = Path(__file__).parents[2] / "templates"
FILES = read_folder(TEMPLATES)
CHECKS = [name for name in FILES if "/checks/" in name and "\ncheck:" in f"\n{FILES[name]}"]


@pytest.mark.parametrize("where", ["memory", "postgres"])
@pytest.mark.parametrize("name", CHECKS)
def test_shipped_check_holds(name: str, where: str, request: pytest.FixtureRequest) -> None:
    """Each shipped check holds."""
    outcome = run_check(FILES, name, *([request.getfixturevalue("postgres_url")] if where == "postgres" else []))

    assert outcome is not None
    assert outcome.differences == []
