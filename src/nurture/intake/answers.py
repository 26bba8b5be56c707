"""A file of what sales has said of leads, in the columns of its export, to the hand-offs that it is about."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from nurture.db import Database
from nurture.engine.answers import ANSWERS
from nurture.engine.live import Library
from nurture.errors import NotFound, Refused
from nurture.intake import values
from nurture.intake.answer_rows import Rows
from nurture.intake.answering import Given, take
from nurture.intake.columns import check_named
from nurture.intake.forgotten import FORGOTTEN
from nurture.intake.mapping import Mapping
from nurture.intake.reader import Table
from nurture.intake.report import ImportReport
from nurture.intake.staging import Progress, Staging
from nurture.intake.trouble import finish, place_for_refused
from nurture.intake.whose import leads_of
from nurture.records.types import from_micros
from nurture.rights.remembered import Remembered, id_name

log = logging.getLogger("nurture.intake")
#: Leads of one transaction: each answer is two dozen statements, and doors wait meanwhile.
CHUNK = 20


def import_answers(
    db: Database, path: Path, *, now: datetime, zone: str, library: Library, mapping: Mapping | None = None,
    encoding: str | None = None, source: str | None = None, refused_to: Path | None = None, progress: Progress = None,
    remembered: Remembered | None = None,
) -> ImportReport:  # fmt: skip
    """Take the answers of a CSV or NDJSON file, each lead's in the order of their instants; safe to repeat.

    `zone`: of dates without one; a day alone is its end. Raises NotPublished, and FileFault if the file cannot be
    imported at all; then nothing was applied.
    """
    mapping = mapping or Mapping()
    source = source or mapping.source
    table = Table(path, encoding, "answers")
    check_named(path, table.header, mapping)
    report = ImportReport("answers", path, table.form)
    target = place_for_refused(path, refused_to)
    with Staging(table, report, progress) as staging:
        rows = Rows(table, mapping, source, values.Dates(mapping.dates, mapping.zone or zone), now)
        rows.read_into(staging)
        target.check(report)
        for chunk in staging.by_person(CHUNK, _in_order):
            work = partial(_write, rows=[row for person in chunk for row in person], source=source, now=now)
            for line, new, problem in db.transact(partial(work, library=library, remembered=remembered)):
                if problem is not None:
                    column = "" if problem == FORGOTTEN else rows.who
                    staging.refuse(line, column, problem, copied=problem != FORGOTTEN)
                else:
                    report.created += new
                    report.unchanged += not new
        report.warnings += rows.passed_over()
        finish(staging, target, report, rows.notes, rows.unused)
    log.info(
        "answers imported rows=%d created=%d unchanged=%d refused=%d",
        report.rows, report.created, report.unchanged, report.refused_count,
    )  # fmt: skip
    return report


def _in_order(rows: Iterator[tuple[int, Any]]) -> list[tuple[int, list[Any]]]:
    """A person's rows by their instants; of the same instant in the order in which answers come."""
    return sorted(rows, key=lambda row: (row[1][1], ANSWERS.index(row[1][0]), row[0]))


def _given(body: list[Any]) -> Given:
    word, at, key, handoff, email, lead, by, reason, note, value, currency, until = body
    day = None if until is None else date.fromisoformat(until)
    whose = None if lead is None else (lead[0], lead[1])
    return Given(word, from_micros(at), key, handoff, email, whose, by, reason, note, value, currency, day)


def _write(
    link: Connection, rows: Sequence[tuple[int, list[Any]]], source: str | None, now: datetime, library: Library,
    remembered: Remembered | None,
) -> list[tuple[int, bool, str | None]]:  # fmt: skip
    """(line, whether it is news, why it is not taken) of each row."""
    live = library.live(link)
    told: list[tuple[int, bool, str | None]] = []
    answers = [(line, _given(body)) for line, body in rows]
    named = [(line, [one.email, one.lead and one.lead[1], *[None] * 5]) for line, one in answers if not one.handoff]
    leads = leads_of(link, named, source)
    called = {line: email or id_name(source or "", str(own)) for line, (email, own, *_) in named}
    gone = set(remembered.since(link, list(called.values()))) if remembered else set()
    for line, one in answers:
        lead = None if one.handoff else leads.get(one.email or one.lead)
        if lead is None and one.handoff is None:
            strange = "names no lead that is known here; import the leads first"
            told.append((line, False, FORGOTTEN if called[line] in gone else strange))
            continue
        try:
            told.append((line, take(link, live, one, lead, now, "import"), None))
        except (NotFound, Refused) as why:
            told.append((line, False, str(why)))
    return told
