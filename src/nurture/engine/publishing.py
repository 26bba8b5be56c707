"""Publish: make a version live, and say first what it means in leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import RULES, change
from nurture.engine import lifecycle, scoring, settle
from nurture.engine.enrolling import belongs, holding_rule
from nurture.engine.lifecycle import hold, release
from nurture.engine.live import Library, Live
from nurture.engine.running import Run
from nurture.errors import NotPublished
from nurture.language.compiler import turning
from nurture.program.load import House, Loaded, Segment, content_hash
from nurture.records import Enrolment, Holding, Lead, ProgramVersion, SequenceVersion, Touch
from nurture.records.types import NOW_AT
from nurture.worklist import put_work, work_for


@dataclass
class Effect:
    """What publishing one segment means: how many match, how many of them enter, who stays on an older version."""

    slug: str
    number: int
    changed: bool
    matching: int = 0
    entering: int = 0
    existing: bool = False
    inside: int = 0
    first: bool = False

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.slug}: unchanged (version {self.number})"
        entering = (
            f"{self.entering:,} enter at the next tick (existing: true)"
            if self.existing
            else f"0 enrol now; {self.matching:,} matched before (existing: false)"
        )
        inside = f"; {self.inside:,} inside finish on their version" if self.inside else ""
        return f"{self.slug}: version {self.number} is live; {entering}{inside}"


@dataclass
class Published:
    """What became live."""

    program_number: int
    program_changed: bool
    rescored: int = 0
    effects: list[Effect] = field(default_factory=list)


def publish(link: Connection, library: Library, loaded: Loaded, slugs: list[str], now: datetime) -> Published:
    """Store and make live the program version and the versions of `slugs`; nothing when nothing changed."""
    house = loaded.require().house
    assert house is not None
    change(link, RULES)
    _settle_before(link, library, now)
    result = _publish_house(link, house, now)
    if result.program_changed:
        _rescore(link, library, result, now)
    for slug in slugs:
        result.effects.append(_publish_segment(link, library, loaded.segments[slug], now))
    if result.program_changed:
        live = library.live(link)
        for slug, segment in live.segments.items():
            effect = Effect(slug, segment.number, False, existing=segment.spec.enrol.existing)
            _mark_existing(link, live, segment, effect, now)
        _wake_exhausted(link, now)
    return result


def _settle_before(link: Connection, library: Library, now: datetime) -> None:
    """What happened before the publication is settled by the rules of then."""
    try:
        live = library.live(link)
    except NotPublished:
        return
    run = Run(link, live, now, f"publish:{clock.unguessable()}")
    while settle.claim_due(run):
        settle.settle(run)


def _rescore(link: Connection, library: Library, result: Published, now: datetime) -> None:
    """Scores, fit and MQL by the new rules, before anybody is asked who matches: other points are no transition."""
    run = Run(link, library.live(link), now)
    scoring.rescore_everybody(run)
    lifecycle.become_mql(run, everybody=True)
    if result.program_number > 1:
        result.rescored = link.execute(select(func.count()).select_from(Lead)).scalar_one()


def _publish_house(link: Connection, house: House, now: datetime) -> Published:
    newest = link.execute(
        select(col(ProgramVersion.number), col(ProgramVersion.content_hash))
        .order_by(col(ProgramVersion.number).desc())
        .limit(1)
    ).one_or_none()
    digest = content_hash(house.files)
    if newest is not None and newest.content_hash == digest:
        return Published(newest.number, False)
    number = 1 if newest is None else newest.number + 1
    row = {"number": number, "content_hash": digest, "files": dict(house.files), "published_at": now}
    link.execute(ProgramVersion.__table__.insert().values(**row))  # type: ignore[attr-defined]
    return Published(number, True)


def _publish_segment(link: Connection, library: Library, segment: Segment, now: datetime) -> Effect:
    digest = content_hash(segment.files)
    query = select(col(SequenceVersion.number), col(SequenceVersion.content_hash)).where(
        col(SequenceVersion.sequence) == segment.slug, col(SequenceVersion.closed_at).is_(None)
    )
    current = link.execute(query).one_or_none()
    if current is not None and current.content_hash == digest:
        return Effect(segment.slug, current.number, changed=False)
    last = link.execute(
        select(func.max(col(SequenceVersion.number))).where(col(SequenceVersion.sequence) == segment.slug)
    ).scalar()
    number = (last or 0) + 1
    link.execute(
        update(SequenceVersion)
        .where(col(SequenceVersion.sequence) == segment.slug, col(SequenceVersion.closed_at).is_(None))
        .values(closed_at=now)
    )
    link.execute(
        SequenceVersion.__table__.insert().values(  # type: ignore[attr-defined]
            sequence=segment.slug, number=number, content_hash=digest, files=dict(segment.files), published_at=now
        )
    )
    live = library.live(link)
    effect = Effect(segment.slug, number, True, existing=segment.spec.enrol.existing, first=current is None)
    inside = (col(Enrolment.sequence) == segment.slug) & col(Enrolment.ended_at).is_(None)
    effect.inside = link.execute(select(func.count()).where(inside)).scalar_one()
    fresh = live.segment(segment.slug)
    _mark_existing(link, live, fresh, effect, now)
    if turning(fresh.spec.segment) or turning(fresh.spec.enrol.when):
        put_work(link, select(col(Lead.id)), now)  # so that each lead's next turn is planned
    return effect


def _mark_existing(link: Connection, live: Live, segment: Segment, effect: Effect, now: datetime) -> None:
    """Whoever matches already is remembered as matching, so that only a later transition enrols; or is let in."""
    rule = holding_rule(segment.slug)
    match = belongs(live, segment)
    run = Run(link, live, now)
    held = select(1).where(col(Holding.lead_id) == col(Lead.id), col(Holding.rule) == rule).correlate(Lead).exists()
    rested = or_(col(Lead.rests_until).is_(None), col(Lead.rests_until) <= NOW_AT)  # else it enters after its rest
    new: Select[Any] = select(col(Lead.id)).where(match, rested, ~held)
    effect.matching = run(select(func.count()).select_from(new.subquery())).scalar_one()
    if effect.existing:
        effect.entering = effect.matching
        run(work_for(new))
    else:
        run(hold(rule, new))
    over = select(col(Lead.id)).where(~match)
    run(release(rule, over))


def _wake_exhausted(link: Connection, now: datetime) -> None:
    """Leads that idle on an offer step because nothing was left look again: there may be new content."""
    touched = select(1).where(
        col(Touch.enrolment_id) == col(Enrolment.id),
        col(Touch.step) == col(Enrolment.step),
        col(Touch.occurrence) == col(Enrolment.occurrence),
    )
    idle = and_(col(Enrolment.ended_at).is_(None), col(Enrolment.due_at).is_(None))
    link.execute(update(Enrolment).where(idle, ~touched.correlate(Enrolment).exists()).values(due_at=now))
