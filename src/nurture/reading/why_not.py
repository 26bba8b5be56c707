"""Why a lead is not in a sequence: the clause that says no."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlmodel import col

from nurture.engine.enrolling import holding_rule
from nurture.engine.queueing import place
from nurture.engine.running import Run
from nurture.engine.story import Story
from nurture.language import conditions as c
from nurture.language.compiler import Scope, compile_condition
from nurture.program.load import Segment
from nurture.reading.sentences import sentence
from nurture.records import HandoffAnswer, Holding, Lead

#: Why a lead whose trigger came was not enrolled, in plain words.
REFUSALS = {
    "suppressed": "it is on the suppression list, which is stronger than everything",
    "objected": "it objects to profiling, which keeps it out of every sequence",
    "once_only": "it has been through this sequence before, and 'again' is never",
    "too_soon_again": "its last passage ended too recently for 'again'",
    "resting": "sales gave it back, and it rests",
    "objective_reached": "it has reached the objective already",
    "leave_holds": "it would leave at once: {leave}",
    "inside": "it is inside already, and nobody is in one sequence twice at once",
}


def why_not(run: Run, segment: Segment, story: Story) -> str:
    """The clause that keeps the lead of `story` out of `segment`, in words."""
    scope, spec = run.live.scope(segment), segment.spec
    missing = []
    for which, rule in (("segment", spec.segment), ("enrol", spec.enrol.when)):
        parts = failing(run, rule, scope, story.lead_id)
        if parts:
            missing.append(f"{which} does not hold ({', '.join(f'{sentence(part)}: no' for part in parts)})")
    if missing:
        return " and ".join(missing)
    refused = next((row for row in story.refusals if row.sequence == segment.slug), None)
    if refused is not None:
        if refused.reason == "resting":
            return _rest(run, story)
        leave = _holding(run, spec.leave, scope, story.lead_id) if spec.leave is not None else ""
        return REFUSALS.get(refused.reason, str(refused.reason)).format(leave=leave)
    line = place(run, segment.slug, story.lead_id)
    if line is not None:
        number, came = line
        limit = f"{spec.enrol.limit:,} per day" if spec.enrol.limit else "a limit"
        return f"it waits in the queue of {limit}, number {number:,}, since {came:%Y-%m-%d %H:%M}Z"
    mine = (col(Holding.lead_id) == story.lead_id) & (col(Holding.rule) == holding_rule(segment.slug))
    since = run.link.execute(select(col(Holding.since)).where(mine, col(Holding.since) <= run.now)).scalar()
    passed = any(row.sequence == segment.slug for row in story.enrolments)
    if passed and spec.enrol.again == "never":
        return REFUSALS["once_only"]
    if since is not None:
        return f"its rule has held since {since:%Y-%m-%d %H:%M}Z, and only a transition into it enrols"
    return "its rule holds now, and the next tick decides"


def _rest(run: Run, story: Story) -> str:
    """Until which day the lead rests, on its own clock, and what sales said of it."""
    mine = col(HandoffAnswer.lead_id) == story.lead_id, col(HandoffAnswer.at) <= run.now
    back = select(col(HandoffAnswer.answer), col(HandoffAnswer.reason)).where(
        *mine, col(HandoffAnswer.answer).in_(("rejected", "lost", "recycled"))
    )
    said = run.link.execute(back.order_by(col(HandoffAnswer.at).desc(), col(HandoffAnswer.id).desc()).limit(1)).first()
    because = ": ".join(part.replace("_", " ") for part in said or () if part)
    until = run.link.execute(select(col(Lead.rests_until)).where(col(Lead.id) == story.lead_id)).scalar()
    ends = until.astimezone(ZoneInfo(story.zone or run.live.house.program.zone)) if until else None
    rests = f"it rests until {ends:%a} {ends.day} {ends:%b %Y}" if ends and ends > run.now else "it rested then"
    return f"{rests}, since sales said “{because}”" if because else rests


def _holding(run: Run, rule: c.Condition, scope: Scope, lead: int) -> str:
    """`rule` in words: of an `any` the parts that hold, as far as any does still."""
    parts = rule.parts if isinstance(rule, c.Any_) else ()
    true = [part for part in parts if not failing(run, part, scope, lead)]
    return " or ".join(map(sentence, true)) or sentence(rule)


def failing(run: Run, rule: c.Condition, scope: Scope, lead: int) -> list[c.Condition]:
    """The parts of `rule` that do not hold for the lead."""
    parts = rule.parts if isinstance(rule, c.All) else (rule,)
    found = []
    for part in parts:
        holds = select(col(Lead.id)).where(col(Lead.id) == lead, compile_condition(part, scope))
        if run(holds).first() is None:
            found.append(part)
    return found
