"""What rights ask of every start and tick: finish forgetting, forget again after a restore, keep no longer than said.

Cheap where there is nothing to do: a look at one folder and one file, and a row of the database.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.records import Erasure, Lead, LeadAlias, Suppression
from nurture.rights import forget, log, retention
from nurture.rights.emptying import remember, unlisted
from nurture.rights.finding import known
from nurture.rights.remembered import Remembered, id_name
from nurture.rights.schema import Person

logger = logging.getLogger("nurture.rights")
_PAGE = 5_000


@dataclass
class Chores:
    """Of one process's machine and home."""

    machine: Machine
    home: Path
    _seen: tuple[Any, ...] | None = None
    #: The local day of which it is known that its pass was made.
    _day: tuple[datetime, datetime] | None = None

    def __call__(self, now: datetime) -> None:
        """At each tick."""
        self.catch_up()
        if self._day is not None and self._day[0] <= now < self._day[1]:
            return
        try:
            done = retention.daily(self.machine, self.home, now)
        except OSError as problem:  # a file; what is left of it goes tomorrow
            logger.error("retention is not finished, and goes on tomorrow: %s", problem)
            done = None
        self._day = retention.local_day(self.machine, now)
        if done:
            logger.info("retention %s", " ".join(f"{kind}={count}" for kind, count in sorted(done.items())))

    def catch_up(self) -> int:
        """Finish what was begun, and forget again whoever a restored database knows; how many people."""
        if (self.home / forget.INTENTS).is_dir():
            forget.finish(self.machine, self.home)
        seen = self._state()
        if seen == self._seen:
            return 0
        again = self._agree()
        self._seen = self._state()
        return again

    def _state(self) -> tuple[Any, ...]:
        with self.machine.db.read() as link:
            listed = link.execute(select(func.count(), func.max(col(Erasure.at))).select_from(Erasure)).one()
        return (*log.stamp(self.home), *listed)

    def _agree(self) -> int:
        """Let log and database list the same: what the log knows better is done, what it lacks is written."""
        entries = log.read(self.home)
        db = self.machine.db
        with db.read() as link:
            older = unlisted(link, {digest: entry.at for digest, entry in entries.items()})
            lacking = {digest: entries[digest] for digest in older}
            rows = link.execute(select(col(Erasure.digest), col(Erasure.at), col(Erasure.by))).all()
        missing = [log.Entry(*row) for row in rows if row.digest not in entries or entries[row.digest].at < row.at]
        if missing:
            log.append(self.home, missing)
        again = 0
        for person, entry in list(self._whom(lacking)) if lacking else ():
            try:
                forget.forget_person(self.machine, self.home, person, by=entry.by, now=entry.at)
            except OSError as problem:  # an intent is left, or the database does not list them yet
                logger.error("forgetting again is not finished, and is tried again lead=%s: %s", person.lead, problem)
                lacking.pop(entry.digest, None)
                continue
            logger.warning("forgotten again lead=%s", person.lead)
            again += 1
        for entry in lacking.values():
            db.transact(lambda link, entry=entry: remember(link, [entry.digest], entry.by, entry.at, {}))  # type: ignore[misc]
        return again

    def _whom(self, lacking: dict[str, log.Entry]) -> Iterator[tuple[Person, log.Entry]]:
        """Whoever the database still knows by one of these digests, and knew before they were forgotten."""
        remembered = Remembered(self.machine.keys)
        met: set[int] = set()
        for lead, name, since in self._names():
            found = (lacking[digest] for digest in remembered.digests(name) if digest in lacking)
            entry = max(found, key=lambda one: one.at, default=None)
            if entry is None or since > entry.at or lead in met:
                continue
            with self.machine.db.read() as link:
                yield known(link, lead, {name} if "@" in name else set()), entry
            met |= {lead} if lead is not None else set()

    def _names(self) -> Iterator[tuple[int | None, str, datetime]]:
        """(lead, what it is called, since when it is known) of every lead, alias and suppressed address."""
        lead, alias = Lead.__table__.c, LeadAlias.__table__.c  # type: ignore[attr-defined]
        for row in self._pages(select(lead.id, lead.email, lead.source, lead.source_id, lead.created_at), lead.id):
            yield from ((row.id, name, row.created_at) for name in _called(row.email, row.source, row.source_id))
        query = select(alias.lead_id, alias.kind, alias.source, alias.value, lead.created_at)
        with self.machine.db.read() as link:
            former = link.execute(query.join(Lead, lead.id == alias.lead_id)).all()
        for row in former:
            name = row.value if row.kind == "email" else id_name(row.source, row.value)
            yield row.lead_id, name, row.created_at
        listed = Suppression.__table__.c  # type: ignore[attr-defined]
        query = select(listed.id, listed.value, listed.at).where(listed.kind == "address")
        yield from ((None, row.value, row.at) for row in self._pages(query, listed.id))

    def _pages(self, query: Any, number: Any) -> Iterator[Any]:
        last = 0
        while True:
            with self.machine.db.read() as link:
                rows = link.execute(query.where(number > last).order_by(number).limit(_PAGE)).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1].id


def _called(email: str | None, source: str | None, source_id: str | None) -> list[str]:
    found = [email] if email else []
    return [*found, id_name(source or "", source_id)] if source_id else found
