"""The scoring part of settling alone, in leads a second: a new click each, with all that is promised of its score.

It stands beside the same lines and sums written bare, which is the limit of what is promised, beside one UPDATE of a
lead's sums, and beside all lines derived anew from all events, from which its sums must not lie apart by more than 1e-9
of their size. Nothing is kept of what is measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import common
from bench_rescore import ROUNDS, Crowd, set_up, touch
from sqlalchemy import column, func, insert, select, table, update
from sqlmodel import col

from nurture.engine import scoring
from nurture.engine.running import CLAIMED, Run
from nurture.language.scores import engagement
from nurture.records import Lead, ScoreEntry, ScoreSum, Work
from nurture.records.types import to_micros
from nurture.rehearse.stage import Stage
from nurture.zones import know_zones


@dataclass(frozen=True)
class Part:
    """What the scoring part alone takes, in leads a second, and how far sums and a full recomputation lie apart."""

    ours: float
    #: The lines that ours writes, with all their indexes, and that UPDATE: nothing is asked, all is known.
    bare: float
    #: One UPDATE of each lead's sums, and nothing else of what is promised: the limit.
    accumulator: float
    #: All lines and sums of these leads derived anew from all their events.
    full: float
    apart: float


class _Undone(Exception):
    """Takes a measured transaction back."""


def scoring_alone(stage: Stage, leads: Sequence[int], day: int) -> Part:
    """Score these leads, each with a new click, without whatever else settling does; nothing of it stays.

    Raises AssertionError where sums moved along and sums derived anew differ by more than 1e-9 of their size.
    """
    now, found = touch(stage, leads, day), []

    def measured(link: Any) -> None:
        run = Run(link, stage.machine.library.live(link), now, "bench")
        run(update(Work).where(col(Work.due_at) <= now).values(claim="bench"))
        know_zones(link, ["UTC"])
        link.exec_driver_sql("SAVEPOINT scoring")
        last = run(select(func.max(col(ScoreEntry.id)))).scalar_one()
        whole = [common.timed(lambda: scoring.score(run))[0]]
        lines = run(select(*_LINE).where(col(ScoreEntry.id) > last).order_by(col(ScoreEntry.id))).all()
        moved = dict(link.execute(_ENGAGEMENT, {"at_now": to_micros(now), "at_claim": "bench"}).all())
        whole.append(common.timed(lambda: scoring.rescore_claimed(run))[0])
        anew = dict(link.execute(_ENGAGEMENT, {"at_now": to_micros(now), "at_claim": "bench"}).all())
        assert len(moved) == len(leads), (len(moved), len(leads))
        apart = max(abs(moved[lead] - anew[lead]) / (1 + abs(anew[lead])) for lead in moved)
        assert apart <= 1e-9, apart
        link.exec_driver_sql("ROLLBACK TO SAVEPOINT scoring")
        took, touched = common.timed(lambda: run(_ACCUMULATE).rowcount)
        assert touched == 2 * len(leads), touched  # a click counts in two groups
        whole.append(took)
        whole.append(took + _bare(link, lines))
        found.append(Part(*(len(leads) / whole[which] for which in (0, 3, 2, 1)), apart=apart))
        raise _Undone

    try:
        stage.machine.db.transact(measured)
    except _Undone:
        stage.machine.settle(now)
    return found[0]


def _bare(link: Any, lines: Sequence[Any]) -> float:
    """Seconds for writing these lines of the ledger from a table that holds nothing else."""
    columns = ", ".join(each.name for each in _LINE)
    link.exec_driver_sql(f"CREATE TEMPORARY TABLE bare AS SELECT {columns} FROM score_entry LIMIT 0")
    bare = table("bare", *(column(each.name, each.type) for each in _LINE))
    link.execute(insert(bare), [dict(zip(bare.c.keys(), line, strict=True)) for line in lines])
    whole = f"INSERT INTO score_entry ({columns}) SELECT {columns} FROM bare"
    took, written = common.timed(lambda: link.exec_driver_sql(whole).rowcount)
    assert written == len(lines), written
    return took


_LINE = [each for each in ScoreEntry.__table__.c if each.name != "id"]  # type: ignore[attr-defined]
_ENGAGEMENT = select(col(Lead.id), engagement()).where(col(Lead.id).in_(CLAIMED))
_ACCUMULATE = (
    update(ScoreSum)
    .where(col(ScoreSum.lead_id).in_(CLAIMED), col(ScoreSum.group_name).in_(("clicks", "recent")))
    .values(total=col(ScoreSum.total) + 5.0)
)


def by_part(url: str, leads: int) -> dict[str, Any]:
    """The scoring part alone, of leads with ten past events; medians of the rounds."""
    stage = set_up(url, [Crowd(1, leads, 10)])
    parts = [scoring_alone(stage, range(1, leads + 1), 1 + number) for number in range(ROUNDS + 1)][1:]
    stage.close()
    names = {
        "ours": "scoring, leads/s",
        "bare": "the same rows written bare, leads/s",
        "accumulator": "one UPDATE, leads/s",
        "full": "derived anew, leads/s",
    }
    found = {title: statistics.median(getattr(part, name) for part in parts) for name, title in names.items()}
    return found | {"apart at most": max(part.apart for part in parts)}


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(1_000, 10_000)
        rows = [{"database": kind, "leads": leads, **by_part(url, leads)} for kind, url in b.databases("part")]
        b.table(f"scoring touched leads, medians of {ROUNDS} rounds", rows)


if __name__ == "__main__":
    main()
