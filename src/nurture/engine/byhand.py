"""What a person decides of one lead: in or out of a sequence (it skips the rule and its `again`, never the suppression
list), and whether what it did was a person's doing.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, literal, null, select, update
from sqlmodel import col

from nurture.engine import classing
from nurture.engine.audit import note
from nurture.engine.doors import lock_lead, settle_one
from nurture.engine.ending import end, ending
from nurture.engine.enrolling import Waiting, barring, count_existing, entry, let_in_existing
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.errors import Refused
from nurture.program.load import Segment
from nurture.records import Enrolment, Event, Lead
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


def reclass(
    link: Connection, live: Live, lead: int, actor: str, now: datetime, *, since: datetime, until: datetime,
    because: str, by: str,
) -> int:  # fmt: skip
    """What a lead did in messages between two instants was a `person`'s or a `machine`'s after all; how many deeds.

    Everything that follows is derived anew in the same transaction; `audit` keeps who said so.
    """
    lock_lead(link, lead, now)
    deeds = and_(
        col(Event.lead_id) == lead, col(Event.name).in_(classing.DONE), col(Event.actor) != actor,
        col(Event.occurred_at) >= since, col(Event.occurred_at) <= until,
    )  # fmt: skip
    values = {"actor": actor, "classed_by": f"{by}: {because}", "settled_at": None}
    count = int(link.execute(update(Event).where(deeds).values(**values)).rowcount)
    if count:
        note(link, "reclass", f"lead:{lead}", by, now, {"as": actor, "deeds": count, "because": because})
        settle_one(link, live, lead, now)
    return count
