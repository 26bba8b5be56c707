"""A file of leads that are in the middle of a sequence elsewhere: each takes its place on a step here."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from nurture import clock
from nurture.db import Database
from nurture.engine.live import Library
from nurture.engine.positions import KNOWN, Standing, contents, place
from nurture.engine.running import Run
from nurture.errors import FileFault
from nurture.intake import values
from nurture.intake.columns import EVENT_NAMES, LEAD_NAMES, Plan, check_named, plan_by, shown
from nurture.intake.events import AHEAD
from nurture.intake.mapping import Mapping
from nurture.intake.reader import Record, Table
from nurture.intake.report import ImportReport, Notes
from nurture.intake.shapes import as_text, quoted
from nurture.intake.staging import Progress, Staging
from nurture.intake.trouble import finish, place_for_refused
from nurture.intake.whose import leads_of
from nurture.language.problems import suggest
from nurture.reading.explain import REFUSALS
from nurture.reading.sentences import sentence
from nurture.records.types import from_micros, to_micros

log = logging.getLogger("nurture.intake")
#: Leads of one transaction: each may write an enrolment and several touches.
CHUNK = 2_000
_NAMES: dict[str, tuple[str, ...]] = {
    "email": EVENT_NAMES["email"],
    "id": LEAD_NAMES["id"],
    "sequence": ("segment", "workflow", "program", "campaign", "journey"),
    "step": ("stepid", "action", "node", "position"),
    "entered_at": ("at", "since", "entered", "enteredon", "stepenteredat"),
    "received": ("had", "alreadyreceived", "messages"),
}
_SEVERAL = re.compile(r"[;|]")


def import_positions(
    db: Database, path: Path, *, now: datetime, by: str, zone: str, library: Library, mapping: Mapping | None = None,
    encoding: str | None = None, source: str | None = None, sequence: str | None = None,
    refused_to: Path | None = None, progress: Progress = None,
) -> ImportReport:  # fmt: skip
    """Let leads of a CSV or NDJSON file stand on the steps that it names; who came so before is left alone.

    `sequence`: of all rows, where the file has no such column; `zone`: of dates without one. Raises NotPublished, and
    FileFault if the file cannot be imported at all; then nothing was applied.
    """
    mapping = mapping or Mapping()
    source = source or mapping.source
    table = Table(path, encoding, "positions")
    check_named(path, table.header, mapping)
    report = ImportReport("positions", path, table.form)
    target = place_for_refused(path, refused_to)
    with Staging(table, report, progress) as staging:
        rows = _Rows(table, mapping, source, sequence, values.Dates(mapping.dates, mapping.zone or zone), now)
        rows.read_into(staging)
        target.check(report)
        for chunk in staging.in_order(CHUNK):
            work = partial(_write, rows=[(line, _Row(*body)) for line, body in chunk], source=source, now=now, by=by)
            for told in db.transact(partial(work, library=library)):
                if told.problem is not None:
                    staging.refuse(told.line, rows.columns.get(told.part, ""), told.problem, told.value)
                else:
                    report.created += told.new
                    report.unchanged += not told.new
        finish(staging, target, report, rows.notes, rows.unused)
    log.info(
        "positions imported rows=%d created=%d unchanged=%d refused=%d",
        report.rows, report.created, report.unchanged, report.refused_count,
    )  # fmt: skip
    return report


@dataclass(frozen=True)
class _Row:
    email: str | None
    lead_id: str | None
    sequence: str
    step: str
    entered_at: int
    received: list[str]


@dataclass(frozen=True)
class _Told:
    """What became of a row: it is new, was there before, or the problem of one of its parts."""

    line: int
    new: bool = False
    part: str = ""
    problem: str | None = None
    value: str = ""


def _write(
    link: Connection, rows: Sequence[tuple[int, _Row]], source: str | None, now: datetime, by: str, library: Library
) -> list[_Told]:
    live = library.live(link)
    leads = leads_of(link, [(line, [row.email, row.lead_id, *[None] * 5]) for line, row in rows], source)
    told: list[_Told] = []
    groups: dict[tuple[str, str], dict[int, tuple[int, Standing]]] = defaultdict(dict)
    taken: set[tuple[int, str]] = set()
    for line, row in rows:
        lead = leads.get(row.email or (source, row.lead_id))
        part, problem, value = _wrong(live, row, lead)
        if problem is None and lead is not None and (lead, row.sequence) in taken:
            part, problem, value = (
                "sequence",
                "stands in an earlier row with this lead; a lead is there once",
                row.sequence,
            )
        if problem is not None or lead is None:
            told.append(_Told(line, part=part, problem=problem, value=value))
            continue
        taken.add((lead, row.sequence))
        groups[row.sequence, row.step][lead] = (line, Standing(lead, from_micros(row.entered_at), row.received))
    for (slug, step), mine in sorted(groups.items()):
        segment = live.segment(slug)
        run = Run(link, live, now, f"place:{clock.unguessable()}")
        reasons = place(run, segment, step, [standing for _, standing in mine.values()], by)
        leave = sentence(segment.spec.leave) if segment.spec.leave is not None else ""
        for lead, (line, _) in mine.items():
            why = reasons.get(lead, KNOWN)
            said = None if why in (None, KNOWN) else REFUSALS[str(why)].format(leave=leave)
            told.append(_Told(line, new=why is None, part="email", problem=said))
    return sorted(told, key=lambda one: one.line)


def _wrong(live: Any, row: _Row, lead: int | None) -> tuple[str, str | None, str]:
    """(the part of the row, what is wrong with it, what it holds)."""
    if lead is None:
        return "email", "names no lead that is known here; import the leads first", row.email or row.lead_id or ""
    segment = live.segments.get(row.sequence)
    if segment is None:
        return "sequence", f"is not live; {suggest(row.sequence, live.segments)}", row.sequence
    if not segment.spec.has(row.step):
        steps = [step.id for step in segment.spec.steps]
        return "step", f"is no step of '{row.sequence}'; {suggest(row.step, steps)}", row.step
    known = contents(live, segment)
    strange = next((name for name in row.received if name not in known), None)
    if strange is not None:
        return "received", f"is neither a letter of '{row.sequence}' nor an offer; {suggest(strange, known)}", strange
    return "", None, ""


class _Rows:
    """Reads rows as places; collects what is worth a note."""

    def __init__(
        self, table: Table, mapping: Mapping, source: str | None, sequence: str | None, dates: values.Dates,
        now: datetime,
    ) -> None:  # fmt: skip
        self.table, self.mapping, self.source, self.sequence = table, mapping, source, sequence
        self.dates, self.now = dates, now
        self.notes = Notes()
        self.unused: dict[str, None] = {}
        self.columns: dict[str, str] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}

    def read_into(self, staging: Staging) -> None:
        """Stage every row, or refuse it; raises FileFault where a column is missing."""
        if self.table.header is not None:
            self._check(self._plan(self.table.header), self.table.header)
        for record in self.table.records():
            staging.report.rows += 1
            if record.problem is not None:
                staging.refuse(record.line, "", record.problem)
                continue
            plan = self._plan(list(record.cells))
            try:
                body = self._body(record, plan)
            except _Cell as problem:
                column = plan.columns.get(problem.part, "")
                staging.refuse(record.line, column, str(problem), problem.value)
                continue
            staging.keep(record.line, body[0], body[1], body)

    def _plan(self, names: Any) -> Plan:
        key = tuple(names)
        if key not in self._plans:
            plan = self._plans[key] = plan_by(key, self.mapping, _NAMES)
            if self.table.header is not None:
                self.unused |= dict.fromkeys(plan.unused)
            self.columns |= plan.columns
            self.columns.setdefault("email", plan.columns.get("id", ""))
        return self._plans[key]

    def _check(self, plan: Plan, header: Sequence[str]) -> None:
        missing = {
            "whose place it is": not {"email", "id"} & plan.columns.keys() and "email",
            "which sequence": "sequence" not in plan.columns and self.sequence is None and "sequence",
            "on which step": "step" not in plan.columns and "step",
        }
        for what, name in missing.items():
            if name:
                more = " or say --sequence SLUG" if name == "sequence" else ""
                raise FileFault(
                    f"{self.table.path}: no column says {what}; its columns are {shown(header)}; "
                    f"name one '{name}', or in a mapping file (fields: {{{name}: COLUMN}}){more}"
                )
        if "email" not in plan.columns and self.source is None:
            raise FileFault(
                f"{self.table.path}: '{plan.columns['id']}' holds ids; say whose with --source NAME, "
                "the name under which the leads were imported"
            )

    def _body(self, record: Record, plan: Plan) -> list[Any]:
        """The fields of _Row, of plain values."""

        def cell(part: str) -> str:
            column = plan.columns.get(part)
            return as_text(record.cells.get(column)) if column is not None else ""

        def read(part: str, parse: Any) -> Any:
            text = cell(part)
            try:
                return parse(text) if text else None
            except values.TwoWays as problem:
                where = f"{self.table.path}: line {record.line}, {plan.columns[part]}"
                raise FileFault(f"{where}: {quoted(text)} {problem}; nothing was imported") from None
            except ValueError as problem:
                raise _Cell(part, str(problem), text) from None

        email = read("email", values.email)
        own = None if email or self.source is None else read("id", values.line_of_text)
        if email is None and own is None:
            raise _Cell("email", "is empty, and no other column says who this is")
        sequence, step = cell("sequence") or self.sequence or "", cell("step")
        for part, said in (("sequence", sequence), ("step", step)):
            if not said:
                raise _Cell(part, "is empty")
        entered = read("entered_at", self.dates.instant) or self.now
        if entered > self.now + AHEAD:
            raise _Cell(
                "entered_at", "lies in the future; correct it (or the zone of the file's dates)", cell("entered_at")
            )
        received = [name.strip() for name in _SEVERAL.split(cell("received")) if name.strip()]
        return [email, own, sequence, step, to_micros(min(entered, self.now)), received]


class _Cell(Exception):
    """A part of a row that cannot be read: which, why, and what its cell holds."""

    def __init__(self, part: str, said: str, value: str = "") -> None:
        super().__init__(said)
        self.part, self.value = part, value
