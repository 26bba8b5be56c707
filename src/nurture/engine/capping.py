"""What a rule's caps let count: the first so many of each day, and of those the first so many in all.

First is what happened first, then what has the smaller id; so a late event takes its place, and pushes others out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, func, literal, not_, null, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.program.scoring import EngagementRule
from nurture.records import Event, ScoreEntry
from nurture.records.types import micros
from nurture.zones import DAY, PUT_BACK

#: Later than everything.
_LAST = literal(2**62, BigInteger)
#: Two lines of one day are nearer to each other.
_A_DAY = literal(DAY + PUT_BACK, BigInteger)


def capping(rule: EngagementRule, leads: Select[Any], fresh: ColumnElement[bool] | None) -> list[Any]:
    """The statements that say which lines of `rule` count, after those of the `fresh` events came in.

    Only the days on which such events fall are looked at, and of their leads the first lines that count; None: every
    day of all `leads`. So it changes nothing for a lead who else is of its batch.
    """
    found = [] if rule.cap.per_day is None else [_of_a_day(rule, rule.cap.per_day, leads, fresh)]
    if rule.cap.in_total is None:
        return found
    return [*found, *_in_total(rule, rule.cap.in_total, leads if fresh is None else _whose(rule, leads, fresh))]


def _of_a_day(rule: EngagementRule, most: int, leads: Select[Any], fresh: ColumnElement[bool] | None) -> Any:
    """The first `most` lines of each touched day count, or may; the others are worth nothing."""
    mine, earlier = ScoreEntry, aliased(ScoreEntry)
    touched = and_(col(mine.lead_id).in_(leads), col(mine.rule) == rule.rule)
    if fresh is not None:
        touched = col(mine.id).in_(_on_days_of(rule, fresh))
    near = and_(col(earlier.day) == col(mine.day), micros(col(earlier.at)) > micros(col(mine.at)) - _A_DAY)
    over = _after(mine, earlier, most, _of(earlier, rule, col(mine.lead_id)), near)
    if rule.cap.in_total is None:
        return update(mine).where(touched).values(counted=case((over, 0.0), else_=col(mine.points)))
    counted, within = case((over, 0.0), else_=col(mine.counted)), case((over, null()), else_=rule.cap.in_total)
    return update(mine).where(touched, col(mine.points) != 0.0).values(counted=counted, in_total=within)


def _on_days_of(rule: EngagementRule, fresh: ColumnElement[bool]) -> Select[Any]:
    """The lines of `rule` on the days on which `fresh` events fall, of those as well that are a machine's by now."""
    new, same = aliased(ScoreEntry), aliased(ScoreEntry)
    at, began, ends = micros(col(same.at)), micros(col(new.at)) - _A_DAY, micros(col(new.at)) + _A_DAY
    return (
        select(col(same.id))
        .join_from(Event, new, _line_of(new, rule))
        .join(same, and_(_of(same, rule, col(new.lead_id)), col(same.day) == col(new.day), at > began, at < ends))
        .where(fresh)
    )


def _whose(rule: EngagementRule, leads: Select[Any], fresh: ColumnElement[bool]) -> Select[Any]:
    """Those of `leads` who have lines of `rule` for `fresh` events."""
    line = aliased(ScoreEntry)
    rows = select(col(Event.lead_id)).join_from(Event, line, _line_of(line, rule))
    return rows.where(col(Event.lead_id).in_(leads), fresh).distinct()


def _line_of(line: Any, rule: EngagementRule) -> ColumnElement[bool]:
    """Whether a line is the event's."""
    its = and_(col(line.at) == col(Event.occurred_at), col(line.event_id) == col(Event.id))
    return and_(_of(line, rule, col(Event.lead_id)), its)


def _in_total(rule: EngagementRule, most: int, leads: Select[Any]) -> list[Any]:
    """The first `most` lines that a day lets count do; those come in that are among them now, after others went out."""
    mine, earlier = ScoreEntry, aliased(ScoreEntry)
    over = _after(mine, earlier, most, _of(earlier, rule, col(mine.lead_id)), col(earlier.in_total).is_not(None))
    whose, first, counted = leads.subquery(), aliased(ScoreEntry), aliased(ScoreEntry)
    lead = whose.c[0]
    limit = (
        select(micros(col(first.at)))
        .where(_of(first, rule, lead), col(first.in_total).is_not(None))
        .order_by(col(first.at)).offset(most - 1).limit(1)
        .correlate(whose).scalar_subquery()
    )  # fmt: skip
    room = (
        select(func.count())
        .where(_of(counted, rule, lead), col(counted.in_total).is_not(None), col(counted.counted) == rule.points)
        .correlate(whose).scalar_subquery()
    )  # fmt: skip
    line = aliased(ScoreEntry)
    lines = select(col(line.id)).join_from(whose, line, _of(line, rule, lead)).where(col(line.in_total).is_not(None))
    late = lines.where(col(line.counted) == rule.points, micros(col(line.at)) >= limit)
    early = lines.where(room < most, col(line.counted) == 0.0, micros(col(line.at)) <= func.coalesce(limit, _LAST))
    return [
        update(mine).where(col(mine.id).in_(late), over).values(counted=0.0),
        update(mine).where(col(mine.id).in_(early), not_(over)).values(counted=col(mine.points)),
    ]


def _of(line: Any, rule: EngagementRule, lead: Any) -> ColumnElement[bool]:
    return and_(col(line.lead_id) == lead, col(line.rule) == rule.rule)


def _after(mine: Any, earlier: Any, most: int, *among: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether `most` others of those `among` came before `mine`; no more of them are looked at."""
    before = or_(
        col(earlier.at) < col(mine.at),
        and_(col(earlier.at) == col(mine.at), col(earlier.event_id) < col(mine.event_id)),
    )
    rows = select(1).select_from(earlier).where(*among, col(earlier.points) != 0.0, col(earlier.at) <= col(mine.at))
    return rows.where(before).offset(most - 1).limit(1).correlate(mine).exists()
