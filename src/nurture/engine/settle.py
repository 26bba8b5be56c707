"""Settle: what a change means for a lead, for all changed leads at once.

The tick calls it for whatever work is due, a door for its one lead, in the transaction of the change itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, case, delete, func, null, select, update
from sqlmodel import col

from nurture.engine import handoffs, lifecycle, scoring
from nurture.engine.ending import end_enrolments
from nurture.engine.enrolling import enrol, suppressed, unsettled_before
from nurture.engine.live import Live
from nurture.language.compiler import compile_condition, turn, turning
from nurture.language.conditions import Condition
from nurture.records import Enrolment, Event, Lead, Milestone, Work
from nurture.records.types import instant, micros
from nurture.zones import know_zones, lead_zone

#: Leads that one transaction settles.
BATCH = 5_000
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


def claim_due(link: Connection, claim: str, now: datetime, limit: int = BATCH) -> int:
    """Take up to `limit` leads whose time has come; how many. Two settlers never take the same."""
    due = (
        select(col(Work.lead_id))
        .where(col(Work.due_at) <= now, col(Work.claim).is_(None))
        .order_by(col(Work.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return link.execute(update(Work).where(col(Work.lead_id).in_(due)).values(claim=claim)).rowcount


def claim_lead(link: Connection, claim: str, lead: int) -> None:
    """Take this one lead, whose work row the caller has just written in the same transaction."""
    link.execute(update(Work).where(col(Work.lead_id) == lead).values(claim=claim))


def settle(link: Connection, live: Live, claim: str, now: datetime) -> SettleReport:
    """Everything that follows for the claimed leads; ends the claim."""
    leads = select(col(Work.lead_id)).where(col(Work.claim) == claim)
    report = SettleReport(looked_at=link.execute(select(func.count()).select_from(leads.subquery())).scalar_one())
    if not report.looked_at:
        return report
    link.execute(select(col(Lead.id)).where(col(Lead.id).in_(leads)).order_by(col(Lead.id)).with_for_update())
    zones = select(lead_zone(live.house.program.zone)).where(col(Lead.id).in_(leads)).distinct()
    know_zones(link, link.execute(zones).scalars())
    scoring.score(link, live.house, leads, now)
    report.mql = lifecycle.become_mql(link, live.house, leads, now)
    report.milestones.update(lifecycle.reach_milestones(link, live.house, leads, now))
    report.handoffs = handoffs.decide(link, live.house, col(Milestone.lead_id).in_(leads), now)
    report.left = _leave(link, live, leads, now)
    _wake(link, leads, now)
    for segment in live.segments.values():
        entered = enrol(link, live, segment, leads, now)
        if entered:
            report.enrolled[segment.slug] += entered
    if report.enrolled:  # being in one sequence may be a reason to leave another
        report.left += _leave(link, live, leads, now)
    link.execute(
        update(Event).where(col(Event.lead_id).in_(leads), unsettled_before(now)).values(settled_at=now)
    )
    _recheck(link, live, claim, now)
    return report


def _leave(link: Connection, live: Live, leads: Select[Any], now: datetime) -> int:
    """Objective before leave: a lead that asked for a demo has succeeded, whatever else holds."""
    left = 0
    among = col(Enrolment.lead_id).in_(leads)
    for segment in live.versions(link):
        here = and_(among, col(Enrolment.version_id) == segment.id)
        if segment.spec.objective:
            reached = select(1).where(
                col(Milestone.lead_id) == col(Enrolment.lead_id),
                col(Milestone.name) == segment.spec.objective,
                col(Milestone.reached_at) >= col(Enrolment.started_at),
            )
            left += end_enrolments(link, and_(here, reached.correlate(Enrolment).exists()), "objective", now)
        lead = select(1).where(col(Lead.id) == col(Enrolment.lead_id))
        barred = lead.where(suppressed()).correlate(Enrolment).exists()
        left += end_enrolments(link, and_(here, barred), "suppressed", now)
        if segment.spec.leave is not None:
            scope = live.scope(now, segment)
            leaving = lead.where(compile_condition(segment.spec.leave, scope)).correlate(Enrolment).exists()
            left += end_enrolments(link, and_(here, leaving), "left", now)
    return left


def _wake(link: Connection, leads: Select[Any], now: datetime) -> None:
    """Steps that listen look again now, since something happened."""
    listening = and_(
        col(Enrolment.lead_id).in_(leads),
        col(Enrolment.listening),
        col(Enrolment.ended_at).is_(None),
        col(Enrolment.due_at) > now,
    )
    link.execute(update(Enrolment).where(listening).values(due_at=now))


def _recheck(link: Connection, live: Live, claim: str, now: datetime) -> None:
    """Plan the next look at each lead: when an event ripens, or when time alone turns a condition."""
    ripening = (
        select(func.min(micros(col(Event.ripe_at))))
        .where(col(Event.lead_id) == col(Lead.id), col(Event.settled_at).is_(None), col(Event.ripe_at) > now)
        .correlate(Lead)
        .scalar_subquery()
    )
    rested = case((col(Lead.rests_until) > now, micros(col(Lead.rests_until))), else_=null())
    scope = live.scope(now)
    looks = [ripening, rested, *(turn(part, scope) for part in sorted(_turning(live), key=repr))]
    mine = col(Work.claim) == claim
    link.execute(update(Work).where(mine).values(due_at=_NEVER))
    for look in looks:  # one statement each: SQLite's parser has a small stack
        at = select(look).where(col(Lead.id) == col(Work.lead_id)).correlate(Work).scalar_subquery()
        link.execute(
            update(Work)
            .where(mine, micros(col(Work.due_at)) > at)
            .values(due_at=instant(at))
            .execution_options(synchronize_session=False)
        )
    link.execute(delete(Work).where(mine, col(Work.due_at) >= _NEVER))
    link.execute(update(Work).where(mine).values(claim=None))


def _turning(live: Live) -> set[Condition]:
    """Every part of every live rule that time alone may turn."""
    lifecycle = live.house.lifecycle
    rules: list[Any] = [rule.when for rule in lifecycle.milestones.values()]
    rules += [lifecycle.mql.when] if lifecycle.mql is not None else []
    for segment in live.segments.values():
        spec = segment.spec
        rules += [spec.segment, spec.enrol.when, *([spec.leave] if spec.leave is not None else [])]
    return set().union(*(turning(rule) for rule in rules)) if rules else set()
