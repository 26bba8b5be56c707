"""Who enters a sequence: on the transition into its rule, and who is told no, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, null, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import apart, new_rows, newer_rows
from nurture.engine.lifecycle import hold, release
from nurture.engine.live import Live
from nurture.engine.running import CLAIMED, Run
from nurture.language.compiler import compile_condition
from nurture.program.load import Segment
from nurture.records import Enrolment, Holding, Lead, Milestone, Refusal, Suppression
from nurture.records.types import NOW, NOW_AT, instant, micros, span_micros
from nurture.zones import lead_zone

#: An objective reached this long before a first enrolment keeps the lead out.
OBJECTIVE_COUNTS = timedelta(days=180)


def holding_rule(slug: str) -> str:
    """The name under which a sequence's rule is remembered to hold."""
    return f"enrol:{slug}"


def belongs(live: Live, segment: Segment) -> ColumnElement[bool]:
    """Segment rule and trigger together."""
    scope = live.scope(segment)
    return and_(compile_condition(segment.spec.segment, scope), compile_condition(segment.spec.enrol.when, scope))


def suppressed() -> ColumnElement[bool]:
    """Whether the lead, its address or its domain is on the suppression list."""
    domain = (col(Suppression.kind) == "domain") & col(Lead.email).endswith("@" + col(Suppression.value))
    mine = or_(
        (col(Suppression.kind) == "address") & (col(Suppression.value) == col(Lead.email)),
        domain,
        (col(Suppression.kind) == "lead") & (col(Suppression.value) == cast(col(Lead.id), String)),
    )
    return select(1).where(mine).correlate(Lead).exists()


@dataclass(frozen=True)
class _Entering:
    refuse: Any
    enter: Any
    remember: Any
    forget: Any


def enrol(run: Run, segment: Segment) -> int:
    """Enrol those of the claimed leads that have just come to match; how many entered."""
    plan = run.plan(("enrol", segment.id), lambda: _entering(run.live, segment))
    run(plan.refuse)
    entered = int(run(plan.enter).rowcount)
    run(plan.remember)
    run(plan.forget)
    return max(entered, 0)


def _entering(live: Live, segment: Segment) -> _Entering:
    rule = holding_rule(segment.slug)
    match = belongs(live, segment)
    among = col(Lead.id).in_(CLAIMED)
    held = select(1).where(col(Holding.lead_id) == col(Lead.id), col(Holding.rule) == rule).correlate(Lead).exists()
    inside = (
        select(1)
        .where(
            col(Enrolment.lead_id) == col(Lead.id),
            apart(col(Enrolment.sequence)) == segment.slug,
            col(Enrolment.ended_at).is_(None),
        )
        .correlate(Lead)
        .exists()
    )
    fresh = and_(among, match, ~held, ~inside)
    reason = refusal(live, segment)
    rested = or_(col(Lead.rests_until).is_(None), col(Lead.rests_until) <= NOW_AT)  # else it enters after its rest
    refused = select(col(Lead.id), literal(segment.slug), NOW_AT, reason).where(fresh, reason.is_not(None))
    return _Entering(
        newer_rows(
            Refusal,
            ["lead_id", "sequence", "at", "reason"],
            refused,
            ["lead_id", "sequence"],
            lambda new: {"at": new.at, "reason": new.reason},
        ),
        _enter(live, segment, and_(fresh, reason.is_(None))),
        hold(rule, select(col(Lead.id)).where(among, match, rested)),
        release(rule, select(col(Lead.id)).where(among, ~match)),
    )


def refusal(live: Live, segment: Segment) -> ColumnElement[str | None]:
    """Why a lead that matches is not enrolled, or NULL: the first clause that says no."""
    spec = segment.spec
    clauses: list[tuple[ColumnElement[bool], ColumnElement[str]]] = [(suppressed(), literal("suppressed"))]
    mine = (col(Enrolment.lead_id) == col(Lead.id)) & (apart(col(Enrolment.sequence)) == segment.slug)
    last = select(func.max(micros(col(Enrolment.ended_at)))).where(mine).correlate(Lead).scalar_subquery()
    if spec.enrol.again == "never":
        clauses.append((last.is_not(None), literal("once_only")))
    else:
        gap = NOW - span_micros(spec.enrol.again.after.roughly)
        clauses.append((func.coalesce(last > gap, False), literal("too_soon_again")))
    clauses.append((func.coalesce(col(Lead.rests_until) > NOW_AT, False), literal("resting")))
    if spec.objective:
        since = func.coalesce(last, NOW - span_micros(OBJECTIVE_COUNTS))
        reached = (
            select(1)
            .where(
                col(Milestone.lead_id) == col(Lead.id),
                col(Milestone.name) == spec.objective,
                micros(col(Milestone.reached_at)) > since,
            )
            .correlate(Lead)
        )
        clauses.append((reached.exists(), literal("objective_reached")))
    if spec.leave is not None:
        clauses.append((compile_condition(spec.leave, live.scope(segment)), literal("leave_holds")))
    return case(*clauses, else_=null())


def objective_reached(objective: str) -> ColumnElement[bool]:
    """Whether an enrolment's lead has reached `objective` since its passage before this one, or else lately."""
    before = aliased(Enrolment)
    last = (
        select(func.max(micros(col(before.ended_at))))
        .where(
            col(before.lead_id) == col(Enrolment.lead_id),
            col(before.sequence) == col(Enrolment.sequence),
            col(before.id) != col(Enrolment.id),
        )
        .correlate(Enrolment)
        .scalar_subquery()
    )
    since = func.coalesce(last, micros(col(Enrolment.started_at)) - span_micros(OBJECTIVE_COUNTS))
    reached = select(1).where(
        col(Milestone.lead_id) == col(Enrolment.lead_id),
        col(Milestone.name) == objective,
        micros(col(Milestone.reached_at)) > since,
    )
    return reached.correlate(Enrolment).exists()


def _enter(live: Live, segment: Segment, which: ColumnElement[bool]) -> Any:
    first = segment.spec.steps[0]
    rotation = (
        select(func.count())
        .where(col(Enrolment.lead_id) == col(Lead.id), apart(col(Enrolment.sequence)) == segment.slug)
        .correlate(Lead)
        .scalar_subquery()
    )
    due = instant(first.due_on_entry(NOW, lead_zone(live.house.program.zone)))
    rows = select(
        col(Lead.id), literal(segment.slug), literal(segment.id), rotation + 1, literal("rule"), literal(first.id),
        literal(1), literal(f"/{first.id}/"), NOW_AT, due, literal(first.listens), NOW_AT,
    ).where(which)  # fmt: skip
    columns = [
        "lead_id", "sequence", "version_id", "rotation", "enrolled_by", "step", "occurrence", "path", "entered_at",
        "due_at", "listening", "started_at",
    ]  # fmt: skip
    return new_rows(Enrolment, columns, rows)
