"""Terms: what is due about a hand-off, and what becomes of one that nobody answered in time.

`handoff.next_at` says when to look. Leads are locked before their hand-offs, as every answer does, and one
`UPDATE … WHERE state = 'open'` decides between an acceptance and the expiry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from nurture.db import Database
from nurture.dialects import upsert
from nurture.engine.live import Library
from nurture.engine.passing import EXPIRED, history, lock, pass_on, rows_of, tell_events
from nurture.engine.routing import MOMENT, Routed, Routing, day_of, member, working
from nurture.engine.running import Run
from nurture.records import Handoff, Outbox
from nurture.records.types import NOW, NOW_AT, instant, micros, span_micros, to_micros

#: Hand-offs that one transaction looks at.
BATCH = 500
#: Kinds of letters, followed by ':' and the day where one is said again.
REMINDER, ESCALATION, MEETING = "handoff_reminder", "handoff_escalation", "meeting_reminder"
#: For so long what is overdue is said each working day, then once a week.
_DAILY, _WEEK = timedelta(days=14), timedelta(days=7)
_DUE = (col(Handoff.next_at) <= NOW_AT) & col(Handoff.state).in_(("open", "accepted"))
_OPEN = (col(Handoff.next_at) <= NOW_AT) & (col(Handoff.state) == "open")


@dataclass
class TermsReport:
    """What was done about hand-offs. `overdue`: nobody else is there, so they stay, and are escalated."""

    looked_at: int = 0
    reminded: int = 0
    reassigned: int = 0
    overdue: int = 0
    #: Meetings that did not come about in time.
    unmet: int = 0

    def counted(self) -> Counter[str]:
        """By what was done."""
        return Counter({name: count for name, count in vars(self).items() if count and name != "looked_at"})

    def add(self, other: TermsReport) -> None:
        """Count what `other` did as well."""
        for name in vars(other):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def keep_all(db: Database, library: Library, now: datetime) -> TermsReport:
    """Everything that is due about hand-offs at `now`, a batch at a time; safe to call from several places at once."""
    report = TermsReport()
    at = {"at_now": to_micros(now)}
    with db.read() as link:
        if link.execute(select(col(Handoff.id)).where(_DUE).limit(1), at).first() is None:
            return report
    while True:
        part = db.transact(lambda link: keep(Run(link, library.live(link), now)), door=True)
        report.add(part)
        if part.looked_at < BATCH:
            return report


def keep(run: Run) -> TermsReport:
    """What is due of the hand-offs that have waited longest: a reminder, the next owner, or word that it is late."""
    first = select(col(Handoff.id), col(Handoff.lead_id)).where(_DUE).order_by(col(Handoff.next_at), col(Handoff.id))
    due = run(first.limit(BATCH)).all()
    report = TermsReport(looked_at=len(due))
    if not due:
        return report
    lock(run, [row.lead_id for row in due])
    among = col(Handoff.id).in_([row.id for row in due])
    report.reminded = _remind(run, among)
    late = rows_of(run, among & _OPEN & (micros(col(Handoff.deadline_at)) < NOW))
    report.reassigned, report.overdue = _expire(run, late)
    report.unmet = _meetings(run, among)
    return report


def _remind(run: Run, among: Any) -> int:
    """The owner, once, while there is time left; the next look is when there is none."""
    in_time = among & _OPEN & (micros(col(Handoff.deadline_at)) >= NOW)
    first = update(Handoff).where(in_time, col(Handoff.reminded_at).is_(None)).values(reminded_at=NOW_AT)
    reminded = run(first.returning(col(Handoff.id))).scalars().all()
    run(update(Handoff).where(in_time).values(next_at=instant(micros(col(Handoff.deadline_at)) + span_micros(MOMENT))))
    _write(run, [(REMINDER, number) for number in reminded])
    return len(reminded)


def _expire(run: Run, rows: Sequence[Any]) -> tuple[int, int]:
    """To the next in turn of each; where there is nobody it stays, overdue. How many of either."""
    if not rows:
        return 0, 0
    house = run.live.house
    team = {person.email for person in house.program.sales}
    before = history(run, rows)
    routing = Routing(run, rows)
    passing, staying = [], []
    for row in rows:
        tried, missed = before[row.id]
        free = missed < house.lifecycle.sla.reassign or row.handed_to not in team
        routed = routing.other(row, tried) if free else None
        if routed is None:
            staying.append(row)
        else:
            why = f"{routed.why}; instead of {member(house, row.handed_to).name}, who did not answer in time"
            passing.append((row, Routed(routed.person, why)))
    tell_events(run, EXPIRED, rows)
    passed = pass_on(run, routing, passing, "hand-off that nobody answered", _OPEN)
    escalate = house.lifecycle.sla.escalate_to is not None
    if escalate:
        _write(run, [(ESCALATION, row.id) for row in rows if row.id in passed and row.escalated_at is None])
    _stay(run, staying, escalate=escalate)
    return len(passed), len(staying)


def _stay(run: Run, rows: Sequence[Any], *, escalate: bool) -> None:
    """Overdue, and said so to the owner and to whom it is escalated: now, and on each working day of the owner."""
    house = run.live.house
    owners: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        owners[row.handed_to].append(row)
    for email, mine in owners.items():
        person = member(house, email)
        today = day_of(person, house, run.now)
        for fresh in (True, False):
            late = [row for row in mine if (run.now - row.deadline_at <= _DAILY) is fresh]
            since = run.now if fresh else run.now + _WEEK - timedelta(days=1)
            values = {"escalated_at": NOW_AT, "next_at": _next_day(run, email, since)}
            run(update(Handoff).where(col(Handoff.id).in_([row.id for row in late]), _OPEN).values(**values))
        _write(run, [(f"{REMINDER}:{today}", row.id) for row in mine])
        if escalate:
            again = [f"{ESCALATION}:{today}" if row.escalated_at is not None else ESCALATION for row in mine]
            _write(run, [(kind, row.id) for kind, row in zip(again, mine, strict=True)])


def _next_day(run: Run, email: str, since: datetime) -> datetime:
    """When the owner begins to work on a later day than that of `since`."""
    person, house = member(run.live.house, email), run.live.house
    today = day_of(person, house, since)
    stretches = working(person, house, since)
    later = (begins for begins, _ in stretches if day_of(person, house, begins) > today)
    return next(later, since + timedelta(days=400))


def _meetings(run: Run, among: Any) -> int:
    """Leads that were accepted and not met in time: the owner is told, a working day later whom it is escalated to."""
    where = among & (col(Handoff.next_at) <= NOW_AT) & (col(Handoff.state) == "accepted")
    waits = where & col(Handoff.progress).is_(None)
    run(update(Handoff).where(where, col(Handoff.progress).is_not(None)).values(next_at=None))
    rows = run(select(col(Handoff.id), col(Handoff.owner), col(Handoff.answered_at)).where(waits)).all()
    if not rows:
        return 0
    mine = col(Outbox.row_id).in_([row.id for row in rows])
    told = set(run(select(col(Outbox.row_id)).where(col(Outbox.kind) == MEETING, mine)).scalars())
    escalate = run.live.house.lifecycle.sla.escalate_to is not None
    for row in rows:
        once_more = row.id not in told and escalate
        following = _next_day(run, row.owner, run.now) if once_more else None
        run(update(Handoff).where(col(Handoff.id) == row.id).values(next_at=following))
    _write(run, [(MEETING, row.id) for row in rows if row.id not in told])
    if escalate:
        _write(run, [(f"{ESCALATION}:meeting", row.id) for row in rows if row.id in told])
    return len(rows)


def _write(run: Run, letters: Sequence[tuple[str, int]]) -> None:
    """Rows of the outbox, each once."""
    rows = [{"kind": kind, "row_id": row, "created_at": run.now, "next_at": run.now} for kind, row in letters]
    if rows:
        run.link.execute(upsert(run.link)(Outbox).on_conflict_do_nothing(), rows)
