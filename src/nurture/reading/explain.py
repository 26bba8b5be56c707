"""Why this lead got, did not get, scored, moved: the whole ledger of one person, at any instant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.planning import exhausted
from nurture.engine.running import Run
from nurture.engine.story import Story, find_lead, tell
from nurture.reading.arms import arms_of
from nurture.reading.basis import barred, bases, objections
from nurture.reading.explained import Explained
from nurture.reading.holds import lead_holds
from nurture.reading.identity import names
from nurture.reading.preferences import preferences
from nurture.reading.sentences import sentence
from nurture.reading.why_not import REFUSALS, why_not
from nurture.reading.with_sales import with_sales
from nurture.records import Enrolment

__all__ = ["REFUSALS", "Explained", "explain"]


def explain(machine: Machine, who: str, at: datetime | None = None) -> Explained:
    """The story of `who` (e-mail, source:id or number) as of `at`. Raises NotFound, NotPublished."""
    now = at or machine.now()
    live = machine.live()
    with machine.db.read() as link:
        lead = find_lead(link, who)
        story = tell(link, live, lead, now)
        zone = story.zone or live.house.program.zone
        inside = {row.sequence for row in story.enrolments if row.ended_at is None or row.ended_at > now}
        missing = {
            slug: why_not(Run(link, live, now), segment, story)
            for slug, segment in live.segments.items()
            if slug not in inside
        }
        shut = barred(link, lead, story.lead["email"] or "", story.lead["phone"])
        basis, objected = bases(link, lead, now), objections(link, lead, now)
        chosen, leave = preferences(link, live.house.program, lead, zone, now), _leave_rules(link, live, story)
        idle = select(col(Enrolment.id)).where(col(Enrolment.lead_id) == lead, exhausted())
        without = frozenset(int(number or 0) for number in link.execute(idle).scalars())
        sales = with_sales(Run(link, live, now), story, now)
        arms, called = tuple(arms_of(link, live, story, now)), tuple(names(link, lead, now))
    holds = lead_holds(machine, lead, inside)
    gate = {rule.reason: sentence(rule.refuse) for rule in live.house.lifecycle.gate}
    return Explained(
        story, now, zone, missing, shut, basis, objected, chosen, holds, leave, without, arms, gate, called, sales,
        now < machine.now(),
    )  # fmt: skip


def _leave_rules(link: Connection, live: Live, story: Story) -> dict[int, str]:
    """The leave rule of each version that the lead was in."""
    versions = {row.version_id for row in story.enrolments}
    rules = {version: live.library.segment(link, version).spec.leave for version in versions}
    return {version: sentence(rule) for version, rule in rules.items() if rule is not None}
