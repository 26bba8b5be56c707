"""One lead in or out of a sequence by hand: it skips the rule and its `again`, never the suppression list."""

from __future__ import annotations

from sqlalchemy import ColumnElement, case, literal, null, select
from sqlmodel import col

from nurture.engine.audit import note
from nurture.engine.doors import lock_lead
from nurture.engine.ending import end, ending
from nurture.engine.enrolling import Waiting, barring, count_existing, entry, let_in_existing
from nurture.engine.running import Run
from nurture.errors import Refused
from nurture.program.load import Segment
from nurture.records import Enrolment, Lead
from nurture.zones import know_zones, lead_zone

#: What stops even a hand, in words; the others are `reading.explain.REFUSALS`.
INSIDE = "inside"


def enrol(run: Run, segment: Segment, lead: int, by: str) -> str | None:
    """Let `lead` in now; why it may not (`inside`, `suppressed`, `objective_reached`, `leave_holds`), or None.

    Under the lead's lock, in the caller's transaction.
    """
    lock_lead(run.link, lead, run.now)
    inside = select(1).where(_live(segment.slug, lead)).exists()
    said = case((inside, literal(INSIDE)), *barring(run.live, segment), else_=null())
    reason: str | None = run(select(said).where(col(Lead.id) == lead)).scalar_one()
    if reason is None:
        zone = lead_zone(run.live.house.program.zone)
        know_zones(run.link, run(select(zone).where(col(Lead.id) == lead)).scalars())
        run(entry(run.live, segment, col(Lead.id) == lead, literal(by)))
        note(run.link, "enrolled", f"lead:{lead}", by, run.now, {"sequence": segment.slug})
    return reason


def enrol_existing(run: Run, segment: Segment, by: str) -> Waiting:
    """Let in whoever matched before the sequence was live and was never inside: the next tick decides on each.

    The rule, `again`, the suppression list and the day's limit hold for them as for all.
    """
    found = count_existing(run, segment)
    let_in_existing(run, segment)
    note(run.link, "enrolled_existing", f"segment:{segment.slug}", by, run.now, {"leads": found.all})
    return found


def unenrol(run: Run, slug: str, lead: int, by: str) -> None:
    """End the lead's passage through `slug` now, as `unenrolled`. Raises Refused when it is not inside."""
    lock_lead(run.link, lead, run.now)
    if not end(run, ending(_live(slug, lead), "unenrolled")):
        raise Refused(f"lead {lead} is not inside '{slug}'")
    note(run.link, "unenrolled", f"lead:{lead}", by, run.now, {"sequence": slug})


def _live(slug: str, lead: int) -> ColumnElement[bool]:
    return (col(Enrolment.lead_id) == lead) & (col(Enrolment.sequence) == slug) & col(Enrolment.ended_at).is_(None)
