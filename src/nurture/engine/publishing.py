"""Publish: make a version live, and say first what it means in leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, update
from sqlmodel import col

from nurture import clock
from nurture.db import Database
from nurture.dialects import RULES, change
from nurture.engine import accounts, lifecycle, passing, scoring, settle
from nurture.engine.effect import Effect
from nurture.engine.enrolling import belongs, end_of_limit, holding_rule, holds_already, let_in_existing, rested
from nurture.engine.lifecycle import hold, release
from nurture.engine.live import Library, Live
from nurture.engine.migrating import changed_kinds, migrate, versions_inside
from nurture.engine.planning import exhausted
from nurture.engine.running import Run
from nurture.errors import NotPublished
from nurture.language.problems import ProgramError
from nurture.language.turns import turning
from nurture.program.differences import differences
from nurture.program.load import House, Loaded, Segment, content_hash
from nurture.records import Enrolment, Lead, ProgramVersion, SequenceVersion
from nurture.worklist import put_work, work_for


@dataclass
class Published:
    """What became live."""

    program_number: int
    program_changed: bool
    rescored: int = 0
    effects: list[Effect] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether anything is new."""
        return self.program_changed or any(effect.changed for effect in self.effects)


class _Undone(Exception):
    """Carries what a publication that is taken back would have done."""

    def __init__(self, made: Published) -> None:
        super().__init__()
        self.made = made


def foresee(db: Database, loaded: Loaded, slugs: list[str], now: datetime) -> Published:
    """What `publish` would do, found by doing it and taking it back. Raises ProgramError as `publish` does."""

    def attempt(link: Connection) -> None:
        raise _Undone(publish(link, Library(), loaded, slugs, now))  # a library must not keep what was taken back

    try:
        db.transact(attempt)
    except _Undone as undone:
        return undone.made
    raise AssertionError("unreachable")


def publish(link: Connection, library: Library, loaded: Loaded, slugs: list[str], now: datetime) -> Published:
    """Store and make live the program version and the versions of `slugs`; nothing when nothing changed.

    Raises ProgramError where leads would migrate to a step that was of another kind.
    """
    with library.provisional():
        return _publish(link, library, loaded.require(), slugs, now)


def _publish(link: Connection, library: Library, loaded: Loaded, slugs: list[str], now: datetime) -> Published:
    house = loaded.house
    assert house is not None
    change(link, RULES)
    _settle_before(link, library, now)
    result = _publish_house(link, house, now)
    if result.program_changed:
        _rescore(link, library, result, now)
        passing.take_over(Run(link, library.live(link), now))
    for slug in slugs:
        result.effects.append(_publish_segment(link, library, loaded, slug, now))
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
    accounts.derive_everybody(run)
    scoring.rescore_everybody(run)
    accounts.count_everybody(run)
    lifecycle.become_lead(run, everybody=True)
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


def _publish_segment(link: Connection, library: Library, loaded: Loaded, slug: str, now: datetime) -> Effect:
    segment = loaded.segments[slug]
    digest = content_hash(segment.files)
    query = select(col(SequenceVersion.id), col(SequenceVersion.number), col(SequenceVersion.content_hash)).where(
        col(SequenceVersion.sequence) == slug, col(SequenceVersion.closed_at).is_(None)
    )
    current = link.execute(query).one_or_none()
    if current is not None and current.content_hash == digest:
        return Effect(slug, current.number, changed=False)
    known = select(func.max(col(SequenceVersion.number))).where(col(SequenceVersion.sequence) == slug)
    number = (link.execute(known).scalar() or 0) + 1
    before = None if current is None else library.segment(link, int(current.id or 0))
    olds = [before] if before is not None else []
    if before is not None and segment.spec.on_edit == "migrate":
        olds = library.live(link).versions(link, slug)
        problems = changed_kinds(segment, olds, loaded.sources[f"{slug}/sequence.yaml"])
        if problems:
            raise ProgramError(problems)
    link.execute(
        update(SequenceVersion)
        .where(col(SequenceVersion.sequence) == slug, col(SequenceVersion.closed_at).is_(None))
        .values(closed_at=now)
    )
    link.execute(
        SequenceVersion.__table__.insert().values(  # type: ignore[attr-defined]
            sequence=slug, number=number, content_hash=digest, files=dict(segment.files), published_at=now
        )
    )
    live = library.live(link)
    fresh, run = live.segment(slug), Run(link, live, now)
    effect = Effect(slug, number, True, existing=fresh.spec.enrol.existing, first=before is None)
    effect.on_edit = fresh.spec.on_edit
    accounts.count_everybody(run)  # it may be the first that asks
    if before is not None:
        effect.differences = differences(before, fresh)
        effect.added = [step.id for step in fresh.spec.steps if not before.spec.has(step.id)]
    inside = (col(Enrolment.sequence) == slug) & col(Enrolment.ended_at).is_(None)
    effect.inside = link.execute(select(func.count()).where(inside)).scalar_one()
    if fresh.spec.on_edit == "migrate":
        migrate(run, fresh, olds, effect)
    effect.on_versions = versions_inside(run, slug, fresh.id)
    if effect.existing and before is not None and not before.spec.enrol.existing:
        let_in_existing(run, fresh)  # whom the versions before marked as existing
    _mark_existing(link, live, fresh, effect, now)
    if fresh.spec.enrol.limit is None:
        end_of_limit(run, slug)
    scope = live.scope(fresh)
    if turning(fresh.spec.segment, scope) or turning(fresh.spec.enrol.when, scope):
        put_work(link, select(col(Lead.id)), now)  # so that each lead's next turn is planned
    return effect


def _mark_existing(link: Connection, live: Live, segment: Segment, effect: Effect, now: datetime) -> None:
    """Whoever matches already is remembered as matching, so that only a later transition enrols; or is let in."""
    rule = holding_rule(segment.slug)
    match = belongs(live, segment)
    run = Run(link, live, now)
    new: Select[Any] = select(col(Lead.id)).where(match, rested(), ~holds_already(rule))
    effect.matching = run(select(func.count()).select_from(new.subquery())).scalar_one()
    if effect.existing:
        effect.entering = min(effect.matching, segment.spec.enrol.limit or effect.matching)
        run(work_for(new))
    else:
        run(hold(rule, new))
    over = select(col(Lead.id)).where(~match)
    run(release(rule, over))


def _wake_exhausted(link: Connection, now: datetime) -> None:
    """Leads that idle on an offer step because nothing was left look again: there may be new content."""
    link.execute(update(Enrolment).where(exhausted()).values(due_at=now))
