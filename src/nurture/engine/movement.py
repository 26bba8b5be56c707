"""Movement: the cohort that stands due on a step, claimed with one UPDATE and carried on with one UPDATE per exit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, null, select, update
from sqlmodel import col

from nurture.db import BULK_ROWS
from nurture.engine import handoffs
from nurture.engine.ending import end_enrolments
from nurture.engine.live import Live
from nurture.engine.planning import plan
from nurture.program.load import Segment
from nurture.records import Enrolment, Milestone
from nurture.records.types import instant
from nurture.steps import Exit, Here, Sending, Step
from nurture.steps.base import zone_of_enrolment

_END = "(end)"


@dataclass
class Moved:
    """How many stood due, and where they went."""

    due: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    planned: int = 0
    handoffs: int = 0


def due_on(segment: Segment, step: Step, now: datetime) -> ColumnElement[bool]:
    """The enrolments that stand due on `step` of this version."""
    return and_(
        col(Enrolment.sequence) == segment.slug,
        col(Enrolment.version_id) == segment.id,
        col(Enrolment.step) == step.id,
        col(Enrolment.due_at) <= now,
    )


def move(link: Connection, live: Live, segment: Segment, step: Step, now: datetime, run_id: str) -> Moved:
    """Carry up to 20,000 due leads through `step`; the caller commits, and calls again while some were due."""
    some = (
        select(col(Enrolment.id))
        .where(due_on(segment, step, now), col(Enrolment.claim).is_(None))
        .order_by(col(Enrolment.due_at))
        .limit(BULK_ROWS)
        .with_for_update(skip_locked=True)
    )
    claimed = link.execute(update(Enrolment).where(col(Enrolment.id).in_(some)).values(claim=run_id)).rowcount
    moved = Moved(due=claimed)
    if not claimed:
        return moved

    def hand_off(link: Connection) -> None:
        cohort = select(col(Enrolment.lead_id)).where(col(Enrolment.claim) == run_id)
        moved.handoffs += handoffs.decide(link, live.house, col(Milestone.lead_id).in_(cohort), now)

    here = Here(
        run_id=run_id,
        now=now,
        sequence=segment.slug,
        version_id=segment.id,
        step=step.id,
        following=segment.spec.following(step.id),
        zone=live.house.program.zone,
        scope=live.scope(now, segment),
        language=live.house.program.language,
        library=live.house.library,
        hand_off=hand_off,
    )
    step.perform(link, here)
    if isinstance(step, Sending):
        moved.planned = plan(link, live, segment, step, here)
    for way in step.exits(here):
        count = _take(link, segment, here, way)
        if count:
            moved.ways[way.target or _END] += count
    stay = step.stay(here)
    link.execute(
        update(Enrolment)
        .where(here.cohort)
        .values(due_at=null() if stay is None else instant(stay), claim=None)
        .execution_options(synchronize_session=False)
    )
    link.execute(update(Enrolment).where(col(Enrolment.claim) == run_id).values(claim=None))
    return moved


def _take(link: Connection, segment: Segment, here: Here, way: Exit) -> int:
    if way.target is None:
        outcome = way.outcome or "completed"
        return end_enrolments(link, and_(here.cohort, way.when), outcome, here.now, at=instant(way.at))
    target = segment.spec.step(way.target)
    return link.execute(
        update(Enrolment)
        .where(here.cohort, way.when)
        .values(
            step=target.id,
            occurrence=1,
            entered_at=instant(way.at),
            due_at=instant(target.due_on_entry(way.at, zone_of_enrolment(here.zone))),
            listening=target.listens,
            claim=None,
        )
        .execution_options(synchronize_session=False)
    ).rowcount
