"""What sales has of a lead, and why it was not handed over: hand-offs with their answers, refusals, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from nurture.engine.accounts import owner_of
from nurture.engine.handoffs import RESTING
from nurture.engine.known_to_sales import missed
from nurture.engine.running import Run
from nurture.engine.story import Story
from nurture.language import conditions as c
from nurture.language.compiler import event_matches
from nurture.reading.definitions import ENTRANCES, THEN, calls
from nurture.reading.sentences import sentence
from nurture.reading.why_not import failing
from nurture.records import Account, Event, Handoff, HandoffAnswer, Lead, Milestone, StageTransition, StatusChange

#: Stages in which a lead is not yet with sales, nor past it.
_BEFORE = ("subscriber", "lead", "mql", "recycled")


@dataclass(frozen=True)
class Said:
    """Something that was so at an instant."""

    at: datetime | None
    what: str


@dataclass(frozen=True)
class WithSales:
    """What is between a lead and sales, in sentences."""

    account: str = ""
    #: Each hand-off: what it is, then what became of it.
    handoffs: tuple[list[Said], ...] = ()
    #: Milestones that opened no hand-off, and what is missing for one.
    refused: tuple[Said, ...] = ()
    #: Of stage and status.
    changes: tuple[Said, ...] = ()
    #: The lead's status then, if it has changed since.
    status: str | None = None


def with_sales(run: Run, story: Story, now: datetime) -> WithSales:
    """Everything between this lead and sales until `now`."""
    lead = story.lead_id
    rows = run.link.execute(
        select(Handoff.__table__)  # type: ignore[attr-defined]
        .where(col(Handoff.lead_id) == lead, col(Handoff.opened_at) <= now)
        .order_by(col(Handoff.opened_at), col(Handoff.id))
    ).all()
    answers = run.link.execute(
        select(HandoffAnswer.__table__)  # type: ignore[attr-defined]
        .where(col(HandoffAnswer.lead_id) == lead, col(HandoffAnswer.at) <= now)
        .order_by(col(HandoffAnswer.at), col(HandoffAnswer.id))
    ).all()
    known = {row.id: row for row in rows}
    gone_to = {row.instead_of: row for row in rows if row.instead_of is not None}
    handoffs = tuple(
        list(_handoff(row, [one for one in answers if one.handoff_id == row.id], known, gone_to, now)) for row in rows
    )
    refused, changes = tuple(_refused(run, story, now)), tuple(_changes(run, lead, now))
    later = select(col(StatusChange.from_status)).where(col(StatusChange.lead_id) == lead, col(StatusChange.at) > now)
    status = run.link.execute(later.order_by(col(StatusChange.at), col(StatusChange.id)).limit(1)).scalar()
    return WithSales(_account(run, lead), handoffs, refused, changes, status)


def _account(run: Run, lead: int) -> str:
    query = select(col(Lead.account), col(Account.owner), col(Account.cause))
    query = query.join_from(Lead, Account, col(Account.key) == col(Lead.account), isouter=True)
    key, owner, cause = run.link.execute(query.where(col(Lead.id) == lead)).one()
    if key is None:
        return ""
    if owner is None:
        owner, cause = owner_of(run, [key]).get(key), "as most of its leads"
    who = f"{owner} has it" + (f" ({cause})" if cause else "") if owner else "nobody has it yet"
    return f"Account {key}: {who}"


def _handoff(
    row: Any, answers: list[Any], known: dict[int, Any], gone_to: dict[int, Any], now: datetime
) -> Iterator[Said]:
    way = f", {ENTRANCES[row.entrance]}" if row.entrance in ENTRANCES and row.entrance != "marketing" else ""
    level = f", {row.level.replace('_', ' ')}" if row.level else ""
    why = f": {row.routed_by}" if row.routed_by else ""
    yield Said(None, f"Hand-off {row.id}, {row.milestone.replace('_', ' ')}{level}{way}, to {row.owner}{why}")
    before, after = known.get(row.instead_of or 0), gone_to.get(row.id)
    told = ""
    if before is not None:
        late = missed(before.deadline_at, row.opened_at, before.answered_at)
        told = f" after {before.owner} did not answer in time" if late else f"; {before.owner} had it before"
    yield Said(row.opened_at, f"handed over{told}")
    answered = row.answered_at is not None and row.answered_at <= now
    if row.reminded_at is not None and row.reminded_at <= now:
        yield Said(row.reminded_at, "reminded")
    if row.escalated_at is not None and row.escalated_at <= now:
        yield Said(row.escalated_at, "escalated: nobody had answered in time")
    for one in answers:
        yield Said(one.at, _answer(one))
    if answered and not any(one.answer in ("accepted", "rejected") for one in answers):
        reason = f" as {_plain(row.reason)}" if row.reason else ""
        yield Said(row.answered_at, f"{row.state}{reason} by {row.answered_by}")
    if after is not None and missed(row.deadline_at, after.opened_at, row.answered_at):
        yield Said(row.deadline_at, f"nobody answered in time; it went to {after.owner}")
    elif after is not None:
        yield Said(after.opened_at, f"given to {after.owner}")
    elif not answered and not answers:
        yield Said(row.deadline_at, "is when the answer was due: overdue" if row.deadline_at < now else
                   "is when the answer is due")  # fmt: skip


def _answer(one: Any) -> str:
    reason = f" as {_plain(one.reason)}" if one.answer == "rejected" and one.reason else ""
    lost = f" ({_plain(one.reason)})" if one.answer != "rejected" and one.reason else ""
    value = f", {one.value:,.0f} {one.currency or ''}".rstrip() if one.value is not None else ""
    note = f": “{one.note}”" if one.note else ""
    return f"{_WORDS.get(one.answer, one.answer)}{reason}{lost}{value} by {one.by}{note}"


_WORDS = {"met": "met", "sql": "called an SQL", "opportunity": "called an opportunity", "recycled": "given back"}


def _plain(word: str | None) -> str:
    return (word or "").replace("_", " ")


def _refused(run: Run, story: Story, now: datetime) -> Iterator[Said]:
    """Each milestone that opened no hand-off, with the reason; then what calls sales and is not reached."""
    lifecycle = run.live.house.lifecycle
    gate = {rule.reason: rule for rule in lifecycle.gate}
    groups = (col(Milestone.name), col(Milestone.outcome), col(Milestone.reason), col(Milestone.handoff_id))
    query = select(*groups, func.count(), func.max(col(Milestone.reached_at))).where(
        col(Milestone.lead_id) == story.lead_id, col(Milestone.reached_at) <= now
    )
    rows = run.link.execute(query.group_by(*groups).order_by(func.max(col(Milestone.reached_at)))).all()
    for name, outcome, reason, handoff, times, at in rows:
        often = f", the last of {times}" if times > 1 else ""
        rule = lifecycle.milestones.get(name)
        if outcome == "refused" and reason == RESTING and reason not in gate:
            said = "sales gave it back, and it rests"
        elif outcome == "refused":
            said = f"refused at the gate as {_plain(reason)}"
            if reason in gate:
                said += f": {sentence(gate[reason].refuse)}; {THEN[gate[reason].then]}"
        elif outcome == "evidence":
            said = f"sales had it already, so it was added to hand-off {handoff}"
        elif outcome == "noted":
            said = "history when we learnt of it, more than a week old" if rule and calls(rule) else "no call to sales"
        elif outcome is None:
            said = "the next tick decides"
        else:
            continue
        yield Said(at, f"{_plain(name)}{often}: {said}")
    if story.lead["stage"] in _BEFORE:
        yield from _missing(run, story, {row[0] for row in rows})


def _missing(run: Run, story: Story, reached: set[str]) -> Iterator[Said]:
    lifecycle, lead = run.live.house.lifecycle, story.lead_id
    far = []
    for name, rule in lifecycle.milestones.items():
        if name in reached or not calls(rule):
            continue
        near = _near(run, lead, rule.when) if isinstance(rule.when, c.Did) else ""
        if near:
            yield Said(None, f"{_plain(name)} is not reached: {near}")
        else:
            far.append(_plain(name))
    if far:
        yield Said(None, f"{'Other milestones' if reached else 'Milestones'} that it has not reached: {', '.join(far)}")
    if lifecycle.mql is not None and story.lead["stage"] != "mql":
        parts = failing(run, lifecycle.mql.condition, run.live.scope(), lead)
        if parts:
            yield Said(None, f"Not an MQL: {', '.join(f'{sentence(part)}: no' for part in parts)}")


def _near(run: Run, lead: int, did: c.Did) -> str:
    """`2 of 3 (page viewed …) within 14 days`, where it did some of what is asked."""
    if did.negated or did.at_least < 2 or isinstance(did.since, str):
        return ""
    span = did.within or did.since
    mine = [col(Event.lead_id) == lead, event_matches(did), col(Event.occurred_at) <= run.now]
    if span is not None:
        mine.append(col(Event.occurred_at) > run.now - span.roughly)
    times = run(select(func.count()).select_from(Event).where(*mine)).scalar_one()
    return f"{times} of {did.at_least} ({sentence(did)})" if 0 < times < did.at_least else ""


def _changes(run: Run, lead: int, now: datetime) -> Iterator[Said]:
    """Every change of stage and of status, with its cause and author."""
    found = []
    for table, word in ((StageTransition, "stage"), (StatusChange, "status")):
        query = select(table.__table__).where(col(table.lead_id) == lead, col(table.at) <= now)  # type: ignore[union-attr]
        for row in run.link.execute(query.order_by(col(table.at), col(table.id))):
            old, new = getattr(row, f"from_{word}"), getattr(row, f"to_{word}")
            found.append(Said(row.at, f"{word} {_plain(old)} to {_plain(new)}: {row.cause} (by {row.author})"))
    yield from sorted(found, key=lambda said: said.at or now)
