"""docs/versions.md is true: its example is played, and its table speaks of the edits that are tested."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.conftest import SEQUENCE, Desk, desk
from tests.versions.test_publish import EDITED, MEANS

__all__ = ["desk"]
PAGE = (Path(__file__).parents[2] / "docs" / "versions.md").read_text(encoding="utf-8")


def test_the_check_of_the_page_passes(desk: Desk) -> None:
    """And fails where the edit does not migrate, so it shows what it says."""
    (check,) = re.findall(r"```yaml\n(check:.*?)```", PAGE, re.DOTALL)
    desk.write("templates/evaluators/checks/edit.yaml", check)
    desk.write("templates/evaluators/checks/edited.yaml", EDITED)
    told = desk.nurture("test")
    assert (told.code, told.out.splitlines()[-1]) == (0, "1 passed, 0 failed")

    desk.write("templates/evaluators/checks/edited.yaml", SEQUENCE.replace("2 days", "1 day"))
    assert desk.nurture("test").code == 1


def test_the_output_of_the_page_is_what_publish_prints() -> None:
    shown = re.findall(r"```\n(program: .*?)```", PAGE, re.DOTALL)
    assert shown == [MEANS.format("would be live").partition("\n")[2]]
