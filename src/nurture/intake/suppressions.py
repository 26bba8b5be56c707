"""A file of those whom another system does not write to, in the columns of its export, onto the suppression list."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from nurture.db import Database
from nurture.engine.leaving import Left, leave, silence
from nurture.engine.live import Library
from nurture.errors import FileFault, NotPublished
from nurture.intake import values
from nurture.intake.columns import LEAD_NAMES, Plan, check_named, plan_by, shown
from nurture.intake.mapping import Mapping
from nurture.intake.reader import Record, Table
from nurture.intake.report import ImportReport, Notes, counted
from nurture.intake.shapes import as_text, quoted, squeeze
from nurture.intake.staging import Progress, Staging
from nurture.intake.trouble import finish, place_for_refused
from nurture.records.types import from_micros, to_micros
from nurture.rights.marks import marked, unmarked
from nurture.rights.remembered import Remembered
from nurture.steps.sms import e164

log = logging.getLogger("nurture.intake")
#: Entries of one transaction: each may end the sequences of a lead.
CHUNK = 2_000
#: Domains or phones whose leads are looked for at once: a statement of SQLite takes 32,766 values.
AT_ONCE = 20_000
REASONS = ("unsubscribed", "bounced", "complained")
#: Where entries come from when nobody says.
UNNAMED = "import"
#: What exports of HubSpot, Mailchimp, SendGrid, Postmark, Marketo, Salesforce and others call things, squeezed.
_NAMES: dict[str, tuple[str, ...]] = {
    "email": (*LEAD_NAMES["email"], "address", "recipient", "subscriber", "value"),
    "domain": ("emaildomain", "domainname"),
    "phone": LEAD_NAMES["phone"],
    "reason": ("suppressionreason", "unsubscribereason", "unsubscribedreason", "unsubreason", "status", "type"),
    "at": (
        "unsubtime", "cleantime", "unsubscribedat", "unsubscribedate", "suppressedat", "optouttime",
        "optoutdate", "occurredat", "created", "createdat", "timestamp", "date", "time",
    ),
    "source": ("origin",),
    "said": (
        "unsubscribed", "unsubscribedfromallemail", "hsemailoptout", "optedout", "optout", "emailoptout",
        "emailoptedout", "hasoptedoutofemail", "donotemail", "suppressed",
    ),
}  # fmt: skip
_WORDS = {
    "unsubscribed": (
        "unsubscribed",
        "unsubscribe",
        "unsub",
        "optout",
        "optedout",
        "manualsuppression",
        "listunsubscribe",
    ),
    "bounced": (
        "bounced",
        "bounce",
        "hardbounce",
        "hard",
        "cleaned",
        "invalid",
        "invalidemail",
        "undeliverable",
        "permanent",
    ),
    "complained": ("complained", "complaint", "spam", "spamcomplaint", "spamreport", "spamreports", "abuse"),
}
_REASON_OF = {word: reason for reason, words in _WORDS.items() for word in words}
#: The columns of 'nurture export suppressions'.
_OURS = frozenset(("id", "kind", "value", "reason", "source", "at"))
#: Of a list with everybody on it: these are still written to.
_STAYS = {"subscribed", "active", "optin", "optedin", "confirmed", "subscriber"}


@dataclass
class _Done:
    left: Left = field(default_factory=Left)

    def add(self, other: Left) -> None:
        self.left.entries += other.entries
        self.left.leads += other.leads
        self.left.passages += other.passages


class _Undone(Exception):
    """Carries what was found by doing it and taking it back."""

    def __init__(self, found: Left) -> None:
        super().__init__()
        self.found = found


def import_suppressions(
    db: Database, path: Path, *, now: datetime, reason: str = "unsubscribed", zone: str, mapping: Mapping | None = None,
    encoding: str | None = None, source: str | None = None, refused_to: Path | None = None, progress: Progress = None,
    remembered: Remembered | None = None, library: Library | None = None, dry_run: bool = False,
) -> ImportReport:  # fmt: skip
    """Put every address, domain and phone of a CSV or NDJSON file on the suppression list; safe to repeat.

    `reason`: what holds where the file says none of REASONS; `zone`: of dates without one. Leads who are known and
    said no are unsubscribed at once. Raises FileFault if the file cannot be imported at all; then nothing was applied.
    """
    mapping = mapping or Mapping()
    if reason not in REASONS:
        raise FileFault(f"--reason '{reason}' is not known; say {', '.join(REASONS)}")
    table = Table(path, encoding, "suppressions")
    check_named(path, table.header, mapping)
    report = ImportReport("suppressions", path, table.form)
    target, library, done = place_for_refused(path, refused_to), library or Library(), _Done()
    with Staging(table, report, progress) as staging:
        rows = _Rows(table, mapping, reason, source or mapping.source or UNNAMED, zone, now)
        rows.read_into(staging)
        target.check(report)
        domains: set[str] = set()
        phones: set[str] = set()
        for chunk in staging.in_order(CHUNK):
            entries = {(row["kind"], row["value"]): row for _, row in ((line, _row(body)) for line, body in chunk)}

            def work(link: Connection, entries: dict[Any, dict[str, Any]] = entries) -> Left:
                gone = set(remembered.since(link, [value for _, value in entries])) if remembered else set()
                kept = [row for row in entries.values() if row["value"] not in gone]
                domains.update(row["value"] for row in kept if row["kind"] == "domain")
                phones.update(row["value"] for row in kept if row["kind"] == "phone")
                found = leave(link, _live(link, library), kept, now)
                if dry_run:
                    raise _Undone(found)
                return found

            try:
                left = db.transact(work)
            except _Undone as undone:
                left = undone.found
            done.add(left)
            report.created += left.entries
            report.unchanged += len(entries) - left.entries
            report.repeated += len(chunk) - len(entries)
        if not dry_run:
            _silence(db, "domain", sorted(domains), now)
            _silence(db, "phone", sorted(phones), now)
            finish(staging, target, report, rows.notes, rows.unused)
        else:
            report.warnings += rows.notes.sentences()
    report.warnings[:0] = _told(done.left, dry_run)
    log.info(
        "suppressions imported rows=%d created=%d unchanged=%d refused=%d leads=%d dry_run=%s",
        report.rows, report.created, report.unchanged, report.refused_count, done.left.leads, dry_run,
    )  # fmt: skip
    return report


def _silence(db: Database, kind: Literal["domain", "phone"], said: Sequence[str], now: datetime) -> None:
    """The leads of all domains, or phones, of the file: one look at everybody for each AT_ONCE of them."""
    for start in range(0, len(said), AT_ONCE):
        part = said[start : start + AT_ONCE]
        db.transact(lambda link, part=part: silence(link, kind, part, now))  # type: ignore[misc]


def _told(left: Left, dry_run: bool) -> list[str]:
    said = []
    if left.leads:
        were = ("would be" if dry_run else "was") if left.leads == 1 else ("would be" if dry_run else "were")
        ended = f", and {counted(left.passages, 'passage')} of a sequence ended" if left.passages else ""
        said.append(f"{counted(left.leads, 'lead')} known here {were} unsubscribed{ended}")
    return [*said, *(["a dry run: nothing was changed"] if dry_run else [])]


def _live(link: Connection, library: Library) -> Any:
    try:
        return library.live(link)
    except NotPublished:
        return None


def _row(body: list[Any]) -> dict[str, Any]:
    kind, value, reason, source, at = body
    return {"kind": kind, "value": value, "reason": reason, "source": source, "at": from_micros(at)}


class _Rows:
    """Reads rows as entries of the list; collects what is worth a note. A row is never lost for its date or reason."""

    def __init__(self, table: Table, mapping: Mapping, reason: str, source: str, zone: str, now: datetime) -> None:
        self.table, self.mapping, self.reason, self.source, self.now = table, mapping, reason, source, now
        self.dates = values.Dates(mapping.dates, mapping.zone or zone)
        self.unanswered = {word.casefold() for word in mapping.unanswered}
        self.notes = Notes()
        self.unused: dict[str, None] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}

    def read_into(self, staging: Staging) -> None:
        """Stage every row, or refuse it; raises FileFault where nothing in the file can be suppressed."""
        if (
            self.table.header is not None
            and not {"email", "domain", "phone"} & self._plan(self.table.header).columns.keys()
        ):
            raise FileFault(
                f"{self.table.path}: no column holds an address, a domain or a phone; its columns are "
                f"{shown(self.table.header)}; name one in a mapping file (fields: {{email: COLUMN}})"
            )
        for record in self.table.records():
            staging.report.rows += 1
            if record.problem is not None:
                staging.refuse(record.line, "", record.problem)
                continue
            plan = self._plan(list(record.cells))
            if not self._applies(record, plan):
                staging.report.passed_over += 1
                continue
            if record.cells.keys() >= _OURS and as_text(record.cells["kind"]) == "lead":
                self.notes.add("a lead's number here is not kept; its address has a row of its own", record.line)
                staging.report.passed_over += 1
                continue
            column, text = self._who(record, plan)
            try:
                kind, value = _entry(next((o for o, c in plan.columns.items() if c == column), "email"), text)
            except ValueError as problem:
                staging.refuse(record.line, column, str(problem), text)
                continue
            reason, source = self._why(record, plan), self._cell(record, plan, "source") or self.source
            staging.keep(record.line, value, None, [kind, value, reason, source, to_micros(self._when(record, plan))])

    def _plan(self, names: Any) -> Plan:
        key = tuple(names)
        if key not in self._plans:
            self._plans[key] = plan_by(key, self.mapping, _NAMES)
            if self.table.header is not None:
                ours = _OURS if set(key) >= _OURS else frozenset[str]()
                self.unused |= dict.fromkeys(name for name in self._plans[key].unused if name not in ours)
        return self._plans[key]

    def _cell(self, record: Record, plan: Plan, ours: str) -> str:
        column = plan.columns.get(ours)
        text = as_text(record.cells.get(column)) if column is not None else ""
        return "" if text.casefold() in self.unanswered else text

    def _applies(self, record: Record, plan: Plan) -> bool:
        """Whether the row says that somebody is not written to: an export may hold everybody."""
        if squeeze(self._cell(record, plan, "reason")) in _STAYS:
            return False
        if "said" not in plan.columns:
            return True
        text = self._cell(record, plan, "said")
        try:
            return bool(text) and values.flag(text)
        except ValueError:  # a date, a reason: there is one, so it is so
            return True

    def _who(self, record: Record, plan: Plan) -> tuple[str, str]:
        for ours in ("email", "domain", "phone"):
            if text := self._cell(record, plan, ours):
                return plan.columns[ours], text
        return plan.columns.get("email", ""), ""

    def _why(self, record: Record, plan: Plan) -> str:
        said = self._cell(record, plan, "reason")
        known = _REASON_OF.get(squeeze(said))
        if said and known is None:
            self.notes.add(f"the file's own words for why are not kept; --reason {self.reason} holds", record.line)
        return known or self.reason

    def _when(self, record: Record, plan: Plan) -> datetime:
        text = self._cell(record, plan, "at")
        if not text:
            return self.now
        try:
            return min(self.dates.instant(text), self.now)
        except ValueError as problem:
            self.notes.add(
                f"{plan.columns['at']}: {quoted(text)} {problem}; the moment of this import counts", record.line
            )
            return self.now


def _entry(ours: str, text: str) -> tuple[str, str]:
    """(kind, canonical value); raises ValueError with words that follow the column's name."""
    if not text:
        raise ValueError("is empty, and no other column says who this is")
    if marked(unmarked(text)) == text:  # a phone, where an export keeps spreadsheets from taking it for a formula
        text = unmarked(text)
    if ours == "phone" or (ours == "email" and "@" not in text and e164(text) is not None):
        phone = e164(text)
        if phone is None:
            raise ValueError("has no country code; write +40…")
        return "phone", phone
    bare = text.removeprefix("*").removeprefix("@")
    if ours == "domain" or ((bare != text or "@" not in text) and "." in bare and " " not in bare):
        return "domain", values.email(f"x@{bare}").removeprefix("x@")
    return "address", values.email(text)
