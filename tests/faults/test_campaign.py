"""The short form of the campaign: `python -m tests.faults` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import KINDS
from tests.faults.warm import ROOT


@pytest.mark.parametrize("database", KINDS)
def test_a_short_campaign(database: str) -> None:
    """Some hundred touches, three workers, fifteen kills and some pauses, a restart of the server, lost replies."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    words = ["--touches", "600", "--kills", "15", "--restarts", "1", "--patience", "60", "--database", database]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words], cwd=ROOT, env=env, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "duplicates              0\n" in done.stdout
    assert "unexplained             0\n" in done.stdout
    assert "all promises held" in done.stdout
