"""Planning: a touch for each lead that stands on a sending step, at the first instant at which it may go out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, null, select
from sqlmodel import col

from nurture.dialects import greatest, new_rows, unset
from nurture.engine.experiments import arm_to_plan
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.engine.wishes import PAUSED_UNTIL
from nurture.program.load import Segment
from nurture.records import Enrolment, Lead, Preference, Touch
from nurture.records.types import CLAIM, NOW, NOW_AT, instant, span_micros
from nurture.steps import Here, Sending, Step
from nurture.windows import OUT_OF_SIGHT, know_openings, next_open
from nurture.zones import know_zones, lead_country, lead_zone

#: The touch of the step on which an enrolment stands, in this passage of it.
OF_PASSAGE = and_(
    col(Touch.enrolment_id) == col(Enrolment.id),
    col(Touch.step) == col(Enrolment.step),
    col(Touch.occurrence) == col(Enrolment.occurrence),
)


def windowed(step: Sending) -> bool:
    """Whether the send window applies: to marketing messages. Operational ones are awaited."""
    return step.is_message and step.purpose() == "marketing"


def exhausted(*, of_leads: bool = False) -> ColumnElement[bool]:
    """Whether an enrolment idles on an offer step: nothing in the library is left for its lead.

    `of_leads`: asked of enrolments that are found by their leads.
    """
    ended, due = col(Enrolment.ended_at), col(Enrolment.due_at)
    idle = and_(unset(ended), unset(due)) if of_leads else and_(ended.is_(None), due.is_(None))
    return and_(idle, ~select(1).where(OF_PASSAGE).correlate(Enrolment).exists())


def here_on(live: Live, segment: Segment, step: Step) -> Here:
    """A step of this version, with what it may need to know."""
    program = live.house.program
    return Here(
        sequence=segment.slug,
        version_id=segment.id,
        step=step.id,
        following=segment.spec.following(step.id),
        zone=program.zone,
        scope=live.scope(segment),
        language=program.language,
        library=live.house.library,
    )


def plan_touches(run: Run, segment: Segment, step: Sending) -> int:
    """Plan a touch for each of the carried cohort that has none yet; how many. No content left: none (exhausted)."""
    pairs, insert = run.plan(("touches", segment.id, step.id), lambda: _planning(run.live, segment, step))
    rows = run(pairs).all()
    found = [(zone, country) for zone, country, _ in rows]
    know_zones(run.link, {zone for zone, _ in found})
    know_openings(
        run.link, segment.window(run.live.house), found, run.now, min((since for *_, since in rows), default=None)
    )
    return max(int(run(insert).rowcount), 0)


def _planning(live: Live, segment: Segment, step: Sending) -> tuple[Any, Any]:
    """(the zones and countries of the cohort, the INSERT of its touches)."""
    here, program = here_on(live, segment, step), live.house.program
    zone, country = lead_zone(program.zone), lead_country(program.country)
    pairs = (
        select(zone, country, func.min(col(Enrolment.due_at)))
        .join_from(Enrolment, Lead, col(Lead.id) == col(Enrolment.lead_id))
        .where(here.cohort)
        .group_by(zone, country)
    )
    present = greatest(here.due, NOW)
    allowed, tried = here.due, present  # a tick that comes late does not make the message any younger
    silent: ColumnElement[int] = literal(0)
    if windowed(step):
        window, silent = segment.window(live.house), PAUSED_UNTIL
        allowed, tried = (_opens(at, next_open(window, at, zone, country)) for at in (here.due, present))
    existing = select(1).where(OF_PASSAGE).correlate(Enrolment).exists()
    cohort = (
        select(
            col(Enrolment.lead_id), col(Enrolment.id).label("enrolment_id"), col(Enrolment.occurrence),
            step.content(here).label("content"), here.due.label("due"), allowed.label("allowed"),
            tried.label("tried"), silent.label("silent"), arm_to_plan(segment, step).label("arm"),
        )
        .outerjoin_from(Enrolment, Preference, col(Preference.lead_id) == col(Enrolment.lead_id))
        .where(here.cohort, ~existing)
        .offset(0)  # openings are looked up once, not again wherever they are named
        .subquery()
    )  # fmt: skip
    reason = case((cohort.c.silent > NOW, literal("pause")), (cohort.c.tried > NOW, literal("window")), else_=null())
    allowed, tried = (greatest(at, cohort.c.silent) for at in (cohort.c.allowed, cohort.c.tried))
    rows = select(
        cohort.c.lead_id, cohort.c.enrolment_id, literal(segment.slug), literal(segment.id), literal(step.id),
        cohort.c.occurrence, literal(step.kind_word), literal(step.purpose()), cohort.c.content, literal("planned"),
        reason, instant(cohort.c.due), instant(allowed), instant(tried), literal(0),
        literal(False), NOW_AT, CLAIM, cohort.c.arm,
    ).where(cohort.c.content.is_not(None))  # fmt: skip
    columns = [
        "lead_id", "enrolment_id", "sequence", "version_id", "step", "occurrence", "kind", "purpose", "content",
        "state",
        "reason", "due_at", "allowed_at", "next_at", "attempt", "tracked", "planned_at", "run_id", "arm",
    ]  # fmt: skip
    return pairs, new_rows(Touch, columns, rows)


def _opens(at: ColumnElement[Any], opens: ColumnElement[Any]) -> ColumnElement[Any]:
    """The first instant from `at` on at which an enrolment's lead may be written to."""
    of_lead = select(opens).where(col(Lead.id) == col(Enrolment.lead_id)).correlate_except(Lead)
    return func.coalesce(of_lead.scalar_subquery(), at + span_micros(OUT_OF_SIGHT))
