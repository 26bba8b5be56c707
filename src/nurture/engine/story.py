"""A lead's story, read only: score lines that sum to the number, what happened, what was sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, literal, or_, select
from sqlmodel import col

from nurture.engine.known_to_sales import missed
from nurture.engine.live import Live
from nurture.engine.parcels import LEAD_COLUMNS, lead_data
from nurture.engine.renaming import EMAIL, ID, named, present
from nurture.engine.score_lines import ScoreLine, score_lines
from nurture.errors import NotFound
from nurture.folding import canonical_email, row_number
from nurture.language.scores import score
from nurture.language.words import GRADES
from nurture.records import (
    Enrolment,
    Event,
    Handoff,
    HandoffAnswer,
    Lead,
    Milestone,
    Refusal,
    StageTransition,
    Task,
    Touch,
)
from nurture.records.types import to_micros

#: What makes the lines add up to the number; never a rule of the house's, and always last.
ADJUSTED = ("rounded", "kept within 0 to 100")
#: What the house itself notes, and what changes whether a lead can be written to.
BOUNCES = ("email_bounced", "sms_bounced")


@dataclass(frozen=True)
class Happening:
    """One line of the timeline."""

    at: datetime
    kind: str
    what: str
    #: Of an event: whether the person did it, and not a machine.
    by_person: bool = False
    #: Of a touch its state and why it is so, of a milestone what became of it and the gate's reason, of a hand-off
    #: why it is its owner's.
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
    elif (own := row_number(who)) is not None:
        query = query.where(col(Lead.id) == own)
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
    story.lines = score_lines(link, live, lead, now, row.zone or live.house.program.zone)
    if story.score is None:
        story.lines = []
    raw = sum(line.points for line in story.lines)
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


def _stage_then(link: Connection, lead: int, now: datetime) -> str | None:
    """The stage that the first later transition left; None: none was later."""
    later = (
        select(col(StageTransition.from_stage))
        .where(col(StageTransition.lead_id) == lead, col(StageTransition.at) > now)
        .order_by(col(StageTransition.at), col(StageTransition.id))
        .limit(1)
    )
    return link.execute(later).scalar()


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
    theirs = select(Handoff.__table__).where(col(Handoff.lead_id) == lead, col(Handoff.opened_at) <= now)  # type: ignore[attr-defined]
    handoffs = {handoff.id: handoff for handoff in link.execute(theirs.order_by(col(Handoff.id)))}
    for handoff in handoffs.values():
        if (before := handoffs.get(handoff.instead_of)) is not None:
            late = missed(before.deadline_at, handoff.opened_at, before.answered_at)
            why = "not answered in time by" if late else "taken from"
            found.append(Happening(handoff.opened_at, "handoff", f"hand-off {before.id} was {why} {before.owner}"))
        told = f"hand-off {handoff.id} to {handoff.owner}: {handoff.milestone}"
        found.append(Happening(handoff.opened_at, "handoff", told, reason=handoff.routed_by))
        found += [
            Happening(at, "handoff", f"hand-off {handoff.id}: {what}its owner was reminded")
            for at, what in ((handoff.reminded_at, ""), (handoff.escalated_at, "overdue, "))
            if at is not None and at <= now
        ]
        if handoff.answered_at is not None and handoff.answered_at <= now:
            why = f" ({handoff.reason})" if handoff.reason else ""
            said = f"hand-off {handoff.id} {handoff.state}{why} by {handoff.answered_by}"
            found.append(Happening(handoff.answered_at, "handoff", said))
    later = select(HandoffAnswer.__table__).where(col(HandoffAnswer.lead_id) == lead, col(HandoffAnswer.at) <= now)  # type: ignore[attr-defined]
    for one in link.execute(later.where(col(HandoffAnswer.answer).not_in(("accepted", "rejected")))):
        worth = f"{one.value:g} {one.currency or ''}".strip() if one.value is not None else one.reason
        found.append(
            Happening(
                one.at, "handoff", f"hand-off {one.handoff_id} {one.answer}{f' ({worth})' if worth else ''} by {one.by}"
            )
        )
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
