"""Dated scenarios from the documentation, tests and trackers of other systems, as checks of a small program.

What is expected is what our own pages say, not what those systems do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nurture.program.check import check
from nurture.program.check_stories import is_check
from nurture.program.load import read_folder
from nurture.rehearse.run import run_check
from nurture.rehearse.stage import Theatre

FOLDER = Path(__file__).parent / "scenarios"
FILES = read_folder(FOLDER)
CHECKS = [name for name in FILES if is_check(name)]


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    stages = Theatre()
    yield stages
    stages.close()


@pytest.mark.parametrize("name", [pytest.param(name, id=Path(name).stem) for name in CHECKS])
def test_a_scenario_comes_true(name: str, theatre: Theatre) -> None:
    """Every instant of it."""
    outcome = run_check(FILES, name, theatre=theatre)

    assert outcome is not None
    assert outcome.ok, "\n".join(outcome.details())


def test_the_program_of_the_scenarios_is_sound() -> None:
    """Also what each of them changes for itself."""
    assert check(FILES) == []
