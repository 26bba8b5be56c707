"""Leads that systems post: the same names and values as a file's, and consents with their evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from nurture.engine.live import Live
from nurture.errors import FileFault
from nurture.intake import values
from nurture.intake.agreements import NO, NO_BASIS, PURPOSES, keep_lasting
from nurture.intake.leads import LeadRows
from nurture.intake.mapping import Mapping
from nurture.intake.people import put_people
from nurture.intake.person import Person
from nurture.intake.posted import Line, Report, Sender
from nurture.intake.reader import Record, Table
from nurture.intake.report import Notes
from nurture.intake.shapes import as_text, flat, quoted
from nurture.program.lifecycle import Lifecycle
from nurture.program.models import ProgramFile
from nurture.records.types import to_micros
from nurture.rights.marks import EXPORTED
from nurture.rights.remembered import Remembered

#: Characters of the text that somebody agreed to, as it is kept.
LONGEST_WORDING = 2000
_SAID = ("basis", "source", "at", "wording")


@dataclass
class _Read:
    """One lead as it was posted."""

    line: Line
    person: Person


class _Body(Table):
    """A request's body, where an import has a file."""

    def __init__(self) -> None:
        self.path, self.header = Path("/leads"), None


@dataclass
class _Batch:
    """The leads of one request, read as the rows of files are: one for each source of ids."""

    program: ProgramFile
    lifecycle: Lifecycle
    sender: Sender
    now: datetime
    rows: dict[str, LeadRows] = field(default_factory=dict)
    #: Names that are not used, by source and by the names that a lead came with.
    unused: dict[tuple[str, tuple[str, ...]], list[str]] = field(default_factory=dict)


def take_leads(
    link: Connection, live: Live, facts: Sequence[Any], sender: Sender, now: datetime,
    remembered: Remembered | None = None,
) -> Report:  # fmt: skip
    """Create and complete leads, in order; who changed is on the work list. The same again changes nothing.

    `remembered`: who was forgotten, and stays out.
    """
    report, read = Report([]), []
    batch = _Batch(live.house.program, live.house.lifecycle, sender, now)
    for number, fact in enumerate(facts, 1):
        line = Line("refused")
        report.lines.append(line)
        try:
            read.append(_lead(fact, line, number, batch))
        except ValueError as problem:
            line.reason = str(problem)
    people = [one.person for one in read]
    outcomes = put_people(link, people, now=now, origin=sender.source, remembered=remembered)
    for one, outcome in zip(read, outcomes, strict=True):
        one.line.notes += outcome.notes
        if outcome.lead_id is None:
            one.line.reason = outcome.problem
            continue
        one.line.status = outcome.state
        if outcome.state != "unchanged":
            report.leads.add(outcome.lead_id)
    return report


def _lead(fact: Any, line: Line, number: int, batch: _Batch) -> _Read:
    if not isinstance(fact, dict):
        raise ValueError('is not an object; write {"email": …}')
    flat(json.dumps(fact))  # what no database can store is refused, wherever it stands
    said = fact.get("consent")
    given = _consents(said, batch) if isinstance(said, dict) else {}
    apart = {"source", EXPORTED, *(["consent"] if isinstance(said, dict) else [])}  # a request is no export of ours
    whole = {name: cell for name, cell in fact.items() if name not in apart}
    source = values.line_of_text(as_text(fact.get("source"))) or batch.sender.source
    if source not in batch.rows:
        mapping = Mapping(zone=batch.sender.zone)
        batch.rows[source] = LeadRows(_Body(), mapping, batch.program, source, NO_BASIS, None, batch.lifecycle)
    rows, cells = batch.rows[source], flat(json.dumps(whole))
    rows.notes, rows.unused = Notes(), {}
    try:
        person, problems = rows.read(Record(number, cells))
    except FileFault:
        raise ValueError("holds a date that may be read in two ways; write dates such as 2026-03-02") from None
    if person.email is None and person.source_id is None and not any(one.value for one in problems):
        raise ValueError("names nobody; say email, or id")
    if problems:
        raise ValueError("; ".join(f"{one.column}: {quoted(one.value)} {one.problem}" for one in problems))
    unused = batch.unused.setdefault((source, tuple(cells)), list(rows.unused))
    line.notes = [note.partition(": ")[2] for note in rows.notes.sentences()]
    line.notes += [f"{name}: not used; program.yaml declares no such field" for name in unused]
    for purpose, (basis, terms) in given.items():
        setattr(person, purpose, basis)
        person.terms[purpose] = terms
    keep_lasting(person, batch.program.consents)
    return _Read(line, person)


def _consents(said: dict[str, Any], batch: _Batch) -> dict[str, tuple[str, dict[str, Any]]]:
    """Of each purpose that is spoken of a basis, or `no`, and its terms. Raises ValueError."""
    given: dict[str, tuple[str, dict[str, Any]]] = {}
    for purpose, how in said.items():
        if purpose not in PURPOSES:
            raise ValueError(f"consent: {quoted(purpose)} is none of {', '.join(PURPOSES)}")
        told = how if isinstance(how, dict) else {"basis": how}
        odd = next((name for name in told if name not in _SAID), None)
        if odd is not None:
            raise ValueError(f"consent: {purpose}: {quoted(odd)} is not known here; keys are {', '.join(_SAID)}")
        basis = as_text(told.get("basis")).casefold()
        if basis == NO:
            given[purpose] = NO, {}
        elif basis in values.BASES:
            given[purpose] = basis, _terms(purpose, told, batch)
        else:
            raise ValueError(f"consent: {purpose}: write a basis, one of {', '.join(values.BASES)}, or no")
    return given


def _terms(purpose: str, told: dict[str, Any], batch: _Batch) -> dict[str, Any]:
    """Who got a consent, when, and to which text, as far as it is said; as a person's terms."""
    text, wording = as_text(told.get("at")), as_text(told.get("wording"))
    try:
        at = values.Dates(zone=batch.sender.zone).instant(text) if text else None
    except ValueError:
        at = None
    if text and (at is None or at > batch.now):
        raise ValueError(f"consent: {purpose}: at: {quoted(text)} is no instant of the past; write 2026-03-02T09:00Z")
    if len(wording) > LONGEST_WORDING or "\0" in wording:
        raise ValueError(f"consent: {purpose}: wording: is no text of up to {LONGEST_WORDING:,} characters")
    source = values.line_of_text(as_text(told.get("source")))
    terms = {"at": at and to_micros(at), "source": source, "text": wording}
    return {name: value for name, value in terms.items() if value not in (None, "")}
