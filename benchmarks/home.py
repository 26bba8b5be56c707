"""An installation in a folder of its own, whose commands run as processes, as an operator runs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import common
import crowd
from letters import LEAD
from sqlalchemy import text

from nurture.db import Database, migrate


class Home:
    """A house with a published program, all of whose mail goes to one relay."""

    def __init__(self, folder: Path, url: str, relay_url: str, files: Mapping[str, str]) -> None:
        folder.mkdir()
        for name, content in files.items():
            (folder / "templates" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "templates" / name).write_text(content, "utf-8")
        self.environment = {
            "NURTURE_HOME": str(folder / "home"), "NURTURE_TEMPLATES": str(folder / "templates"),
            "NURTURE_DATABASE_URL": url.replace("+psycopg", ""), "NURTURE_SMTP_URL": relay_url,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(common.ROOT / "src"), os.environ.get("PYTHONPATH")))),
        }  # fmt: skip
        self.db = Database(url)
        migrate(self.db)
        self.people = 0
        self.nurture("publish", "--yes")

    def nurture(self, *words: str, **more: str) -> common.Child:
        """Run a command to its end."""
        return common.child(sys.executable, "-m", "nurture", *words, env=self.environment | more)

    def arrive(self, count: int, step: str = "hello") -> None:
        """So many more leads stand on `step` of `bench`, due now; they agreed to letters and to being followed."""
        now = datetime.now(UTC)
        numbers = range(self.people + 1, self.people + count + 1)
        with self.db.read() as link:
            version = link.execute(text("SELECT max(id) FROM sequence_version")).scalar_one()
        with crowd.in_bulk(self.db, anew=self.people == 0) as bulk:
            bulk.leads(numbers, now, **LEAD)
            bulk.consents(numbers, now)
            bulk.consents(numbers, now, "tracking")
            bulk.enrolments(numbers, now, version, "bench", step, now)
        self.people += count

    def count(self, where: str) -> int:
        """How many touches are so."""
        with self.db.read() as link:
            return int(link.execute(text(f"SELECT count(*) FROM touch WHERE {where}")).scalar_one())
