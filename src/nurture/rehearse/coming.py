"""A file of events that are still to come, such as an invitation's answers: played when their time comes."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlmodel import col

from nurture.errors import FileFault
from nurture.intake import import_events, write
from nurture.intake.events import CLICKS
from nurture.records import Event
from nurture.rehearse.copying import duplicate
from nurture.rehearse.simulate import Rehearsal

#: Later than any event of a file.
_LATER = timedelta(days=3650)


def foresee(show: Rehearsal, file: Path) -> int:
    """Enter the events of `file` in the agenda, each at its time; how many lie in the span.

    The file is read as 'nurture import events' reads it, on a copy of its own. Raises FileFault.
    """
    machine, start, until = show.stage.machine, show.start, show.until
    scratch = duplicate(machine.db)
    try:
        with scratch.read() as link:
            known = link.execute(select(func.max(col(Event.id)))).scalar() or 0
        report = import_events(scratch, file, now=until + _LATER, click_rest=timedelta())
        if report.refused_count:
            raise FileFault(f"{file}: {report.refused_count:,} of its events cannot be read; {report.text()}")
        columns = (Event.lead_id, Event.name, Event.occurred_at, Event.data, Event.source, Event.key)
        new = select(*map(col, columns)).where(
            col(Event.id) > known, col(Event.occurred_at) >= start, col(Event.occurred_at) <= until
        )
        with scratch.read() as link:
            rows = link.execute(new.order_by(col(Event.occurred_at), col(Event.id))).all()
    finally:
        scratch.dispose()
    for at, some in groupby(rows, key=lambda row: row.occurred_at):
        events = [
            write.NewEvent(
                row.lead_id, row.name, at, at, at + (machine.click_rest if row.name in CLICKS else timedelta()),
                row.data, row.source, row.key,
            )
            for row in some
        ]  # fmt: skip

        def happen(link: Connection, events: list[write.NewEvent] = events) -> None:
            write.put_events(link, events)

        show.agenda.enter(at, lambda _, happen=happen: machine.db.transact(happen))  # type: ignore[misc]
    return len(rows)
