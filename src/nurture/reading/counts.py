"""Who stands where, in numbers: for the operator's pages and the terminal. Ids, never a lead's data."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal_column, select
from sqlalchemy.orm import Session
from sqlmodel import col

from nurture.engine.doubt import next_resend
from nurture.engine.machine import Machine
from nurture.engine.planning import exhausted
from nurture.engine.positions import ELSEWHERE
from nurture.engine.story import letter
from nurture.records import Enrolment, Event, Handoff, Lead, Outbox, StageTransition, Task, Touch, Work

#: Why a planned touch is not sent yet.
DEFERRED = ("window", "pause", "pace", "cap", "priority", "paused", "stopped", "canary", "growth", "confirmation")
WAITING = ("planned", "held", "claimed", "sending", "retry_wait")
#: Stages from MQL on, in order.
LADDER = ("mql", "sal", "sql", "opportunity", "customer")
Row = dict[str, Any]
#: What the funnel counts, for whoever reads its table.
FUNNEL = (
    "Each column counts leads, once per row: who entered the segment; of these, who has since made a stage "
    "transition to MQL or beyond, to SAL or beyond, and who has an accepted hand-off opened since. A lead of two "
    "segments is in both rows."
)


def written(at: datetime | None) -> str:
    """An instant as programs read it; empty for none."""
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def cohorts(machine: Machine, segment: str, now: datetime | None = None) -> list[Row]:
    """Each step of a segment in graph order: who is there, who is due, what became of its touches so far."""
    now = now or machine.now()
    steps = machine.steps(segment)
    with machine.db.read() as link:
        here, touches = _standing(link, segment, now), _touches(link, segment)
        idle, tasks = _exhausted(link, segment), _tasks(link, segment)
    rows = []
    for step in steps:
        waiting, due, next_due = here.get(step.id, (0, 0, None))
        counts, next_try = touches.get(step.id, (Counter(), None))
        soonest = min((at for at in (next_due, next_try) if at is not None), default=None)
        rows.append({
            "step": step.id, "label": step.label, "waiting": waiting, "due": due, "exhausted": idle[step.id],
            "planned": counts["planned"], "sent": counts["sent"], "tasks": tasks[step.id],
            "deferred": counts["deferred"], "suppressed": counts["suppressed"],
            "failed": counts["failed"] + counts["expired"],
            "uncertain": counts["uncertain"], "next due": written(soonest),
        })  # fmt: skip
    return rows


def _exhausted(link: Connection, segment: str) -> Counter[str]:
    """How many idle on each offer step, since nothing in the library is left for them."""
    query = select(col(Enrolment.step), func.count()).where(col(Enrolment.sequence) == segment, exhausted())
    return Counter({str(step): count for step, count in link.execute(query.group_by(col(Enrolment.step)))})


def _tasks(link: Connection, segment: str) -> Counter[str]:
    """How many tasks each step has asked for."""
    query = select(col(Task.step), func.count()).where(col(Task.sequence) == segment).group_by(col(Task.step))
    return Counter({step: count for step, count in link.execute(query)})


def _standing(link: Connection, segment: str, now: datetime) -> dict[str, tuple[int, int, datetime | None]]:
    """Step to (leads there, of them due, the next instant of the others)."""
    due = func.sum(case((col(Enrolment.due_at) <= now, 1), else_=0))
    later = func.min(case((col(Enrolment.due_at) > now, col(Enrolment.due_at)), else_=None))
    query = (
        select(col(Enrolment.step), func.count(), due, later)
        .where(col(Enrolment.sequence) == segment, col(Enrolment.ended_at).is_(None))
        .group_by(col(Enrolment.step))
    )
    return {str(step): (count, int(ready or 0), at) for step, count, ready, at in link.execute(query)}


def _touches(link: Connection, segment: str) -> dict[str, tuple[Counter[str], datetime | None]]:
    """Step to (touches by what became of them, the next instant at which one is tried)."""
    held_up = func.sum(case((col(Touch.reason).in_(DEFERRED), 1), else_=0))
    query = (
        select(col(Touch.step), col(Touch.state), func.count(), held_up, func.min(col(Touch.next_at)))
        .where(col(Touch.sequence) == segment)
        .group_by(col(Touch.step), col(Touch.state))
    )
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    soonest: dict[str, list[datetime]] = defaultdict(list)
    for step, state, count, late, next_at in link.execute(query):
        deferred = int(late) if state == "planned" else 0
        counts[step]["deferred"] += deferred
        counts[step]["planned" if state in WAITING else state] += count - deferred
        if next_at is not None:
            soonest[step].append(next_at)
    return {step: (counted, min(soonest[step], default=None)) for step, counted in counts.items()}


def outcomes(machine: Machine, segment: str) -> dict[str, int]:
    """How those who left the sequence left it, most frequent first."""
    query = (
        select(col(Enrolment.outcome), func.count())
        .where(col(Enrolment.sequence) == segment, col(Enrolment.ended_at).is_not(None))
        .group_by(col(Enrolment.outcome))
        .order_by(func.count().desc(), col(Enrolment.outcome))
    )
    with machine.db.read() as link:
        return {str(word): count for word, count in link.execute(query)}


def uncertain(machine: Machine) -> list[Row]:
    """Messages that may or may not have arrived: a person decides."""
    columns = (Touch.id, Touch.lead_id, Touch.sequence, Touch.step, Touch.sending_at, Touch.reason, Touch.message_id)
    query = select(*map(col, columns)).where(col(Touch.state) == literal_column("'uncertain'"))  # as its index says it
    words = ("touch", "lead", "segment", "step", "since", "evidence", "message id")
    with machine.db.read() as link:  # put in order here: SQLite would rather read every touch in order
        found = [dict(zip(words, row, strict=True)) for row in sorted(link.execute(query), key=lambda row: row.id)]
    return [{**row, "since": written(row["since"]), "evidence": row["evidence"] or ""} for row in found]


def funnel(machine: Machine) -> list[Row]:
    """Leads that entered each segment, and how many of them came to MQL, SAL and an accepted hand-off."""
    segments = machine.segments()
    with machine.db.read() as link:
        rows = [_funnel_row(link, slug) for slug in segments]
        rows.append(_funnel_row(link, None))
    return rows


def _funnel_row(link: Connection, segment: str | None) -> Row:
    """Counted from what has happened, of which there is less than of leads."""

    def leads(table: Any, at: Any, *tests: ColumnElement[bool]) -> int:
        """Whom it happened to, not before the lead's first enrolment here."""
        inside = (col(Enrolment.lead_id) == col(table.lead_id)) & (col(Enrolment.started_at) <= at)
        here = [] if segment is None else [select(1).where(inside, _in(segment)).correlate(table).exists()]
        return _distinct(link, col(table.lead_id), *tests, *here)

    def reached(stage: str) -> int:
        at_least = LADDER[LADDER.index(stage) :]
        return leads(StageTransition, col(StageTransition.at), col(StageTransition.to_stage).in_(at_least))

    entered = col(Lead.id) if segment is None else col(Enrolment.lead_id)
    return {
        "segment": segment or "all leads",
        "leads": _distinct(link, entered, *([] if segment is None else [_in(segment)])),
        "mql": reached("mql"), "sal": reached("sal"),
        "accepted": leads(Handoff, col(Handoff.opened_at), col(Handoff.state) == "accepted"),
    }  # fmt: skip


def _in(segment: str) -> ColumnElement[bool]:
    return col(Enrolment.sequence) == segment


def _distinct(link: Connection, lead: Any, *tests: ColumnElement[bool]) -> int:
    return link.execute(select(func.count(lead.distinct())).where(*tests)).scalar_one()


def touches(machine: Machine) -> list[Row]:
    """What went out, by segment, step and channel, and how many of the letters a person clicked in."""
    clicked = select(col(Event.touch_id)).where(
        col(Event.touch_id).is_not(None),
        col(Event.name).in_(("email_clicked", "offer_viewed")),
        col(Event.actor) == "person",
    )
    groups = (col(Touch.sequence), col(Touch.step), col(Touch.kind), col(Touch.state))
    query = select(*groups, func.count()).where(col(Touch.kind) != ELSEWHERE).group_by(*groups)
    counts: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    with machine.db.read() as link:
        for segment, step, kind, state, count in link.execute(query):
            counts[(segment, step, kind)]["waiting" if state in WAITING else state] += count
        # apart: PostgreSQL guesses few clicks, and a join of all with those was planned for minutes' work
        for segment, step, kind, _, count in link.execute(query.where(col(Touch.id).in_(clicked))):
            counts[(segment, step, kind)]["clicked"] += count
    words = ("sent", "clicked", "waiting", "suppressed", "failed", "expired", "uncertain", "cancelled")
    order = {(slug, step.id): place for slug in machine.segments() for place, step in enumerate(machine.steps(slug))}
    return [
        {"segment": segment, "step": step, "channel": kind, **{word: counted[word] for word in words}}
        for (segment, step, kind), counted in sorted(
            counts.items(), key=lambda item: (item[0][0], order.get(item[0][:2], 999), item[0][1])
        )
    ]


def handoffs(machine: Machine, *, open_only: bool = False, people: bool = False) -> list[Row]:
    """Hand-offs with owner and reason, newest first; `people`: with names and addresses, for a terminal."""
    query = select(Handoff, Lead).join(Lead, col(Lead.id) == col(Handoff.lead_id)).order_by(col(Handoff.id).desc())
    if open_only:
        query = query.where(col(Handoff.state) == "open")
    with machine.db.read() as link, Session(link) as session:
        return [_handoff(row, lead, people) for row, lead in session.execute(query)]


def _handoff(row: Handoff, lead: Lead, people: bool) -> Row:
    who = " ".join(filter(None, (lead.first_name, lead.last_name))) or lead.email or f"lead {lead.id}"
    person = {"who": who, "e-mail": lead.email or "", "company": lead.company or ""} if people else {}
    return {
        "id": row.id, "lead": row.lead_id, **person, "milestone": row.milestone,
        "segment": row.sequence or "", "owner": row.owner, "state": row.state, "reason": row.reason or "",
        "score": row.score, "fit": letter(row.fit) or "", "opened": written(row.opened_at),
        "deadline": written(row.deadline_at),
        "answered": written(row.answered_at), "answered by": row.answered_by or "",
        "routed": row.routed_by or "", "reminded": written(row.reminded_at), "escalated": written(row.escalated_at),
        "instead of": row.instead_of or "", "next": written(row.next_at),
        "progress": row.progress or "", "progressed": written(row.progress_at), "lost": row.lost_reason or "",
        "value": row.value, "currency": row.currency,
    }  # fmt: skip


def failures(machine: Machine, segments: list[str], since: datetime) -> list[Row]:
    """Touches that failed since an instant, by step and reason."""
    groups = (col(Touch.sequence), col(Touch.step), col(Touch.reason))
    failed = (col(Touch.state) == "failed", col(Touch.ended_at) >= since, col(Touch.sequence).in_(segments))
    query = select(*groups, func.count()).where(*failed).group_by(*groups).order_by(*groups)
    words = ("segment", "step", "reason", "touches")
    with machine.db.read() as link:
        return [dict(zip(words, row, strict=True)) for row in link.execute(query)]


def tries(machine: Machine, segments: list[str], after: datetime) -> Row | None:
    """Touches that are tried again after an instant, for no reason of window, cap or guard: how many, from when."""
    again = (
        col(Touch.sequence).in_(segments),
        col(Touch.next_at) > after,
        col(Touch.state).in_(("planned", "retry_wait")),
    )
    query = select(func.count(), func.min(col(Touch.next_at)), func.min(col(Touch.reason)))
    with machine.db.read() as link:
        count, first, reason = link.execute(query.where(*again, col(Touch.reason).not_in(DEFERRED))).one()
    return {"touches": count, "from": first, "reason": reason} if count else None


def next_due(machine: Machine, segments: list[str], after: datetime) -> datetime | None:
    """The first instant after `after` at which these segments, or the house, have something to do."""
    here = (col(Enrolment.sequence).in_(segments), col(Enrolment.ended_at).is_(None))
    tries = (col(Touch.sequence).in_(segments), col(Touch.state).in_(("planned", "retry_wait")))
    with machine.db.read() as link:
        found = [
            link.execute(select(func.min(column)).where(column > after, *tests)).scalar()
            for column, tests in (
                (col(Work.due_at), ()),
                (col(Enrolment.due_at), here),
                (col(Touch.next_at), tries),
                (col(Outbox.next_at), (col(Outbox.done_at).is_(None),)),
                (col(Handoff.next_at), (col(Handoff.state).in_(("open", "accepted")),)),
            )
        ]  # fmt: skip
        again = next_resend(link, machine.library)
    return min((at for at in (*found, again) if at is not None and at > after), default=None)
