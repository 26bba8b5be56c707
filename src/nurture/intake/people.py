"""Leads into the database: who is known already, what changes, what is new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlmodel import SQLModel

from nurture.dialects import upsert
from nurture.engine.renaming import moved_house
from nurture.errors import DatabaseFault
from nurture.intake.agreements import Agreements
from nurture.intake.aliases import Name, address, former, number
from nurture.intake.forgotten import NO_PHONE, let_in
from nurture.intake.moves import make_moves, taken
from nurture.intake.newborn import KEYS, insert, whose
from nurture.intake.person import BUILT_IN, MACHINES, Outcome, Person, folded
from nurture.rights.remembered import Remembered
from nurture.worklist import put_work
from nurture.zones import know_zones

#: Looks at who is there before we give up; a second is needed where somebody else was faster.
_ROUNDS = 10
_LEAD = SQLModel.metadata.tables["lead"]
_TAG = SQLModel.metadata.tables["lead_tag"]
_LIST = SQLModel.metadata.tables["lead_list"]
_SUPPRESSION = SQLModel.metadata.tables["suppression"]

_READ = [_LEAD.c[name] for name in ("id", *KEYS, *BUILT_IN, "fields", "folded", "changed_at")]
_UPDATED = (*KEYS, *(name for name in BUILT_IN if name not in MACHINES), "fields", "folded", "changed_at")
#: Compared as they are.
_UNFOLDED = ("zone", "stage", "status", "owner", "source", "source_id")
_ANOTHER = "belongs to another lead than the e-mail address"
_ONE = "if they are one person, 'nurture merge EMAIL {}:ID'; else correct one, or leave the id empty"
_MOVED = "if it is that lead's new one, say --changed-addresses; else correct one, or leave the id empty"
_FORMER = "an address that its lead had before; the lead keeps the present one"


def put_people(
    link: Connection, people: Sequence[Person], *, now: datetime, origin: str, remembered: Remembered | None = None,
    changed_addresses: bool = False,
) -> list[Outcome]:  # fmt: skip
    """Create or complete the leads of `people`, in order, with a handful of statements for all of them.

    `origin` is the source that consents name. At most 4,000 people, so that it stays short.
    `remembered`: whoever was forgotten stays out; None: the people speak for themselves. `changed_addresses`: an id
    that is known with another address tells of a change of address.
    """
    know_zones(link, {person.columns["zone"] for person in people if "zone" in person.columns})
    outcomes = [Outcome(person) for person in people]
    todo, unphoned = (outcomes, []) if remembered is None else let_in(link, outcomes, remembered)
    for outcome in todo:
        outcome.problem = outcome.person.oversized
    todo = [outcome for outcome in todo if outcome.problem is None]
    for _ in range(_ROUNDS):
        todo = _round(link, todo, now, origin, changed_addresses) if todo else []
    if todo:
        raise DatabaseFault(
            f"{len(todo)} new leads could not be written: the numbers drawn for them are taken; "
            "set the sequence of lead.id behind its highest number, as after a restore by hand"
        )
    for outcome in unphoned:
        outcome.notes.append(NO_PHONE)
    return outcomes


def _round(
    link: Connection, outcomes: Sequence[Outcome], now: datetime, origin: str, changed_addresses: bool
) -> list[Outcome]:
    """One pass; the outcomes whose lead somebody else created meanwhile are returned to be done again."""
    plan = _Plan(link, outcomes, now, changed_addresses)
    plan.read()
    plan.decide()
    touched = plan.touched()
    put_work(link, touched, now)
    if touched and link.dialect.name != "sqlite":  # SQLite has one writer: what was read stands
        plan.read(lock=touched)
        plan.decide()
        put_work(link, plan.touched() - touched, now)
    again = plan.write(origin)
    if plan.born:
        put_work(link, select(_LEAD.c.id).where(_LEAD.c.id.in_(plan.born)), now)
    return again


class _Plan:
    """Some people against the leads that are there: each meets its lead, or becomes a new row."""

    def __init__(self, link: Connection, outcomes: Sequence[Outcome], now: datetime, changed_addresses: bool) -> None:
        self.link, self.outcomes, self.now, self.changed_addresses = link, outcomes, now, changed_addresses
        self.former: dict[Name, int] = {}
        self.stored: dict[int, dict[str, Any]] = {}
        self.tags: set[tuple[int, str]] = set()
        self.lists: set[tuple[int, str]] = set()
        self.bounced: set[str] = set()
        self.born: set[int] = set()

    def read(self, lock: set[int] | None = None) -> None:
        """The leads that any of the people may be; with `lock`, those leads again and under lock."""
        if lock is not None:
            mine = select(*_READ).where(_LEAD.c.id.in_(sorted(lock))).order_by(_LEAD.c.id)
            mine = mine.with_for_update(key_share=True)
            self.stored |= {row["id"]: dict(row) for row in self.link.execute(mine).mappings()}
        else:
            keys = [{key: getattr(outcome.person, key) for key in KEYS} for outcome in self.outcomes]
            for which in whose(keys):
                found = self.link.execute(select(*_READ).where(which)).mappings()
                self.stored |= {row["id"]: dict(row) for row in found}
            self._read_former()
        ids = list(self.stored)
        self.agreements = Agreements(self.link, ids, self.now)
        if ids and any(outcome.person.source_id for outcome in self.outcomes):
            self.bounced = self._returned({row["email"] for row in self.stored.values() if row["source_id"]})
        if ids and any(o.person.tags for o in self.outcomes):
            rows = self.link.execute(select(_TAG.c.lead_id, _TAG.c.tag).where(_TAG.c.lead_id.in_(ids)))
            self.tags = {(row.lead_id, row.tag) for row in rows}
        if ids and any(o.person.lists for o in self.outcomes):
            rows = self.link.execute(select(_LIST.c.lead_id, _LIST.c.list).where(_LIST.c.lead_id.in_(ids)))
            self.lists = {(row.lead_id, row.list) for row in rows}

    def _read_former(self) -> None:
        """The leads that any of the people name by what they were called before."""
        people = [outcome.person for outcome in self.outcomes]
        self.former = former(
            self.link,
            [
                *(address(person.email) for person in people if person.email),
                *(number(person.source, person.source_id) for person in people if person.source_id),
            ],
        )
        missing = sorted(set(self.former.values()) - self.stored.keys())
        if missing:
            found = self.link.execute(select(*_READ).where(_LEAD.c.id.in_(missing))).mappings()
            self.stored |= {row["id"]: dict(row) for row in found}

    def _returned(self, addresses: set[str | None]) -> set[str]:
        """Those of `addresses` from which our mail came back."""
        returned = (_SUPPRESSION.c.kind == "address", _SUPPRESSION.c.reason == "bounced")
        query = select(_SUPPRESSION.c.value).where(*returned, _SUPPRESSION.c.value.in_(addresses - {None}))
        return set(self.link.execute(query).scalars())

    def decide(self) -> None:
        """Apply every person to a copy of what is stored; nothing is written."""
        self.rows = {lead_id: dict(row) for lead_id, row in self.stored.items()}
        self.fresh: list[dict[str, Any]] = []
        self.pairs: list[tuple[Outcome, dict[str, Any]]] = []
        self.dirty: set[int] = set()
        self.by_email = {row["email"]: row for row in self.rows.values() if row["email"]}
        self.by_id = {(row["source"], row["source_id"]): row for row in self.rows.values() if row["source_id"]}
        for (kind, source, value), lead_id in self.former.items():  # a present name comes before a former one
            if lead_id in self.rows and kind == "email":
                self.by_email.setdefault(value, self.rows[lead_id])
            elif lead_id in self.rows:
                self.by_id.setdefault((source, value), self.rows[lead_id])
        self.moved: list[tuple[dict[str, Any], str]] = []
        self.left: set[str] = set()
        self.moves: list[tuple[int, str, str, str]] = []
        for outcome in self.outcomes:
            outcome.state, outcome.problem, outcome.notes, outcome.readdressed = "unchanged", None, [], False
            row = self._meet(outcome)
            if row is not None:
                self.pairs.append((outcome, row))

    def touched(self) -> set[int]:
        """The known leads of whom something changes."""
        return {row["id"] for outcome, row in self.pairs if outcome.state == "changed" and row["id"] is not None}

    def _meet(self, outcome: Outcome) -> dict[str, Any] | None:
        """The row of this person, updated; None, with the problem said, if it cannot be one person."""
        person = outcome.person
        named = self.by_id.get((person.source, person.source_id)) if person.source_id else None
        row = self.by_email.get(person.email) if person.email else named
        if row is None and named is not None and self._follows(named):
            row = named
        if named is not None and named is not row:
            outcome.problem = f"{_ANOTHER}; {_MOVED if row is None else _ONE.format(person.source)}"
            return None
        if row is None:
            row = {"id": None, "source_id": None, "fields": {}, "folded": {}}
            self.fresh.append(row)
            outcome.state = "created"
        self._apply(outcome, row)
        if row["email"]:
            self.by_email[row["email"]] = row
        if row["source_id"]:
            self.by_id[row["source"], row["source_id"]] = row
        return row

    def _follows(self, named: dict[str, Any]) -> bool:
        """Whether a lead known by its id takes a new address: it has none, mail came back from it, or ids are believed.

        Once in a file: two addresses under one id are two people.
        """
        if any(row is named for _, row in self.pairs):
            return False
        return named["email"] is None or named["email"] in self.bounced or self.changed_addresses

    def _apply(self, outcome: Outcome, row: dict[str, Any]) -> None:
        person, new = outcome.person, outcome.state == "created"
        said: dict[str, Any] = {k: v for k, v in person.columns.items() if new or k not in MACHINES}
        if not new:
            said |= taken(outcome, row, self.moves)
        if "timezone" in said and "zone" not in said:
            said["zone"] = None  # what it says now is no zone: the program's clock counts
        if person.email and not new and (person.email in self.left or address(person.email) in self.former):
            if row["email"] != person.email:
                outcome.notes.append(_FORMER)
        elif person.email or new:
            said["email"] = person.email
            if not new and row["email"] not in (None, person.email):
                self.moved.append((row, row["email"]))
                self.left.add(row["email"])
                outcome.readdressed = True
        if row["source_id"] is None and (person.source_id or new):
            said |= {"source": person.source, "source_id": person.source_id}
        elif (
            person.source_id
            and (row["source"], row["source_id"]) != (person.source, person.source_id)
            and number(person.source, person.source_id) not in self.former
        ):
            outcome.notes.append("the lead is known under another id already and keeps it")
        changes = {k: v for k, v in said.items() if k not in row or row[k] != v}
        fields = {k: v for k, v in person.fields.items() if k not in row["fields"] or _differ(row["fields"][k], v)}
        if changes or fields:
            shadows = {k: folded(v) for k, v in (changes | fields).items() if isinstance(v, str) and k not in _UNFOLDED}
            row |= changes
            row["fields"], row["folded"] = row["fields"] | fields, row["folded"] | shadows
            row["changed_at"] = self.now
        if new:
            return
        marked = row["id"] is not None and self._is_marked(outcome.person, row["id"])
        if marked:
            row["changed_at"] = self.now
        if row["id"] is not None and (changes or fields or marked):
            self.dirty.add(row["id"])
        if changes or fields or marked or self._agrees_anew(outcome, row["id"]):
            outcome.state = "changed"

    def _is_marked(self, person: Person, lead_id: int) -> bool:
        """Whether a known lead gets a tag, or a place on a list, that it has not got."""
        tagged = any((lead_id, tag) not in self.tags for tag in person.tags)
        return tagged or any((lead_id, name) not in self.lists for name in person.lists)

    def _agrees_anew(self, outcome: Outcome, lead_id: int | None) -> bool:
        """Whether consents of a known lead change."""
        if lead_id is None:
            return False
        person = outcome.person
        if self.agreements.stays_withdrawn(lead_id, person):
            outcome.notes.append("consent was withdrawn earlier, and stays so; the person alone can give it again")
        return self.agreements.differ(lead_id, person)

    def write(self, origin: str) -> list[Outcome]:
        """Write what was decided; the outcomes whose lead came into being elsewhere meanwhile."""
        author = f"form {origin.removeprefix('form:')}" if origin.startswith("form:") else "import"
        self.born = insert(self.link, self.fresh, self.by_email, self.by_id, self.now, author)
        again = [outcome for outcome, row in self.pairs if row["id"] is None]
        done = [(outcome, row) for outcome, row in self.pairs if row["id"] is not None]
        make_moves(self.link, self.moves, self.now, author)
        if self.dirty:
            keyed = update(_LEAD).where(_LEAD.c.id == bindparam("lead_id"))
            self.link.execute(
                keyed.values({name: bindparam(f"new_{name}") for name in _UPDATED}),
                [
                    {"lead_id": lead_id, **{f"new_{name}": self.rows[lead_id][name] for name in _UPDATED}}
                    for lead_id in sorted(self.dirty)
                ],
            )
        if self.moved:
            moves = [(row["id"], old, row["email"]) for row, old in self.moved if row["email"] != old]
            moved_house(self.link, moves, self.now)
        tags = {(row["id"], tag) for outcome, row in done for tag in outcome.person.tags} - self.tags
        if tags:
            rows = [{"lead_id": lead_id, "tag": tag} for lead_id, tag in sorted(tags)]
            self.link.execute(upsert(self.link)(_TAG).on_conflict_do_nothing(), rows)
        listed = {(row["id"], name) for outcome, row in done for name in outcome.person.lists} - self.lists
        if listed:
            rows = [{"lead_id": lead_id, "list": name} for lead_id, name in sorted(listed)]
            self.link.execute(upsert(self.link)(_LIST).on_conflict_do_nothing(), rows)
        for outcome, row in done:
            outcome.lead_id = row["id"]
            self.agreements.say(row["id"], outcome.person)
        self.agreements.write(origin)
        for outcome, row in done:
            outcome.has_address, outcome.may_mail = (
                row["email"] is not None,
                self.agreements.may_mail(row["id"]),
            )
        return again


def _differ(old: Any, new: Any) -> bool:
    """Unlike in value or kind: JSON keeps true and 1 apart."""
    return bool(old != new) or isinstance(old, bool) is not isinstance(new, bool)
