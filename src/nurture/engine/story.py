"""A lead's story, read only: score lines that sum to the number, what happened, what was sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import floor
from typing import Any

from sqlalchemy import Connection, and_, literal, or_, select
from sqlmodel import col

from nurture.engine.live import Live
from nurture.engine.parcels import LEAD_COLUMNS, lead_data
from nurture.engine.renaming import EMAIL, ID, named, present
from nurture.engine.running import Run
from nurture.errors import NotFound
from nurture.folding import canonical_email
from nurture.language.compiler import compile_condition
from nurture.language.scores import faded, score
from nurture.language.words import GRADES
from nurture.records import (
    Enrolment,
    Event,
    Handoff,
    Lead,
    Milestone,
    Refusal,
    ScoreEntry,
    ScoreSum,
    StageTransition,
    Task,
    Touch,
)
from nurture.records.types import micros, to_micros

#: What makes the lines add up to the number; never a rule of the house's, and always last.
ADJUSTED = ("rounded", "kept within 0 to 100")
#: What the house itself notes, and what changes whether a lead can be written to.
BOUNCES = ("email_bounced", "sms_bounced")


@dataclass(frozen=True)
class ScoreLine:
    """One reason for the number: a rule, when it was earned, what is left of it."""

    rule: str
    points: float
    at: datetime | None
    earned: float
    capped: bool = False


@dataclass(frozen=True)
class Happening:
    """One line of the timeline."""

    at: datetime
    kind: str
    what: str
    #: Of an event: whether the person did it, and not a machine.
    by_person: bool = False
    #: Of a touch its state and why it is so, of a milestone what became of it and the gate's reason.
    state: str | None = None
    reason: str | None = None


@dataclass
class Story:
    """Everything we would answer about one lead at one instant."""

    lead: dict[str, Any]
    lead_id: int
    zone: str | None
    #: None: it is not known, since the lead objects to profiling.
    score: int | None
    fit: str | None
    lines: list[ScoreLine] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    enrolments: list[Any] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)


_WAYS = "a lead goes by its e-mail address, by source:id as imported, or by our own number"


def letter(thirds: int | None) -> str | None:
    """The grade of so many thirds above D."""
    return None if thirds is None else GRADES[max(0, min(thirds + 2, len(GRADES) - 1))]


def find_lead(link: Connection, who: str) -> int:
    """The id of a lead by e-mail, by `source:id`, or by our own id. Raises NotFound."""
    query = select(col(Lead.id))
    if "@" in who:
        try:
            query = query.where(col(Lead.email) == canonical_email(who))
        except ValueError as problem:
            raise NotFound(f"'{who}' {problem}") from None
    elif ":" in who:
        source, _, number = who.partition(":")
        query = query.where(col(Lead.source) == source, col(Lead.source_id) == number)
    elif who.isdigit():
        query = query.where(col(Lead.id) == int(who))
    else:
        raise NotFound(f"'{who}' names no lead; {_WAYS}")
    found = link.execute(query).scalar() or _once_called(link, who)
    if found is None:
        raise NotFound(f"no lead is known as '{who}'; import it, or check the spelling ({_WAYS})")
    return int(found)


def _once_called(link: Connection, who: str) -> int | None:
    """The lead that went by this address, `source:id` or number before it changed or was merged."""
    if "@" in who:
        return named(link, EMAIL, "", canonical_email(who))
    if ":" in who:
        return named(link, ID, *who.split(":", 1))
    taken = present(link, int(who))
    return taken if taken != int(who) else None


def tell(link: Connection, live: Live, lead: int, now: datetime) -> Story:
    """The story of `lead` as of `now`. Raises NotFound."""
    query = select(
        *LEAD_COLUMNS, score(literal(to_micros(now))).label("score"), col(Lead.fit)
    ).where(col(Lead.id) == lead)  # fmt: skip
    row = link.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no lead {lead}; {_WAYS}")
    story = Story(lead_data(row, live.house), lead, row.zone, row.score, letter(row.fit))
    story.lines = _lines(link, live, lead, now)
    if story.score is None:
        story.lines = []
    raw = sum(line.points for line in story.lines)
    if _is_past(link, lead, now):
        story.score = None if story.score is None else max(0, min(100, floor(raw + 0.500001)))
        story.lead["stage"] = _stage_then(link, lead, now) or story.lead["stage"]
    if story.score is not None and abs(raw - story.score) > 0.005:
        word = ADJUSTED[0 if 0 <= raw <= 100 else 1]
        story.lines.append(ScoreLine(word, story.score - raw, None, story.score - raw))
    story.happenings = _happenings(link, lead, now)
    story.enrolments = list(
        link.execute(
            select(Enrolment.__table__)  # type: ignore[attr-defined]
            .where(col(Enrolment.lead_id) == lead, col(Enrolment.started_at) <= now)
            .order_by(col(Enrolment.started_at))
        )
    )
    story.refusals = list(
        link.execute(select(Refusal.__table__).where(col(Refusal.lead_id) == lead, col(Refusal.at) <= now))  # type: ignore[attr-defined]
    )
    return story


def _is_past(link: Connection, lead: int, now: datetime) -> bool:
    """Whether sums and stage have moved on since `now`: then the ledger alone knows."""
    moved = select(col(StageTransition.id)).where(col(StageTransition.lead_id) == lead, col(StageTransition.at) > now)
    summed = select(col(ScoreSum.lead_id)).where(col(ScoreSum.lead_id) == lead, col(ScoreSum.as_of) > now)
    return link.execute(moved).first() is not None or link.execute(summed).first() is not None


def _stage_then(link: Connection, lead: int, now: datetime) -> str | None:
    """The stage that the first later transition left."""
    later = (
        select(col(StageTransition.from_stage))
        .where(col(StageTransition.lead_id) == lead, col(StageTransition.at) > now)
        .order_by(col(StageTransition.at), col(StageTransition.id))
        .limit(1)
    )
    return link.execute(later).scalar()


def _lines(link: Connection, live: Live, lead: int, now: datetime) -> list[ScoreLine]:
    left = faded(
        col(ScoreEntry.counted), micros(col(ScoreEntry.at)), literal(to_micros(now)), col(ScoreEntry.half_life_hours)
    )
    entries = (
        select(col(ScoreEntry.rule), left, col(ScoreEntry.at), col(ScoreEntry.points), col(ScoreEntry.counted))
        .where(col(ScoreEntry.lead_id) == lead, col(ScoreEntry.at) <= now)
        .order_by(col(ScoreEntry.at), col(ScoreEntry.event_id))
    )
    lines = [
        ScoreLine(rule, float(rest), at, float(points), counted != points)
        for rule, rest, at, points, counted in link.execute(entries)
    ]
    run = Run(link, live, now)
    scope = live.scope()
    for rule in live.house.scoring.fit:
        if not rule.points:
            continue
        holds = select(col(Lead.id)).where(col(Lead.id) == lead, compile_condition(rule.when, scope))
        if run(holds).first():
            lines.append(ScoreLine(rule.rule, rule.points, None, rule.points))
    return lines


def _happenings(link: Connection, lead: int, now: datetime) -> list[Happening]:
    found = [
        Happening(at, "event", _said(name, data, actor), actor == "person")
        for name, at, data, actor in _events(link, lead, now)
    ]
    for touch in link.execute(
        select(Touch.__table__).where(col(Touch.lead_id) == lead, col(Touch.planned_at) <= now)  # type: ignore[attr-defined]
    ):
        at = touch.sending_at or touch.ended_at or touch.next_at or touch.planned_at
        state = touch.state if touch.ended_at is None or touch.ended_at <= now else "planned"
        reason = f" ({touch.reason})" if touch.reason else ""
        arm = f", arm {touch.arm}" if touch.arm else ""
        found.append(
            Happening(
                at,
                "touch",
                f"{touch.kind} {touch.sequence}/{touch.step}{arm}: {state}{reason}",
                state=state,
                reason=touch.reason,
            )
        )
    moves = select(StageTransition.__table__)  # type: ignore[attr-defined]
    moves = moves.where(and_(col(StageTransition.lead_id) == lead, col(StageTransition.at) <= now))
    for move in link.execute(moves):
        found.append(
            Happening(move.at, "stage", f"{move.from_stage} to {move.to_stage}: {move.cause} (by {move.author})")
        )
    reached = select(Milestone.__table__).where(col(Milestone.lead_id) == lead, col(Milestone.reached_at) <= now)  # type: ignore[attr-defined]
    for milestone in link.execute(reached):
        came = {"handed_off": "handed to sales", "evidence": "added to the open hand-off"}.get(
            milestone.outcome, milestone.outcome
        )
        why = f": {milestone.reason}" if milestone.reason else ""
        told = f"{milestone.name}, {came}{why}"
        found.append(
            Happening(milestone.reached_at, "milestone", told, state=milestone.outcome, reason=milestone.reason)
        )
    for handoff in link.execute(
        select(Handoff.__table__).where(col(Handoff.lead_id) == lead, col(Handoff.opened_at) <= now)  # type: ignore[attr-defined]
    ):
        found.append(
            Happening(handoff.opened_at, "handoff", f"hand-off {handoff.id} to {handoff.owner}: {handoff.milestone}")
        )
        if handoff.answered_at is not None and handoff.answered_at <= now:
            why = f" ({handoff.reason})" if handoff.reason else ""
            said = f"hand-off {handoff.id} {handoff.state}{why} by {handoff.answered_by}"
            found.append(Happening(handoff.answered_at, "handoff", said))
    asked = select(Task.__table__).where(col(Task.lead_id) == lead, col(Task.created_at) <= now)  # type: ignore[attr-defined]
    for task in link.execute(asked):
        found.append(Happening(task.created_at, "task", f"task {task.id} for {task.owner}: {task.text}"))
        if task.done_at is not None and task.done_at <= now:
            found.append(Happening(task.done_at, "task", f"task {task.id} done by {task.done_by}"))
    return sorted(found, key=lambda happening: happening.at)


def _events(link: Connection, lead: int, now: datetime) -> Any:
    return link.execute(
        select(col(Event.name), col(Event.occurred_at), col(Event.data), col(Event.actor)).where(
            col(Event.lead_id) == lead,
            col(Event.occurred_at) <= now,
            or_(col(Event.actor) != "system", col(Event.name).in_(BOUNCES)),
        )
    )


def _said(name: str, data: dict[str, Any], actor: str) -> str:
    telling = next((str(data[key]) for key in ("path", "title", "url", "offer", "answer", "step") if data.get(key)), "")
    by = " (by a machine)" if actor == "machine" else ""
    return f"{name.replace('_', ' ')}{': ' + telling if telling else ''}{by}"
