"""Arms of a message: who gets which, what came of them, and when one of them is the winner.

A lead counts once, in the arm that it first got, and has `winner.after` from the sending of its letter to do what was
hoped for. Who had less time than that is not counted yet, so a lead's answer never changes after it was counted, and
the always-valid test may look as often as there are ticks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, false, func, literal, null, select
from sqlmodel import col

from nurture.db import Database
from nurture.dialects import apart, upsert
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.engine.statistics import Comparison, Count, compare
from nurture.language.arms import drawn_arm, experiment
from nurture.language.compiler import CLICKS, event_matches
from nurture.language.conditions import Did
from nurture.program.load import Segment
from nurture.records import Enrolment, Event, Experiment, Lead, Milestone, SequenceVersion, Touch
from nurture.records.types import NOW_AT, Instant, instant, micros, span_micros
from nurture.steps import Email, Step

#: An experiment is looked at again after this long: more often finds hardly more, and counting costs.
LOOK_EVERY = timedelta(hours=1)
#: What is counted where no winner is asked for.
SHOWN = "clicked"
_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Trial:
    """The arms of a step's message in one version. `key`: what its verdict is kept under."""

    segment: Segment
    step: Email
    key: str

    @property
    def where(self) -> ColumnElement[bool]:
        """Its row of `experiment`."""
        return and_(
            col(Experiment.sequence) == self.segment.slug,
            col(Experiment.step) == self.step.id,
            col(Experiment.arms_hash) == self.key,
        )

    @property
    def shares(self) -> dict[str, int]:
        return self.step.variants or {}

    @property
    def by(self) -> str | Did:
        """What is counted."""
        return self.step.winner.by if self.step.winner else SHOWN

    @property
    def level(self) -> float:
        """The chance of a false winner that is put up with."""
        return 1 - (self.step.winner.confidence if self.step.winner else 95.0) / 100


def trial_of(segment: Segment, step: Step) -> Trial | None:
    """The experiment that a step is, if its message has arms."""
    if not isinstance(step, Email) or not step.variants:
        return None
    return Trial(segment, step, texts(segment.files, segment.slug, step))


def texts(files: Mapping[str, str], slug: str, step: Email) -> str:
    """SHA-256 over the letters of all arms, in all languages: other texts are another experiment."""
    stems = {arm: f"{slug}/{step.letter(arm).removesuffix('.j2')}." for arm in step.variants or {}}
    digest = hashlib.sha256()
    for arm, stem in sorted(stems.items()):
        for name in sorted(name for name in files if name.startswith(stem) and name.endswith(".j2")):
            for part in (arm, name.removeprefix(stem), files[name]):
                digest.update(len(part.encode()).to_bytes(8) + part.encode())
    return digest.hexdigest()


def arm_to_plan(segment: Segment, step: Step) -> ColumnElement[Any]:
    """The arm of what is planned now for an enrolment; NULL for a step without arms.

    The winner for newcomers; for others, and while there is none or none is asked for, what the lead's key draws.
    """
    trial = trial_of(segment, step)
    if trial is None:
        return null()
    drawn = drawn_arm(experiment(segment.slug, step.id), col(Lead.draw), trial.shares)
    by_key = select(drawn).where(col(Lead.id) == col(Enrolment.lead_id)).correlate(Enrolment).scalar_subquery()
    if trial.step.winner is None:
        return by_key
    before = (
        select(1)
        .where(
            col(Touch.lead_id) == col(Enrolment.lead_id),
            apart(col(Touch.sequence)) == segment.slug,
            col(Touch.step) == step.id,
            apart(col(Touch.arm)).is_not(None),
            col(Touch.planned_at) < col(Experiment.decided_at),
        )
        .correlate(Enrolment, Experiment)
        .exists()
    )
    won = select(col(Experiment.winner)).where(trial.where, ~before).correlate(Enrolment).scalar_subquery()
    return func.coalesce(won, by_key)


def look(db: Database, live: Live, segment: Segment, step: Step, now: datetime) -> None:
    """Compare the arms of a step if that is due, and write down the winner if there is one for certain."""
    trial = trial_of(segment, step)
    if trial is None or trial.step.winner is None:
        return
    with db.read() as link:
        found = link.execute(
            select(col(Experiment.decided_at), col(Experiment.looked_at)).where(trial.where)
        ).one_or_none()
        if found is not None and (found.decided_at is not None or found.looked_at > now - LOOK_EVERY):
            return
        arms = counts(Run(link, live, now), trial)
    db.transact(lambda link: _note(link, trial, arms, now))


def _note(link: Connection, trial: Trial, arms: Mapping[str, Count], now: datetime) -> None:
    found = compare(arms)
    winner = found.leader if found.always_valid_p <= trial.level else None
    row: dict[str, Any] = {
        "sequence": trial.segment.slug, "step": trial.step.id, "arms_hash": trial.key, "looked_at": now,
        "winner": winner, "decided_at": now if winner else None, "figures": _figures(trial, arms, found),
    }  # fmt: skip
    insert = upsert(link)(Experiment).values(**row)
    changed = {name: insert.excluded[name] for name in ("looked_at", "winner", "decided_at", "figures")}
    undecided = col(Experiment.decided_at).is_(None)
    key = ["sequence", "step", "arms_hash"]
    link.execute(insert.on_conflict_do_update(index_elements=key, set_=changed, where=undecided))


def _figures(trial: Trial, arms: Mapping[str, Count], found: Comparison) -> dict[str, Any]:
    assert trial.step.winner is not None
    return {
        "by": measure(trial.by), "after": str(trial.step.winner.after), "confidence": trial.step.winner.confidence,
        "arms": {arm: {"exposed": int(one.exposed), "converted": int(one.converted)} for arm, one in arms.items()},
        "always_valid_p": found.always_valid_p,
    }  # fmt: skip


def measure(by: str | Did) -> str:
    """What is counted, in words."""
    return by if isinstance(by, str) else by.name.replace("_", " ")


def counts(run: Run, trial: Trial, planned_before: datetime | None = None) -> dict[str, Count]:
    """Each arm's leads that have had their time, and how many of them did it; of touches planned before an instant."""
    query = run.plan(("arms", trial.segment.id, trial.step.id), lambda: _count(trial))
    rows = run(query, planned_before=planned_before or _FOR_EVER, versions=_versions(run, trial))
    found = {arm: Count(exposed, int(converted or 0)) for arm, exposed, converted in rows}
    return {arm: found.get(arm, Count(0, 0)) for arm in trial.shares}


def _versions(run: Run, trial: Trial) -> list[int]:
    """The versions whose arms have these very texts."""
    slug = trial.segment.slug
    mine = col(SequenceVersion.sequence) == slug
    newest = run.link.execute(select(func.max(col(SequenceVersion.id))).where(mine)).scalar_one()

    def same() -> list[int]:
        rows = run.link.execute(select(col(SequenceVersion.id), col(SequenceVersion.files)).where(mine))
        return [int(number or 0) for number, files in rows if texts(files, slug, trial.step) == trial.key]

    return run.plan(("texts", slug, trial.step.id, trial.key, newest), same)


def _count(trial: Trial) -> Any:
    step, winner = trial.step, trial.step.winner
    seen = [col(Touch.tracked)] if trial.by == "clicked" else []  # nobody sees the clicks of the others
    turn = func.row_number().over(partition_by=col(Touch.lead_id), order_by=(col(Touch.sending_at), col(Touch.id)))
    first = (
        select(col(Touch.id), col(Touch.lead_id), col(Touch.arm), col(Touch.sending_at), turn.label("turn"))
        .where(
            col(Touch.sequence) == trial.segment.slug,
            col(Touch.step) == step.id,
            col(Touch.version_id).in_(bindparam("versions", expanding=True)),
            col(Touch.arm).in_(list(trial.shares)),
            col(Touch.state) == "sent",
            col(Touch.planned_at) < bindparam("planned_before", type_=Instant()),
            *seen,
        )
        .subquery()
    )
    span = span_micros(winner.after.roughly) if winner else None
    until = None if span is None else instant(micros(first.c.sending_at) + span)
    ripe = [] if until is None else [until <= NOW_AT]
    done = _did(trial, first, until)
    return (
        select(first.c.arm, func.count(), func.sum(case((done, 1), else_=0)))
        .where(first.c.turn == 1, *ripe)
        .group_by(first.c.arm)
    )


def _did(trial: Trial, sent: Any, until: ColumnElement[datetime] | None) -> ColumnElement[bool]:
    """Whether the lead of a touch did what is counted, after it was sent and by `until`."""

    def between(at: Any) -> list[ColumnElement[bool]]:
        return [at >= sent.c.sending_at, *([] if until is None else [at <= until])]

    if trial.by == "objective":
        name = trial.segment.spec.objective
        if name is None:
            return false()
        mine = and_(col(Milestone.lead_id) == sent.c.lead_id, col(Milestone.name) == name)
        reached = select(literal(1)).select_from(Milestone).where(mine, *between(col(Milestone.reached_at)))
        return reached.correlate(sent).exists()
    rows = select(literal(1)).select_from(Event).where(col(Event.ripe_at) <= NOW_AT, *between(col(Event.occurred_at)))
    if isinstance(trial.by, Did):
        rows = rows.where(col(Event.lead_id) == sent.c.lead_id, event_matches(trial.by))
    else:
        names = CLICKS if trial.by == "clicked" else ("email_replied",)
        mine = and_(col(Event.touch_id) == sent.c.id, col(Event.name).in_(names), col(Event.actor) == "person")
        rows = rows.where(mine)
    return rows.correlate(sent).exists()


def after_decision(link: Connection, trial: Trial, decided_at: datetime, arms: Collection[str]) -> int:
    """How many letters were planned since the winner was written down."""
    query = select(func.count()).where(
        col(Touch.sequence) == trial.segment.slug,
        col(Touch.step) == trial.step.id,
        col(Touch.arm).in_(list(arms)),
        col(Touch.planned_at) >= decided_at,
    )
    return int(link.execute(query).scalar_one())
