"""Migrating: `on_edit: migrate` brings everybody inside into the new version, each to the step of the same id.

One UPDATE for each step of the old version carries all who stand on it, under the locks of `publish`. A lead whose
message is being sent stays where it is until that has ended, and follows in the next run of the step.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, and_, case, cast, delete, func, or_, select, update
from sqlmodel import col

from nurture import clock
from nurture.db import Database
from nurture.dialects import greatest, least
from nurture.engine.control import STOPPED, state_of, wide
from nurture.engine.effect import Effect, StepEffect
from nurture.engine.ending import OPEN, end, ending
from nurture.engine.live import Library, Live
from nurture.engine.movement import PASSING, arrival
from nurture.engine.planning import OF_PASSAGE, exhausted
from nurture.engine.running import Run
from nurture.language.problems import Problem
from nurture.language.source import Source
from nurture.program.load import Segment
from nurture.program.sequence import Sequence
from nurture.records import Enrolment, Hold, Lead, SequenceVersion, Touch, WebhookBody
from nurture.records.types import CLAIM, NOW, NOW_AT, instant, micros
from nurture.steps import KEYED, Sending, Step, Wait, WaitUntil
from nurture.steps.base import lead_of_enrolment
from nurture.worklist import work_for
from nurture.zones import after, know_zones, lead_zone

#: Reason of a touch whose step was taken away.
EDITED = "edited"
#: Why a touch waits that was not its lead's doing: such waiting makes no message late.
_NOT_LATE = ("paused", "canary", "growth", "most_per_day")

_LIVE = col(Enrolment.ended_at).is_(None)
#: Touches that this run has taken into its hands.
_TAKEN = col(Touch.lease_owner) == CLAIM


def left_behind(live: Live, versions: list[Segment], slug: str) -> list[Segment]:
    """Of the `versions` that leads may be in, those whose leads belong into the live one; none under `pin`."""
    current = live.segments.get(slug)
    if current is None or current.spec.on_edit != "migrate":
        return []
    return [old for old in versions if old.slug == slug and old.id != current.id]


def bring_along(db: Database, library: Library, slug: str, now: datetime) -> Live:
    """What is live; who was left in an older version, since a message was being sent, has followed if it has ended."""
    with db.read() as link:
        live = library.live(link)
        if slug not in live.segments or live.segments[slug].spec.on_edit != "migrate":
            return live
        olds = left_behind(live, live.versions(link, slug), slug)
        inside = select(col(Enrolment.id)).where(col(Enrolment.version_id).in_([old.id for old in olds]), _LIVE)
        if not olds or link.execute(inside.limit(1)).first() is None:
            return live

    def follow(link: Connection) -> None:
        live = library.live(link)
        if state_of(wide(link, firm=True), slug) != STOPPED:
            new = live.segment(slug)
            migrate(
                Run(link, live, now),
                new,
                left_behind(live, live.versions(link, slug), slug),
                Effect(slug, new.number, True),
            )

    db.transact(follow)
    return live


def changed_kinds(new: Segment, olds: list[Segment], source: Source) -> list[Problem]:
    """Steps that were of another kind in a version whose leads would migrate, at their places in `source`."""
    found = []
    for index, step in enumerate(new.spec.steps):
        for old in olds:
            if old.spec.has(step.id) and (was := old.spec.step(step.id).kind_word) != step.kind_word:
                line, column = source.places.get(("steps", index, "id"), (1, 1))
                what = f"step '{step.id}' is {_a(was)} in version {old.number}, and {_a(step.kind_word)} here"
                remedy = "give the new step an id of its own, or write on_edit: pin"
                found.append(Problem(f"{new.slug}/sequence.yaml", line, column, what, remedy))
                break
    return found


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def surviving(old: Sequence, new: Sequence, step_id: str) -> str | None:
    """Where a lead on `step_id`, which is gone, goes on: the first step that followed it and is still there."""
    seen: set[str] = set()
    at: str | None = step_id
    while at is not None and not new.has(at) and at not in seen:
        seen.add(at)
        ways = old.successors(old.step(at))
        ways.pop("goto", None)  # a loop that is gone is over
        words = [word for word in ("else", "next", "refused", "then") if word in ways]
        at = ways[words[0]] if words else next(iter(ways.values()), None)
    return at if at is not None and new.has(at) else None


def migrate(run: Run, new: Segment, olds: list[Segment], found: Effect) -> None:
    """Bring everybody of `olds` into `new`, but for those whose message is being sent; note in `found` what that means.

    Nobody else may rely on the rules meanwhile, or be under way with leads of `olds`.
    """
    mine = Run(run.link, run.live, run.now, f"migrate:{clock.unguessable()}")
    for old in olds:
        standing = dict(mine(_standing(old)).all())
        if standing:
            _bring(mine, old, new, standing, found)
        canary = and_(col(Hold.version_id) == old.id, col(Hold.kind) == "canary", col(Hold.answered_at).is_(None))
        answer = {"state": "passed", "answered_at": NOW_AT, "answered_by": f"version {new.number}", "until": None}
        mine(update(Hold).where(canary).values(**answer))


def _standing(old: Segment) -> Any:
    return (
        select(col(Enrolment.step), func.count())
        .where(col(Enrolment.version_id) == old.id, _LIVE)
        .group_by(col(Enrolment.step))
    )


def _bring(run: Run, old: Segment, new: Segment, standing: dict[str, int], found: Effect) -> None:
    default = run.live.house.program.zone
    inside = select(col(Enrolment.lead_id)).where(col(Enrolment.version_id) == old.id, _LIVE)
    know_zones(run.link, run(select(lead_zone(default)).where(col(Lead.id).in_(inside)).distinct()).scalars())
    if any(getattr(old.spec, rule) != getattr(new.spec, rule) for rule in ("segment", "leave", "objective")):
        run(work_for(inside))  # by the new rules some may have to go
    sending = [step.id for step in old.spec.steps if isinstance(step, Sending) and step.id in standing]
    if sending:
        run(_take_touches(old, new, sending))
    order = [step.id for step in old.spec.steps if step.id in standing]
    for step_id in order:
        here = _on(old, step_id, step_id in sending)
        if new.spec.has(step_id):
            effect = _stay(run, old, new, step_id, here)
            if step_id in sending:
                gone = select(col(Touch.id)).where(_TAKEN, col(Touch.step) == step_id)
                run(delete(WebhookBody).where(col(WebhookBody.touch_id).in_(gone)))
                found.replanned += run(delete(Touch).where(_TAKEN, col(Touch.step) == step_id)).rowcount
        else:
            effect = _go_on(run, old, new, step_id, here, found)
        found.moved += effect.leads
        if effect.leads:
            found.steps.append(effect)
    found.sending += sum(count for _, count in run(_standing(old)).all())


def _take_touches(old: Segment, new: Segment, steps: list[str]) -> Any:
    """Take the open touches on which leads of `old` stand: from then on no courier of the old version may.

    What a courier has already claimed is not open; whoever comes first has the row.
    """
    mine = (
        select(col(Touch.id))
        .join_from(Enrolment, Touch, OF_PASSAGE)
        .where(col(Enrolment.version_id) == old.id, _LIVE, col(Enrolment.step).in_(steps))
    )
    said = and_(col(Touch.kind).in_(KEYED), col(Touch.state) == "retry_wait")  # may have arrived: the same key goes on
    open_ = and_(col(Touch.version_id) == old.id, col(Touch.state).in_(OPEN), col(Touch.resent_at).is_(None), ~said)
    return update(Touch).where(open_, col(Touch.id).in_(mine)).values(version_id=new.id, lease_owner=CLAIM)


def _on(old: Segment, step_id: str, sends: bool) -> ColumnElement[bool]:
    """Who stands on a step of `old`, and nothing of theirs is being sent."""
    here = and_(col(Enrolment.version_id) == old.id, _LIVE, col(Enrolment.step) == step_id)
    if not sends:
        return here
    others = or_(col(Touch.lease_owner).is_(None), col(Touch.lease_owner) != CLAIM)
    under_way = and_(OF_PASSAGE, col(Touch.ended_at).is_(None), col(Touch.resent_at).is_(None), others)
    return and_(here, ~select(1).where(under_way).correlate(Enrolment).exists())


def _stay(run: Run, old: Segment, new: Segment, step_id: str, here: ColumnElement[bool]) -> StepEffect:
    """Those on a step that is still there: its wait is measured again from when they came to it."""
    step, effect = new.spec.step(step_id), StepEffect(step_id, old.number, 0)
    effect.waits = isinstance(step, Wait | WaitUntil)
    values: dict[str, Any] = {"version_id": new.id, "listening": step.listens}
    if effect.waits and step != old.spec.step(step_id):
        return _retimed(run, step, effect, here, values)
    if isinstance(step, Sending):
        values["due_at"] = instant(_planned_from(col(Enrolment.due_at)))
    effect.leads = run(update(Enrolment).where(here).values(**values)).rowcount
    effect.keep = effect.leads if effect.waits else 0
    return effect


def _retimed(run: Run, step: Step, effect: StepEffect, here: ColumnElement[bool], values: dict[str, Any]) -> StepEffect:
    """Those whose wait has other words now. The new end stands in due_at and the old one in deadline_at meanwhile.

    What the edit brings to its end ends now, never in the past; a step that waits for an event looks again.
    """
    entered, lead = micros(col(Enrolment.entered_at)), lead_of_enrolment(run.live.house.program.zone)
    if isinstance(step, WaitUntil):
        was, ends = col(Enrolment.deadline_at), after(entered, step.at_most, lead.zone)
    else:
        was, ends = col(Enrolment.due_at), step.due_on_entry(entered, lead)
    ends = case((col(Enrolment.occurrence) == PASSING, micros(col(Enrolment.due_at))), else_=ends)
    begun = {"claim": CLAIM, "due_at": instant(ends), "deadline_at": was}
    effect.leads = run(update(Enrolment).where(here).values(**values, **begun)).rowcount
    mine, new = col(Enrolment.claim) == CLAIM, micros(col(Enrolment.due_at))
    old = func.coalesce(micros(col(Enrolment.deadline_at)), new)

    def many(which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(cast(case((which, 1), else_=0), Integer)), 0)

    later = new > NOW
    counts = (many(~later), many(and_(later, new < old)), many(and_(later, new > old)), many(and_(later, new == old)))
    effect.now, effect.sooner, effect.later, effect.keep = run(select(*counts).where(mine)).one()
    if isinstance(step, WaitUntil):
        done: dict[str, Any] = {"due_at": NOW_AT, "deadline_at": instant(greatest(new, NOW))}
    else:
        done = {"due_at": instant(case((new == old, new), else_=greatest(new, NOW))), "deadline_at": None}
    run(update(Enrolment).where(mine).values(claim=None, **done))
    return effect


def _planned_from(due: Any) -> ColumnElement[int]:
    """When a sending step acts on its leads again: those whose message was taken, and those who idled for an offer.

    A message that could have gone already is as late as it was; one that had to wait is not.
    """
    waited = or_(col(Touch.state) == "held", func.coalesce(col(Touch.reason), "").in_(_NOT_LATE))
    again = case(
        (col(Touch.state) == "retry_wait", greatest(micros(col(Touch.next_at)), NOW)),
        (waited, NOW),
        else_=least(micros(col(Touch.allowed_at)), NOW),
    )
    mine = func.coalesce(col(Touch.lease_owner), "") == CLAIM  # by the enrolment: no statistics know how many are taken
    taken = select(again).where(OF_PASSAGE, mine).correlate(Enrolment).scalar_subquery()
    return func.coalesce(taken, case((exhausted(), NOW), else_=micros(due)))


def _go_on(run: Run, old: Segment, new: Segment, step_id: str, here: ColumnElement[bool], found: Effect) -> StepEffect:
    """Those on a step that is gone: they enter what followed it at the publication, or when their step was over."""
    target = surviving(old.spec, new.spec, step_id)
    at = _left_at(old.spec.step(step_id))
    effect = StepEffect(step_id, old.number, 0, deleted=True, to=target)
    if target is None:
        effect.leads = end(run, ending(here, "completed", at=instant(at)))
        found.ended += effect.leads
    else:
        values = arrival(new, new.spec.step(target), at, lead_of_enrolment(run.live.house.program.zone))
        effect.leads = run(update(Enrolment).where(here).values(version_id=new.id, **values)).rowcount
    called_off = {"state": "cancelled", "reason": EDITED, "ended_at": NOW_AT, "next_at": None, "lease_owner": None}
    taken = and_(_TAKEN, col(Touch.step) == step_id)
    found.called_off += run(update(Touch).where(taken).values(**called_off)).rowcount
    return effect


def _left_at(step: Step) -> ColumnElement[int]:
    """When a lead on a step that is gone leaves it: at the publication, unless it was over before."""
    if isinstance(step, Wait):
        return least(micros(col(Enrolment.due_at)), NOW)
    if not isinstance(step, Sending):
        return NOW
    ended = select(func.max(micros(col(Touch.ended_at)))).where(OF_PASSAGE).correlate(Enrolment).scalar_subquery()
    return func.coalesce(ended, NOW)


def versions_inside(run: Run, slug: str, but: int) -> dict[int, int]:
    """How many are inside of which older version, by its number."""
    query = (
        select(col(SequenceVersion.number), func.count())
        .join_from(Enrolment, SequenceVersion, col(SequenceVersion.id) == col(Enrolment.version_id))
        .where(col(Enrolment.sequence) == slug, _LIVE, col(Enrolment.version_id) != but)
        .group_by(col(SequenceVersion.number))
    )
    return dict(run(query).all())
