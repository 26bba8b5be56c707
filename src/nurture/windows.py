"""Send windows: the instants at which messages may go out, on the lead's clock, as a small derived table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, String, Subquery, bindparam, case, delete, func, literal, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from nurture.db import Database
from nurture.dialects import greatest, upsert
from nurture.durations import Hours
from nurture.jsonsql import listed, rows_of
from nurture.records import Opening
from nurture.records.types import EPOCH, micros, span_micros, to_micros
from nurture.zones import DAY, spans_of, to_local, to_utc

#: How far ahead openings are known, and how much of that must be left before they are made anew.
AHEAD, REFILL = timedelta(days=60), timedelta(days=30)
#: When to look again at a message for which no opening is in sight.
OUT_OF_SIGHT = timedelta(days=30)
#: Openings that closed so long ago are removed; whoever asks for as old ones has them made anew.
_PAST = timedelta(days=30)


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
    #: Hours of every day in which nobody is written to.
    quiet: Hours | None = None

    @property
    def key(self) -> str:
        """Names the rule in the `opening` table; another rule has another key."""
        days = [day.isoformat() for day in self.closed]
        facts = {**asdict(self), "hours": str(self.hours), "closed": days, "quiet": str(self.quiet)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Weekends that the calendars of `holidays` lack: Nepal works on Sundays.
_WEEKENDS = {"NP": (5,)}


@cache
def _calendar(country: str) -> Any:
    import holidays  # imported late: it costs a quarter of a second

    try:
        return holidays.country_holidays(country)
    except NotImplementedError:  # how the library says that it does not know a country
        return None


def is_open_day(window: Window, day: date, country: str) -> bool:
    """Whether `window` opens on `day` for somebody in `country` (empty: unknown, weekend is Saturday and Sunday)."""
    if day in window.closed:
        return False
    calendar = _calendar(country) if country else None
    feast = calendar is not None and day in calendar
    if window.days == ("workdays",):
        if _is_weekend(day, country, calendar):
            return False
    elif window.days != ("all",) and _DAYS[day.weekday()] not in window.days:
        return False
    return not (window.holidays and feast)


def _is_weekend(day: date, country: str, calendar: Any) -> bool:
    """As the country had it on that day; a Saturday on which all work for a bridge day before is none."""
    if country in _WEEKENDS or calendar is None:
        return day.weekday() in _WEEKENDS.get(country, (5, 6))
    return bool(calendar.is_weekend(day)) and day not in calendar.weekend_workdays


def _instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """First valid instant of a local time: gaps go forward, repeats take the first."""
    local = datetime.combine(day, at, tzinfo=zone)
    utc = local.astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    before = (utc - timedelta(days=1)).astimezone(zone).utcoffset() or timedelta()
    for begins, *_rest in spans_of(str(zone))[1:]:  # the first has no beginning
        change = EPOCH + timedelta(microseconds=begins)
        if utc - timedelta(days=1) < change <= utc + timedelta(days=1) and change + before <= local.replace(tzinfo=UTC):
            return change
    return utc


def _last_instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Like `_instant_of`, but of a repeat the second."""
    local = datetime.combine(day, at)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    is_real = second.astimezone(zone).replace(tzinfo=None) == local
    return second if is_real else _instant_of(day, at, zone)


def _quiet_spans(quiet: Hours, zone: ZoneInfo, day: date) -> Iterator[tuple[datetime, datetime]]:
    """The quiet hours that touch the window of `day`: a clock that shows one of them twice is quiet both times."""
    for number in (-1, 0, 1):
        begins = day + timedelta(days=number)
        ends = begins + timedelta(days=1) if quiet.crosses_midnight else begins
        yield _instant_of(begins, quiet.start, zone), _last_instant_of(ends, quiet.end, zone)


def _without(
    span: tuple[datetime, datetime], quiet: Iterable[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """What is left of `span`, in order."""
    left = [span]
    for begins, ends in quiet:
        left = (
            [
                piece
                for opens, closes in left
                for piece in ((opens, min(closes, begins)), (max(opens, ends), closes))
                if piece[0] < piece[1]
            ]
            if begins < ends
            else left
        )
    return left


def never_opens(hours: Hours | None, quiet: Hours) -> bool:
    """Whether quiet hours cover all of a day's window."""
    some_day = date(2026, 6, 15)
    window = Window(hours, ("all",), False, "next_opening", (), quiet)
    return not openings_of(window, "UTC", "", some_day, some_day)


def openings_of(window: Window, zone: str, country: str, first: date, last: date) -> list[tuple[datetime, datetime]]:
    """(opens, closes) on each open local day from `first` to `last`; a span over midnight belongs to its first day.

    Without the quiet hours: a day may have several.
    """
    return list(each_opening(window, zone, country, first, last))


def each_opening(
    window: Window, zone: str, country: str, first: date, last: date
) -> Iterator[tuple[datetime, datetime]]:
    """The same, one at a time: who needs the next days alone asks for no others."""
    tz = ZoneInfo(zone)
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
                quiet = _quiet_spans(window.quiet, tz, day) if window.quiet else ()
                yield from _without((opens, closes), quiet)
        day += timedelta(days=1)


_ASKED = rows_of(zone=String, country=String)
_OF_PAIR = (
    col(Opening.window) == bindparam("window", type_=String), col(Opening.zone) == _ASKED.c.zone,
    col(Opening.country) == _ASKED.c.country,
)  # fmt: skip
#: How far a window is known in each zone and country asked for: when it closes last, and opens first; NULL: nowhere.
_REACH = select(
    _ASKED.c.zone, _ASKED.c.country,
    *(select(micros(edge)).where(*_OF_PAIR).correlate(_ASKED).scalar_subquery()
      for edge in (func.max(col(Opening.closes)), func.min(col(Opening.opens)))),
)  # fmt: skip


def know_openings(
    link: Connection, window: Window, pairs: Iterable[tuple[str, str]], now: datetime, since: datetime | None = None
) -> None:
    """Make sure that `opening` holds `window` for these (zone, country) pairs from `since` (now) until weeks ahead."""
    since = now if since is None else min(since, now)
    wanted = sorted(set(pairs))
    if not wanted:
        return
    rows = []
    for zone, country, ends, begins in link.execute(_REACH, {"rows": listed(wanted), "window": window.key}).all():
        if ends is not None and ends > to_micros(now + REFILL) and begins <= to_micros(since):
            continue
        first = (since - timedelta(days=2)).date()
        for opens, closes in openings_of(window, zone, country, first, (now + AHEAD).date()):
            rows.append({"window": window.key, "zone": zone, "country": country, "opens": opens, "closes": closes})
    if rows:
        link.execute(upsert(link)(Opening).on_conflict_do_nothing(), rows)


def forget_openings(db: Database, now: datetime) -> int:
    """Remove what closed a month ago, also of windows that nobody has any more; how many. One window a transaction."""
    over = col(Opening.closes) < now - _PAST
    with db.read() as link:
        windows = link.execute(select(col(Opening.window)).distinct()).scalars().all()
    mine = [delete(Opening).where(col(Opening.window) == window, over) for window in windows]
    return sum(db.transact(lambda link, one=one: link.execute(one).rowcount) for one in mine)  # type: ignore[misc]


def next_open(
    window: Window, at: ColumnElement[int], zone: ColumnElement[str], country: ColumnElement[str]
) -> ColumnElement[int]:
    """The first instant from `at` on at which `window` is open; NULL where the table does not reach.

    `keep_time`: on a closed day the same clock time of the next open day, if the window's hours hold it.
    """
    given = _known(select(at.label("at"), zone.label("zone"), country.label("country")))
    here = aliased(Opening)
    opens = (
        select(greatest(micros(col(here.opens)), given.c.at))
        .where(_theirs(window, here, given.c.zone, given.c.country), micros(col(here.closes)) > given.c.at)
        .order_by(col(here.closes))
        .limit(1)
        .correlate_except(here)
        .scalar_subquery()
    )
    if window.outside != "keep_time":
        return select(opens).select_from(given).correlate_except(given).scalar_subquery()
    day, now = literal(DAY), to_local(given.c.at, given.c.zone)
    first = _known(select(given, opens.label("first"), (now % day).label("time_of_day")))
    opened = _known(select(first, to_local(first.c.first, first.c.zone).label("opened")))
    midnight = opened.c.opened - opened.c.opened % day
    kept = to_utc(midnight + opened.c.time_of_day, opened.c.zone).label("kept")
    past_midnight = to_utc(midnight + day + opened.c.time_of_day, opened.c.zone).label("past_midnight")
    of = _known(select(opened, kept, past_midnight)).c
    ways = [(of.first == of.at, of.at), ((of.kept >= of.first) & _is_open(window, of.kept, of), of.kept)]
    if window.hours is not None and window.hours.crosses_midnight:
        before_end = of.time_of_day < _since_midnight(window.hours.end)
        ways.append((before_end & _is_open(window, of.past_midnight, of), of.past_midnight))
    return select(case(*ways, else_=of.first)).correlate_except(of.at.table).scalar_subquery()


def _known(made: Any) -> Subquery:
    """`made` as a row of its own, computed once: written out in each place, such terms outgrow SQLite's parser."""
    row: Subquery = made.correlate_except(None).limit(1).offset(0).subquery()  # an offset: no planner writes it out
    return row


def _theirs(window: Window, here: Any, zone: ColumnElement[str], country: ColumnElement[str]) -> ColumnElement[bool]:
    return (col(here.window) == window.key) & (col(here.zone) == zone) & (col(here.country) == country)


def _is_open(window: Window, at: ColumnElement[int], of: Any) -> ColumnElement[bool]:
    here = aliased(Opening)
    holds = (micros(col(here.opens)) <= at) & (micros(col(here.closes)) > at)
    return select(1).where(_theirs(window, here, of.zone, of.country), holds).correlate_except(here).exists()


def _since_midnight(at: time) -> int:
    """Microseconds of a clock time."""
    return span_micros(timedelta(hours=at.hour, minutes=at.minute))
