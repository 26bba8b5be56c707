"""Movement: the cohort that stands due on a step, locked with one SELECT and carried on with one UPDATE per exit.

An enrolment's path names every step that it entered, between slashes; `<again` in it says that the goto `again` led
back. Under `on_edit: migrate` an edit may put a step in a lead's way on which it has been: then it only passes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, case, func, literal, null, select, update
from sqlmodel import col

from nurture.engine import handoffs, tasks
from nurture.engine.ending import Ending, end, ending
from nurture.engine.live import Live
from nurture.engine.pacing import Pace, paced
from nurture.engine.planning import here_on, plan_touches
from nurture.engine.running import Run
from nurture.jsonsql import among, listed
from nurture.program.load import Segment
from nurture.program.sequence import Sequence
from nurture.records import Enrolment
from nurture.records.types import CARRIED, NOW_AT, instant
from nurture.steps import Exit, GoTo, Here, Sending, Step, Task
from nurture.steps.base import Whose, lead_of_enrolment

_END = "(end)"
#: The occurrence of a step that a lead only passes, since it has been there in this turn: nothing of it is done again.
PASSING = 0


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

    due: Any
    passing: list[tuple[str, Any]]
    writes: list[Any]
    ways: list[tuple[str, Any]]
    stay: Any


def move(run: Run, segment: Segment, step: Step) -> Moved:
    """Carry some of the due leads through `step`; the caller commits, and calls again while some were due."""
    with paced(run, "move", segment.id, step.id) as pace:
        return _move(run, segment, step, pace)


def _move(run: Run, segment: Segment, step: Step, pace: Pace) -> Moved:
    plan = run.plan(("move", segment.id, step.id), lambda: _plan(run.live, segment, step))
    most = min(pace.rows, tasks.COHORT) if isinstance(step, Task) else pace.rows
    due = run(plan.due, at_most=most).scalars().all()
    moved, pace.taken, run = Moved(due=len(due)), len(due), replace(run, carried=listed(due))
    if not moved.due:
        return moved
    _take(run, plan.passing, moved)
    for statement in plan.writes:
        run(statement)
    if isinstance(step, Task):
        tasks.ask(run, segment, step)
    if step.calls_sales:
        cohort = select(col(Enrolment.lead_id)).where(among(col(Enrolment.id), CARRIED))
        moved.handoffs = handoffs.decide(run, "cohort", cohort)
    if isinstance(step, Sending):
        moved.planned = plan_touches(run, segment, step)
    _take(run, plan.ways, moved)
    run(plan.stay)
    return moved


def _take(run: Run, ways: list[tuple[str, Any]], moved: Moved) -> None:
    for target, way in ways:
        count = end(run, way) if isinstance(way, Ending) else run(way).rowcount
        if count:
            moved.ways[target] += count


def _plan(live: Live, segment: Segment, step: Step) -> _Plan:
    here = here_on(live, segment, step)
    due = (
        select(col(Enrolment.id))
        .where(
            col(Enrolment.sequence) == segment.slug,
            col(Enrolment.version_id) == segment.id,
            col(Enrolment.step) == step.id,
            col(Enrolment.due_at) <= NOW_AT,
        )
        .order_by(col(Enrolment.due_at))
        .limit(bindparam("at_most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    stay, passing = step.stay(here), and_(here.cohort, col(Enrolment.occurrence) == PASSING)
    passed = step.passing(here) if segment.spec.on_edit == "migrate" else []
    return _Plan(
        due,
        [(way.target or _END, _way(segment, here, way, passing)) for way in passed],
        step.writes(here),
        [(way.target or _END, _way(segment, here, way, here.cohort)) for way in step.exits(here)],
        update(Enrolment).where(here.cohort).values(due_at=null() if stay is None else instant(stay)),
    )


def passages(step: str) -> ColumnElement[int]:
    """Which passage of `step` an enrolment begins that goes there now: 1, or more after a loop."""
    mark, path = f"/{step}/", col(Enrolment.path)
    return 1 + (func.length(path) - func.length(func.replace(path, mark, ""))) // len(mark)


def _been_there(spec: Sequence, step: Step) -> ColumnElement[bool]:
    """Whether an enrolment has been on `step` in its present turn of the loops around it.

    A way back is written into the path as `/<again/`, again being the goto: a turn begins after the last of those
    that stand below the step and lead to or above it. rtrim with every sign but ! leaves what ends with the last !.
    """
    ids = [each.id for each in spec.steps]
    path: Any = col(Enrolment.path)
    for goto in spec.steps:
        if isinstance(goto, GoTo) and ids.index(goto.goto) <= ids.index(step.id) <= ids.index(goto.id):
            path = func.replace(path, f"/<{goto.id}/", "/!/")
    before = func.rtrim(path, func.replace(path, "!", ""))
    return func.substr(path, func.length(before) + 1).contains(f"/{step.id}/", autoescape=True)


def arrival(segment: Segment, target: Step, at: ColumnElement[int], whose: Whose) -> dict[str, Any]:
    """The columns of enrolments that enter `target` at the instant `at`."""
    spec = segment.spec
    occurrence = passages(target.id) if spec.repeats else literal(1)
    due = target.due_on_entry(at, whose)
    if spec.on_edit == "migrate" and not isinstance(target, GoTo):  # which counts, and does nothing
        been = _been_there(spec, target)
        occurrence, due = case((been, PASSING), else_=occurrence), case((been, at), else_=due)
    return {
        "step": target.id,
        "occurrence": occurrence,
        "path": col(Enrolment.path).concat(f"{target.id}/"),
        "entered_at": instant(at),
        "due_at": instant(due),
        "deadline_at": None,
        "listening": target.listens,
    }


def _way(segment: Segment, here: Here, way: Exit, which: ColumnElement[bool]) -> Any:
    """Those of `which` who take `way` stand on its target from then on, or have come to the end."""
    if way.target is None:
        return ending(and_(which, way.when), way.outcome or "completed", at=instant(way.at))
    step, target = segment.spec.step(here.step), segment.spec.step(way.target)
    values = arrival(segment, target, way.at, lead_of_enrolment(here.zone))
    if isinstance(step, GoTo) and way.target == step.goto:  # a new turn: nothing of it is done
        back = col(Enrolment.path).concat(f"<{step.id}/{target.id}/")
        due = target.due_on_entry(way.at, lead_of_enrolment(here.zone))
        values |= {"path": back, "occurrence": passages(target.id), "due_at": instant(due)}
    return update(Enrolment).where(which, way.when).values(**values)
