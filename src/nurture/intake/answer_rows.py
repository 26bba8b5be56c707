"""The rows of a file of answers: which hand-off, what sales said, when, and what goes with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from nurture.errors import FileFault
from nurture.intake import values
from nurture.intake.answering import answer_word, handoff_number, key_of
from nurture.intake.columns import EVENT_NAMES, Plan, plan_by, shown
from nurture.intake.events import AHEAD
from nurture.intake.mapping import Mapping
from nurture.intake.reader import Record, Table
from nurture.intake.report import Notes
from nurture.intake.shapes import as_text, snake
from nurture.intake.staging import Staging
from nurture.records.types import to_micros

_NAMES: dict[str, tuple[str, ...]] = {
    "handoff": ("handoffid", "handoffnumber"),
    "email": EVENT_NAMES["email"],
    "lead_id": EVENT_NAMES["lead_id"],
    "answer": ("outcome", "result", "stage", "dealstage", "stagename", "status", "leadstatus"),
    "reason": ("why", "lossreason", "lostreason", "closedlostreason", "rejectionreason", "disqualificationreason"),
    "value": ("amount", "dealvalue", "dealamount", "revenue"),
    "currency": ("currencycode", "dealcurrency", "currencyisocode", "dealcurrencycode"),
    "note": ("notes", "comment", "comments", "remark", "description"),
    "until": ("notbefore", "recycleuntil", "resumeon"),
    "by": ("owner", "owneremail", "salesperson", "answeredby", "seller"),
    "at": ("answeredat", "closedate", "closedat", *EVENT_NAMES["at"]),
    "id": ("answerid", "dealid", *EVENT_NAMES["id"]),
}


class _Cell(Exception):
    """A cell that cannot be read: its column, and words that follow that."""

    def __init__(self, column: str, problem: str, value: str = "") -> None:
        super().__init__(problem)
        self.column, self.value = column, value


class Rows:
    """Reads rows as answers; collects what is worth a note."""

    def __init__(self, table: Table, mapping: Mapping, source: str | None, dates: values.Dates, now: datetime) -> None:
        self.table, self.mapping, self.source, self.dates, self.now = table, mapping, source, dates, now
        self.unanswered = {word.casefold() for word in mapping.unanswered}
        self.notes, self.unused, self.who, self._over = Notes(), dict[str, None](), "", 0
        self._plans: dict[tuple[str, ...], Plan] = {}

    def read_into(self, staging: Staging) -> None:
        """Stage every row, or refuse it; raises FileFault where the file does not say whose answers these are."""
        if self.table.header is not None:
            self._check(self._plan(self.table.header))
        for record in self.table.records():
            staging.report.rows += 1
            if record.problem is not None:
                staging.refuse(record.line, "", record.problem)
                continue
            plan = self._plan(record.cells)
            try:
                body = self._body(record, plan)
            except _Cell as wrong:
                staging.refuse(record.line, wrong.column, str(wrong), wrong.value)
                continue
            if body is None:
                staging.report.passed_over += 1
                self._over += 1
                continue
            person = f"handoff {body[3]}" if body[3] else body[5] and body[5][1]
            staging.keep(record.line, body[4], person, body)

    def passed_over(self) -> list[str]:
        """A sentence on the rows that the mapping file does not name."""
        return ["passed over, since the mapping file does not name their answers"] if self._over else []

    def _plan(self, names: Any) -> Plan:
        key = tuple(names)
        if key not in self._plans:
            named, told = dict(_NAMES), self.mapping
            if told.event and told.event.column:
                named["answer"] = ()
            plan = self._plans[key] = plan_by(key, told, named)
            if told.event and told.event.column in key:
                plan.columns["answer"] = str(told.event.column)
            if told.lead:
                plan.columns["email" if told.lead[0] == "email" else "lead_id"] = told.lead[1]
            plan.unused = [name for name in plan.unused if name not in plan.columns.values()]
            self.unused |= dict.fromkeys(plan.unused if self.table.header is not None else [])
            self.who = next(
                (plan.columns[ours] for ours in ("handoff", "email", "lead_id") if ours in plan.columns), ""
            )
        return self._plans[key]

    def _check(self, plan: Plan) -> None:
        columns = shown(self.table.header or [])
        if not {"handoff", "email", "lead_id"} & plan.columns.keys():
            raise FileFault(f"{self.table.path}: no column says whose answer it is; its columns are {columns}")
        if "answer" not in plan.columns and not (self.mapping.event and self.mapping.event.fixed):
            raise FileFault(f"{self.table.path}: no column says what sales answered; its columns are {columns}")
        if not {"handoff", "email"} & plan.columns.keys() and self.source is None:
            raise FileFault(f"{self.table.path}: '{plan.columns['lead_id']}' holds ids; say whose with --source NAME")

    def _body(self, record: Record, plan: Plan) -> list[Any] | None:
        """The parts of a `Given`, as `_given` reads them; None: of a kind that is passed over."""
        word = self._word(record, plan)
        if word is None:
            return None
        handoff, email, own = (self._cell(record, plan, ours, read) for ours, read in _WHOSE.items())
        if not (handoff or email or (own and self.source)):
            raise _Cell(self.who, "is empty, so nobody knows which hand-off this is about")
        lead = [self.source, own] if own and not handoff and not email else None
        at = self._at(record, plan)
        said = {
            ours: self._cell(record, plan, ours, values.line_of_text)
            for ours in ("by", "reason", "note", "currency", "id")
        }
        reason = snake(said["reason"]) if said["reason"] else None
        value, until = (
            self._cell(record, plan, *part) for part in (("value", values.number), ("until", self.dates.day))
        )
        value = None if value is None else float(value)
        dated = at if self._cell(record, plan, "at", self.dates.instant) is not None else None
        meaning = [handoff or email or lead, word, reason, value, said["currency"], dated]
        key = key_of(self.source or "", said["id"], meaning)
        parts = [said["by"], reason, said["note"], value, said["currency"], until]
        return [word, at, key, handoff, email, lead, *parts]

    def _word(self, record: Record, plan: Plan) -> str | None:
        told = self.mapping.event
        text = told.fixed if told and told.fixed else as_text(record.cells.get(plan.columns.get("answer", "")))
        if told and told.names:
            named = {name.casefold(): ours for name, ours in told.names.items()}
            if text.casefold() not in named:
                return None
            text = named[text.casefold()]
        try:
            return answer_word(text)
        except ValueError as problem:
            raise _Cell(plan.columns.get("answer", ""), str(problem), text) from None

    def _at(self, record: Record, plan: Plan) -> int:
        """When it was given, in microseconds: now if nothing says so, and the end of a day that is all that is said."""
        at = self._cell(record, plan, "at", self.dates.instant)
        if at is None:
            return to_micros(self.now)
        text = as_text(record.cells[plan.columns["at"]])
        if ":" not in text and not (text.isdigit() and len(text) > 8):
            at = min(at + timedelta(days=1, seconds=-1), max(at, self.now))
        if at > self.now + AHEAD:
            raise _Cell(plan.columns["at"], "lies in the future; correct it (or the zone of the file's dates)", text)
        return to_micros(at)

    def _cell(self, record: Record, plan: Plan, ours: str, read: Any) -> Any:
        column = plan.columns.get(ours)
        text = as_text(record.cells.get(column)) if column is not None else ""
        if column is None or not text or text.casefold() in self.unanswered:
            return None
        try:
            return read(text)
        except ValueError as problem:
            raise _Cell(column, str(problem), text) from None


#: How the columns that say whose answer it is are read.
_WHOSE = {"handoff": handoff_number, "email": values.email, "lead_id": values.line_of_text}
