"""Stages and statuses that a file, a form or another system says of leads that are known already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlmodel import col

from nurture.engine.stages import FURTHER, move_stage, refusal, stage_moves
from nurture.histories import status_moves
from nurture.intake.newborn import BORN_AS, cause_of
from nurture.intake.person import MACHINES, Outcome
from nurture.records import Lead
from nurture.records.types import to_micros

#: A lead, `stage` or `status`, from and to.
Move = tuple[int, str, str, str]


def not_taken(before: str, to: str) -> str | None:
    """Why a lead of stage `before` is not brought to `to` by what a file says of it; None: it is.

    A file may be older than what has happened since, so it brings nobody back.
    """
    if FURTHER.index(to) < FURTHER.index(before):
        return f"the lead has come further, to {before}; 'nurture stage' takes it back"
    return refusal(before, to)


def taken(outcome: Outcome, row: dict[str, Any], moves: list[Move]) -> dict[str, str]:
    """Stage and status of a known lead as its source says them, without what is not taken, which is noted.

    `row` is the lead as it stands; what changes is added to `moves`.
    """
    said = {name: outcome.person.columns[name] for name in MACHINES if name in outcome.person.columns}
    stage, before = said.get("stage"), row.get("stage", BORN_AS)
    if stage is not None and stage != before and (why := not_taken(before, stage)) is not None:
        outcome.notes.append(f"its stage was not taken: {why}")
        del said["stage"]
    if row["id"] is not None:
        moves += [(row["id"], name, row[name], to) for name, to in said.items() if row[name] != to]
    return said


def make_moves(link: Connection, moves: Iterable[Move], now: datetime, author: str) -> None:
    """Make each of `moves` by its machine, in their order; those that go the same way go together."""
    together: dict[tuple[int, str, str], list[int]] = {}
    turns: Counter[tuple[int, str]] = Counter()
    for lead, what, _, to in moves:
        turns[lead, what] += 1
        together.setdefault((turns[lead, what], what, to), []).append(lead)
    cause = cause_of(author)

    def run(statement: Any) -> Any:
        return link.execute(statement, {"at_now": to_micros(now)}, execution_options={"preserve_rowcount": True})

    for (_, what, to), leads in sorted(together.items()):
        theirs = col(Lead.id).in_(sorted(leads))
        if what == "stage":
            move_stage(run, stage_moves(theirs, to, cause=cause, author=author, version=None))
        else:
            for statement in status_moves(theirs, to, cause=cause, author=author):
                run(statement)
