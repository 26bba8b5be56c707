"""Planning: a touch for each lead that stands on a sending step, at the first instant at which it may go out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, null, select
from sqlmodel import col

from nurture.dialects import greatest, upsert
from nurture.engine.live import Live
from nurture.program.load import Segment
from nurture.records import Enrolment, Lead, Touch
from nurture.records.types import Instant, instant
from nurture.steps import Audience, Here, Sending
from nurture.windows import Window, know_openings, next_open
from nurture.zones import know_zones, lead_country, lead_zone


def windowed(step: Sending) -> bool:
    """Whether the send window applies: to marketing messages. Audiences are no messages; operational mail is awaited."""
    return not isinstance(step, Audience) and step.purpose() == "marketing"


def plan(link: Connection, live: Live, segment: Segment, step: Sending, here: Here) -> int:
    """Plan a touch for each of the claimed cohort that has none yet; how many. No content left: none (exhausted)."""
    prepare_clocks(link, live, segment.window(live.house), here.cohort, here.now)
    content = step.content(here)
    due = here.due
    allowed: ColumnElement[Any] = greatest(due, here.instant)
    if windowed(step):
        zone, country = lead_zone(here.zone), lead_country(live.house.program.country)
        opens = next_open(segment.window(live.house), greatest(due, here.instant), zone, country)
        allowed = func.coalesce(
            select(opens).where(col(Lead.id) == col(Enrolment.lead_id)).correlate_except(Lead).scalar_subquery(), allowed
        )
    existing = (
        select(1)
        .where(
            col(Touch.enrolment_id) == col(Enrolment.id),
            col(Touch.step) == step.id,
            col(Touch.occurrence) == col(Enrolment.occurrence),
        )
        .correlate(Enrolment)
        .exists()
    )
    cohort = (
        select(
            col(Enrolment.lead_id), col(Enrolment.id).label("enrolment_id"), col(Enrolment.occurrence),
            content.label("content"), due.label("due"), allowed.label("allowed"),
        )
        .where(here.cohort, ~existing)
        .subquery()
    )  # fmt: skip
    opens_later = cohort.c.allowed > here.instant
    rows = select(
        cohort.c.lead_id, cohort.c.enrolment_id, literal(segment.slug), literal(segment.id), literal(step.id),
        cohort.c.occurrence, literal(step.kind_word), literal(step.purpose()), cohort.c.content, literal("planned"),
        _window_reason(opens_later), instant(cohort.c.due), instant(cohort.c.allowed), instant(cohort.c.allowed),
        literal(0), literal(0), literal(False), literal(here.now, Instant()), literal(here.run_id),
    ).where(cohort.c.content.is_not(None))  # fmt: skip
    columns = [
        "lead_id", "enrolment_id", "sequence", "version_id", "step", "occurrence", "kind", "purpose", "content", "state",
        "reason", "due_at", "allowed_at", "next_at", "attempt", "lease_token", "tracked", "planned_at", "run_id",
    ]  # fmt: skip
    return link.execute(upsert(link)(Touch).from_select(columns, rows).on_conflict_do_nothing()).rowcount


def _window_reason(later: ColumnElement[bool]) -> ColumnElement[Any]:
    return case((later, literal("window")), else_=null())


def prepare_clocks(
    link: Connection, live: Live, window: Window, cohort: ColumnElement[bool], now: datetime
) -> None:
    """Make sure that the time tables reach for the leads of `cohort` (about `enrolment`)."""
    program = live.house.program
    pairs = (
        select(lead_zone(program.zone), lead_country(program.country))
        .join_from(Enrolment, Lead, col(Lead.id) == col(Enrolment.lead_id))
        .where(cohort)
        .distinct()
    )
    found = [(zone, country) for zone, country in link.execute(pairs)]
    know_zones(link, {zone for zone, _ in found})
    know_openings(link, window, found, now)
