"""What the experiments found: each split and each message with arms, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, false, func, literal, null, select
from sqlmodel import col

from nurture.engine.experiments import Trial, after_decision, counts, measure, trial_of
from nurture.engine.machine import Machine
from nurture.engine.running import Run
from nurture.engine.statistics import Comparison, Count, compare, more_needed, wilson
from nurture.language.arms import bounds
from nurture.program.load import Segment
from nurture.reading.counts import Row, written
from nurture.records import Enrolment, Experiment, Milestone
from nurture.steps import Split

#: Of what is no winner's business: splits, and arms without a rule.
_CONFIDENCE = 95.0


def experiments(machine: Machine, segment: str | None = None, now: datetime | None = None) -> list[Row]:
    """Every split and every message with arms of the live segments (or of one), in the order of their steps.

    Raises NotPublished.
    """
    live, at = machine.live(), now or machine.now()
    slugs = machine.segments() if segment is None else [live.segment(segment).slug]
    found: list[Row] = []
    with machine.db.read() as link:
        run = Run(link, live, at)
        for slug in slugs:
            for step in live.segments[slug].spec.steps:
                if isinstance(step, Split):
                    found.append(_split(run, live.segments[slug], step))
                elif trial := trial_of(live.segments[slug], step):
                    found.append(_variants(run, trial))
    return found


def _split(run: Run, segment: Segment, step: Split) -> Row:
    objective = segment.spec.objective
    arms = _walked(run, segment, step)
    what = f"reached {objective} after enrolment" if objective else "went where: the sequence has no objective"
    row = _row(segment.slug, step.id, "split", what, step.split, arms, _CONFIDENCE)
    return row if objective else {**row, "p": None, "always valid p": None, "verdict": "nothing is compared"}


def _walked(run: Run, segment: Segment, step: Split) -> dict[str, Count]:
    """Each way's leads, by the first passage that took one, and how many reached the objective since they enrolled."""
    path = col(Enrolment.path)
    ways = [(path.contains(f"/{step.id}/{arm}/", autoescape=True), literal(arm)) for arm, _ in bounds(step.split)]
    turn = func.row_number().over(partition_by=col(Enrolment.lead_id), order_by=col(Enrolment.id))
    passed = (
        select(
            col(Enrolment.lead_id),
            col(Enrolment.started_at),
            case(*ways, else_=null()).label("arm"),
            turn.label("turn"),
        )
        .where(col(Enrolment.sequence) == segment.slug, path.contains(f"/{step.id}/", autoescape=True))
        .where(case(*ways, else_=null()).is_not(None))
        .subquery()
    )
    mine = and_(
        col(Milestone.lead_id) == passed.c.lead_id,
        col(Milestone.name) == segment.spec.objective,
        col(Milestone.reached_at) >= passed.c.started_at,
    )
    reached = select(literal(1)).select_from(Milestone).where(mine).correlate(passed).exists()
    done = reached if segment.spec.objective else false()
    query = (
        select(passed.c.arm, func.count(), func.sum(case((done, 1), else_=0)))
        .where(passed.c.turn == 1)
        .group_by(passed.c.arm)
    )
    found = {arm: Count(exposed, int(converted or 0)) for arm, exposed, converted in run(query)}
    return {arm: found.get(arm, Count(0, 0)) for arm in step.split}


def _variants(run: Run, trial: Trial) -> Row:
    winner = trial.step.winner
    seen = run(select(col(Experiment.winner), col(Experiment.decided_at)).where(trial.where)).one_or_none()
    decided = seen.decided_at if seen is not None and winner is not None else None
    arms = counts(run, trial, decided)
    what = measure(trial.by) + (f" within {winner.after} of its sending" if winner else " since it was sent")
    confidence = winner.confidence if winner else _CONFIDENCE
    row = _row(trial.segment.slug, trial.step.id, "variants", what, trial.shares, arms, confidence)
    if decided is not None and seen is not None:
        later = after_decision(run.link, trial, decided, list(trial.shares))
        row |= {
            "winner": seen.winner, "decided": written(decided), "more needed": 0,
            "verdict": f"{seen.winner} is the winner since {decided:%Y-%m-%d %H:%M}Z: newcomers get it "
            f"({later:,} planned since; the figures are of those before)",
        }  # fmt: skip
    elif winner is not None and row["sure"]:
        row["verdict"] += "; newcomers get it from the next look on, at most an hour away"
    return row


def _row(
    segment: str, step: str, kind: str, what: str, shares: Mapping[str, int], arms: Mapping[str, Count],
    confidence: float,
) -> Row:  # fmt: skip
    found, level = compare(arms), 1 - confidence / 100
    sure = found.leader is not None and found.always_valid_p <= level
    needed = 0 if sure else more_needed(arms, level)
    return {
        "segment": segment, "step": step, "kind": kind, "counts": what, "confidence": confidence,
        "arms": [_arm(arm, shares[arm], arms[arm], confidence) for arm in sorted(arms)],
        "p": round(found.p_value, 6), "always valid p": round(found.always_valid_p, 6),
        "sure": sure, "winner": None, "decided": "", "more needed": needed,
        "verdict": _verdict(found, arms, confidence, sure, needed),
    }  # fmt: skip


def _arm(arm: str, share: int, count: Count, confidence: float) -> dict[str, Any]:
    low, high = wilson(count, confidence / 100)
    return {
        "arm": arm, "share": share / 100, "exposed": int(count.exposed), "converted": int(count.converted),
        "rate": round(count.rate, 6), "low": round(low, 6), "high": round(high, 6),
    }  # fmt: skip


def _verdict(found: Comparison, arms: Mapping[str, Count], confidence: float, sure: bool, needed: int | None) -> str:
    if not any(count.exposed for count in arms.values()):
        return "nobody has had the time for it yet"
    if found.leader is None:
        return f"no winner can be told at {confidence:g} %: the arms do alike so far"
    best = max((count for arm, count in arms.items() if arm != found.leader), key=lambda count: count.rate)
    seen = f"{found.leader} {rate(arms[found.leader].rate)} against {rate(best.rate)}"
    if sure:
        return f"{seen}: it does better, at {confidence:g} % confidence"
    more = f"about {needed:,} more leads" if needed else "more leads than could be named"
    return f"no winner can be told at {confidence:g} %: {seen}; at this difference {more} would be needed"


def rate(part: float) -> str:
    """`12.3 %`."""
    return f"{part * 100:.1f} %"
