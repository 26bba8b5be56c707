"""Where the faults happen: a small program of one segment for each way out, its leads, and what can be seen after."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import SQLModel

from nurture.db import Database
from nurture.records import Outbox, Touch
from tests.engine.world import MONDAY, PROGRAM, World, program, sequence
from tests.faults.warm import Ended, Warm

LEADS = 6
SECRET = "a secret of at least thirty-two characters"
SALESPERSON = "mihai@acme.example"
REST = "\n  - {id: rest, wait: 90 days}"
#: States in which a touch stays.
ENDS = frozenset({"sent", "failed", "suppressed", "cancelled", "expired", "uncertain"})


def files(ads_url: str) -> dict[str, str]:
    """The program: `mail` writes, `ads` tells a platform, and who asks is handed over."""
    return program(
        {
            "program.yaml": PROGRAM + f"audiences: {{hot: {{url: '{ads_url}'}}}}\n",
            "lifecycle.yaml": "milestones: {asked: {when: {did: asked}, handoff: true}}",
        },
        mail=sequence("  - {id: hello, email: hello.j2}" + REST, when="{did: signed_up}"),
        ads=sequence("  - {id: tell, audience: {add: hot}}" + REST, when="{did: visited}"),
    )


#: What brings leads to a way out.
EVENTS = {"mail": "signed_up", "ads": "visited", "sales": "asked"}


def prepare(url: str, kind: str, ads_url: str, leads: int = LEADS) -> None:
    """Fill an empty database: the program is live and so many leads are about to take one way out."""
    world = World(url, files(ads_url))
    names = [f"lead{n}" for n in range(leads)]
    world.crowd(names)
    world.event_of(names, EVENTS[kind])
    world.close()


@dataclass
class Ground:
    """An installation on a prepared database: a home folder, an environment, and commands that run in children."""

    warm: Warm
    url: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {
            "NURTURE_HOME": str(self.folder / "home"),
            "NURTURE_DATABASE_URL": self.url,
            "NURTURE_SECRET_KEY": SECRET,
            "NURTURE_SMTP_CONNECTIONS": "1",
            **self.env,
        }

    def words(self, at: timedelta, *segments: str) -> list[str]:
        """A tick so long after the start."""
        return ["tick", *segments, "--now", (MONDAY + at).isoformat(), "--json"]

    def tick(self, at: timedelta, *segments: str, failpoint: str | None = None, **options: Any) -> Ended:
        return self.warm.run(self.words(at, *segments), self.armed(failpoint), **options)

    def armed(self, failpoint: str | None) -> dict[str, str]:
        return self.env | ({"NURTURE_FAILPOINT": failpoint} if failpoint else {})

    def until_quiet(self, *segments: str, begin: timedelta = timedelta(), ticks: int = 6) -> list[Ended]:
        """Ticks twenty minutes apart until every touch has ended and every notice is out; each must do well."""
        done = []
        for number in range(ticks):
            done.append(self.tick(begin + number * timedelta(minutes=20), *segments))
            assert done[-1].code == 0, done[-1]
            if self.quiet():
                return done
        raise AssertionError(f"not quiet after {ticks} ticks: {self.states()}")

    def quiet(self) -> bool:
        open_notices = [row for row in self.rows(Outbox) if row.done_at is None]
        return set(self.states()) <= ENDS and not open_notices

    @contextmanager
    def database(self) -> Iterator[Database]:
        opened = Database(self.url)
        try:
            yield opened
        finally:
            opened.dispose()

    def rows(self, table: type[SQLModel], *where: Any) -> list[Any]:
        with self.database() as db, db.read() as link:
            columns = table.__table__  # type: ignore[attr-defined]
            return list(link.execute(select(columns).where(*where).order_by(*columns.primary_key)).all())

    def states(self) -> Counter[str]:
        """How many touches stand where."""
        return Counter(row.state for row in self.rows(Touch))

    def message_ids(self, *states: str) -> list[str]:
        return [row.message_id for row in self.rows(Touch) if row.state in states]

    def letters(self) -> list[Path]:
        """What the folder of kept mail holds."""
        return sorted((self.folder / "home" / "mail").glob("*.eml"))


def copied(source: Path, target: Path) -> str:
    """The URL of a copy of an SQLite file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{shutil.copyfile(source, target)}"


def instant(after: timedelta) -> datetime:
    return MONDAY + after
