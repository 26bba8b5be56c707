"""Why a score is what it is, line by line: what was earned, what caps and bounds took of it, what the lead is worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, literal, select
from sqlmodel import col

from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.language.compiler import compile_condition
from nurture.language.scores import faded, hours_of_line, known_by
from nurture.records import Event, Lead, ScoreEntry
from nurture.records.types import micros, to_micros


@dataclass(frozen=True)
class ScoreLine:
    """One reason for the number: a rule, when it was earned, what is left of it."""

    rule: str
    points: float
    at: datetime | None
    earned: float
    #: Whether a cap of its rule took it.
    capped: bool = False
    #: Why it is worth nothing, in words.
    why: str = ""
    #: Whether it is what a bound of a group, or of all engagement, takes away or gives back.
    bound: bool = False


def score_lines(link: Connection, live: Live, lead: int, now: datetime, zone: str) -> list[ScoreLine]:
    """What the lead earned, as far as it counted by `now`, as it is worth then, what bounds make of it, and what the
    lead is worth. Caps and fit are as they are known by today.
    """
    scoring = live.house.scoring
    caps = {rule.rule: rule.cap.per_day for rule in scoring.engagement}
    at, sums = literal(to_micros(now)), dict.fromkeys(("", *scoring.groups), 0.0)
    left = faded(col(ScoreEntry.counted), micros(col(ScoreEntry.at)), at, hours_of_line()).label("left")
    entries = (
        select(ScoreEntry.__table__, left)  # type: ignore[attr-defined]
        .join_from(ScoreEntry, Event, col(Event.id) == col(ScoreEntry.event_id))
        .where(col(ScoreEntry.lead_id) == lead, known_by(at))
        .order_by(col(ScoreEntry.at), col(ScoreEntry.event_id))
    )
    lines = []
    for row in link.execute(entries):
        capped, gone = row.counted != row.points, row.expires_at is not None and row.expires_at <= now
        why = f"expired on {_day(row.expires_at, now, zone)}" if gone else ""
        if capped:
            why = f"over {row.in_total} in total" if row.in_total else f"over {caps.get(row.rule)} per day"
        worth = 0.0 if gone else float(row.left)
        sums[row.group_name] = sums.get(row.group_name, 0.0) + worth
        lines.append(ScoreLine(row.rule, worth, row.at, float(row.points), capped, why))
    for name, group in scoring.groups.items():
        lines += _bound(sums, name, group.at_least, group.at_most, name)
    lines += _bound({"": sum(sums.values())}, "", None, scoring.at_most, "all engagement")
    run = Run(link, live, now)
    scope = live.scope()
    for rule in live.house.scoring.fit:
        if not rule.points:
            continue
        holds = select(col(Lead.id)).where(col(Lead.id) == lead, compile_condition(rule.when, scope))
        if run(holds).first():
            lines.append(ScoreLine(rule.rule, rule.points, None, rule.points))
    return lines


def _bound(
    sums: dict[str, float], group: str, at_least: float | None, at_most: float | None, of: str
) -> list[ScoreLine]:  # fmt: skip
    """The line that brings a sum back within its bounds, if it is beyond them; the sum is then as bounded."""
    total, said = sums[group], ""
    if at_most is not None and total > at_most:
        sums[group], said = at_most, f"at most {at_most:g} for {of}"
    if at_least is not None and total < at_least:
        sums[group], said = at_least, f"at least {at_least:g} for {of}"
    change = sums[group] - total
    return [ScoreLine(said, change, None, change, bound=True)] if said else []


def _day(at: datetime, now: datetime, zone: str) -> str:
    """The day of an instant on a clock, with its year if that is another than now's."""
    day, today = at.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone))
    return f"{day.day} {day:%b}" if day.year == today.year else f"{day.day} {day:%b %Y}"
