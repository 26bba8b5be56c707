"""A file of leads into the database."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nurture.db import Database
from nurture.errors import FileFault
from nurture.intake import exported, values
from nurture.intake.agreements import NO_BASIS, TERMS, keep_lasting, stated, term, unasked, unreached
from nurture.intake.columns import KnownFields, Plan, check_named, plan_leads, shown
from nurture.intake.forgotten import FORGOTTEN
from nurture.intake.mapping import Mapping
from nurture.intake.people import put_people
from nurture.intake.person import Outcome, Person
from nurture.intake.reader import Record, Table
from nurture.intake.report import ImportReport, Notes, Refusal, sentence
from nurture.intake.shapes import as_text, quoted
from nurture.intake.staging import Progress, Staging
from nurture.intake.trouble import finish, place_for_refused
from nurture.program.lifecycle import Lifecycle
from nurture.rights.marks import EXPORTED
from nurture.rights.remembered import Remembered

log = logging.getLogger("nurture.intake")
#: People of one transaction: each may write a lead, its work row, consents, tags and a transition.
CHUNK = 2_000
_TAGS = re.compile(r"[;|]")
_LENIENT: dict[str, Callable[[str], str]] = {
    "country": values.country,
    "language": values.language,
    "owner": values.email,
}


def import_leads(
    db: Database, path: Path, *, known: KnownFields, now: datetime, mapping: Mapping | None = None,
    encoding: str | None = None, consent: str | None = None, source: str | None = None, onto: str | None = None,
    refused_to: Path | None = None, progress: Progress = None, remembered: Remembered | None = None,
    changed_addresses: bool = False, lifecycle: Lifecycle | None = None,
) -> ImportReport:  # fmt: skip
    """Create and complete leads from a CSV or NDJSON file; the same file again changes nothing.

    `consent`: the basis on which all may be written to, or `none`. `onto`: the static list that all of the file are
    put on. `progress` is told bytes done and in all. `remembered`: who was forgotten, and stays out.
    `changed_addresses`: an id that is known with another address tells of a change of address. `lifecycle` says which
    statuses there are; None: the usual ones.
    Raises FileFault, with the way out, if the file cannot be imported at all; then nothing was applied.
    """
    mapping = mapping or Mapping()
    source = source or mapping.source
    if consent is not None and consent not in (*values.BASES, NO_BASIS):
        raise FileFault(f"--consent '{consent}' is not known; say {', '.join(values.BASES)} or {NO_BASIS}")
    if onto is not None and not values.tag(onto):
        raise FileFault("--list needs the name of a list, such as newsletter-2026")
    table = Table(path, encoding, "leads")
    check_named(path, table.header, mapping)
    report = ImportReport("leads", path, table.form)
    target = place_for_refused(path, refused_to)
    with Staging(table, report, progress) as staging:
        rows = LeadRows(table, mapping, known, source, consent, onto, lifecycle)
        rows.read_into(staging)
        target.check(report)
        how = {"now": now, "origin": source or path.name, "remembered": remembered}
        how["changed_addresses"] = changed_addresses or mapping.changed_addresses
        without = _write(db, staging, rows, report, how)
        finish(staging, target, report, rows.notes, rows.unused)
    if without:
        who = "1 lead has" if without == 1 else f"{without:,} leads have"
        report.warnings.insert(0, f"{who} no basis for mail: their messages will be suppressed(no_consent)")
    log.info(
        "leads imported rows=%d created=%d changed=%d unchanged=%d refused=%d",
        report.rows, report.created, report.changed, report.unchanged, report.refused_count,
    )  # fmt: skip
    return report


def _write(db: Database, staging: Staging, rows: LeadRows, report: ImportReport, how: dict[str, Any]) -> int:
    """Apply the staged rows, a chunk of people at a time; how many have an address and no basis."""
    without = moved = 0
    for people in staging.by_person(CHUNK, rows.join):
        for outcome in db.transact(partial(put_people, people=people, **how)):
            _count(outcome, staging, report, rows)
            without += outcome.problem is None and outcome.has_address and not outcome.may_mail
            moved += outcome.problem is None and outcome.readdressed
    if moved:
        who = "1 lead has" if moved == 1 else f"{moved:,} leads have"
        report.warnings.append(f"{who} another address now than before; the former one still means that lead")
    return without


def _count(outcome: Outcome, staging: Staging, report: ImportReport, rows: LeadRows) -> None:
    lines = outcome.person.lines
    if outcome.problem is not None:
        for line in lines:
            forgotten = outcome.problem == FORGOTTEN
            column = "" if forgotten or outcome.person.oversized else rows.id_column
            staging.refuse(line, column, outcome.problem, copied=not forgotten)
        return
    setattr(report, outcome.state, getattr(report, outcome.state) + 1)
    report.repeated += len(lines) - 1
    for line in lines[1:]:
        rows.notes.add("names a person whom an earlier row names; the later row was applied on top", line)
    for said in outcome.notes:
        rows.notes.add(said, lines[0])


class LeadRows:
    """Reads rows as people; collects what is worth a note."""

    def __init__(
        self, table: Table, mapping: Mapping, known: KnownFields, source: str | None, consent: str | None,
        onto: str | None, lifecycle: Lifecycle | None = None,
    ) -> None:  # fmt: skip
        self.table, self.mapping, self.known, self.source = table, mapping, known, source
        self.consent, self.lifecycle = consent, lifecycle or Lifecycle()
        self.basis = None if consent == NO_BASIS else consent
        self.lists = [values.tag(onto)] if onto is not None else []
        self.notes = Notes()
        self.unused: dict[str, None] = {}
        self.dates = values.Dates(mapping.dates, mapping.zone or known.zone)
        self.unanswered = {word.casefold() for word in mapping.unanswered}
        self.id_column = ""
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._parsers = {name: self._parser(kind) for name, kind in known.fields.items()}

    def read_into(self, staging: Staging) -> None:
        """Stage every row, or refuse it; raises FileFault where the file as a whole cannot be trusted."""
        if self.table.header is not None:
            self._check_header(self.table.header)
        addresses, asked = 0, False
        for record in self.table.records():
            staging.report.rows += 1
            if record.problem is not None:
                staging.refuse(record.line, "", record.problem)
                continue
            plan = self._plan(tuple(record.cells))
            person, problems = self._person(record, plan)
            if problems:
                staging.refuse(record.line, problems[0].column, sentence(problems), problems[0].value)
                continue
            addresses += person.email is not None
            asked = asked or plan.consent is not None
            person.lists += [name for name in self.lists if name not in person.lists]
            staging.keep(record.line, person.email, _id(person), person.body())
        if addresses and not asked and self.consent is None:
            raise unasked(self.table.path, addresses)

    def read(self, record: Record) -> tuple[Person, list[Refusal]]:
        """What one row says, and every cell of it that cannot be read."""
        return self._person(record, self._plan(tuple(record.cells)))

    def join(self, rows: Iterator[tuple[int, Any]]) -> Person:
        """The rows of one person as one; later ones on top."""
        whole, *later = (Person.of_body(line, body) for line, body in rows)
        for person in later:
            whole.absorb(person)
        return whole

    def _check_header(self, header: Sequence[str]) -> None:
        plan = self._plan(tuple(header))
        if "email" not in plan.columns and "id" not in plan.columns:
            if any("@" in name for name in header):
                raise FileFault(
                    f"{self.table.path}: its first line is a lead, not a header; add a line with column names"
                )
            raise FileFault(
                f"{self.table.path}: no column is an e-mail address or an id; "
                f"its columns are {shown(header)}; "
                "name one in a mapping file (fields: {email: COLUMN}, or id: COLUMN)"
            )
        if "email" in plan.columns and plan.consent is None and self.consent is None:
            raise unasked(self.table.path, None)

    def _plan(self, names: tuple[str, ...]) -> Plan:
        plan = self._plans.get(names)
        if plan is None:
            if EXPORTED in names:
                plan = exported.plan(names, self.known.fields)
            else:
                plan = plan_leads(self.table.path, names, self.mapping, self.known.fields, self.source)
            if len(self._plans) < 1000:
                self._plans[names] = plan
            self.unused |= dict.fromkeys(plan.unused)
            self.id_column = plan.columns.get("id", self.id_column)
        return plan

    def _parser(self, kind: str) -> Callable[[str], Any]:
        return {"number": values.number, "flag": values.flag, "date": self.dates.day}.get(kind, str)

    def _person(self, record: Record, plan: Plan) -> tuple[Person, list[Refusal]]:
        """What the row says, and every cell that cannot be read."""
        if EXPORTED in record.cells:
            whole, wrong = exported.person(record, self.known.fields, self.lifecycle)
            keep_lasting(whole, self.known.consents)
            return whole, wrong
        person = Person(None, self.source)
        problems: list[Refusal] = []
        for ours, column in plan.columns.items():
            text = self._cell(record, column)
            if not text:
                continue
            try:
                typed = record.cells[column]
                if isinstance(typed, float) and math.isfinite(typed) and self.known.fields.get(ours) == "number":
                    person.fields[ours] = typed  # of JSON: its point is no thousands' mark
                else:
                    self._take(person, ours, text, record.line, column)
            except values.TwoWays as problem:
                raise FileFault(
                    f"{self.table.path}: line {record.line}, {column}: {quoted(text)} {problem}; nothing was imported"
                ) from None
            except ValueError as problem:
                problems.append(Refusal(record.line, column, str(problem), text))
        problems += self._agree(person, record, plan)
        if (said := unreached(person)) is not None:
            self.notes.add(said, record.line)
        if not problems and person.email is None and person.source_id is None:
            column = plan.columns.get("email", "")
            problems.append(Refusal(record.line, column, "is empty, and no other column says who this is"))
        return person, problems

    def _cell(self, record: Record, column: str) -> str:
        text = as_text(record.cells.get(column))
        return "" if self.unanswered and text.casefold() in self.unanswered else text

    def _take(self, person: Person, ours: str, text: str, line: int, column: str) -> None:
        """One cell into `person`; raises ValueError if it cannot be read and matters."""
        if ours == "email":
            person.email = values.email(text)
        elif ours == "id":
            person.source_id = values.line_of_text(text)
        elif ours == "tags":
            person.tags = [tag for tag in map(values.tag, _TAGS.split(text)) if tag]
        elif ours in TERMS:
            person.terms[TERMS[ours]] = term(ours, text, self.dates)
        elif ours == "stage":
            person.columns["stage"] = values.stage(text)
        elif ours == "status":
            self._lenient(person, "status", partial(values.status, lifecycle=self.lifecycle), text, line, column)
        elif ours == "timezone":
            person.columns["timezone"] = values.line_of_text(text)
            self._lenient(person, "zone", values.zone, text, line, column)
        elif ours in _LENIENT:
            self._lenient(person, ours, _LENIENT[ours], text, line, column)
        elif ours in self._parsers:
            person.fields[ours] = self._parsers[ours](text)
        else:
            person.columns[ours] = values.line_of_text(text)

    def _lenient(
        self, person: Person, ours: str, parse: Callable[[str], str], text: str, line: int, column: str
    ) -> None:
        try:
            person.columns[ours] = parse(text)
        except ValueError as problem:
            kept = {"zone": f"the program's, {self.known.zone}, counts", "status": "left as it is"}
            instead = kept.get(ours, "left empty")
            self.notes.add(f"{column}: {quoted(text)} {_clause(problem, ours)}; {instead}", line)

    def _agree(self, person: Person, record: Record, plan: Plan) -> list[Refusal]:
        """What the row agrees to, into `person`; the cells that cannot be read."""
        problems = []
        if plan.consent is None and person.email is not None:
            person.mail = self.basis
        for purpose, column in (("mail", plan.consent), ("tracking", plan.tracking), ("sms", plan.sms)):
            if column is not None:
                try:
                    yes = "consent" if purpose == "tracking" else self.basis or "consent"
                    setattr(person, purpose, stated(column, self._cell(record, column.column), yes))
                except ValueError as problem:
                    text = self._cell(record, column.column)
                    problems.append(Refusal(record.line, column.column, str(problem), text))
        keep_lasting(person, self.known.consents)
        return problems


def _clause(problem: ValueError, ours: str) -> str:
    return "is not the e-mail address of a salesperson" if ours == "owner" else str(problem)


def _id(person: Person) -> str | None:
    """The person's id, and whose: a file of ours has leads of several sources."""
    return None if person.source_id is None else f"{person.source} {person.source_id}"
