"""Scores follow from the ledger, stages from their transitions, hand-offs from milestones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, String, and_, case, cast, func, literal, null, or_, select
from sqlmodel import col

from nurture.intake.newborn import BORN_AS
from nurture.language.scores import faded, hours_of_line
from nurture.reading.verify.base import Context, Invariant, offender
from nurture.records import Handoff, Lead, Milestone, Outbox, ScoreEntry, ScoreSum, StageTransition, StatusChange, Task
from nurture.records.types import micros

#: Beyond this share of it a sum differs from its ledger.
_EXACT = 1e-6


def _sums(_: Context) -> Iterator[Select[Any]]:
    hours = hours_of_line()
    group = and_(
        col(ScoreEntry.lead_id) == col(ScoreSum.lead_id), col(ScoreEntry.group_name) == col(ScoreSum.group_name),
        hours == col(ScoreSum.half_life_hours),
    )  # fmt: skip
    left = faded(col(ScoreEntry.counted), micros(col(ScoreEntry.at)), micros(col(ScoreSum.as_of)), hours)
    points = case((col(ScoreEntry.expires_at) <= col(ScoreSum.as_of), 0.0), else_=left)
    ledger = (
        select(
            col(ScoreSum.lead_id).label("lead"), col(ScoreSum.total).label("total"),
            func.coalesce(func.sum(points), 0.0).label("lines"),
            func.coalesce(func.sum(func.abs(points)), 0.0).label("size"),
        )
        .join_from(ScoreSum, ScoreEntry, group, isouter=True)
        .group_by(
            col(ScoreSum.lead_id), col(ScoreSum.group_name), col(ScoreSum.half_life_hours), col(ScoreSum.total)
        )
        .subquery()
    )  # fmt: skip
    apart = func.abs(ledger.c.total - ledger.c.lines) > _EXACT * (1 + ledger.c.size)
    said = literal("its score sum ") + cast(ledger.c.total, String) + literal(", its ledger ")
    yield offender("lead", ledger.c.lead, ledger.c.lead, said + cast(ledger.c.lines, String)).where(apart)
    summed = select(1).select_from(ScoreSum).where(group)
    unsummed = or_(col(ScoreEntry.counted) != col(ScoreEntry.summed), ~summed.correlate(ScoreEntry).exists())
    line = offender("score line", col(ScoreEntry.id), col(ScoreEntry.lead_id), "is in no sum")
    yield line.where(unsummed, col(ScoreEntry.counted) != 0.0)
    worth = and_(col(ScoreEntry.counted) != 0.0, col(ScoreEntry.counted) != col(ScoreEntry.points))
    line = offender("score line", col(ScoreEntry.id), col(ScoreEntry.lead_id), "counts neither nothing nor its points")
    yield line.where(worth)


def _stages(_: Context) -> Iterator[Select[Any]]:
    turn = func.row_number().over(
        partition_by=col(StageTransition.lead_id),
        order_by=(col(StageTransition.at).desc(), col(StageTransition.id).desc()),
    )
    moves = select(col(StageTransition.lead_id), col(StageTransition.to_stage), turn.label("turn")).subquery()
    noted = func.coalesce(moves.c.to_stage, literal(BORN_AS))
    said = literal("is ") + col(Lead.stage) + literal(", and its last transition says ") + noted
    last = and_(moves.c.lead_id == col(Lead.id), moves.c.turn == 1)
    query = offender("lead", col(Lead.id), col(Lead.id), said).join_from(Lead, moves, last, isouter=True)
    yield query.where(col(Lead.stage) != noted)


def _statuses(_: Context) -> Iterator[Select[Any]]:
    turn = func.row_number().over(
        partition_by=col(StatusChange.lead_id), order_by=(col(StatusChange.at).desc(), col(StatusChange.id).desc())
    )
    changes = select(col(StatusChange.lead_id), col(StatusChange.to_status), turn.label("turn")).subquery()
    said = literal("is ") + col(Lead.status) + literal(", and its last change says ") + changes.c.to_status
    last = and_(changes.c.lead_id == col(Lead.id), changes.c.turn == 1)
    query = offender("lead", col(Lead.id), col(Lead.id), said).join_from(Lead, changes, last)
    yield query.where(col(Lead.status) != changes.c.to_status)


def handoff(said: Any, *where: Any) -> Select[Any]:
    """The hand-offs for which `where` holds, as offenders."""
    return offender("hand-off", col(Handoff.id), col(Handoff.lead_id), said).where(*where)


def _one_open(_: Context) -> Iterator[Select[Any]]:
    number, lead = func.min(col(Handoff.id)), col(Handoff.lead_id)
    said = literal("is one of ") + cast(func.count(), String) + literal(" open ones")
    several = offender("hand-off", number, lead, said).where(col(Handoff.state) == "open")
    yield several.group_by(lead).having(func.count() > 1)


def _milestones(_: Context) -> Iterator[Select[Any]]:
    opened = select(1).where(
        col(Milestone.handoff_id) == col(Handoff.id), col(Milestone.outcome) == "handed_off",
        col(Milestone.lead_id) == col(Handoff.lead_id),
    )  # fmt: skip
    here = col(Handoff.state) != "reassigned"  # its milestones went on to the one in its place
    yield handoff("no milestone of its lead opened it", here, ~opened.correlate(Handoff).exists())
    mine = select(1).where(col(Handoff.id) == col(Milestone.handoff_id), col(Handoff.lead_id) == col(Milestone.lead_id))
    called = col(Milestone.outcome).in_(("handed_off", "evidence"))
    said = col(Milestone.outcome) + literal(", and there is no such hand-off of its lead")
    milestone = offender("milestone", col(Milestone.id), col(Milestone.lead_id), said)
    yield milestone.where(called, ~mine.correlate(Milestone).exists())


def _told(_: Context) -> Iterator[Select[Any]]:
    notice = select(1).where(col(Outbox.kind) == "handoff_notice", col(Outbox.row_id) == col(Handoff.id))
    yield handoff(literal("nobody told ") + col(Handoff.owner), ~notice.correlate(Handoff).exists())
    of_task = select(1).where(col(Outbox.kind) == "task_notice", col(Outbox.row_id) == col(Task.id))
    unasked = offender("task", col(Task.id), col(Task.lead_id), literal("nobody told ") + col(Task.owner))
    yield unasked.where(~of_task.correlate(Task).exists())
    lost = and_(col(Outbox.next_at).is_(None), col(Outbox.done_at).is_(None))
    yield offender("notice", col(Outbox.id), null(), "was not sent, and is not tried again").where(lost)


INVARIANTS = [
    Invariant(
        "every score is the sum of its ledger",
        "These leads' scores are not what their lines add up to; who is handed over depends on it.",
        "Publish a changed scoring.yaml: that derives ledger and sums anew from the event log.",
        _sums,
    ),
    Invariant(
        "a lead's stage is what its last transition says",
        "The history does not tell how these came to their stage.",
        "Somebody changed the table by hand: set the stage back, or restore a backup.",
        _stages,
    ),
    Invariant(
        "a lead's status is what its last change says",
        "The history does not tell how these came to their status.",
        "Somebody changed the table by hand: say it again with 'nurture status', which writes it down.",
        _statuses,
    ),
    Invariant(
        "one open hand-off per lead",
        "Two salespeople may be working on the same lead.",
        "Answer one of them with 'nurture accept' or 'nurture reject', and please report it.",
        _one_open,
    ),
    Invariant(
        "a hand-off and the milestone that opened it know each other",
        "Sales was asked for a lead and nothing says why, or a milestone led to nothing.",
        "Please report it with the output of 'nurture explain' of that lead.",
        _milestones,
    ),
    Invariant(
        "every hand-off has its notice",
        "A salesperson was never told of these, and will not be.",
        "Tell the owner ('nurture handoffs --all' lists them), and please report it.",
        _told,
    ),
]
