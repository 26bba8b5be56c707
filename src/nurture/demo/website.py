"""The website as far as we hear of it: every hour it exports what it saw, and we import that."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nurture.demo.sample import exported, write_events
from nurture.engine.machine import Machine
from nurture.intake import import_events
from nurture.program.models import ProgramFile

EVERY = timedelta(hours=1)
SOURCE = "website"


class Website:
    """Collects page views and the like, and hands them over as small NDJSON files in `folder`."""

    def __init__(self, machine: Machine, program: ProgramFile, folder: Path) -> None:
        self._machine, self._program, self._folder = machine, program, folder
        self._seen: list[dict[str, Any]] = []
        self._count = 0
        self.imported = 0
        folder.mkdir(parents=True, exist_ok=True)

    def saw(self, at: datetime, email: str, event: str, data: dict[str, str]) -> None:
        """Somebody did something on the website."""
        self._count += 1
        self._seen.append(exported(f"later-{self._count}", at, email, event, data))

    def export(self, now: datetime) -> None:
        """Write what was seen since the last time, import it, and act on it at once, notices included."""
        if not self._seen:
            return
        file = self._folder / f"{now:%Y-%m-%dT%H%M}.ndjson"
        write_events(file, self._seen)
        self._seen = []
        report = import_events(
            self._machine.db,
            file,
            now=now,
            source=SOURCE,
            click_rest=self._machine.click_rest,
            known=self._program,
        )
        self.imported += report.created
        self._machine.settle(now)
        self._machine.drain(now)
