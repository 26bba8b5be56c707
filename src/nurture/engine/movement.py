"""Movement: the cohort that stands due on a step, claimed with one UPDATE and carried on with one UPDATE per exit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, func, null, select, update
from sqlmodel import col

from nurture.db import BULK_ROWS
from nurture.engine import handoffs
from nurture.engine.ending import Ending, end, ending
from nurture.engine.live import Live
from nurture.engine.planning import here_on, plan_touches
from nurture.engine.running import Run
from nurture.program.load import Segment
from nurture.records import Enrolment
from nurture.records.types import CLAIM, NOW_AT, instant
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


@dataclass(frozen=True)
class _Plan:
    """The statements that carry a cohort through one step."""

    claim: Any
    writes: list[Any]
    ways: list[tuple[str, Any]]
    stay: Any


def move(run: Run, segment: Segment, step: Step) -> Moved:
    """Carry up to 20,000 due leads through `step`; the caller commits, and calls again while some were due."""
    plan = run.plan(("move", segment.id, step.id), lambda: _plan(run.live, segment, step))
    claimed = run(plan.claim).rowcount
    moved = Moved(due=claimed)
    if not claimed:
        return moved
    for statement in plan.writes:
        run(statement)
    if step.calls_sales:
        cohort = select(col(Enrolment.lead_id)).where(col(Enrolment.claim) == CLAIM)
        moved.handoffs = handoffs.decide(run, "cohort", cohort)
    if isinstance(step, Sending):
        moved.planned = plan_touches(run, segment, step)
    for target, way in plan.ways:
        count = end(run, way) if isinstance(way, Ending) else run(way).rowcount
        if count:
            moved.ways[target] += count
    run(plan.stay)
    return moved


def _plan(live: Live, segment: Segment, step: Step) -> _Plan:
    here = here_on(live, segment, step)
    some = (
        select(col(Enrolment.id))
        .where(
            col(Enrolment.sequence) == segment.slug,
            col(Enrolment.version_id) == segment.id,
            col(Enrolment.step) == step.id,
            col(Enrolment.due_at) <= NOW_AT,
            col(Enrolment.claim).is_(None),
        )
        .order_by(col(Enrolment.due_at))
        .limit(BULK_ROWS)
        .with_for_update(skip_locked=True)
    )
    stay = step.stay(here)
    return _Plan(
        update(Enrolment).where(col(Enrolment.id).in_(some)).values(claim=CLAIM),
        step.writes(here),
        [(way.target or _END, _way(segment, here, way)) for way in step.exits(here)],
        update(Enrolment).where(here.cohort).values(due_at=null() if stay is None else instant(stay), claim=None),
    )


def passages(step: str) -> ColumnElement[int]:
    """Which passage of `step` an enrolment begins that goes there now: 1, or more after a loop."""
    mark, path = f"/{step}/", col(Enrolment.path)
    return 1 + (func.length(path) - func.length(func.replace(path, mark, ""))) // len(mark)


def _way(segment: Segment, here: Here, way: Exit) -> Any:
    """Those who take `way` stand on its target from then on, or have come to the end."""
    if way.target is None:
        return ending(and_(here.cohort, way.when), way.outcome or "completed", at=instant(way.at))
    target = segment.spec.step(way.target)
    return (
        update(Enrolment)
        .where(here.cohort, way.when)
        .values(
            step=target.id,
            occurrence=passages(target.id) if segment.spec.repeats else 1,
            path=col(Enrolment.path).concat(f"{target.id}/"),
            entered_at=instant(way.at),
            due_at=instant(target.due_on_entry(way.at, zone_of_enrolment(here.zone))),
            deadline_at=None,
            listening=target.listens,
            claim=None,
        )
    )
