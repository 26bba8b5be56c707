"""A file of events into the database: what leads did elsewhere, or before."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from nurture.db import BULK_ROWS, Database
from nurture.errors import FileFault, Refused
from nurture.intake import exported, values
from nurture.intake.columns import KnownFields, Plan, check_named, plan_events, shown
from nurture.intake.forgotten import FORGOTTEN
from nurture.intake.mapping import Mapping
from nurture.intake.reader import PROBLEM, Record, Table
from nurture.intake.report import ImportReport, Notes
from nurture.intake.shapes import as_text, quoted, snake, squeeze
from nurture.intake.staging import Progress, Staging
from nurture.intake.trouble import finish, place_for_refused
from nurture.intake.whose import leads_of
from nurture.intake.write import NewEvent, fits, put_events
from nurture.records.types import from_micros, to_micros
from nurture.rights.marks import EXPORTED
from nurture.rights.remembered import Remembered, id_name

log = logging.getLogger("nurture.intake")
#: Events of one transaction: each may write itself, a work row and a suppression.
CHUNK = BULK_ROWS
#: A source whose clock runs ahead is believed by this much.
AHEAD = timedelta(minutes=5)
#: Rest before they count: a scanner's second click unmasks the first.
CLICKS = ("email_clicked",)
#: Where events come from when nobody says.
UNNAMED = "import"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def import_events(
    db: Database, path: Path, *, now: datetime, mapping: Mapping | None = None, encoding: str | None = None,
    source: str | None = None, refused_to: Path | None = None, progress: Progress = None,
    click_rest: timedelta, known: KnownFields | None = None, remembered: Remembered | None = None,
) -> ImportReport:  # fmt: skip
    """Record events of known leads from a CSV or NDJSON file; the same file again changes nothing.

    Clicks count from `click_rest` after they happened. `known` gives the zone of dates without one, if the
    mapping does not. Raises FileFault if the file cannot be imported at all; then nothing was applied.
    """
    mapping = mapping or Mapping()
    source = source or mapping.source
    table = Table(path, encoding, "events")
    check_named(path, table.header, mapping)
    report = ImportReport("events", path, table.form)
    target = place_for_refused(path, refused_to)
    with Staging(table, report, progress) as staging:
        zone = mapping.zone or (known.zone if known else None)
        rows = _EventRows(table, mapping, values.Dates(mapping.dates, zone), source, now)
        rows.read_into(staging)
        target.check(report)
        for chunk in staging.in_order(CHUNK):
            work = partial(_write, rows=chunk, source=source, now=now, click_rest=click_rest, remembered=remembered)
            created, strangers = db.transact(work)
            report.created += created
            report.unchanged += len(chunk) - created - len(strangers)
            for line, who, forgotten in strangers:
                said = ("", FORGOTTEN, "") if forgotten else (rows.lead_column, rows.strange, who)
                staging.refuse(line, *said, copied=not forgotten)
        report.warnings += rows.passed_over()
        finish(staging, target, report, rows.notes, rows.unused)
    log.info(
        "events imported rows=%d created=%d unchanged=%d passed_over=%d refused=%d",
        report.rows, report.created, report.unchanged, report.passed_over, report.refused_count,
    )  # fmt: skip
    return report


def _write(
    link: Connection,
    rows: Sequence[tuple[int, Any]],
    source: str | None,
    now: datetime,
    click_rest: timedelta,
    remembered: Remembered | None,
) -> tuple[int, list[tuple[int, str, bool]]]:
    """Record the rows whose lead is known: how many were new; of the others the lines, whom they name, and whether
    that is somebody who was forgotten."""
    leads = leads_of(link, rows, source)
    events, strangers = [], []
    for line, (email, lead_id, name, at, key, data, more) in rows:
        origin, whose, actor, why = more or (source or UNNAMED, source, "person", None)
        lead = leads.get(email or (whose, lead_id))
        if lead is None:
            strangers.append((line, email or lead_id))
            continue
        happened = from_micros(at)
        ripe = happened + click_rest if name in CLICKS else now
        events.append(NewEvent(lead, name, happened, now, ripe, data, origin, key, actor, None, why))
    called = [who if "@" in who else id_name(source or "", who) for _, who in strangers]
    gone = set(remembered.since(link, called)) if remembered else set()
    told = [(line, who, name in gone) for (line, who), name in zip(strangers, called, strict=True)]
    return len(put_events(link, events)), told


class _EventRows:
    """Reads rows as events; collects what is worth a note."""

    def __init__(self, table: Table, mapping: Mapping, dates: values.Dates, source: str | None, now: datetime) -> None:
        self.table, self.mapping, self.dates, self.source = table, mapping, dates, source
        self.latest = now + AHEAD
        self.notes = Notes()
        self.unused: dict[str, None] = {}
        self.unanswered = {word.casefold() for word in mapping.unanswered}
        self.lead_column, self.strange = "", "names no lead that is known here; import the leads first"
        self.unnamed: Counter[str] = Counter()
        self._plans: dict[tuple[str, ...], Plan] = {}

    def read_into(self, staging: Staging) -> None:
        """Stage every row, or refuse it; raises FileFault where the file as a whole cannot be trusted."""
        if self.table.header is not None:
            self._plan(tuple(self.table.header))
        for record in self.table.records():
            staging.report.rows += 1
            if record.problem is not None:
                staging.refuse(record.line, "", record.problem)
                continue
            plan = self._plan(tuple(record.cells))
            try:
                body = self._event(record, plan)
            except _Cell as problem:
                staging.refuse(record.line, problem.column, str(problem), problem.value)
                continue
            if body is None:
                staging.report.passed_over += 1
            else:
                staging.keep(record.line, body[0], body[1], body)

    def passed_over(self) -> list[str]:
        """One sentence on the kinds of rows that the mapping file does not name."""
        if not self.unnamed:
            return []
        kinds = ", ".join(f"{name or 'nothing'} ({times:,})" for name, times in self.unnamed.most_common(8))
        return [f"passed over, since the mapping file does not name them: {kinds}"]

    def _plan(self, names: tuple[str, ...]) -> Plan:
        plan = self._plans.get(names)
        if plan is not None:
            return plan
        plan = plan_events(names, self.mapping)
        if EXPORTED in names:
            plan.columns = {"email": "email"}
        if self.table.header is not None and EXPORTED not in names:
            self._check(names, plan)
        if "email" not in plan.columns and "lead_id" in plan.columns and self.source is None:
            raise FileFault(
                f"{self.table.path}: '{plan.columns['lead_id']}' holds ids; say whose with --source NAME, "
                "the name under which the leads were imported"
            )
        if self.mapping.data is not None or self.mapping.event is not None:
            self.unused |= dict.fromkeys(plan.unused) if self.mapping.data is None else {}
        if len(self._plans) < 1000:
            self._plans[names] = plan
        if "email" not in plan.columns and self.source is not None:
            self.strange = f"is no id of a lead known from '{self.source}'; import the leads first"
        self.lead_column = plan.columns.get("email") or plan.columns.get("lead_id") or self.lead_column
        return plan

    def _check(self, names: Sequence[str], plan: Plan) -> None:
        missing = {
            "whose event it is": not ({"email", "lead_id"} & plan.columns.keys()) and "lead: {email: COLUMN}",
            "when it happened": "at" not in plan.columns and "at: COLUMN",
            "what happened": not self.mapping.event and "event" not in plan.columns and "event: NAME",
        }
        for what, remedy in missing.items():
            if remedy:
                raise FileFault(
                    f"{self.table.path}: no column says {what}; its columns are {shown(names)}; "
                    f"say it in a mapping file ({remedy})"
                )

    def _event(self, record: Record, plan: Plan) -> list[Any] | None:
        """[e-mail, id of the lead, name, microseconds, key, data, more of an export]; None: a kind passed over."""
        if EXPORTED in record.cells:
            return self._exported(record)
        name = self._name(record, plan)
        if name is None:
            return None
        email = self._cell(record, plan, "email", values.email)
        lead_id = None if email else self._cell(record, plan, "lead_id", values.line_of_text)
        if lead_id is not None and self.source is None:
            raise _Cell(plan.columns["lead_id"], "is an id of a lead, and nothing says whose; say --source NAME")
        if email is None and lead_id is None:
            raise _Cell(self.lead_column, "is empty, so nobody knows whose event this is")
        at = self._cell(record, plan, "at", self.dates.instant)
        if at is None:
            raise _Cell(plan.columns.get("at", ""), "is empty; an event needs its time")
        if at > self.latest:
            said = as_text(record.cells[plan.columns["at"]])
            raise _Cell(plan.columns["at"], "lies in the future; correct it (or the zone of the file's dates)", said)
        data = self._data(record, plan)
        own = self._cell(record, plan, "id", values.line_of_text)
        return [
            email,
            lead_id,
            name,
            to_micros(at),
            self._key(own, [email, lead_id, name, to_micros(at), data]),
            data,
            None,
        ]

    def _exported(self, record: Record) -> list[Any] | None:
        try:
            return exported.event(record)
        except (ValueError, KeyError, TypeError):
            said = "is no event of a known person as 'nurture export events' writes it"
            raise _Cell("", f"{said}; export it again, or take the row out") from None

    def _key(self, own: str | None, meaning: list[Any]) -> str:
        """The source's id of the event; without one (or without a source), what the row means."""
        if own is not None and self.source is not None:
            return own
        whole = json.dumps([own, *meaning], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(whole.encode()).hexdigest()

    def _name(self, record: Record, plan: Plan) -> str | None:
        event = self.mapping.event
        if event is not None and event.fixed is not None:
            return _named(event.fixed, "event")
        column = plan.columns.get("event", "")
        said = as_text(record.cells.get(column))
        if event is not None and event.names:
            known = event.names.get(said.casefold())
            if known is None:
                self.unnamed[said[:40]] += 1
                return None
            return _named(known, column)
        return _named(said, column)

    def _cell(self, record: Record, plan: Plan, ours: str, parse: Any) -> Any:
        column = plan.columns.get(ours)
        text = as_text(record.cells.get(column)) if column is not None else ""
        if not text or text.casefold() in self.unanswered:
            return None
        try:
            return parse(text)
        except values.TwoWays as problem:
            raise FileFault(
                f"{self.table.path}: line {record.line}, {column}: {quoted(text)} {problem}; nothing was imported"
            ) from None
        except ValueError as problem:
            raise _Cell(column or "", str(problem), text) from None

    def _data(self, record: Record, plan: Plan) -> dict[str, Any]:
        if self.mapping.data is not None:
            pairs = [(ours, record.cells.get(column)) for ours, column in self.mapping.data.items()]
        else:
            used = plan.columns.values()
            rest = [name for name in record.cells if name and name not in used and squeeze(name) != PROBLEM]
            rest = [name for name in rest if name not in self.mapping.ignore]
            pairs = [(snake(name.removeprefix("data.")), record.cells[name]) for name in rest]
        data = {ours: cell.strip() if isinstance(cell, str) else cell for ours, cell in pairs}
        data = {k: v for k, v in data.items() if v not in (None, "") and str(v).casefold() not in self.unanswered}
        try:
            fits(data)
        except Refused as problem:
            raise _Cell("", str(problem)) from None
        return data


class _Cell(Exception):
    """A cell that cannot be read: its column, why, and what it holds."""

    def __init__(self, column: str, said: str, value: str = "") -> None:
        super().__init__(said)
        self.column, self.value = column, value


def _named(said: str, column: str) -> str:
    name = snake(said)
    if not said:
        raise _Cell(column, "is empty; an event needs a name")
    if not _NAME.fullmatch(name):
        raise _Cell(column, "is no name of an event; names look like email_opened", said)
    return name
