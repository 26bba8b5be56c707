"""Settle: what a change means for a lead, for all changed leads at once.

The tick calls it for whatever work is due, a door for its one lead, in the transaction of the change itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlmodel import col

from nurture.dialects import FEW, greatest, least, unset
from nurture.engine import accounts, handoffs, lifecycle, scoring
from nurture.engine.ending import Ending, end, ending
from nurture.engine.enrolling import enrol, next_in_line, objective_reached, suppressed
from nurture.engine.live import Live
from nurture.engine.planning import exhausted
from nurture.engine.running import CLAIMED, Run
from nurture.engine.scoring import FRESH
from nurture.language.compiler import compile_condition
from nurture.language.conditions import Condition
from nurture.language.turns import turning, turns
from nurture.program.load import Segment
from nurture.records import AudienceMember, Enrolment, Event, Lead, Work
from nurture.records.types import CLAIM, NOW, NOW_AT, instant, micros, to_micros
from nurture.steps.base import lead_of_enrolment
from nurture.zones import know_zones, lead_zone

#: Leads that one transaction settles.
BATCH = 5_000
#: Reasons to look again that one statement weighs: SQLite's functions take some hundred arguments.
_REASONS = 50
#: The end of what a datetime can say: no look is planned.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass
class SettleReport:
    """What settling changed."""

    looked_at: int = 0
    enrolled: Counter[str] = field(default_factory=Counter)
    left: int = 0
    milestones: Counter[str] = field(default_factory=Counter)
    mql: int = 0
    handoffs: int = 0

    def add(self, other: SettleReport) -> None:
        self.looked_at += other.looked_at
        self.enrolled += other.enrolled
        self.left += other.left
        self.milestones += other.milestones
        self.mql += other.mql
        self.handoffs += other.handoffs


_DUE = (
    select(col(Work.lead_id))
    .prefix_with(FEW)  # PostgreSQL may ask a subquery again for each row, and each time lock others
    .where(col(Work.due_at) <= NOW_AT, col(Work.claim).is_(None))
    .order_by(col(Work.due_at))
    .limit(bindparam("at_most", type_=Integer))
    .with_for_update(skip_locked=True)
)
_TAKE = update(Work).where(col(Work.lead_id).in_(_DUE)).values(claim=CLAIM)
_LOCK = select(col(Lead.id)).where(col(Lead.id).in_(CLAIMED)).order_by(col(Lead.id)).with_for_update(key_share=True)
#: When the latest of what is settled now happened to an enrolment's lead (an event, a change, a condition that time
#: turned): steps that listen look again as of then, however late this tick is.
_LATEST = (
    select(func.max(greatest(micros(col(Event.ripe_at)), micros(col(Event.recorded_at)))))
    .where(col(Event.lead_id) == col(Enrolment.lead_id), FRESH)
    .correlate(Enrolment)
    .scalar_subquery()
)
_CHANGED = select(micros(col(Lead.changed_at))).where(col(Lead.id) == col(Enrolment.lead_id)).scalar_subquery()
_PLANNED = select(micros(col(Work.due_at))).where(col(Work.lead_id) == col(Enrolment.lead_id)).scalar_subquery()
_MOMENT = least(greatest(func.coalesce(_LATEST, _PLANNED), _CHANGED, _PLANNED, micros(col(Enrolment.entered_at))), NOW)
_WAKE = (
    update(Enrolment)
    .where(
        col(Enrolment.lead_id).in_(CLAIMED),
        col(Enrolment.listening),
        unset(col(Enrolment.ended_at)),
        micros(col(Enrolment.due_at)) > _MOMENT,
    )
    .values(due_at=instant(_MOMENT))
)
#: Nobody advertises to a customer.
_NO_ADS = (
    update(AudienceMember)
    .where(
        col(AudienceMember.lead_id).in_(CLAIMED),
        col(AudienceMember.wanted),
        select(1).where(col(Lead.id) == col(AudienceMember.lead_id), col(Lead.stage) == "customer").exists(),
    )
    .values(wanted=False, changed_at=NOW_AT)
)
#: Who idles on an offer step because nothing was left for it may have come to fit a piece.
_LOOK_AGAIN = (
    update(Enrolment).where(col(Enrolment.lead_id).in_(CLAIMED), exhausted(of_leads=True)).values(due_at=NOW_AT)
)
_VERSIONS = (
    select(col(Enrolment.version_id))
    .where(col(Enrolment.lead_id).in_(CLAIMED), unset(col(Enrolment.ended_at)))
    .distinct()
)
_WAITING = and_(
    col(Enrolment.lead_id).in_(CLAIMED),
    unset(col(Enrolment.ended_at)),
    col(Enrolment.due_at) > NOW_AT,
    ~col(Enrolment.listening),
)
_STANDING = select(col(Enrolment.version_id), col(Enrolment.step)).where(_WAITING).distinct()
_TAKEN_IN = update(Event).where(col(Event.lead_id).in_(CLAIMED), FRESH).values(settled_at=NOW_AT)
_MINE = col(Work.claim) == CLAIM
_DROP = delete(Work).where(_MINE, col(Work.due_at) >= _NEVER)
_GIVE_BACK = update(Work).where(_MINE).values(claim=None)
#: Of a forgotten lead nothing follows any more, whatever still comes in of it.
_SHELL = select(1).where(col(Lead.id) == col(Work.lead_id), col(Lead.forgotten_at).is_not(None))
_NOTHING_FOLLOWS = delete(Work).where(_MINE, _SHELL.correlate(Work).exists())


def anybody_due(link: Connection, now: datetime) -> bool:
    """Whether any lead's time to be looked at has come."""
    due = select(col(Work.lead_id)).where(col(Work.due_at) <= now, col(Work.claim).is_(None)).limit(1)
    return link.execute(due).first() is not None


def claim_due(run: Run, limit: int = BATCH) -> int:
    """Take up to `limit` leads whose time has come; how many. Two settlers never take the same."""
    accounts.tell_colleagues(run, limit)
    return int(run(_TAKE, at_most=limit).rowcount)


def claim_lead(run: Run, lead: int) -> None:
    """Take this one lead, whose work row the caller has just written in the same transaction."""
    run(update(Work).where(col(Work.lead_id) == lead).values(claim=CLAIM))


def settle(run: Run) -> SettleReport:
    """Everything that follows for the claimed leads; ends the claim."""
    live = run.live
    run(_NOTHING_FOLLOWS)
    report = SettleReport(looked_at=len(run(_LOCK).all()))
    if not report.looked_at:
        return report
    versions = live.versions(run.link)
    default = live.house.program.zone
    zones = run.plan(("zones",), lambda: select(lead_zone(default)).where(col(Lead.id).in_(CLAIMED)).distinct())
    know_zones(run.link, run(zones).scalars())
    accounts.derive(run)
    scoring.score(run)
    if by_account := accounts.asked(run, versions):
        accounts.count(run)
    lifecycle.become_lead(run)
    report.mql = lifecycle.become_mql(run)
    report.milestones.update(lifecycle.reach_milestones(run))
    report.handoffs = handoffs.decide(run, "claimed", CLAIMED)
    run(_NO_ADS)
    if inside := _inside(run, versions):
        report.left = _leave(run, inside)
        run(_WAKE)
        run(_LOOK_AGAIN)
        _remeasure(run)
    queues = []
    for segment in live.segments.values():
        entered, queued = enrol(run, segment)
        queues += [segment] if queued else []
        if entered:
            report.enrolled[segment.slug] += entered
    if report.enrolled:  # being in one sequence may be a reason to leave another
        report.left += _leave(run, _inside(run, versions))
    _recheck(run, versions, by_account)
    for segment in queues:
        next_in_line(run, segment)
    return report


def _inside(run: Run, versions: Sequence[Segment]) -> list[Segment]:
    """Those of `versions` that claimed leads are in."""
    found = set(run(_VERSIONS).scalars())
    return [segment for segment in versions if segment.id in found]


def _leave(run: Run, versions: Sequence[Segment]) -> int:
    """Objective before leave: a lead that asked for a demo has succeeded, whatever else holds."""
    left = 0
    for segment in versions:
        for how in run.plan(("leave", segment.id), lambda segment=segment: _endings(run.live, segment)):  # type: ignore[misc]
            left += end(run, how)
    return left


def _endings(live: Live, segment: Segment) -> list[Ending]:
    # + 0: SQLite would else take the index of the version, and look at everybody in it
    here = and_(col(Enrolment.lead_id).in_(CLAIMED), col(Enrolment.version_id) + 0 == segment.id)
    lead = select(1).where(col(Lead.id) == col(Enrolment.lead_id))
    found = []
    if segment.spec.objective:
        found.append(ending(and_(here, objective_reached(segment.spec.objective)), "objective"))
    found.append(ending(and_(here, lead.where(suppressed()).correlate(Enrolment).exists()), "suppressed"))
    if segment.spec.leave is not None:
        leaving = lead.where(compile_condition(segment.spec.leave, live.scope(segment)))
        found.append(ending(and_(here, leaving.correlate(Enrolment).exists()), "left"))
    return found


def _remeasure(run: Run) -> None:
    """Waits count from their beginning on the clock of where the lead is now; over in the past: over now."""
    for version, name in run(_STANDING).all():
        run(run.plan(("remeasure", version, name), lambda version=version, name=name: _measured(run, version, name)))  # type: ignore[misc]


def _measured(run: Run, version: int, name: str) -> Any:
    step = run.live.library.segment(run.link, version).spec.step(name)
    due = step.due_on_entry(micros(col(Enrolment.entered_at)), lead_of_enrolment(run.live.house.program.zone))
    # + 0: few leads are looked at and many may be in the version, so SQLite must not begin with its index.
    here = and_(_WAITING, col(Enrolment.version_id) + 0 == version, col(Enrolment.step) == name)
    return (
        update(Enrolment).where(here, micros(col(Enrolment.due_at)) != due).values(due_at=instant(greatest(due, NOW)))
    )


def _recheck(run: Run, versions: Sequence[Segment], by_account: bool) -> None:
    """Plan the next look at each lead: when an event ripens, or when time alone turns a condition; what was fresh is
    taken in.
    """
    key = tuple(sorted(segment.id for segment in versions))
    for look in run.plan(("recheck", key), lambda: _looks(run.live, versions)):
        run(look)
    if by_account:
        accounts.again(run)
    run(_TAKEN_IN)
    run(_DROP)
    run(_GIVE_BACK)


def _looks(live: Live, versions: Sequence[Segment]) -> list[Any]:
    """The statements that put each claimed lead's next look at the first instant for which there is a reason."""
    ripening = (
        select(func.min(micros(col(Event.ripe_at))))
        .where(col(Event.lead_id) == col(Lead.id), col(Event.settled_at).is_(None), col(Event.ripe_at) > NOW_AT)
        .correlate(Lead)
        .scalar_subquery()
    )
    rested = case((col(Lead.rests_until) > NOW_AT, micros(col(Lead.rests_until))), else_=null())
    times, scores = turns(_turning(live, versions), live.scope())
    reasons, never = [ripening, rested, *times], literal(to_micros(_NEVER), BigInteger)
    some = [reasons[first : first + _REASONS] for first in range(0, len(reasons), _REASONS)]
    found: list[Any] = []
    # the scores by themselves: SQLite's parser has a small stack
    for soonest in (*(least(*(func.coalesce(at, never) for at in each)) for each in some), *scores):
        first = select(soonest).where(col(Lead.id) == col(Work.lead_id)).correlate(Work).scalar_subquery()
        if not found:
            found.append(update(Work).where(_MINE).values(due_at=instant(first)))
            continue
        found.append(update(Work).where(_MINE, micros(col(Work.due_at)) > first).values(due_at=instant(first)))
    return found


def _turning(live: Live, versions: Sequence[Segment]) -> set[Condition]:
    """Every part of every rule that time alone may turn: of the house, and of each version that leads are in."""
    house = live.house.lifecycle
    rules: list[Any] = [rule.when for rule in house.milestones.values()]
    rules += [house.lead.when] if house.lead is not None else []
    if house.mql is not None:
        below = lifecycle.rearm(house.mql, live.house.scope.levels)
        rules += [house.mql.condition, *([below] if below is not None else [])]
    found = set().union(*(turning(rule, live.scope()) for rule in rules))
    for segment in versions:
        spec, scope = segment.spec, live.scope(segment)
        own = [spec.segment, spec.enrol.when, *([spec.leave] if spec.leave is not None else [])]
        own += [awaited for step in spec.steps if step.listens for _, awaited in step.conditions()]
        found.update(*(turning(rule, scope) for rule in own))
    return found
