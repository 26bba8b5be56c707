"""Leads that come from another system in the middle of a sequence: each stands on its step, and has had what it had.

Nothing is sent here. What was received elsewhere is kept as ended touches of the kind `elsewhere`, which walk through
the states of any touch: the rule that the same content is not sent twice sees them, caps and reports do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import case, insert, literal, null, select, update
from sqlmodel import col

from nurture.dialects import greatest
from nurture.engine.audit import note
from nurture.engine.byhand import INSIDE
from nurture.engine.enrolling import barring
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.program.load import Segment
from nurture.records import Enrolment, Lead, Touch
from nurture.records.types import CLAIM, NOW, instant, micros
from nurture.steps import Email, Sms
from nurture.steps.base import lead_of_enrolment
from nurture.worklist import put_work
from nurture.zones import know_zones, lead_zone

#: Who enrolled a lead that came so, and the kind of touch that says what it had before.
IMPORTED, ELSEWHERE = "import", "elsewhere"
#: Said of a lead that came so before: nothing is done.
KNOWN = "known"
#: Why such a touch was sent.
_BEFORE = "moved_in"


@dataclass(frozen=True)
class Standing:
    """Where a lead stands since when, and the content that it has had: names by which `contents` knows it."""

    lead: int
    entered_at: datetime
    received: Sequence[str] = field(default=())


def contents(live: Live, segment: Segment) -> dict[str, str]:
    """What a lead may have had, by the names that a file may use: letters of the sequence, offers, others' letters."""
    found: dict[str, str] = {str(piece["key"]): str(piece["key"]) for piece in live.house.library}
    for other in sorted(live.segments.values(), key=lambda one: one.slug == segment.slug):
        for step in other.spec.steps:
            letter = step.email if isinstance(step, Email) else step.sms if isinstance(step, Sms) else None
            if letter is not None:
                names = [f"{other.slug}/{letter}", f"{other.slug}/{letter.removesuffix('.j2')}"]
                names += [letter, letter.removesuffix(".j2")] if other.slug == segment.slug else []
                found |= dict.fromkeys(names, f"{other.slug}/{letter}")
    return found


def way_to(segment: Segment, step: str) -> str:
    """The path of an enrolment that came to `step` by the shortest way: the steps before it are done."""
    spec, ways = segment.spec, deque([[segment.spec.steps[0].id]])
    seen = {spec.steps[0].id}
    while ways:
        way = ways.popleft()
        if way[-1] == step:
            return f"/{'/'.join(way)}/"
        for target in spec.successors(spec.step(way[-1])).values():
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return f"/{step}/"


def place(run: Run, segment: Segment, step: str, standing: Sequence[Standing], by: str) -> dict[int, str | None]:
    """Let these leads stand on `step` of the live version; why each may not (as `byhand.enrol` says), or None.

    One row of `standing` a lead. A wait counts from when the lead came to it, and ends now at the earliest.
    """
    leads = {one.lead: one for one in standing}
    put_work(run.link, leads, run.now)
    ids = sorted(leads)
    run(select(col(Lead.id)).where(col(Lead.id).in_(ids)).order_by(col(Lead.id)).with_for_update(key_share=True))
    mine = select(1).where(col(Enrolment.lead_id) == col(Lead.id), col(Enrolment.sequence) == segment.slug)
    came, inside = mine.where(col(Enrolment.enrolled_by) == IMPORTED), mine.where(col(Enrolment.ended_at).is_(None))
    said = case(
        (came.correlate(Lead).exists(), literal(KNOWN)),
        (inside.correlate(Lead).exists(), literal(INSIDE)),
        *barring(run.live, segment),
        else_=null(),
    )
    reasons: dict[int, str | None] = {
        lead: why for lead, why in run(select(col(Lead.id), said).where(col(Lead.id).in_(ids)))
    }
    coming = [leads[lead] for lead in ids if lead in reasons and reasons[lead] is None]
    if coming:
        _enter(run, segment, step, coming)
        _remember(run, segment, {one.lead: one for one in coming})
        run(update(Enrolment).where(col(Enrolment.claim) == CLAIM).values(claim=None))
        note(run.link, "placed", f"segment:{segment.slug}", by, run.now, {"step": step, "leads": len(coming)})
    return reasons


def _enter(run: Run, segment: Segment, name: str, coming: Sequence[Standing]) -> None:
    step, zone = segment.spec.step(name), run.live.house.program.zone
    ids = [one.lead for one in coming]
    know_zones(run.link, run(select(lead_zone(zone)).where(col(Lead.id).in_(ids)).distinct()).scalars())
    passed = select(col(Enrolment.lead_id), col(Enrolment.rotation)).where(
        col(Enrolment.sequence) == segment.slug, col(Enrolment.lead_id).in_(ids)
    )
    before: dict[int, int] = {}
    for lead, rotation in run(passed):
        before[lead] = max(before.get(lead, 0), rotation)
    rows = [
        {
            "lead_id": one.lead, "sequence": segment.slug, "version_id": segment.id, "enrolled_by": IMPORTED,
            "rotation": before.get(one.lead, 0) + 1, "step": name, "occurrence": 1, "path": way_to(segment, name),
            "entered_at": one.entered_at, "started_at": one.entered_at, "listening": step.listens, "claim": run.claim,
        }
        for one in coming
    ]  # fmt: skip
    run.link.execute(insert(Enrolment), rows)
    due = greatest(step.due_on_entry(micros(col(Enrolment.entered_at)), lead_of_enrolment(zone)), NOW)
    run(update(Enrolment).where(col(Enrolment.claim) == CLAIM).values(due_at=instant(due)))


def _remember(run: Run, segment: Segment, coming: dict[int, Standing]) -> None:
    """Touches for what each had before, through the states that the database allows."""
    known = contents(run.live, segment)
    entered = run(select(col(Enrolment.id), col(Enrolment.lead_id)).where(col(Enrolment.claim) == CLAIM)).all()
    rows = [
        {
            "lead_id": lead, "enrolment_id": enrolment, "sequence": segment.slug, "version_id": segment.id,
            "step": f"had:{content.removeprefix(segment.slug + '/')}", "occurrence": 1,
            "kind": ELSEWHERE, "purpose": "operational", "content": content, "state": "planned",
            "due_at": coming[lead].entered_at, "allowed_at": coming[lead].entered_at,
            "planned_at": run.now, "run_id": run.claim,
        }
        for enrolment, lead in entered
        for content in sorted({known[name] for name in coming[lead].received})
    ]  # fmt: skip
    if not rows:
        return
    run.link.execute(insert(Touch), rows)
    mine = update(Touch).where(col(Touch.run_id) == CLAIM, col(Touch.kind) == ELSEWHERE)
    run(mine.values(state="claimed"))
    run(mine.values(state="sending", sending_at=col(Touch.due_at)))
    run(mine.values(state="sent", ended_at=col(Touch.due_at), reason=_BEFORE))
