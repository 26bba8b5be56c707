"""`wait: {until: …}`: until a day that the lead's own field names, on its own clock."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col

from nurture.program.check import check
from nurture.records import Touch
from tests.engine import plain
from tests.engine.conftest import Make
from tests.engine.world import DAY, World, program, sequence

STEPS = """  - {id: remind, wait: {until: since, before: 7 days, at: "09:00"}, past: over}
  - {id: letter, email: letter.j2}
  - {id: rest, wait: 330 days}
  - {id: over, exit: too_late}"""
#: The lead's day and zone; when the letter goes on its clock, None: never.
CASES = {
    "seven days before": ("2026-03-20", "Europe/Bucharest", "2026-03-13 09:00"),
    "on its own clock": ("2026-03-20", "America/New_York", "2026-03-13 09:00"),
    "after the clocks have changed": ("2026-04-09", "Europe/Bucharest", "2026-04-02 09:00"),
    "of the next year": ("2027-01-03", "Asia/Dubai", "2026-12-27 09:00"),
    "later on this very day": ("2026-03-09", "America/New_York", "2026-03-02 09:00"),
    "over when the lead came": ("2026-03-09", "Asia/Tokyo", None),
    "long over": ("2020-02-29", "Europe/Bucharest", None),
    "unknown": (None, "Europe/Bucharest", None),
}


def sent(world: World, name: str) -> list[datetime]:
    return [touch.sending_at for touch in world.rows(Touch, col(Touch.lead_id) == world.ids[name])]


@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
def test_each_lead_waits_for_its_day(make: Make, first: bool) -> None:
    """The letter goes at that hour of the lead's clock; whose day is over or unknown goes to `past` at once."""
    steps = STEPS if first else "  - {id: mark, update: {tags: {add: known}}}\n" + STEPS
    world = make(program(drip=sequence(steps)))
    for name, (day, zone, _) in CASES.items():
        world.lead(name, timezone=zone, **({"since": day} if day else {}))
        world.event(name, "signed_up")
    world.run(320 * DAY)

    for name, (_, zone, expected) in CASES.items():
        local = [f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for at in sent(world, name)]
        passage = world.passages()[name]
        assert local == ([expected] if expected else []), name
        assert (passage.outcome, passage.ended_at) == ((None, None) if expected else ("too_late", world.start)), name


def test_the_arithmetic_is_that_of_a_plain_reader(make: Make) -> None:
    """Any zone, any day, any offset and hour: the enrolment is due when a slow reader says so."""
    random = Random(7)
    zones = [
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Europe/Dublin",
        "Pacific/Apia",
        "Asia/Tehran",
        "America/Havana",
    ]
    hours = {"at nine": time(9), "at half past two": time(2, 30), "at midnight": time(0)}
    slugs = {}
    for word, hour in hours.items():
        for off in (-40, 0, 3):
            way = f", {'before' if off < 0 else 'after'}: {abs(off)} days" if off else ""
            steps = f'  - {{id: day, wait: {{until: since{way}, at: "{hour:%H:%M}"}}, past: over}}\n  - {{id: over, exit: gone}}'
            slugs[f"{word.replace(' ', '_')}_{off + 40}"] = (hour, off, sequence(steps))
    world = make(program(None, **{slug: steps for slug, (_, _, steps) in slugs.items()}))
    days = {}
    for number in range(60):
        zone, day = random.choice(zones), date(2026, 4, 20) + timedelta(days=random.randrange(4000))
        world.lead(f"n{number}", timezone=zone, since=day.isoformat())
        world.event(f"n{number}", "signed_up")
        days[f"n{number}"] = (zone, day)
    world.tick()

    for slug, (hour, off, _) in slugs.items():
        standing = world.passages(slug.replace("_", "-"))
        for name, (zone, day) in days.items():
            expected = plain.to_utc(datetime.combine(day + timedelta(days=off), hour), zone)
            assert standing[name].due_at == expected, (slug, zone, day)


def test_a_day_that_moves_moves_the_wait(make: Make) -> None:
    """Later: later. To a day that is over by now: now. Taken away: to `past`, now."""
    world = make(program(drip=sequence(STEPS)))
    for name in ("later", "sooner", "gone"):
        world.lead(name, timezone="Europe/Bucharest", since="2026-03-20")
        world.event(name, "signed_up")
    world.run(3 * DAY)
    world.lead("later", since="2026-03-30")
    world.lead("sooner", since="2026-03-11")
    world.sql("UPDATE lead SET fields = '{}' WHERE id = :id", id=world.ids["gone"])
    world.sql("INSERT INTO work (lead_id, due_at) VALUES (:id, 0)", id=world.ids["gone"])
    world.run(60 * DAY)

    assert [f"{at:%m-%d %H:%M}" for at in sent(world, "later")] == ["03-23 07:00"]
    assert sent(world, "sooner") == [world.start + 3 * DAY]
    assert (sent(world, "gone"), world.stands()["gone"]) == ([], "too_late")


WRONG = {
    "no such field": ("{until: renewal}, past: over", "no lead has a field 'renewal'"),
    "no date": ("{until: industry}, past: over", "'industry' is no date"),
    "no way for the others": ("{until: since}", "'past' is missing"),
    "hours before": ("{until: since, before: 3 hours}, past: over", "a day is so many days off, not hours"),
    "both ways": ("{until: since, before: 3 days, after: 1 day}, past: over", "both 'before' and 'after'"),
    "no hour": ('{until: since, at: "25:00"}, past: over', "'25:00' is a time that no clock shows"),
    "past without a day": ("2 days, past: over", "'past' stands beside a day only"),
    "past that is no step": ("{until: since}, past: nowhere", "there is no step 'nowhere'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_day_is_told(name: str) -> None:
    """In its line, with the way out."""
    written, what = WRONG[name]
    steps = f"  - {{id: remind, wait: {written}}}\n  - {{id: rest, wait: 1 day}}\n  - {{id: over, exit: late}}"
    problems = [problem for problem in check(program(drip=sequence(steps))) if "sequence" in problem.file]

    assert [problem.problem for problem in problems if what in problem.problem], problems
    assert all(problem.line == 5 and problem.remedy for problem in problems), problems


def test_a_day_is_no_wait_in_a_loop() -> None:
    """It may be over, and leads would come round at once."""
    steps = "  - {id: day, wait: {until: since}, past: over}\n  - {id: over, update: {status: open}}\n"
    steps += "  - {id: again, goto: day, turns: 3}\n  - {id: end, exit: late}"

    assert any("no wait on the way" in problem.problem for problem in check(program(drip=sequence(steps))))
