"""When leads succeeded, and how good it was to name whom: precision, recall, lead time, too early and too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from sqlalchemy import Connection, Select, func, select
from sqlmodel import col

from nurture.backtest.history import Array, People
from nurture.backtest.scan import NEVER
from nurture.histories import VISITOR
from nurture.records import StageTransition
from nurture.records.types import micros
from nurture.zones import DAY

Success: TypeAlias = Literal["sql", "opportunity", "customer"]
_FURTHER: tuple[Success, ...] = ("sql", "opportunity", "customer")
_IN_ORDER = (col(StageTransition.at), col(StageTransition.id))

#: Stands for the instant at which a lead succeeded that had done so when it came in: before any other.
CAME_SO = -(1 << 62)
#: Days after which a lead that was named and has not succeeded was named too early.
PATIENCE = 90
#: Days before its success at which a lead must have been named, to be of use.
HEADWAY = 1


@dataclass(frozen=True)
class Judged:
    """Of the leads that were named within a span of time; shares are 0 to 1, None where nobody is asked of.

    `named`: before they succeeded; `came`: succeeded afterwards; `successes`: succeeded within the span; `foreseen`: of
    these, who had been named before. `too_early`: named 90 days ago or more, and no success within these; `too_late`:
    succeeded without having been named a day before. `days`: median from being named to the success.
    """

    named: int
    per_week: float
    came: int
    precision: float | None
    successes: int
    foreseen: int
    recall: float | None
    days: float | None
    too_early: int
    too_late: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where either is unknown."""
        both = (self.precision or 0.0) + (self.recall or 0.0)
        return 2 * (self.precision or 0.0) * (self.recall or 0.0) / both if both else 0.0

    def plain(self) -> dict[str, Any]:
        """For a program, with F1."""
        return {**asdict(self), "f1": self.f1}


def judge(named: Array, success: Array, since: int, until: int) -> Judged:
    """`named` and `success`: when each lead was, NEVER if not; of namings and successes in `since` to `until`.

    Who came in as a success (CAME_SO) is neither named nor a success.
    """
    mine = (named >= since) & (named < until) & (named < success)
    came = mine & (success < until)
    took = (success[came] - named[came]) / DAY
    waited = np.minimum(success, until) - np.minimum(named, until)
    succeeded = (success >= since) & (success < until)
    foreseen = succeeded & (named < success)
    in_time = succeeded & (named <= success - HEADWAY * DAY) & (named != NEVER)
    count = int(mine.sum())
    return Judged(
        named=count,
        per_week=count / max((until - since) / (7 * DAY), 1 / 7),
        came=int(came.sum()),
        precision=float(came.sum() / count) if count else None,
        successes=int(succeeded.sum()),
        foreseen=int(foreseen.sum()),
        recall=float(foreseen.sum() / succeeded.sum()) if succeeded.any() else None,
        days=float(np.median(took)) if len(took) else None,
        too_early=int((mine & (waited >= PATIENCE * DAY)).sum()),
        too_late=int((succeeded & ~in_time).sum()),
    )


def successes(link: Connection, people: People, success: Success) -> Array:
    """When each lead first came to the stage `success` or a later one (microseconds); NEVER: it did not.

    CAME_SO: its history begins there, from visitor, as when a file of customers is imported.
    """
    stages = _FURTHER[_FURTHER.index(success) :]
    found = firsts(link, people, stages)
    place = func.row_number().over(partition_by=col(StageTransition.lead_id), order_by=_IN_ORDER)
    columns = (col(StageTransition.lead_id), col(StageTransition.from_stage), col(StageTransition.to_stage))
    rows = select(*columns, place.label("place")).subquery()
    begins = (rows.c.place == 1, rows.c.from_stage == VISITOR, rows.c.to_stage.in_(stages))
    mine, _ = _read(link, people, select(rows.c.lead_id, rows.c.place).where(*begins))
    found[mine] = CAME_SO
    return found


def firsts(link: Connection, people: People, stages: Sequence[str]) -> Array:
    """When each lead first came to one of `stages`, as its history says (microseconds); NEVER: it did not."""
    first = func.min(micros(col(StageTransition.at)))
    came = select(col(StageTransition.lead_id), first).where(col(StageTransition.to_stage).in_(stages))
    mine, at = _read(link, people, came.group_by(col(StageTransition.lead_id)))
    found = np.full(len(people.ids), NEVER)
    found[mine] = at
    return found


def _read(link: Connection, people: People, statement: Select[*tuple[Any, ...]]) -> tuple[Array, Array]:
    """(place of the lead, number) of what selects (id, number), without leads that are not among `people`."""
    rows = np.array([tuple(row) for row in link.execute(statement)], np.int64).reshape(-1, 2)
    places = np.searchsorted(people.ids, rows[:, 0])
    known = places < len(people.ids)
    known[known] = people.ids[places[known]] == rows[known, 0]
    return places[known], rows[known, 1]
