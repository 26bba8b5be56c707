"""Enrolments: nobody stands still without a reason; and every number leads to a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, String, and_, cast, func, literal, null, or_, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col

from nurture.reading.verify.base import Context, Invariant, offender
from nurture.reading.verify.touches import ENDED
from nurture.records import Enrolment, Suppression, Touch, Work
from nurture.steps import Offer

_OPEN = col(Enrolment.ended_at).is_(None)
#: Numbers without a foreign key: what is derived or comes from outside. (table, column, table that it leads to)
_LOOSE = (
    ("event", "touch_id", "touch"),
    ("inbound", "touch_id", "touch"),
    ("inbound", "lead_id", "lead"),
    ("milestone", "handoff_id", "handoff"),
    ("audience_member", "enrolment_id", "enrolment"),
    ("webhook_body", "touch_id", "touch"),
    ("score_entry", "program_version_id", "program_version"),
    ("touch", "version_id", "sequence_version"),
    ("touch", "program_version_id", "program_version"),
    ("handoff", "program_version_id", "program_version"),
    ("stage_transition", "program_version_id", "program_version"),
)
#: What a row of the outbox tells of, by its kind.
_NOTICES = {"handoff_notice": "handoff", "task_notice": "task"}


def enrolment(said: Any, *where: Any) -> Select[Any]:
    """The enrolments for which `where` holds, as offenders."""
    return offender("enrolment", col(Enrolment.id), col(Enrolment.lead_id), said).where(*where)


def _stuck(context: Context) -> Iterator[Select[Any]]:
    mine = and_(
        col(Touch.enrolment_id) == col(Enrolment.id),
        col(Touch.step) == col(Enrolment.step),
        col(Touch.occurrence) == col(Enrolment.occurrence),
    )
    idle = and_(_OPEN, col(Enrolment.due_at).is_(None))
    touched = select(1).where(mine).correlate(Enrolment).exists()
    looked_at = select(1).where(col(Work.lead_id) == col(Enrolment.lead_id)).correlate(Enrolment).exists()
    called_off = and_(col(Touch.state) == "cancelled", looked_at)
    over = select(1).where(mine, col(Touch.state).in_(ENDED), ~called_off).correlate(Enrolment).exists()
    here = literal(" on step ") + func.coalesce(col(Enrolment.step), literal("(none)"))
    yield enrolment(literal("its touch has ended, and it still stands") + here, idle, over)
    offers, known = _steps(context)
    place = tuple_(col(Enrolment.version_id), col(Enrolment.step))
    silent = [idle, ~touched, *([place.not_in(offers)] if offers else [])]
    yield enrolment(literal("waits for nothing") + here, *silent)
    strange = or_(col(Enrolment.step).is_(None), place.not_in(known)) if known else _OPEN
    yield enrolment(literal("its version does not have what it stands on:") + here, _OPEN, strange)
    claim = literal("in the hands of a run that is gone: ") + col(Enrolment.claim)
    yield enrolment(claim, col(Enrolment.claim).is_not(None))


def _steps(context: Context) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(version, step) of the offers, on which a lead may idle when nothing is left for it; and of all steps."""
    offers, known = [], []
    query = select(col(Enrolment.version_id)).where(_OPEN).distinct()
    for version in context.link.execute(query).scalars():
        for step in context.library.segment(context.link, version).spec.steps:
            known.append((version, step.id))
            offers += [(version, step.id)] if isinstance(step, Offer) else []
    return offers, known


def _left_open(_: Context) -> Iterator[Select[Any]]:
    gone = select(1).where(
        col(Suppression.kind) == "lead", col(Suppression.value) == cast(col(Enrolment.lead_id), String)
    )
    pending = select(1).where(col(Work.lead_id) == col(Enrolment.lead_id)).correlate(Enrolment).exists()
    said = literal("still goes on in ") + col(Enrolment.sequence)
    yield enrolment(said, _OPEN, gone.correlate(Enrolment).exists(), ~pending)
    facts = or_(col(Enrolment.outcome).is_(None), col(Enrolment.step).is_not(None), col(Enrolment.due_at).is_not(None))
    yield enrolment("has ended, and not as one ends", col(Enrolment.ended_at).is_not(None), facts)
    other = aliased(Enrolment)
    twice = and_(
        col(other.lead_id) == col(Enrolment.lead_id), col(other.sequence) == col(Enrolment.sequence),
        col(other.ended_at).is_(None), col(other.id) < col(Enrolment.id),
    )  # fmt: skip
    again = select(1).select_from(other).where(twice).correlate(Enrolment).exists()
    yield enrolment(literal("a second passage at the same time through ") + col(Enrolment.sequence), _OPEN, again)


def _nowhere(_: Context) -> Iterator[Select[Any]]:
    tables = SQLModel.metadata.tables
    ways = [
        (name, key.parent.name, key.column.table.name)
        for name, table in sorted(tables.items())
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
    ]
    notices = [("outbox", "row_id", target, tables["outbox"].c.kind == kind) for kind, target in _NOTICES.items()]
    everywhere: list[tuple[Any, ...]] = [*ways, *_LOOSE, *notices]
    for name, column, target, *which in everywhere:
        here, there = tables[name], tables[target].alias("there")
        number = here.c.id if "id" in here.c else here.c[column]
        lead = here.c.lead_id if "lead_id" in here.c else null()
        known = select(1).select_from(there).where(there.c.id == here.c[column]).correlate(here).exists()
        said = literal(f"its {column} ") + cast(here.c[column], String) + literal(f" leads to no {target}")
        query = offender(name, number, lead, said).select_from(here)
        yield query.where(here.c[column].is_not(None), ~known, *which)


INVARIANTS = [
    Invariant(
        "nobody stands still without a reason",
        "These leads would stay where they are for ever.",
        "Please report it with the output of 'nurture explain' of that lead.",
        _stuck,
    ),
    Invariant(
        "who has gone is out of every sequence, and in none twice",
        "A lead that asked us to stop, or whose passage is over, is still being carried.",
        "'nurture unsubscribe' of that lead ends its sequences; please report it.",
        _left_open,
    ),
    Invariant(
        "every number leads to a row",
        "Something was deleted by hand, or a restore was not complete.",
        "Restore the whole database from one backup; rows are never deleted one table at a time.",
        _nowhere,
    ),
]
