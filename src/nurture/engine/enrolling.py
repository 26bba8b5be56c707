"""Who enters a sequence: on the transition into its rule, and who is told no, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.dialects import apart, new_rows, newer_rows, unset
from nurture.engine import queueing
from nurture.engine.lifecycle import hold, over, release
from nurture.engine.live import Live
from nurture.engine.objecting import shut_out
from nurture.engine.queueing import Queue
from nurture.engine.running import CLAIMED, Run
from nurture.language.compiler import compile_condition
from nurture.program.load import Segment
from nurture.records import Enrolment, EnrolmentQueue, Holding, Lead, Milestone, Refusal, Suppression
from nurture.records.types import NOW, NOW_AT, Document, instant, micros, span_micros
from nurture.steps.base import Whose
from nurture.worklist import work_for
from nurture.zones import after, lead_zone

#: An objective reached this long before a first enrolment keeps the lead out.
OBJECTIVE_COUNTS = timedelta(days=180)


#: Who enrols by the sequence's rule.
_RULE = literal("rule")


def holding_rule(slug: str) -> str:
    """The name under which a sequence's rule is remembered to hold."""
    return f"enrol:{slug}"


def belongs(live: Live, segment: Segment) -> ColumnElement[bool]:
    """Segment rule and trigger together."""
    scope = live.scope(segment)
    return and_(compile_condition(segment.spec.segment, scope), compile_condition(segment.spec.enrol.when, scope))


def holds_already(rule: str) -> ColumnElement[bool]:
    """Whether `rule` held for a lead when it was last looked at."""
    mine = (col(Holding.lead_id) == col(Lead.id)) & (col(Holding.rule) == rule)
    return select(1).where(mine).correlate(Lead).exists()


def rested() -> ColumnElement[bool]:
    """Whether a lead does not rest; one that rests enters afterwards, if the rule holds then."""
    return or_(col(Lead.rests_until).is_(None), col(Lead.rests_until) <= NOW_AT)


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
    #: How many have come to match, or wait in the queue and match; those who do not enter are refused, or inside.
    matching: Any
    refuse: Any
    enter: Any
    remember: Any
    forget: Any
    #: Of a sequence that lets in so many a day.
    queue: Queue | None


def enrol(run: Run, segment: Segment) -> tuple[int, bool]:
    """Enrol those of the claimed leads that have just come to match, as far as the day has room.

    How many entered, and whether the sequence's queue was touched: then `next_in_line` follows.
    """
    plan = _plan(run, segment)
    entered, queued = 0, False
    matching = int(run(plan.matching).scalar_one())
    if plan.queue is not None:
        if matching:
            run(plan.refuse)
        entered, queued = queueing.admit(run, segment, plan.queue)
    elif matching:
        entered = max(int(run(plan.enter).rowcount), 0)
        if entered < matching:
            run(plan.refuse)
    if matching:
        run(plan.remember)
    run(plan.forget)
    return entered, queued


def next_in_line(run: Run, segment: Segment) -> None:
    """Plan the look at those who enter next from the sequence's queue; when a run's other looks are planned."""
    queue = _plan(run, segment).queue
    if queue is not None:
        queueing.plan(run, segment, queue)


def end_of_limit(run: Run, slug: str) -> None:
    """The new version knows no limit: whoever queues comes to match anew, and enters when it is settled."""
    waiting = select(col(EnrolmentQueue.lead_id)).where(col(EnrolmentQueue.sequence) == slug)
    run(release(holding_rule(slug), waiting))
    run(work_for(waiting))
    run(delete(EnrolmentQueue).where(col(EnrolmentQueue.sequence) == slug))


@dataclass(frozen=True)
class Waiting:
    """Leads that match a sequence's rule, matched before it was live, and were never in it."""

    #: How many may come in, and why how many of the others may not, by the word of the refusal.
    welcome: int
    refused: dict[str, int]
    limit: int | None

    @property
    def all(self) -> int:
        return self.welcome + sum(self.refused.values())


def existing(live: Live, segment: Segment) -> Select[Any]:
    """The leads that were marked as existing: the rule holds, and is remembered to hold, and they were never inside."""
    mine = (col(Enrolment.lead_id) == col(Lead.id)) & (apart(col(Enrolment.sequence)) == segment.slug)
    inside = select(1).where(mine).correlate(Lead).exists()
    known = holds_already(holding_rule(segment.slug))
    return select(col(Lead.id)).where(known, ~inside, ~queueing.queued(segment.slug), belongs(live, segment))


def count_existing(run: Run, segment: Segment) -> Waiting:
    """How many `let_in_existing` would let in, and why not the others."""
    reason = refusal(run.live, segment)
    which = existing(run.live, segment)
    counts = run(which.with_only_columns(reason.label("why"), func.count()).group_by(reason)).all()
    refused = {why: count for why, count in counts if why is not None}
    return Waiting(sum(count for why, count in counts if why is None), refused, segment.spec.enrol.limit)


def let_in_existing(run: Run, segment: Segment) -> None:
    """Forget that the rule held for them: they come to match anew, and enter as others do when they are looked at."""
    which = existing(run.live, segment)
    run(work_for(which))
    run(release(holding_rule(segment.slug), which))


def _plan(run: Run, segment: Segment) -> _Entering:
    return run.plan(("enrol", segment.id), lambda: _entering(run.live, segment))


def _entering(live: Live, segment: Segment) -> _Entering:
    rule = holding_rule(segment.slug)
    match = belongs(live, segment)
    among = col(Lead.id).in_(CLAIMED)
    held = holds_already(rule)
    inside = (
        select(1)
        .where(
            col(Enrolment.lead_id) == col(Lead.id),
            apart(col(Enrolment.sequence)) == segment.slug,
            unset(col(Enrolment.ended_at)),
        )
        .correlate(Lead)
        .exists()
    )
    limited = segment.spec.enrol.limit is not None
    new = or_(~held, queueing.queued(segment.slug)) if limited else ~held
    fresh = and_(among, new, ~inside, match)
    reason = refusal(live, segment)
    welcome = and_(fresh, reason.is_(None))
    refused = select(col(Lead.id), literal(segment.slug), NOW_AT, reason).where(fresh, reason.is_not(None))
    return _Entering(
        select(func.count()).select_from(Lead).where(among, new, match),
        newer_rows(
            Refusal,
            ["lead_id", "sequence", "at", "reason"],
            refused,
            ["lead_id", "sequence"],
            lambda new: {"at": new.at, "reason": new.reason},
        ),
        None if limited else entry(live, segment, welcome),
        hold(rule, select(col(Lead.id)).where(among, ~held, rested(), match)),
        over(rule, ~match),
        queueing.queue_of(segment, welcome, lambda which: entry(live, segment, which)) if limited else None,
    )


Clause = tuple[ColumnElement[bool], ColumnElement[str]]


def refusal(live: Live, segment: Segment) -> ColumnElement[str | None]:
    """Why a lead that matches is not enrolled, or NULL: the first clause that says no."""
    spec, last = segment.spec, _last_end(segment.slug)
    if spec.enrol.again == "never":
        again: Clause = (last.is_not(None), literal("once_only"))
    else:
        rest = after(last, spec.enrol.again.after, lead_zone(live.house.program.zone))
        again = (func.coalesce(rest > NOW, False), literal("too_soon_again"))
    resting: Clause = (func.coalesce(col(Lead.rests_until) > NOW_AT, False), literal("resting"))
    on_the_list, *others = barring(live, segment)
    return case(on_the_list, again, resting, *others, else_=null())


def barring(live: Live, segment: Segment) -> list[Clause]:
    """What keeps out even a lead that a person enrols, with the word for it: the suppression list comes first."""
    spec = segment.spec
    clauses: list[Clause] = [(suppressed(), literal("suppressed")), (shut_out(), literal("objected"))]
    if spec.objective:
        since = func.coalesce(_last_end(segment.slug), NOW - span_micros(OBJECTIVE_COUNTS))
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
    return clauses


def _last_end(slug: str) -> ColumnElement[Any]:
    """When a lead's last passage ended, in microseconds; NULL: it has had none."""
    mine = (col(Enrolment.lead_id) == col(Lead.id)) & (apart(col(Enrolment.sequence)) == slug)
    return select(func.max(micros(col(Enrolment.ended_at)))).where(mine).correlate(Lead).scalar_subquery()


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


def entry(live: Live, segment: Segment, which: ColumnElement[bool], by: Any = _RULE) -> Any:
    """The INSERT that lets the leads in for which `which` holds, on the first step, from now."""
    first = segment.spec.steps[0]
    rotation = (
        select(func.count())
        .where(col(Enrolment.lead_id) == col(Lead.id), apart(col(Enrolment.sequence)) == segment.slug)
        .correlate(Lead)
        .scalar_subquery()
    )
    due = instant(
        first.due_on_entry(NOW, Whose(lead_zone(live.house.program.zone), type_coerce(col(Lead.fields), Document)))
    )
    rows = select(
        col(Lead.id), literal(segment.slug), literal(segment.id), rotation + 1, by, literal(first.id),
        literal(1), literal(f"/{first.id}/"), NOW_AT, due, literal(first.listens), NOW_AT,
    ).where(which)  # fmt: skip
    columns = [
        "lead_id", "sequence", "version_id", "rotation", "enrolled_by", "step", "occurrence", "path", "entered_at",
        "due_at", "listening", "started_at",
    ]  # fmt: skip
    return new_rows(Enrolment, columns, rows)
