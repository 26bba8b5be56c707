"""Forgetting somebody: in every table, every file of this home, and at the platforms that know them.

First an intent is written beside the database, then the database forgets in one transaction, then the files do.
Whatever ends us in between is finished by the next start or tick (`chores`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture import clock
from nurture.engine.machine import Machine
from nurture.failpoints import reach
from nurture.records import AudienceMember, CrmLink, Handoff, Lead, Outbox, Task, Touch
from nurture.rights import copies, log, schema
from nurture.rights.emptying import empty, in_flight, meet
from nurture.rights.finding import find
from nurture.rights.remembered import Remembered, names
from nurture.rights.schema import TABLES, Person

logger = logging.getLogger("nurture.rights")
#: Where intents wait in the home.
INTENTS = "forgetting"
#: A draft of an intent is written in a moment; one this old is nobody's.
_WRITTEN_LONG_AGO = timedelta(hours=1)


@dataclass
class Forgotten:
    """What was, or would be, removed or emptied; `told`: who else has this person's data from us."""

    person: Person
    #: Rows by table.
    counts: dict[str, int] = field(default_factory=dict)
    files: int = 0
    told: list[str] = field(default_factory=list)
    #: When the person was forgotten before; None: not yet.
    before: datetime | None = None


@dataclass(frozen=True)
class Intent:
    """What is still to be done when a process ends in the middle of it."""

    person: Person
    touches: tuple[int, ...]
    notices: tuple[int, ...]
    by: str
    at: datetime

    def text(self) -> str:
        who = self.person
        return json.dumps(
            {
                "lead": who.lead, "addresses": sorted(who.addresses), "phones": sorted(who.phones),
                "ids": sorted(who.ids), "touches": self.touches, "notices": self.notices, "by": self.by,
                "at": self.at.astimezone(UTC).isoformat(),
            }
        )  # fmt: skip

    @staticmethod
    def of(text: str) -> Intent:
        said = json.loads(text)
        ids = frozenset((source, number) for source, number in said["ids"])
        who = Person(said["lead"], frozenset(said["addresses"]), frozenset(said["phones"]), ids)
        at = datetime.fromisoformat(said["at"])
        return Intent(who, tuple(said["touches"]), tuple(said["notices"]), said["by"], at)


def look(machine: Machine, who: str) -> Forgotten:
    """Who is meant, and what forgetting them would take away. Raises NotFound for what names nobody."""
    with machine.db.read() as link:
        person = find(link, who)
        found = Forgotten(person, told=told(link, person))
        for name, rows in schema.about().items():
            count = link.execute(select(func.count()).select_from(TABLES[name]).where(rows(person))).scalar_one()
            if count and name != "work":
                found.counts[name] = count
        if person.lead is not None:
            gone = select(col(Lead.forgotten_at)).where(col(Lead.id) == person.lead)
            found.before = link.execute(gone).scalar()
        else:
            listed = Remembered(machine.keys).since(link, names(person))
            found.before = max(listed.values(), default=None)
    return found


def forget(machine: Machine, home: Path, who: str, *, by: str, now: datetime) -> Forgotten:
    """Forget the person of an address, `source:id` or number; again: nothing more is found.

    Who is not known here is put on the list, so that no import brings them. Raises NotFound, SettingsError.
    """
    found = look(machine, who)
    done = forget_person(machine, home, found.person, by=by, now=now)
    return replace(done, told=found.told, before=found.before)


def forget_person(machine: Machine, home: Path, person: Person, *, by: str, now: datetime) -> Forgotten:
    """The same for somebody who has been found."""
    remembered = Remembered(machine.keys)
    with machine.db.read() as link:
        intent = _intent(link, person, by, now)
    file = _write(home, intent)
    log.append(home, (log.Entry(remembered.digest(name), now, by) for name in _listed(person)))
    reach("forgetting")
    return _carry_out(machine, home, file, intent)


def finish(machine: Machine, home: Path) -> int:
    """Carry out the intents that somebody left behind; how many. One that cannot be is left for next time."""
    count = 0
    for file in waiting(home):
        try:
            intent = Intent.of(file.read_text("utf-8"))
            done = _carry_out(machine, home, file, intent)
        except FileNotFoundError:  # its owner was faster
            continue
        except (OSError, ValueError, KeyError, TypeError) as problem:
            logger.error("forgetting is not finished, and is tried again: %s: %s", file, problem)
            continue
        count += 1
        logger.info("forgetting finished lead=%s rows=%d", intent.person.lead, sum(done.counts.values()))
    for draft in (home / INTENTS).glob("*.part"):  # of a process that was ended while it wrote
        if copies.older(draft, machine.now() - _WRITTEN_LONG_AGO):
            draft.unlink(missing_ok=True)
    return count


def waiting(home: Path) -> list[Path]:
    """The intents that are not carried out yet."""
    return sorted((home / INTENTS).glob("*.json")) if (home / INTENTS).is_dir() else []


def _carry_out(machine: Machine, home: Path, file: Path, intent: Intent) -> Forgotten:
    """Database, then files; the intent stays while a message to the person is on its way."""
    remembered = Remembered(machine.keys)

    def work(link: Connection) -> tuple[Intent, dict[str, int]]:
        met = _intent(link, meet(link, intent.person, intent.at), intent.by, intent.at)
        return met, empty(link, met.person, remembered, intent.by, intent.at)

    met, counts = machine.db.transact(work, door=True)
    person = _either(intent.person, met.person)
    machine.db.flush()
    reach("forgotten")
    touches, notices = {*intent.touches, *met.touches}, {*intent.notices, *met.notices}
    files = copies.remove(copies.kept(home, sorted(touches), sorted(notices)))
    spoken = [*sorted(person.addresses), *sorted(person.phones)]
    for path in copies.refused(home):
        files += copies.cut_out(path, spoken) > 0
    for path in (home / "journal").iterdir() if (home / "journal").is_dir() else ():
        copies.blot_out(path, spoken)
    with machine.db.read() as link:
        going = person.lead is not None and in_flight(link, person.lead)
    if not going:
        file.unlink(missing_ok=True)
    return Forgotten(person, counts, files)


def _either(before: Person, met: Person) -> Person:
    """Whom we met, also called what they were called when they were looked for: by now the rows are empty."""
    return replace(
        met, addresses=before.addresses | met.addresses, phones=before.phones | met.phones, ids=before.ids | met.ids
    )


def _intent(link: Connection, person: Person, by: str, now: datetime) -> Intent:
    touches = select(col(Touch.id)).where(col(Touch.lead_id) == person.lead)
    notices = select(col(Outbox.id)).where(schema.OTHERWISE["outbox"](person))
    found = [tuple(int(number or 0) for number in link.execute(query).scalars()) for query in (touches, notices)]
    return Intent(person, found[0] if person.lead is not None else (), found[1], by, now)


def _listed(person: Person) -> Iterable[str]:
    """Numbers of phones are listed only where they were suppressed: the transaction knows."""
    return names(replace(person, phones=frozenset()))


def _write(home: Path, intent: Intent) -> Path:
    """The intent, on the disk when we return, for its owner's eyes only."""
    folder = home / INTENTS
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"{clock.unguessable()}.json"
    draft = file.with_suffix(".part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(intent.text())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    return file


def told(link: Connection, person: Person) -> list[str]:
    """Who has this person's data from us (GDPR article 19), one clause each."""
    if person.lead is None:
        return []
    said: list[str] = []

    def each(query: Any, word: str) -> None:
        said.extend(f"{word} {value}" for value in link.execute(query.distinct()).scalars() if value)

    of_handoffs = col(Handoff.lead_id) == person.lead
    owners = select(col(Handoff.owner)).where(of_handoffs).union(
        select(col(Task.owner)).where(col(Task.lead_id) == person.lead)
    )  # fmt: skip
    said.extend(f"sales: {owner}" for owner in sorted(link.execute(owners).scalars()))
    calls = (col(Touch.lead_id) == person.lead, col(Touch.kind) == "webhook", col(Touch.sending_at).is_not(None))
    each(select(col(Touch.content)).where(*calls), "endpoint:")
    member = (col(AudienceMember.lead_id) == person.lead, col(AudienceMember.told).is_not(False))
    each(select(col(AudienceMember.audience)).where(*member), "audience (is told to remove):")
    record = func.coalesce(col(CrmLink.their_id), col(CrmLink.our_key))
    each(select(record).where(col(CrmLink.lead_id) == person.lead, col(CrmLink.told).is_not(None)), "CRM, its record")
    return said
