"""Who enters a sequence: on the transition into its rule, and who is told no, with the reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
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
)
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine.live import Live
from nurture.language.compiler import compile_condition
from nurture.program.load import Segment
from nurture.records import Enrolment, Event, Holding, Lead, Milestone, Refusal, Suppression
from nurture.records.types import Instant, instant, micros, to_micros
from nurture.zones import lead_zone

#: An objective reached this long before a first enrolment keeps the lead out.
OBJECTIVE_COUNTS = timedelta(days=180)


def holding_rule(slug: str) -> str:
    """The name under which a sequence's rule is remembered to hold."""
    return f"enrol:{slug}"


def belongs(live: Live, segment: Segment, now: datetime) -> ColumnElement[bool]:
    """Segment rule and trigger together."""
    scope = live.scope(now, segment)
    return and_(compile_condition(segment.spec.segment, scope), compile_condition(segment.spec.enrol.when, scope))


def suppressed() -> ColumnElement[bool]:
    """Whether the lead, its address or its domain is on the suppression list."""
    at = func.coalesce(func.nullif(col(Lead.email), ""), "")
    domain = (col(Suppression.kind) == "domain") & at.endswith("@" + col(Suppression.value))
    address = (col(Suppression.kind) == "address") & (col(Suppression.value) == col(Lead.email))
    lead = (col(Suppression.kind) == "lead") & (col(Suppression.value) == cast(col(Lead.id), String))
    mine = or_(address, lead, domain)
    return select(1).where(mine).correlate(Lead).exists()


def enrol(link: Connection, live: Live, segment: Segment, leads: Select[Any], now: datetime) -> int:
    """Enrol those of `leads` (a SELECT of ids) that have just come to match; how many entered."""
    rule = holding_rule(segment.slug)
    match = belongs(live, segment, now)
    among = col(Lead.id).in_(leads)
    held = select(1).where(col(Holding.lead_id) == col(Lead.id), col(Holding.rule) == rule).correlate(Lead).exists()
    inside = (
        select(1)
        .where(col(Enrolment.lead_id) == col(Lead.id), col(Enrolment.sequence) == segment.slug, col(Enrolment.ended_at).is_(None))
        .correlate(Lead)
        .exists()
    )  # fmt: skip
    fresh = and_(among, match, ~held, ~inside)
    reason = refusal(live, segment, now)
    refused = select(col(Lead.id), literal(segment.slug), literal(now, Instant()), reason).where(fresh, reason.is_not(None))
    insert = upsert(link)(Refusal).from_select(["lead_id", "sequence", "at", "reason"], refused)
    link.execute(
        insert.on_conflict_do_update(
            index_elements=["lead_id", "sequence"], set_={"at": insert.excluded.at, "reason": insert.excluded.reason}
        )
    )
    entered = _enter(link, live, segment, select(col(Lead.id)).where(fresh, reason.is_(None)), now, by="rule")
    rows = select(col(Lead.id), literal(rule), literal(now, Instant())).where(among, match)
    link.execute(upsert(link)(Holding).from_select(["lead_id", "rule", "since"], rows).on_conflict_do_nothing())
    over = select(col(Lead.id)).where(among, ~match)
    link.execute(delete(Holding).where(col(Holding.rule) == rule, col(Holding.lead_id).in_(over)))
    return entered


def refusal(live: Live, segment: Segment, now: datetime) -> ColumnElement[str | None]:
    """Why a lead that matches is not enrolled, or NULL: the first clause that says no."""
    spec = segment.spec
    clauses: list[tuple[ColumnElement[bool], ColumnElement[str]]] = [(suppressed(), literal("suppressed"))]
    mine = (col(Enrolment.lead_id) == col(Lead.id)) & (col(Enrolment.sequence) == segment.slug)
    last = (
        select(func.max(micros(col(Enrolment.ended_at)))).where(mine).correlate(Lead).scalar_subquery()
    )
    if spec.enrol.again == "never":
        clauses.append((last.is_not(None), literal("once_only")))
    else:
        gap = to_micros(now - spec.enrol.again.after.roughly)
        clauses.append((func.coalesce(last > gap, False), literal("too_soon_again")))
    clauses.append((func.coalesce(col(Lead.rests_until) > now, False), literal("resting")))
    if spec.objective:
        since = func.coalesce(last, to_micros(now - OBJECTIVE_COUNTS))
        reached = (
            select(1)
            .where(
                col(Milestone.lead_id) == col(Lead.id),
                col(Milestone.name) == spec.objective,
                micros(col(Milestone.reached_at)) >= since,
            )
            .correlate(Lead)
        )
        clauses.append((reached.exists(), literal("objective_reached")))
    if spec.leave is not None:
        clauses.append((compile_condition(spec.leave, live.scope(now, segment)), literal("leave_holds")))
    return case(*clauses, else_=null())


def _enter(link: Connection, live: Live, segment: Segment, leads: Select[Any], now: datetime, by: str) -> int:
    first = segment.spec.steps[0]
    rotation = (
        select(func.count())
        .where(col(Enrolment.lead_id) == col(Lead.id), col(Enrolment.sequence) == segment.slug)
        .correlate(Lead)
        .scalar_subquery()
    )
    entered = literal(now, Instant())
    due = instant(first.due_on_entry(literal(to_micros(now)), lead_zone(live.house.program.zone)))
    rows = select(
        col(Lead.id), literal(segment.slug), literal(segment.id), rotation + 1, literal(by), literal(first.id), literal(1),
        entered, due, literal(first.listens), entered,
    ).where(col(Lead.id).in_(leads))  # fmt: skip
    columns = [
        "lead_id", "sequence", "version_id", "rotation", "enrolled_by", "step", "occurrence", "entered_at", "due_at",
        "listening", "started_at",
    ]  # fmt: skip
    insert = upsert(link)(Enrolment).from_select(columns, rows)
    return link.execute(insert.on_conflict_do_nothing()).rowcount


def unsettled_before(now: datetime) -> ColumnElement[bool]:
    """Events that count now and were not taken in yet."""
    return and_(col(Event.settled_at).is_(None), col(Event.ripe_at) <= now)
