"""The sums of the score ledger: per lead, group and half-life what its lines are worth, moved along with them.

So the cost of a touched lead does not grow with its history.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlmodel import col

from nurture.dialects import greatest, newer_rows
from nurture.engine.running import Run
from nurture.language.scores import expired, faded
from nurture.program.load import House
from nurture.program.scoring import Scoring
from nurture.records import ScoreEntry, ScoreSum, Work
from nurture.records.types import CLAIM, NOW, NOW_AT, instant, micros


def run_out(leads: Select[Any]) -> Any:
    """Take out of the sums what has run out since they were moved last."""
    gone = expired()
    since = exists(
        select(1).where(
            col(ScoreEntry.lead_id) == col(ScoreSum.lead_id), micros(col(ScoreEntry.expires_at)) <= NOW,
            micros(col(ScoreEntry.expires_at)) > micros(col(ScoreSum.as_of)),
        )
    )  # fmt: skip
    of_these = and_(col(ScoreSum.lead_id).in_(leads), col(ScoreSum.half_life_hours) <= 0, since)
    return update(ScoreSum).where(of_these).values(total=col(ScoreSum.total) - gone, as_of=NOW_AT)


_OF_LINE: Any = [
    col(getattr(ScoreEntry, name)) for name in ("lead_id", "group_name", "half_life_hours", "expires_at", "at")
]
#: The ledger's last line, and the lines of the claimed leads that came after it. Whose they are is asked of each line
#: by itself (OFFSET 0): they are found by their place, once, not among all that the leads have, nor for each lead anew.
_LAST = select(func.coalesce(func.max(col(ScoreEntry.id)), 0))
_OURS = select(1).where(col(Work.lead_id) == col(ScoreEntry.lead_id), func.coalesce(col(Work.claim), "") == CLAIM)
_WRITTEN = (
    select(*_OF_LINE, col(ScoreEntry.summed).label("change"))
    .where(col(ScoreEntry.id) > bindparam("last", type_=BigInteger), _OURS.correlate(ScoreEntry).offset(0).exists())
    .subquery()
)


def last_line(run: Run) -> int:
    """The place of the ledger's last line, for `sum_up`; others' lines may come after it as well."""
    return int(run(_LAST).scalar_one())


def sum_up(run: Run, last: int) -> None:
    """Move into the sums what those lines of the claimed leads count that came after the line `last` and stay."""
    dialect = run.link.dialect.name
    run(run.plan(("sum up", dialect), lambda: _summed(_WRITTEN, run.live.house, dialect)), last=last)


def sums(leads: Select[Any], house: House | None = None) -> list[Any]:
    """Move what is not summed yet into the sums. `house` says the bounds of sums that are new."""
    unsummed = and_(col(ScoreEntry.lead_id).in_(leads), col(ScoreEntry.counted) != col(ScoreEntry.summed))
    lines = select(*_OF_LINE, (col(ScoreEntry.counted) - col(ScoreEntry.summed)).label("change")).where(unsummed)
    return [_summed(lines.subquery(), house), update(ScoreEntry).where(unsummed).values(summed=col(ScoreEntry.counted))]


def _summed(lines: Any, house: House | None, dialect: str = "") -> Any:
    """Move what `lines` count and did not yet into the sums, everything faded to now, where what ran out is out
    already; or to when they were moved last, if that was later by another's clock: a sum never goes back.
    """
    line = lines.c
    hours = func.coalesce(line.half_life_hours, 0.0)
    key = {"lead_id": line.lead_id, "group_name": line.group_name, "half_life_hours": hours}
    moved = select(micros(col(ScoreSum.as_of))).where(*(col(getattr(ScoreSum, name)) == of for name, of in key.items()))
    then = greatest(func.coalesce(moved.correlate(lines).scalar_subquery(), NOW), NOW)
    lasts = or_(line.expires_at.is_(None), micros(line.expires_at) > then)
    change = case((lasts, faded(line.change, micros(line.at), NOW, hours)), else_=0.0)
    rows = select(*(of.label(name) for name, of in key.items()))
    if dialect == "sqlite":  # a sum is moved by one line after the other; PostgreSQL moves each but once
        rows = rows.add_columns(change.label("total"))
    else:
        rows = rows.add_columns(func.sum(change).label("total")).group_by(*key.values())
    changes = rows.where(line.change != 0.0).subquery()
    scoring = house.scoring if house is not None else Scoring()
    bounds = [_bound(changes.c.group_name, scoring, name) for name in ("at_least", "at_most")]
    return newer_rows(
        ScoreSum,
        [*key, "total", "at_least", "at_most", "in_all_at_most", "as_of"],
        select(*(changes.c[name] for name in key), changes.c.total, *bounds, literal(scoring.at_most, Float), NOW_AT),
        list(key),
        _onwards,
    )


def _onwards(new: Any) -> dict[str, Any]:
    """A row of `score_sum` with what is `new` of it: what is of the earlier instant has faded to the later."""
    total, hours = col(ScoreSum.total), col(ScoreSum.half_life_hours)
    as_of, now = micros(col(ScoreSum.as_of)), micros(new.as_of)
    ahead = total + faded(new.total, now, as_of, hours)
    return {
        "total": case((as_of > now, ahead), else_=faded(total, as_of, now, hours) + new.total),
        "as_of": instant(greatest(as_of, now)),
    }


def _bound(group: Any, scoring: Scoring, which: str) -> ColumnElement[float | None]:
    """The bound of the group that `group` names; NULL: it has none."""
    said = {name: bound for name, one in scoring.groups.items() if (bound := getattr(one, which)) is not None}
    return cast(case(said, value=group, else_=null()) if said else null(), Float)
