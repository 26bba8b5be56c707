"""Send windows as a marketer writes them: when the message goes out, on the lead's clock, weekdays and holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import product

import pytest

from nurture.records import Touch
from tests.engine import plain
from tests.engine.conftest import Make
from tests.engine.world import PROGRAM, program, sequence

HELLO = "  - {id: hello, email: hello.j2}"
WORK = '{days: workdays, hours: "09:00-17:00"}'
KEEP = '{days: workdays, hours: "09:00-17:00", outside: keep_time}'
NIGHT = '{days: [fri, sat], hours: "22:00-02:00", holidays: none}'
CLOSED = PROGRAM + "closed_days: [2026-12-24]\n"

CASES = {
    # country, zone, send, due (local) -> sent (local); 30 November and 1 December are holidays in Romania, 2 and
    # 3 December in the Emirates, 26 November and 25 December in the United States; 24 December is the company's own
    "in hours": ("RO", "Europe/Bucharest", WORK, "2026-11-27T16:59", "2026-11-27T16:59"),
    "as it opens": ("RO", "Europe/Bucharest", WORK, "2026-11-27T09:00", "2026-11-27T09:00"),
    "a minute before it opens": ("RO", "Europe/Bucharest", WORK, "2026-11-27T08:59", "2026-11-27T09:00"),
    "as it closes": ("RO", "Europe/Bucharest", WORK, "2026-11-27T17:00", "2026-12-02T09:00"),
    "the same without a country": (None, "Europe/Bucharest", WORK, "2026-11-27T17:00", "2026-11-30T09:00"),
    "the same elsewhere": ("DE", "Europe/Berlin", WORK, "2026-11-27T17:00", "2026-11-30T09:00"),
    "holidays that are not asked for": (
        "RO",
        "Europe/Bucharest",
        '{days: workdays, hours: "09:00-17:00", holidays: none}',
        "2026-11-30T12:00",
        "2026-11-30T12:00",
    ),
    "holidays of the Emirates": ("AE", "Asia/Dubai", WORK, "2026-12-01T18:00", "2026-12-04T09:00"),
    "Friday in Dubai": ("AE", "Asia/Dubai", WORK, "2026-11-27T10:00", "2026-11-27T10:00"),
    "Friday in Riyadh": ("SA", "Asia/Riyadh", WORK, "2026-11-27T10:00", "2026-11-29T09:00"),
    "Sunday in Riyadh": ("SA", "Asia/Riyadh", WORK, "2026-11-29T10:00", "2026-11-29T10:00"),
    "Thanksgiving": ("US", "America/New_York", WORK, "2026-11-26T10:00", "2026-11-27T09:00"),
    "the company's day, Christmas, a weekend": ("US", "America/Chicago", WORK, "2026-12-23T17:30", "2026-12-28T09:00"),
    "weekdays by name": (
        "RO",
        "Europe/Bucharest",
        '{days: [tue], hours: "10:00-11:00", holidays: none}',
        "2026-12-01T11:00",
        "2026-12-08T10:00",
    ),
    "all day": ("RO", "Europe/Bucharest", "{days: workdays}", "2026-11-28T10:00", "2026-12-02T00:00"),
    "until midnight": (
        "RO",
        "Europe/Bucharest",
        '{hours: "18:00-24:00", holidays: none}',
        "2026-11-28T23:59",
        "2026-11-28T23:59",
    ),
    # a window over midnight is its first day's
    "Saturday past midnight is Friday's": (None, "Europe/Bucharest", NIGHT, "2026-11-28T01:00", "2026-11-28T01:00"),
    "Sunday past midnight is Saturday's": (None, "Europe/Bucharest", NIGHT, "2026-11-29T01:59", "2026-11-29T01:59"),
    "Friday past midnight is nobody's": (None, "Europe/Bucharest", NIGHT, "2026-11-27T01:00", "2026-11-27T22:00"),
    "the night is over": (None, "Europe/Bucharest", NIGHT, "2026-11-29T02:00", "2026-12-04T22:00"),
    # the same clock time of the next open day
    "keep: open": ("RO", "Europe/Bucharest", KEEP, "2026-11-27T14:30", "2026-11-27T14:30"),
    "keep: on a Saturday": ("DE", "Europe/Berlin", KEEP, "2026-11-28T14:30", "2026-11-30T14:30"),
    "keep: over holidays": ("RO", "Europe/Bucharest", KEEP, "2026-11-28T14:30", "2026-12-02T14:30"),
    "keep: out of hours on an open day": ("DE", "Europe/Berlin", KEEP, "2026-11-27T20:00", "2026-11-30T09:00"),
    "keep: too early on an open day": ("DE", "Europe/Berlin", KEEP, "2026-11-27T06:00", "2026-11-27T09:00"),
    "keep: out of hours on a Saturday": ("DE", "Europe/Berlin", KEEP, "2026-11-28T20:00", "2026-11-30T09:00"),
    "keep: past midnight": (
        None,
        "Europe/Bucharest",
        NIGHT.replace("}", ", outside: keep_time}"),
        "2026-11-25T01:00",
        "2026-11-28T01:00",
    ),
    # clocks that change in the night
    "opens in the gap": (None, "Europe/Bucharest", '{hours: "03:30-06:00"}', "2026-03-28T12:00", "2026-03-29T04:00"),
    "opens in the repeat": (None, "Europe/Bucharest", '{hours: "03:30-06:00"}', "2026-10-24T12:00", "2026-10-25T03:30"),
    "no midnight in Cairo": (
        "EG",
        "Africa/Cairo",
        "{days: [fri], holidays: none}",
        "2026-04-22T12:00",
        "2026-04-24T01:00",
    ),
}


def test_when_a_message_goes_out(make: Make) -> None:
    """Each row of the table in a sequence of its own, planned at the very instant it falls due."""
    sequences = {
        f"s{n}": sequence(HELLO, when=f"{{tags: s{n}}}", send=send) for n, (_, _, send, *_) in enumerate(CASES.values())
    }
    world = make(program({"program.yaml": CLOSED}, **sequences), datetime(2026, 3, 1, tzinfo=UTC))
    due = {name: plain.to_utc(datetime.fromisoformat(case[3]), case[1]) for name, case in CASES.items()}
    for slug, name in sorted(zip(sequences, CASES, strict=True), key=lambda pair: due[pair[1]]):
        country, zone, *_ = CASES[name]
        world.at(due[name])
        world.lead(
            name, email=f"{slug}@lead.example", timezone=zone, tags=[slug], **({"country": country} if country else {})
        )
        world.tick(slug)

    rows = {world.names()[row.lead_id]: row for row in world.rows(Touch)}
    found = {name: plain.to_local(rows[name].sending_at or rows[name].next_at, CASES[name][1]) for name in CASES}
    assert {name: f"{at:%Y-%m-%dT%H:%M}" for name, at in found.items()} == {
        name: case[4] for name, case in CASES.items()
    }
    assert {name for name, row in rows.items() if row.state == "sent"} == {
        name for name, case in CASES.items() if case[3] == case[4]
    }


ZONES = (
    "Europe/Bucharest",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Pacific/Apia",
)
HOURS = {
    "09:00-17:00": (time(9), time(17)),
    "20:00-04:00": (time(20), time(4)),
    "23:30-00:30": (time(23, 30), time(0, 30)),
}


@pytest.mark.parametrize(
    "around", [datetime(2026, 3, 6, 5, 45, tzinfo=UTC), datetime(2026, 10, 31, 21, 15, tzinfo=UTC)], ids=str
)
def test_a_cohort_of_many_zones_each_in_its_own_window(make: Make, around: datetime) -> None:
    """Leads of six zones and three windows due at one instant: each goes at the first quarter hour that is open."""
    sequences = {
        f"s{n}": sequence(HELLO, when=f"{{tags: s{n}}}", send=f'{{days: [mon, wed, sat], hours: "{hours}"}}')
        for n, hours in enumerate(HOURS)
    }
    world = make(program(None, **sequences), around)
    expected: dict[str, datetime] = {}
    weekdays = {0, 2, 5}
    days = {around.date() + timedelta(days=n) for n in range(-3, 12)}
    open_days: set[date] = {day for day in days if day.weekday() in weekdays}
    for (slug, (opens, closes)), zone in product(enumerate(HOURS.values()), ZONES):
        name = f"{slug}-{zone}"
        world.lead(name, email=f"{len(expected)}@lead.example", timezone=zone, tags=[f"s{slug}"])
        at = around
        while not plain.is_open(at, zone, opens, closes, open_days):
            at += timedelta(minutes=15)
        expected[name] = at
    world.tick()

    assert {world.names()[row.lead_id]: row.sending_at or row.next_at for row in world.rows(Touch)} == expected
