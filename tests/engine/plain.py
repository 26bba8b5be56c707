"""Time as an obvious Python program reads it: what the engine's SQL is held against."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def to_utc(local: datetime, zone: str) -> datetime:
    """The instant of a naive local time: the first of two, or the first valid one after a gap."""
    tz = ZoneInfo(zone)
    while True:
        both = [local.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1)]
        real = [at for at in both if at.astimezone(tz).replace(tzinfo=None) == local]
        if real:
            return min(real)
        local = local.replace(second=0, microsecond=0) + timedelta(minutes=1)  # clocks change on a minute


def to_local(at: datetime, zone: str) -> datetime:
    """What the clock on the wall shows."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def days_after(at: datetime, days: int, zone: str) -> datetime:
    """The same wall-clock time so many calendar days later."""
    return to_utc(to_local(at, zone) + timedelta(days=days), zone)


def day_begins(at: datetime, zone: str, days: int = 0) -> datetime:
    """The first instant of the local day of `at`, or of one so many days later."""
    return to_utc(datetime.combine(to_local(at, zone).date() + timedelta(days=days), time(0)), zone)


def is_open(at: datetime, zone: str, start: time, end: time, open_days: set[date]) -> bool:
    """Whether a window stands open, looked at instant by instant; one over midnight is its first day's."""
    today = to_local(at, zone).date()
    for day in (today - timedelta(days=1), today):
        last = day if end > start else day + timedelta(days=1)
        opens, closes = (to_utc(datetime.combine(d, t), zone) for d, t in ((day, start), (last, end)))
        if day in open_days and opens <= at < closes:
            return True
    return False
