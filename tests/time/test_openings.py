"""Send windows and quiet hours in SQL against a reader that goes through the days one by one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, String, literal, select

from nurture.db import Database
from nurture.durations import parse_hours
from nurture.records import Opening
from nurture.records.types import from_micros, to_micros
from nurture.windows import Window, forget_openings, know_openings, next_open
from nurture.windows import is_open_day as is_open
from nurture.zones import know_zones
from tests.engine import plain
from tests.engine.world import new_database

DAY = timedelta(days=1)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PLACES = [
    ("Europe/Bucharest", "RO"), ("Asia/Dubai", "AE"), ("Asia/Riyadh", "SA"), ("Asia/Tehran", "IR"),
    ("Asia/Kathmandu", "NP"), ("America/New_York", "US"), ("Australia/Lord_Howe", ""), ("Africa/Cairo", "EG"),
    ("America/Havana", ""), ("Europe/Dublin", "IE"), ("Pacific/Apia", ""), ("Africa/Casablanca", "MA"),
    ("Pacific/Chatham", "NZ"), ("Asia/Gaza", ""),
]  # fmt: skip
#: The days that are no workdays, mon first; holidays' own tables are what the product says it goes by.
WEEKENDS = {"AE": {5, 6}, "SA": {4, 5}, "IR": {4}, "NP": {5}, "EG": {4, 5}}
#: Before clock changes of these places, holidays and a year's end.
STARTS = [
    datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 3, 26, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC),
    datetime(2026, 9, 25, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 12, 20, tzinfo=UTC),
    datetime(2027, 2, 4, tzinfo=UTC),
]  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that knows the clocks of PLACES."""
    db = Database(new_database(request))
    db.transact(lambda link: know_zones(link, {zone for zone, _ in PLACES}))
    yield db
    db.dispose()


def is_open_day(window: Window, day: date, country: str) -> bool:
    """Whether anybody writes on `day` to somebody in `country`."""
    off = WEEKENDS.get(country, {5, 6})
    wanted = {"workdays": set(range(7)) - off, "all": set(range(7))}
    days = wanted.get(window.days[0]) or {DAYS.index(name) for name in window.days}
    feast = window.holidays and country and day in holidays.country_holidays(country)
    return day.weekday() in days and day not in window.closed and not feast


def last_of(local: datetime, zone: str) -> datetime:
    """The instant of a wall-clock time, of a repeated one the second."""
    first = plain.to_utc(local, zone)
    again = [
        first + timedelta(minutes=m) for m in (30, 60) if plain.to_local(first + timedelta(minutes=m), zone) == local
    ]
    return max([first, *again])


def spans(window: Window, zone: str, country: str, days: list[date]) -> list[tuple[datetime, datetime]]:
    """When the window stands open, quiet hours not counted."""
    found = []
    for day in days:
        if not is_open_day(window, day, country):
            continue
        start, end = (window.hours.start, window.hours.end) if window.hours else (time(0), time(0))
        ends = day + DAY if end <= start else day
        found.append(tuple(plain.to_utc(datetime.combine(d, t), zone) for d, t in ((day, start), (ends, end))))
    return found  # type: ignore[return-value]


def silences(window: Window, zone: str, days: list[date]) -> list[tuple[datetime, datetime]]:
    """When nobody is written to, whatever the day."""
    quiet = window.quiet
    if quiet is None:
        return []
    ends = [day + DAY if quiet.end <= quiet.start else day for day in days]
    return [
        (plain.to_utc(datetime.combine(day, quiet.start), zone), last_of(datetime.combine(end, quiet.end), zone))
        for day, end in zip(days, ends, strict=True)
    ]


def first_open(window: Window, zone: str, country: str, at: datetime) -> datetime | None:
    """The rule as a person would go about it, quarter of an hour by quarter of an hour; None: not within 16 days."""
    today = plain.to_local(at, zone).date()
    days = [today + n * DAY for n in range(-2, 17)]
    opened, quiet = spans(window, zone, country, days), silences(window, zone, days)

    def stands_open(when: datetime) -> bool:
        return any(a <= when < b for a, b in opened) and not any(a <= when < b for a, b in quiet)

    first = next((when for n in range(96 * 14) if stands_open(when := at + n * timedelta(minutes=15))), None)
    if first is None or first == at or window.outside == "next_opening":
        return first
    local = plain.to_local(at, zone)
    for later in (0, 1):
        if later and not (window.hours and window.hours.end <= window.hours.start and local.time() < window.hours.end):
            continue
        day = plain.to_local(first, zone).date() + later * DAY
        same = plain.to_utc(datetime.combine(day, local.time()), zone)
        if same >= first and stands_open(same):
            return same
    return first


def windows() -> st.SearchStrategy[Window]:
    hours = st.sampled_from(
        [None, "09:00-17:00", "20:00-04:00", "00:00-24:00", "23:30-00:30", "01:30-02:30", "18:00-24:00"]
    )
    quiet = st.sampled_from([None, None, "21:00-08:00", "12:00-13:00", "02:15-03:15", "00:00-06:00", "22:00-24:00"])
    days = st.sampled_from([("workdays",), ("workdays",), ("all",), ("mon", "thu"), ("fri", "sat"), ("sun",)])
    return st.builds(
        lambda h, q, d, feasts, outside, closed: Window(
            parse_hours(h) if h else None, d, feasts, outside, tuple(closed), parse_hours(q) if q else None
        ),
        hours, quiet, days, st.booleans(), st.sampled_from(["next_opening", "keep_time"]),
        st.sampled_from([[], [date(2026, 3, 9), date(2026, 3, 30), date(2026, 12, 24)]]),
    )  # fmt: skip


@given(window=windows(), start=st.sampled_from(STARTS), seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_the_first_open_instant(database: Database, window: Window, start: datetime, seed: int) -> None:
    """Of each place, at moments of a fortnight with changes of the clock: the instant that a person would find."""
    chance = random.Random(seed)
    moments = [(*chance.choice(PLACES), start + timedelta(minutes=15 * chance.randrange(96 * 10))) for _ in range(5)]

    def ask(link: Any) -> list[int | None]:
        know_openings(link, window, [(zone, country) for zone, country, _ in moments], start)
        columns = [
            next_open(window, literal(to_micros(at), BigInteger), literal(zone, String), literal(country, String))
            for zone, country, at in moments
        ]
        return [link.execute(select(column)).scalar() for column in columns]

    for (zone, country, at), found in zip(moments, database.transact(ask), strict=True):
        expected = first_open(window, zone, country, at)
        if expected is None:
            assert found is None or from_micros(found) > at + 14 * DAY
        else:
            assert from_micros(found or 0) == expected, (zone, country, at)
        if found is not None and window.quiet is not None:
            clock, quiet = plain.to_local(from_micros(found), zone).time(), window.quiet
            within = (
                (clock >= quiet.start) or (clock < quiet.end)
                if quiet.end <= quiet.start
                else (quiet.start <= clock < quiet.end)
            )
            assert not within, (zone, at)


WEEKS = {
    # country, Monday of a week: its workdays
    "Romania": ("RO", "2026-06-15", "mon tue wed thu fri"),
    "the Emirates": ("AE", "2026-07-06", "mon tue wed thu fri"),
    "the Emirates before 2022": ("AE", "2021-06-07", "mon tue wed thu sun"),
    "Saudi Arabia": ("SA", "2026-07-06", "mon tue wed thu sun"),
    "Iran": ("IR", "2026-07-06", "mon tue wed thu sat sun"),
    "Nepal": ("NP", "2026-07-06", "mon tue wed thu fri sun"),
    "Egypt": ("EG", "2026-07-06", "mon tue wed thu sun"),
    "Saturday 14 February makes up for the Spring Festival": ("CN", "2026-02-09", "mon tue wed thu fri sat"),
    "a country that is no country": ("XX", "2026-06-15", "mon tue wed thu fri"),
    "nobody knows": ("", "2026-06-15", "mon tue wed thu fri"),
}


@pytest.mark.parametrize("name", WEEKS)
def test_workdays_are_those_of_the_country(name: str) -> None:
    """Each country has its own week, and some had another one once."""
    country, monday, expected = WEEKS[name]
    window = Window(None, ("workdays",), False, "next_opening")
    week = [date.fromisoformat(monday) + n * DAY for n in range(7)]

    assert [DAYS[day.weekday()] for day in week if is_open(window, day, country)] == expected.split()


def test_past_openings_are_forgotten_and_made_anew_when_asked_for(database: Database) -> None:
    """The table does not grow with time; a message that comes late finds the openings of its own day again."""
    window, begins = (
        Window(None, ("all",), False, "next_opening", (date(2026, 1, 1),)),
        datetime(2026, 3, 2, tzinfo=UTC),
    )

    def known(now: datetime, since: datetime) -> list[datetime]:
        with database.engine.begin() as link:
            know_openings(link, window, [("Asia/Dubai", "AE")], now, since)
            rows = select(Opening.closes).where(Opening.window == window.key).order_by(Opening.closes)  # type: ignore[call-overload]
            return list(link.execute(rows).scalars())

    sizes = []
    for month in range(6):
        now = begins + month * 30 * DAY
        known(now, now)
        forget_openings(database, now)
        sizes.append(len(known(now, now)))
    assert sizes[-1] == sizes[1]
    assert known(now, begins)[0] < begins
