"""Local time in SQL against zoneinfo: every kind of clock change, many zones, forty years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, String, literal, select

from nurture.db import Database
from nurture.durations import parse_duration
from nurture.records.types import EPOCH, from_micros, to_micros
from nurture.zones import after, day_begins, know_zones, local_day, spans_of, to_local, to_utc
from tests.engine import plain
from tests.engine.world import new_database

ZONES = (
    "Europe/Bucharest",
    "Europe/London",
    "Europe/Dublin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/St_Johns",
    "America/Havana",
    "America/Caracas",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Asia/Gaza",
    "Asia/Hebron",
    "Asia/Tehran",
    "Asia/Riyadh",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Bangkok",
    "Asia/Chita",
    "Europe/Istanbul",
    "Europe/Volgograd",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "Pacific/Apia",
    "Pacific/Fakaofo",
    "Pacific/Chatham",
    "Pacific/Norfolk",
    "Pacific/Kiritimati",
    "Pacific/Easter",
    "UTC",
    "Etc/GMT+12",
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that knows all of ZONES."""
    db = Database(new_database(request))
    db.transact(lambda link: know_zones(link, ZONES))
    yield db
    db.dispose()


def number(value: int) -> literal:  # type: ignore[valid-type]
    return literal(value, BigInteger)


def micros(local: datetime) -> int:
    """A wall-clock time as if it were UTC."""
    return to_micros(local.replace(tzinfo=UTC))


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and an instant: anywhere from 2001 to 2059, or within hours of a change of that zone's clocks."""
    zone = draw(st.sampled_from(ZONES))
    changes = [span[0] for span in spans_of(zone)[1:] if 2001 < from_micros(span[0]).year < 2059]
    anywhere = st.datetimes(datetime(2001, 1, 1), datetime(2059, 1, 1)).map(
        lambda at: at.replace(tzinfo=UTC, microsecond=0)
    )
    if not changes or draw(st.integers(0, 3)) == 0:
        return zone, draw(anywhere)
    near = draw(st.sampled_from(changes))
    return zone, EPOCH + timedelta(microseconds=near) + draw(
        st.one_of(
            st.timedeltas(timedelta(hours=-50), timedelta(hours=50)),
            st.sampled_from([timedelta(0), timedelta(seconds=-1)]),
        )
    )


@given(moment=moments(), days=st.sampled_from([1, 2, 7, 30, 180]), shift=st.integers(-1, 2))
@settings(max_examples=100)
@example(moment=("Europe/Bucharest", datetime(2026, 10, 25, 0, 50, tzinfo=UTC)), days=2, shift=0)
@example(moment=("Pacific/Apia", datetime(2011, 12, 29, 23, 30, tzinfo=UTC)), days=1, shift=1)
def test_sql_reads_the_clock_as_zoneinfo_does(
    database: Database, moment: tuple[str, datetime], days: int, shift: int
) -> None:
    """Local time, days later, the day and its beginning are what plain Python says of the same zone and instant."""
    zone, at = moment
    here, where = number(to_micros(at)), literal(zone, String)
    local = plain.to_local(at, zone)
    with database.read() as link:
        row = link.execute(
            select(
                to_local(here, where),
                to_utc(number(micros(local)), where),
                after(here, parse_duration(f"{days} days"), where),
                after(here, parse_duration("48 hours"), where),
                local_day(here, where),
                day_begins(here, where),
                day_begins(here, where, shift),
            )
        ).one()

    assert tuple(row) == (
        micros(local),
        to_micros(plain.to_utc(local, zone)),
        to_micros(plain.days_after(at, days, zone)),
        to_micros(at + timedelta(hours=48)),
        (local.date() - EPOCH.date()).days,
        to_micros(plain.day_begins(at, zone)),
        to_micros(plain.day_begins(at, zone, shift)),
    )


@given(moment=moments(), minutes=st.integers(-1500, 1500))
@settings(max_examples=80)
def test_every_local_time_has_its_instant(database: Database, moment: tuple[str, datetime], minutes: int) -> None:
    """Whatever a clock might show, or skip, or show twice: the first valid instant, or the first of two."""
    zone, at = moment
    local = plain.to_local(at, zone) + timedelta(minutes=minutes)
    with database.read() as link:
        found = link.execute(select(to_utc(number(micros(local)), literal(zone, String)))).scalar_one()

    assert from_micros(found) == plain.to_utc(local, zone)


NAMED = {
    # zone, local time as written: the instant (UTC)
    "a gap goes forward": ("Europe/Bucharest", "2026-03-29T03:30", "2026-03-29T01:00"),
    "the last minute before the gap": ("Europe/Bucharest", "2026-03-29T02:59", "2026-03-29T00:59"),
    "a repeat is the first": ("Europe/Bucharest", "2026-10-25T03:30", "2026-10-25T00:30"),
    "after the repeat": ("Europe/Bucharest", "2026-10-25T04:00", "2026-10-25T02:00"),
    "half an hour's gap": ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-03T15:30"),
    "half an hour twice": ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45"),
    "a day that never was": ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00"),
    "midnight that never was": ("Africa/Cairo", "2026-04-24T00:30", "2026-04-23T22:00"),
    "midnight twice": ("Africa/Cairo", "2026-10-29T23:30", "2026-10-29T20:30"),
    "Gaza in the gap": ("Asia/Gaza", "2026-03-28T02:30", "2026-03-28T00:00"),
    "an hour back at midnight": ("America/Havana", "2026-11-01T00:30", "2026-11-01T04:30"),
    "fifteen minutes of Pyongyang": ("Asia/Pyongyang", "2018-05-04T23:40", "2018-05-04T15:00"),
}


@pytest.mark.parametrize("name", NAMED)
def test_clock_changes_by_name(database: Database, name: str) -> None:
    """Named changes, read from the tz database by hand."""
    zone, local, instant = NAMED[name]
    written = micros(datetime.fromisoformat(local))
    with database.read() as link:
        found = link.execute(select(to_utc(number(written), literal(zone, String)))).scalar_one()

    assert f"{from_micros(found):%Y-%m-%dT%H:%M}" == instant


def test_a_new_tz_database_loses_no_zone(database: Database) -> None:
    """When the tz database has changed, all zones that were known are known again, whoever asks first."""

    def forget(link: object) -> None:
        link.exec_driver_sql("UPDATE meta SET value = '1999a' WHERE key = 'tzdata'")  # type: ignore[attr-defined]
        know_zones(link, ["Asia/Kolkata"])  # type: ignore[arg-type]

    database.transact(forget)
    with database.read() as link:
        known = {zone for (zone,) in link.exec_driver_sql("SELECT DISTINCT zone FROM zone_span")}

    assert known == set(ZONES)
