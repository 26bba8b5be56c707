"""Every change of every zone's clock, in both databases, against zoneinfo."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from zoneinfo import available_timezones

import pytest
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, MetaData, String, Table, select

from nurture.db import Database
from nurture.durations import parse_duration
from nurture.records.types import EPOCH, from_micros, to_micros
from nurture.zones import after, day_begins, know_zones, local_day, spans_of, to_local, to_utc
from tests.engine import plain
from tests.engine.world import new_database

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
ASKED = Table("asked", MetaData(), Column("n", BigInteger), Column("zone", String), Column("at", BigInteger),
              prefixes=["TEMPORARY"])  # fmt: skip
#: How many changes are looked at in a run; all of them with HYPOTHESIS_PROFILE=search.
SOME = 900
_FIRST, _LAST = datetime(2000, 6, 1, tzinfo=UTC), datetime(2059, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that knows every zone of the tz database."""
    db = Database(new_database(request))
    db.transact(lambda link: know_zones(link, zones()))
    yield db
    db.dispose()


def zones() -> list[str]:
    """Every zone of the tz database, one name for each clock: many are links to another."""
    folder = files("tzdata.zoneinfo")
    alike: dict[bytes, str] = {}
    for zone in sorted(available_timezones()):
        path = folder.joinpath(*zone.split("/"))
        if path.is_file():  # else a name of this machine's own
            alike.setdefault(path.read_bytes(), zone)
    return list(alike.values())


def changes() -> list[tuple[str, datetime]]:
    """Every zone with each instant, 2000 to 2059, at which its clock changes."""
    found = []
    for zone in zones():
        instants = [from_micros(span[0]) for span in spans_of(zone)[1:]]
        found += [(zone, at) for at in instants if _FIRST < at < _LAST]
    return found


def asked(database: Database, moments: list[tuple[str, datetime]], *what: ColumnElement[int]) -> list[tuple[int, ...]]:
    """What the SQL says of each moment, all in one statement."""

    def ask(link: Connection) -> list[tuple[int, ...]]:
        ASKED.create(link)
        link.execute(ASKED.insert(), [{"n": n, "zone": z, "at": to_micros(at)} for n, (z, at) in enumerate(moments)])
        said = [tuple(row) for row in link.execute(select(*what).select_from(ASKED).order_by(ASKED.c.n))]
        ASKED.drop(link)
        return said

    found: list[tuple[int, ...]] = database.transact(ask)
    return found


def expected(zone: str, at: datetime) -> tuple[int, ...]:
    """The same from the rules, by zoneinfo."""
    local = plain.to_local(at, zone)
    return (
        to_micros(local.replace(tzinfo=UTC)),
        to_micros(plain.to_utc(local, zone)),
        to_micros(plain.days_after(at, 1, zone)),
        to_micros(plain.days_after(at, 7, zone)),
        to_micros(at + 36 * HOUR),
        (local.date() - EPOCH.date()).days,
        to_micros(plain.day_begins(at, zone)),
        to_micros(plain.day_begins(at, zone, 1)),
    )


@pytest.mark.parametrize("gap", [-24 * HOUR - SECOND, -24 * HOUR + HOUR / 4, -SECOND, 0 * HOUR, HOUR / 2], ids=str)
def test_around_every_change_of_every_clock(database: Database, gap: timedelta) -> None:
    """A day before, a second before, at and after each change: local time, days later, the day and its beginning."""
    moments = [(zone, at + gap) for zone, at in changes()]
    chance = random.Random(str(gap))
    some = moments if os.environ.get("HYPOTHESIS_PROFILE") == "search" else chance.sample(moments, SOME)
    at, zone = ASKED.c.at, ASKED.c.zone
    said = asked(
        database, some, to_local(at, zone), to_utc(to_local(at, zone), zone), after(at, parse_duration("1 day"), zone),
        after(at, parse_duration("1 week"), zone), after(at, parse_duration("36 hours"), zone), local_day(at, zone),
        day_begins(at, zone), day_begins(at, zone, 1),
    )  # fmt: skip

    wrong = [(moment, row) for moment, row in zip(some, said, strict=True) if row != expected(*moment)]
    assert not wrong, wrong[:5]


def test_spans_are_those_of_zoneinfo() -> None:
    """No change of any zone is missed: between two changes the offset of every other week is the span's."""
    for zone in zones():
        spans = spans_of(zone)
        for (begins, ends, _, _, offset), following in zip(spans, [*spans[1:], None], strict=True):
            if following is not None:
                assert following[0] == ends, zone
            low, high = max(from_micros(max(begins, 0)), _FIRST), from_micros(ends) if following else _LAST
            at = low
            while at < min(high, _LAST):
                local = plain.to_local(at, zone).replace(tzinfo=UTC)
                assert to_micros(local) - to_micros(at) == offset, (zone, at)
                at += timedelta(days=13.1)


SKIPPED = {
    # zone, instant (UTC), duration: the instant at which it is over
    "the day that Samoa skipped": ("Pacific/Apia", "2011-12-29T20:00", "1 day", "2011-12-30T10:00"),
    "two days over it": ("Pacific/Apia", "2011-12-29T20:00", "2 days", "2011-12-30T20:00"),
    "hours know nothing of it": ("Pacific/Apia", "2011-12-29T20:00", "24 hours", "2011-12-30T20:00"),
    "Tokelau too": ("Pacific/Fakaofo", "2011-12-29T12:00", "1 day", "2011-12-30T11:00"),
    "half an hour of Lord Howe": ("Australia/Lord_Howe", "2026-10-02T15:40", "1 day", "2026-10-03T15:30"),
    "winter time is the exception in Ireland": ("Europe/Dublin", "2026-10-24T00:30", "1 day", "2026-10-25T00:30"),
    "Ramadan in Casablanca": ("Africa/Casablanca", "2026-02-14T01:30", "1 day", "2026-02-15T01:30"),
    "a week over two changes": ("Africa/Casablanca", "2026-02-10T09:00", "6 weeks", "2026-03-24T09:00"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_durations_by_name(database: Database, name: str) -> None:
    """Days over gaps and repeats of famous zones."""
    zone, start, span, end = SKIPPED[name]
    at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    database.transact(lambda link: know_zones(link, [zone]))
    ((found,),) = asked(database, [(zone, at)], after(ASKED.c.at, parse_duration(span), ASKED.c.zone))

    assert f"{from_micros(found):%Y-%m-%dT%H:%M}" == end


def test_midnight_may_be_missing() -> None:
    """The plain reader itself: a day without a midnight begins at its first valid instant."""
    assert plain.to_utc(datetime.combine(datetime(2026, 4, 24), time(0)), "Africa/Cairo") == datetime(
        2026, 4, 23, 22, tzinfo=UTC
    )
