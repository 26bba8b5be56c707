"""What marketing does: leads that got it against those held out, who entered by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select
from sqlmodel import col

from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.statistics import Count, difference, wilson, z_test
from nurture.language.arms import HOLDOUT, place
from nurture.reading.counts import Row
from nurture.reading.experiments import rate
from nurture.records import Enrolment, Handoff, Lead, Milestone, ProgramVersion, StageTransition
from nurture.records.types import instant, micros
from nurture.records.types import to_micros as number

_CONFIDENCE = 0.95
_WORDS = {
    "objective": "reached an objective",
    "handed over": "were handed to sales",
    "won": "became customers",
}


@dataclass(frozen=True)
class Lift:
    """The figures, and how many leads are of neither group because the share was changed after they entered."""

    share: float
    rows: list[Row]
    left_out: int


def lift(machine: Machine) -> Lift:
    """What became of the leads that entered any sequence, treated against held out, since they first entered."""
    live = machine.live()
    with machine.db.read() as link:
        shares = _shares(link, live)
        objectives = sorted({s.spec.objective for s in live.segments.values() if s.spec.objective})
        found = {row.side: row for row in link.execute(_query(shares, objectives))}
    groups = {side: found.get(side) for side in ("treated", "held out")}
    rows = [
        _row(word, *(Count(row.leads, int(row._mapping[word])) if row else Count(0, 0) for row in groups.values()))
        for word in _WORDS
    ]
    left_out = int(found["neither"].leads) if "neither" in found else 0
    return Lift((live.house.program.holdout or 0) / 100, rows, left_out)


def _shares(link: Any, live: Live) -> list[tuple[datetime, int]]:
    """From when which share was held out, oldest first."""
    versions = select(col(ProgramVersion.id), col(ProgramVersion.published_at)).order_by(col(ProgramVersion.number))
    return [(at, live.library.house(link, number).program.holdout or 0) for number, at in link.execute(versions)]


def _query(shares: Sequence[tuple[datetime, int]], objectives: Sequence[str]) -> Any:
    first = (
        select(col(Enrolment.lead_id), func.min(micros(col(Enrolment.started_at))).label("at"))
        .group_by(col(Enrolment.lead_id))
        .subquery()
    )
    where, began = place(HOLDOUT, col(Lead.draw)), instant(first.c.at)
    side = case(
        (where < _since(first.c.at, shares, min), literal("held out")),
        (where >= _since(first.c.at, shares, max), literal("treated")),
        else_=literal("neither"),
    )

    def happened(table: Any, at: Any, *which: ColumnElement[bool]) -> ColumnElement[int]:
        mine = and_(col(table.lead_id) == first.c.lead_id, at >= began, *which)
        return case((select(literal(1)).select_from(table).where(mine).correlate(first).exists(), 1), else_=0)

    each = (
        select(
            side.label("side"),
            happened(Milestone, col(Milestone.reached_at), col(Milestone.name).in_(objectives)).label("objective"),
            happened(Handoff, col(Handoff.opened_at)).label("handed over"),
            happened(StageTransition, col(StageTransition.at), col(StageTransition.to_stage) == "customer").label(
                "won"
            ),
        )
        .join_from(Lead, first, first.c.lead_id == col(Lead.id))
        .subquery()
    )
    sums = [func.sum(each.c[word]).label(word) for word in _WORDS]
    return select(each.c.side, func.count().label("leads"), *sums).group_by(each.c.side)


def _since(at: ColumnElement[int], shares: Sequence[tuple[datetime, int]], which: Any) -> ColumnElement[int]:
    """The smallest (or largest) share that was held out at or after an instant."""
    eras = [(begins, which(share for _, share in shares[index:])) for index, (begins, _) in enumerate(shares)]
    cases = [(at >= number(begins), literal(share)) for begins, share in reversed(eras)]
    return case(*cases, else_=literal(which([0, *(share for _, share in shares)])))


def _row(word: str, treated: Count, held: Count) -> Row:
    low, high = difference(treated, held, _CONFIDENCE)
    return {
        "outcome": word, **_side("treated", treated), **_side("held out", held),
        "lift": round(treated.rate - held.rate, 6), "low": round(low, 6), "high": round(high, 6),
        "p": round(z_test(treated, held), 6), "verdict": _verdict(word, treated, held, low, high),
    }  # fmt: skip


def _side(name: str, count: Count) -> dict[str, Any]:
    low, high = wilson(count, _CONFIDENCE)
    return {name: {
        "leads": int(count.exposed), "converted": int(count.converted), "rate": round(count.rate, 6),
        "low": round(low, 6), "high": round(high, 6),
    }}  # fmt: skip


def _verdict(word: str, treated: Count, held: Count, low: float, high: float) -> str:
    if not treated.exposed or not held.exposed:
        return f"no difference can be told: nobody is {'held out' if treated.exposed else 'treated'} yet"
    said = f"of the treated {rate(treated.rate)} {_WORDS[word]}, of the held out {rate(held.rate)}"
    span = f"{points(low)} to {points(high)} points"
    if low > 0 or high < 0:
        return f"{'more' if low > 0 else 'fewer'} of the treated: {said}; the difference is {span} with 95 % confidence"
    return f"no difference can be told: {said}; it may be anything from {span}"


def points(part: float) -> str:
    """`+1.2`, in percentage points."""
    return f"{part * 100:+.1f}"
