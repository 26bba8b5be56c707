"""Whose database this is: an id and an epoch, kept in the database and in the home folder, so that a copy is known.

A copy of a database, or an older state of it, does not know what was sent since. The epoch grows while messages leave;
a database that is behind its home folder was restored, one that is not where it was used was copied: it sends nothing
until a person has looked (`nurture adopt`). Further home folders and hosts join a database that is in its place.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture import clock
from nurture.db import Database
from nurture.dialects import upsert
from nurture.engine import audit
from nurture.engine.whereabouts import CLOCKS_APART, clocks_apart, database_place, spoken
from nurture.errors import DatabaseFault, SettingsError
from nurture.locking import lock
from nurture.records import Enrolment, Meta, Touch, Work

log = logging.getLogger("nurture.instance")
#: Seconds within which the epoch grows once, while messages leave.
EVERY = 10.0
_KEY, _FILE = "instance", "instance.json"


@dataclass(frozen=True)
class Mark:
    """`place`: where the database is."""

    id: str
    epoch: int
    place: str


@dataclass(frozen=True)
class Outlook:
    """What would go out: touches whose time has come, and the last send that the database knows."""

    due: int
    #: Leads that stand due on a step, or changed and have not been looked at: they may be written to as well.
    leads: int
    last: datetime | None


@dataclass
class Instance:
    """One process's knowledge of whether its database may send. `real_time`: its clock is the wall's."""

    db: Database
    home: Path
    real_time: bool = True
    #: Why nothing may be sent; None: this installation's own database.
    cloned: str | None = None
    _moved: float | None = None
    _clock_sure: bool = False

    @classmethod
    def open(cls, db: Database, home: Path, *, real_time: bool = True) -> Instance:
        """Look at both marks; at the first start they are made."""
        made = cls(db, home, real_time)
        with made._alone(must=False) as alone:
            made._look(alone)
        return made

    def sentence(self) -> str | None:
        """For a person, when nothing is sent: why, and the way out."""
        if self.cloned is None:
            return None
        return f"Nothing is sent: {self.cloned}. 'nurture adopt' shows what would go out, and makes it send."

    def may_send(self) -> bool:
        """Asked before anything leaves; the epoch grows, and what was restored meanwhile is noticed."""
        self.require_clock()
        if self._moved is None or clock.monotonic() - self._moved > EVERY:  # a copy may have been adopted meanwhile
            self._advance()
        return self.cloned is None

    def require_clock(self) -> None:
        """Raise DatabaseFault when this host's clock and the database's are more than five seconds apart."""
        if self._clock_sure or not self.real_time or self.db.is_sqlite:
            return
        with self.db.read() as link:
            apart = clocks_apart(link)
        if abs(apart) > CLOCKS_APART:
            raise DatabaseFault(
                f"{self.db.name}: this host's clock is {spoken(apart)} the database's; nothing was sent; "
                "set both by a time server (NTP), and run the command again"
            )
        self._clock_sure = True

    def adopt(self, by: str, now: datetime) -> int:
        """Make the database this installation's own; the new epoch. What a person decided is a row of `audit`."""
        with self._alone():
            ours = self._ours()
            mark = self.db.transact(lambda link: self._adopted(link, ours, by, now), door=True)
            self._keep(mark)
        self.cloned = None
        return mark.epoch

    def close(self) -> None:
        """The epoch grows once more after sends, so that a snapshot from between them is known as old."""
        if self._moved is None or self.cloned is not None:
            return
        try:
            self._advance()
        except (DatabaseFault, SettingsError) as fault:
            log.warning("the epoch stays as it is: %s", fault)
        self._moved = None

    def _look(self, alone: bool) -> None:
        """`alone`: marks may be written, nobody else of this home does."""
        ours = self._ours()
        with self.db.read() as link:
            theirs, place = read_mark(link), database_place(link, self.db)
            used = theirs is None and link.execute(select(col(Touch.id)).limit(1)).first() is not None
        if theirs is None and alone and (ours is None or not used):
            new = Mark(clock.unguessable(), 1, place)
            theirs = self.db.transact(lambda link: _first(link, new), door=True)
        self.cloned = self._difference(ours, theirs, place)
        if self.cloned is None and alone and theirs is not None and theirs != ours:
            self._keep(theirs)

    def _difference(self, ours: Mark | None, theirs: Mark | None, place: str) -> str | None:
        """Why the database is not this installation's own, as it stands."""
        if theirs is None:
            return "the database is older than this home folder knows; a backup was restored"
        if theirs.place != place:
            return "the database is not where it was last used; it was copied or moved"
        if ours is not None and ours.id == theirs.id and theirs.epoch < ours.epoch:
            return (
                f"the database is older than this home folder knows (epoch {theirs.epoch}, and {ours.epoch} was "
                "reached); a backup was restored"
            )
        return None

    def _advance(self) -> None:
        """One epoch on, unless the database is not what it was."""
        with self._alone():
            ours = self._ours()
            mark = self.db.transact(lambda link: self._advanced(link, ours), door=True)
            if mark is not None:
                self._keep(mark)
        self._moved = clock.monotonic()

    def _advanced(self, link: Connection, ours: Mark | None) -> Mark | None:
        theirs = read_mark(link, change=True)
        self.cloned = self._difference(ours, theirs, database_place(link, self.db))
        if self.cloned is not None or theirs is None:
            return None
        return _write(link, replace(theirs, epoch=theirs.epoch + 1))

    def _adopted(self, link: Connection, ours: Mark | None, by: str, now: datetime) -> Mark:
        theirs = read_mark(link, change=True)
        name = theirs.id if theirs is not None else clock.unguessable()
        epoch = max(theirs.epoch if theirs else 0, ours.epoch if ours else 0) + 1
        detail = {"home": str(self.home.resolve()), "epoch": epoch, "because": self.cloned}
        audit.note(link, "adopted", "database", by, now, detail)
        return _write(link, Mark(name, epoch, database_place(link, self.db)))

    @contextmanager
    def _alone(self, *, must: bool = True) -> Iterator[bool]:
        """One process of this home at a time; whether it is. `must`: else DatabaseFault is raised."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            file = (self.home / "instance.lock").open("a")
        except OSError as problem:
            raise self._unwritable(problem) from None
        with file:
            alone = lock(file)
            if must and not alone:
                raise DatabaseFault(
                    f"{self.home}: a process that is stopped or hangs has held this folder for 10 seconds; "
                    "nothing was sent; end it, and run the command again"
                )
            yield alone

    def _ours(self) -> Mark | None:
        file = self.home / _FILE
        if not file.exists():
            return None
        try:
            return Mark(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as problem:
            raise SettingsError(
                f"{file}: cannot be read ({problem}); nothing was sent; "
                "give it back, or remove it and run 'nurture adopt'"
            ) from None

    def _keep(self, mark: Mark) -> None:
        """Write this home's mark, on the disk when we return."""
        file, draft = self.home / _FILE, self.home / f".{_FILE}"
        try:
            with draft.open("w", encoding="utf-8") as out:
                out.write(json.dumps(asdict(mark)))
                out.flush()
                os.fsync(out.fileno())
            draft.replace(file)
            folder = os.open(self.home, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as problem:
            raise self._unwritable(problem) from None

    def _unwritable(self, problem: OSError) -> SettingsError:
        return SettingsError(
            f"{self.home}: cannot be written ({problem.strerror}); nothing was sent; "
            "check the folder's rights and space, or set NURTURE_HOME"
        )


def outlook(link: Connection, now: datetime) -> Outlook:
    """What adopting would let go."""
    waiting = (col(Touch.state).in_(("planned", "retry_wait"))) & (col(Touch.next_at) <= now)
    due = link.execute(select(func.count()).where(waiting)).scalar_one()
    standing = link.execute(select(func.count()).where(col(Enrolment.due_at) <= now)).scalar_one()
    changed = link.execute(select(func.count()).where(col(Work.due_at) <= now)).scalar_one()
    return Outlook(due, standing + changed, link.execute(select(func.max(col(Touch.sending_at)))).scalar())


def read_mark(link: Connection, *, change: bool = False) -> Mark | None:
    """The database's own mark; `change`: nobody else changes it until the transaction ends."""
    query = select(col(Meta.value)).where(col(Meta.key) == _KEY)
    said = link.execute(query.with_for_update() if change else query).scalar()
    return None if said is None else Mark(**json.loads(said))


def _first(link: Connection, new: Mark) -> Mark:
    link.execute(upsert(link)(Meta).values(key=_KEY, value=json.dumps(asdict(new))).on_conflict_do_nothing())
    found = read_mark(link)
    assert found is not None
    return found


def _write(link: Connection, mark: Mark) -> Mark:
    said = json.dumps(asdict(mark))
    row = upsert(link)(Meta).values(key=_KEY, value=said)
    link.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": said}))
    return mark
