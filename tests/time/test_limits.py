"""Quiet hours and caps: when a letter goes out across all sequences, against a greedy reader of the rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlmodel import col

from nurture.program.check import check
from nurture.records import Touch
from tests.engine import plain
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, PROGRAM, program, sequence

WEEK = timedelta(hours=168)
ZONES = ["America/New_York", "Asia/Kathmandu", None]
HOURS = {None: (time(0), time(0)), "09:00-17:00": (time(9), time(17)), "18:00-24:00": (time(18), time(0))}
#: Just before the clocks change in Europe, and an ordinary week.
STARTS = [datetime(2026, 10, 23, 5, tzinfo=UTC), datetime(2026, 6, 1, 5, tzinfo=UTC)]


def first_open(at: datetime, zone: str, hours: str | None) -> datetime:
    """The first instant from `at` on at which the window is open, on any day."""
    start, end = HOURS[hours]
    for later in range(3):
        day = plain.to_local(at, zone).date() + later * DAY
        last = day if end > start else day + DAY
        opens, closes = (plain.to_utc(datetime.combine(d, t), zone) for d, t in ((day, start), (last, end)))
        if at < closes:
            return max(at, opens)
    raise AssertionError("a window opens every day")


def allowed(at: datetime, sent: list[datetime], caps: tuple[int, int], zone: str, hours: str | None) -> datetime:
    """The first instant from `at` on that suits the window and both caps, given what was sent."""
    per_day, per_week = caps
    while True:
        today = plain.to_local(at, zone).date()
        of_today = [s for s in sent if plain.to_local(s, zone).date() == today]
        of_week = sorted(s for s in sent if s > at - WEEK)
        if first_open(at, zone, hours) > at:
            at = first_open(at, zone, hours)
        elif len(of_today) >= per_day:
            at = plain.day_begins(at, zone, 1)
        elif len(of_week) >= per_week:
            at = of_week[-per_week] + WEEK
        else:
            return at


CAPS = {
    # per day, per 7 days, hours of each sequence, start
    "one a day": (1, 3, "09:00-17:00", STARTS[0]),
    "two a day, at any hour": (2, 3, None, STARTS[1]),
}


@pytest.mark.parametrize("name", CAPS)
def test_caps_and_window_together(make: Make, name: str) -> None:
    """Five sequences want the same leads within days: each letter goes at the first instant that suits cap and window."""
    per_day, per_week, hours, start = CAPS[name]
    chance = random.Random(name)
    send = f'{{hours: "{hours}", holidays: none}}' if hours else "{holidays: none}"
    letter = "  - {id: hello, email: hello.j2}"
    files = {f"s{n}": sequence(letter, when=f"{{did: e{n}}}", send=send, max_late="900 hours") for n in range(5)}
    files["terms"] = sequence("  - {id: terms, email: terms.j2, kind: operational}", when="{did: bought}")
    limits = PROGRAM + f"caps: {{per_day: {per_day}, per_7_days: {per_week}}}\n"
    it = make(program({"program.yaml": limits}, **files), start)
    wanted: dict[str, list[datetime]] = {}
    stops: dict[datetime, list[tuple[str, str]]] = {}
    for number, zone in enumerate(ZONES):
        who = f"lead{number}"
        it.lead(who, **({"timezone": zone} if zone else {}))
        wanted[who] = [start + timedelta(minutes=30 * chance.randrange(48 * 4)) for _ in range(5)]
        for event, at in enumerate(wanted[who]):
            stops.setdefault(at, []).append((who, f"e{event}"))
        stops.setdefault(start + DAY, []).append((who, "bought"))

    def follow(those: list[tuple[str, str]]) -> Callable[[], None]:
        def all_of_them() -> None:
            for who, what in those:
                it.event(who, what)

        return all_of_them

    it.run(start + 20 * DAY, {at: follow(those) for at, those in stops.items()})

    rows = it.rows(Touch, col(Touch.state) == "sent")
    assert {row.sending_at for row in rows if row.sequence == "terms"} == {start + DAY}  # neither capped nor waiting
    for number, zone in enumerate(ZONES):
        who, sent = f"lead{number}", list[datetime]()
        for due in sorted(wanted[who]):
            sent.append(allowed(max([due, *sent[-1:]]), sent, (per_day, per_week), zone or "Europe/Bucharest", hours))
        mine = [row.sending_at for row in rows if row.lead_id == it.ids[who] and row.sequence != "terms"]
        assert sorted(mine) == sent, (who, zone)


SKIPS = {
    # over_cap of the second sequence: what becomes of its letter, and where its lead stands a minute later
    "defer": (("hello", "planned", "cap"), "hello"),
    "skip": (("hello", "suppressed", "cap"), "rest"),
}


@pytest.mark.parametrize("over_cap", SKIPS)
def test_what_is_over_the_cap_waits_or_is_left_out(make: Make, over_cap: str) -> None:
    """`skip` leaves the letter out and goes on; `defer`, which is the rule, keeps it for the next day."""
    steps = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}"
    it = make(
        program(
            {"program.yaml": PROGRAM + "caps: {per_day: 1}\n"},
            first=sequence(steps, when="{email: {known: true}}", priority="90"),
            second=sequence(steps, when="{tags: both}", send=f"{{over_cap: {over_cap}}}"),
        )
    )
    it.lead("ana")
    it.tick().at(HOUR)
    it.lead("ana", tags=["both"])
    it.tick()
    touch, stands = SKIPS[over_cap]
    assert (it.touches("second"), it.stands("second")) == ({"ana": [touch]}, {"ana": stands})

    it.run(3 * DAY)
    assert it.touches("second")["ana"][0][1] == ("sent" if over_cap == "defer" else "suppressed")


QUIET = PROGRAM + 'quiet: "21:00-08:00"\n'
NIGHTS = {
    # send, the lead's zone, due (local): sent (local)
    "in the evening": ("{}", "Europe/Bucharest", "2026-06-15T21:00", "2026-06-16T08:00"),
    "a minute before": ("{}", "Europe/Bucharest", "2026-06-15T20:59", "2026-06-15T20:59"),
    "after midnight": ("{}", "America/New_York", "2026-06-16T00:30", "2026-06-16T08:00"),
    "as they end": ("{}", "Asia/Tokyo", "2026-06-16T08:00", "2026-06-16T08:00"),
    "the window opens later": ('{hours: "09:00-17:00"}', "Asia/Tokyo", "2026-06-15T22:00", "2026-06-16T09:00"),
    "the window opens earlier": ('{hours: "07:00-17:00"}', "Asia/Tokyo", "2026-06-15T18:00", "2026-06-16T08:00"),
    "a window over midnight": ('{hours: "20:00-09:00"}', "Asia/Tokyo", "2026-06-15T23:00", "2026-06-16T08:00"),
    "of a day that is open": ('{days: [mon], hours: "20:00-09:00"}', "Asia/Tokyo", "2026-06-16T09:00", "2026-06-22T20:00"),
    "the same time, kept": (
        "{days: [mon, thu], outside: keep_time}", "Asia/Tokyo", "2026-06-16T12:30", "2026-06-18T12:30",
    ),
    "a time that is never open": (
        "{days: [mon, thu], outside: keep_time}", "Asia/Tokyo", "2026-06-16T23:30", "2026-06-18T08:00",
    ),
    "over the clock's change": ("{}", "Europe/Bucharest", "2026-10-24T22:00", "2026-10-25T08:00"),
}  # fmt: skip


def test_nobody_is_written_to_in_quiet_hours(make: Make) -> None:
    """Quiet hours hold on every lead's own clock, whatever its sequence says; operational letters do not wait."""
    letter = "  - {id: hello, email: hello.j2}"
    files = {
        f"s{n}": sequence(
            letter, when=f"{{tags: s{n}}}", send=send.replace("}", ", holidays: none}").replace("{,", "{")
        )
        for n, (send, *_) in enumerate(NIGHTS.values())
    }
    files["terms"] = sequence("  - {id: terms, email: terms.j2, kind: operational}", when="{tags: bought}")
    it = make(program({"program.yaml": QUIET}, **files), datetime(2026, 6, 1, tzinfo=UTC))
    due = {name: plain.to_utc(datetime.fromisoformat(case[2]), case[1]) for name, case in NIGHTS.items()}
    slugs = {name: f"s{n}" for n, name in enumerate(NIGHTS)}
    for name in sorted(due, key=lambda name: due[name]):
        it.at(due[name])
        it.lead(name, email=f"{slugs[name]}@lead.example", timezone=NIGHTS[name][1], tags=[slugs[name], "bought"])
        it.tick(slugs[name], "terms")

    rows = it.rows(Touch)
    found = {it.names()[row.lead_id]: row for row in rows if row.sequence != "terms"}
    said = {
        name: f"{plain.to_local(row.sending_at or row.next_at, NIGHTS[name][1]):%Y-%m-%dT%H:%M}"
        for name, row in found.items()
    }
    assert said == {name: case[3] for name, case in NIGHTS.items()}
    assert {row.reason for row in found.values()} == {None, "window"}
    assert all(row.state == "sent" for row in rows if row.sequence == "terms")


REFUSED = {
    # program.yaml, send: what check says
    "within the quiet hours": (QUIET, '{hours: "22:00-06:00"}', "'22:00-06:00' never opens: it lies within the quiet"),
    "the very same": (QUIET, '{hours: "21:00-08:00"}', "never opens"),
    "after midnight": (QUIET, '{hours: "05:00-07:30"}', "never opens"),
    "the whole day": (PROGRAM + 'quiet: "09:00-09:00"\n', "{}", "is the whole day"),
    "no hours": (PROGRAM + "quiet: at night\n", "{}", "are not hours"),
    "half an hour is left": (QUIET, '{hours: "22:00-08:30"}', None),
    "no such word": (PROGRAM, "{over_cap: drop}", "'drop' is not one of defer, skip"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_windows_that_check_refuses(name: str) -> None:
    """A window that quiet hours cover is an error of the file, with its place."""
    house, send, expected = REFUSED[name]
    letter = "  - {id: hello, email: hello.j2}"
    plainly = {str(problem) for problem in check(program(None, drip=sequence(letter)))}
    files = program({"program.yaml": house}, drip=sequence(letter, send=send))
    said = [str(problem) for problem in check(files) if str(problem) not in plainly]

    if expected is None:
        assert said == []
    else:
        assert len(said) == 1 and expected in said[0], said  # noqa: PT018


def test_the_days_of_a_reader() -> None:
    """The reader itself: a window until midnight is of its own day alone."""
    at = plain.to_utc(datetime.combine(date(2026, 6, 1), time(17, 59)), "Europe/Bucharest")
    assert first_open(at, "Europe/Bucharest", "18:00-24:00") == at + timedelta(minutes=1)
