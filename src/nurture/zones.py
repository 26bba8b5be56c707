"""Local time as arithmetic in SQL: zone offsets and send-window openings, kept as small derived tables.

`to_local` and `to_utc` are scalar subqueries over `zone_span`, so "two days on the lead's wall clock" is one
expression for a whole cohort. A local time in a gap becomes the first valid instant after it; a repeated one the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.metadata import version
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import ColumnElement, Connection, case, delete, func, literal, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.db import greatest, upsert
from nurture.durations import Duration, Hours
from nurture.records import Lead, Meta, Opening, ZoneSpan
from nurture.records.types import EPOCH, instant, micros, span_micros, to_micros

DAY = 86_400_000_000
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
#: How far ahead openings are known, and how much of that must be left before they are made anew.
AHEAD, REFILL = timedelta(days=60), timedelta(days=30)


@cache
def valid_zone(name: str) -> bool:
    """Whether `name` is a zone of the tz database."""
    return name in available_timezones()


@cache
def spans_of(zone: str) -> tuple[tuple[int, int, int, int, int], ...]:
    """(utc_from, utc_to, local_from, local_to, offset) from 2000 to 2060, in microseconds."""
    tz = ZoneInfo(zone)

    def offset(at: datetime) -> timedelta:
        return at.astimezone(tz).utcoffset() or timedelta()

    changes: list[tuple[datetime, timedelta]] = [(_FIRST, offset(_FIRST))]
    probe = _FIRST
    while probe < _LAST:
        following = min(probe + timedelta(days=7), _LAST)
        if offset(following) != changes[-1][1]:
            low, high = probe, following
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (low, middle) if offset(middle) != changes[-1][1] else (middle, high)
            changes.append((high, offset(high)))
        probe = following
    rows = []
    for index, (begins, shift) in enumerate(changes):
        ends, last = (changes[index + 1][0], shift) if index + 1 < len(changes) else (_LAST, shift)
        before = changes[index - 1][1] if index else shift
        rows.append(
            (
                to_micros(begins),
                to_micros(ends),
                to_micros(begins + before),
                to_micros(ends + last),
                span_micros(shift),
            )
        )
    return tuple(rows)


def know_zones(link: Connection, zones: Iterable[str]) -> None:
    """Make sure that `zone_span` holds these zones, as today's tz database has them."""
    stamp = version("tzdata")
    wanted = {zone for zone in zones if valid_zone(zone)}
    known = link.execute(select(col(Meta.value)).where(col(Meta.key) == "tzdata")).scalar()
    if known != stamp:
        link.execute(delete(ZoneSpan))
        statement = upsert(link)(Meta).values(key="tzdata", value=stamp)
        link.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": stamp}))
        wanted |= {zone for zone in link.execute(select(col(Lead.zone)).distinct()).scalars() if zone}
    present = set(
        link.execute(select(col(ZoneSpan.zone)).where(col(ZoneSpan.zone).in_(sorted(wanted))).distinct()).scalars()
    )
    rows = [
        dict(zip(("utc_from", "utc_to", "local_from", "local_to", "offset"), span, strict=True)) | {"zone": zone}
        for zone in sorted(wanted - present)
        for span in spans_of(zone)
    ]
    if rows:
        link.execute(upsert(link)(ZoneSpan).on_conflict_do_nothing(), rows)


def to_local(at: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
    """Local microseconds (as if they were UTC) of the instant `at` in `zone`."""
    span = aliased(ZoneSpan)
    offset = (
        select(col(span.offset))
        .where(col(span.zone) == zone, col(span.utc_from) <= at)
        .order_by(col(span.utc_from).desc())
        .limit(1)
        .correlate_except(span)
        .scalar_subquery()
    )
    return at + offset


def to_utc(local: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
    """The instant of local microseconds `local` in `zone`: gap, first valid instant; repeat, the first."""
    span = aliased(ZoneSpan)
    shifted = local - col(span.offset)
    return (
        select(case((shifted < col(span.utc_from), col(span.utc_from)), else_=shifted))
        .where(col(span.zone) == zone, col(span.local_from) <= local)
        .order_by(col(span.local_from).desc())
        .limit(1)
        .correlate_except(span)
        .scalar_subquery()
    )


def after(at: ColumnElement[int], wait: Duration, zone: ColumnElement[str]) -> ColumnElement[int]:
    """`wait` after the instant `at`: calendar days on the wall clock of `zone`, or elapsed time."""
    if not wait.days:
        return at + literal(span_micros(wait.elapsed))
    return to_utc(to_local(at, zone) + literal(wait.days * DAY), zone)


def local_day(at: ColumnElement[int], zone: ColumnElement[str]) -> ColumnElement[int]:
    """The local calendar day of `at`, in days since 1970-01-01."""
    local = to_local(at, zone)
    return (local - local % literal(DAY)) // literal(DAY)


def day_begins(at: ColumnElement[int], zone: ColumnElement[str], days: int = 0) -> ColumnElement[int]:
    """The instant at which the local day of `at` (plus `days`) begins in `zone`."""
    local = to_local(at, zone)
    return to_utc(local - local % literal(DAY) + literal(days * DAY), zone)


@dataclass(frozen=True)
class Window:
    """When messages may go out, on the lead's clock."""

    hours: Hours | None
    #: `workdays` (of the lead's country), `all`, or names of days, `mon` first.
    days: tuple[str, ...]
    #: Whether public holidays of the lead's country are closed.
    holidays: bool
    #: `next_opening` or `keep_time`.
    outside: str
    #: The company's closed days.
    closed: tuple[date, ...] = ()

    @property
    def key(self) -> str:
        """Names the rule in the `opening` table; another rule has another key."""
        facts = {**asdict(self), "hours": str(self.hours), "closed": [day.isoformat() for day in self.closed]}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@cache
def _calendar(country: str) -> object | None:
    import holidays  # imported late: it costs a quarter of a second

    try:
        return holidays.country_holidays(country)
    except NotImplementedError:
        return None


def is_open_day(window: Window, day: date, country: str) -> bool:
    """Whether `window` opens on `day` for somebody in `country` (empty: unknown, weekend is Saturday and Sunday)."""
    if day in window.closed:
        return False
    calendar = _calendar(country) if country else None
    if window.days == ("workdays",):
        weekend = getattr(calendar, "weekend", {5, 6}) if calendar is not None else {5, 6}
        if day.weekday() in weekend:
            return False
    elif window.days != ("all",) and _DAYS[day.weekday()] not in window.days:
        return False
    return not (window.holidays and calendar is not None and day in calendar)  # type: ignore[operator]


def _instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """First valid instant of a local time: gaps go forward, repeats take the first."""
    local = datetime.combine(day, at, tzinfo=zone)
    utc = local.astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    before = (utc - timedelta(days=1)).astimezone(zone).utcoffset() or timedelta()
    for begins, _ends, *_rest in spans_of(str(zone)):
        change = EPOCH + timedelta(microseconds=begins)
        if utc - timedelta(days=1) < change <= utc + timedelta(days=1) and change + before <= local.replace(tzinfo=UTC):
            return change
    return utc


def openings_of(window: Window, zone: str, country: str, first: date, last: date) -> list[tuple[datetime, datetime]]:
    """(opens, closes) on each open local day from `first` to `last`; a span over midnight belongs to its first day."""
    tz = ZoneInfo(zone)
    found = []
    day = first
    while day <= last:
        if is_open_day(window, day, country):
            opens = _instant_of(day, window.hours.start if window.hours else time(0), tz)
            if window.hours is None or window.hours.end == time(0):
                closes = _instant_of(day + timedelta(days=1), time(0), tz)
            else:
                ends_on = day + timedelta(days=1) if window.hours.crosses_midnight else day
                closes = _instant_of(ends_on, window.hours.end, tz)
            if closes > opens:
                found.append((opens, closes))
        day += timedelta(days=1)
    return found


def know_openings(link: Connection, window: Window, pairs: Iterable[tuple[str, str]], now: datetime) -> None:
    """Make sure that `opening` holds `window` for these (zone, country) pairs from a day ago until weeks ahead."""
    wanted = sorted(set(pairs))
    if not wanted:
        return
    last = (
        select(col(Opening.zone), col(Opening.country), func.max(micros(col(Opening.closes))), func.min(micros(col(Opening.opens))))
        .where(col(Opening.window) == window.key)
        .group_by(col(Opening.zone), col(Opening.country))
    )
    known = {(zone, country): (ends, begins) for zone, country, ends, begins in link.execute(last)}
    rows = []
    for zone, country in wanted:
        ends, begins = known.get((zone, country), (0, to_micros(now)))
        if ends > to_micros(now + REFILL) and begins <= to_micros(now):
            continue
        first = (now - timedelta(days=2)).date()
        for opens, closes in openings_of(window, zone, country, first, (now + AHEAD).date()):
            rows.append({"window": window.key, "zone": zone, "country": country, "opens": opens, "closes": closes})
    if rows:
        link.execute(upsert(link)(Opening).on_conflict_do_nothing(), rows)


def next_open(
    window: Window, at: ColumnElement[int], zone: ColumnElement[str], country: ColumnElement[str]
) -> ColumnElement[int]:
    """The first instant from `at` on at which `window` is open; NULL where the table does not reach.

    `keep_time`: on a closed day the same clock time of the next open day, if the window's hours hold it.
    """
    def soonest(column: Callable[[type[Opening]], ColumnElement[int]]) -> ColumnElement[int]:
        here = aliased(Opening)
        return (
            select(column(here))
            .where(
                col(here.window) == window.key,
                col(here.zone) == zone,
                col(here.country) == country,
                micros(col(here.closes)) > at,
            )
            .order_by(col(here.closes))
            .limit(1)
            .correlate_except(here)
            .scalar_subquery()
        )

    first = soonest(lambda here: greatest(micros(col(here.opens)), at))
    if window.outside != "keep_time":
        return first
    time_of_day = to_local(at, zone) % literal(DAY)
    opened = to_local(first, zone)
    kept = to_utc(opened - opened % literal(DAY) + time_of_day, zone)
    closes = soonest(lambda here: micros(col(here.closes)))
    return case((first == at, at), ((kept >= first) & (kept < closes), kept), else_=first)


def lead_zone(default: str) -> ColumnElement[str]:
    """The zone whose clock counts for a lead: its own, else the program's."""
    return func.coalesce(col(Lead.zone), literal(default))


def lead_country(default: str | None) -> ColumnElement[str]:
    """The country whose holidays count for a lead: its own, else the program's, else none."""
    return func.coalesce(col(Lead.country), literal(default or ""))


__all__ = [
    "DAY",
    "Window",
    "after",
    "day_begins",
    "instant",
    "know_openings",
    "know_zones",
    "lead_country",
    "lead_zone",
    "local_day",
    "next_open",
    "openings_of",
    "spans_of",
    "to_local",
    "to_utc",
    "valid_zone",
]
