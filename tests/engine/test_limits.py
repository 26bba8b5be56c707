"""So many a day: who enters, who queues, in which order, and who drops out of the queue."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from nurture.engine import byhand
from nurture.engine.running import Run
from nurture.program.check import check
from nurture.records import Enrolment, EnrolmentQueue
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, second_machine, sequence

REST = "  - {id: rest, wait: 30 days}\n  - {id: over, exit: done}"


def limited(limit: str = "2 per day", **more: str) -> dict[str, str]:
    return program(drip=sequence(REST, when="{industry: saas}", enrol=f"limit: {limit}", **more))


def entered(world: World) -> list[tuple[int, str]]:
    """(days since the start, name) of each passage, in the order in which they began."""
    names = world.names()
    rows = sorted(world.rows(Enrolment), key=lambda row: (row.started_at, row.id))
    return [((row.started_at - world.start).days, names[row.lead_id]) for row in rows]


def test_the_rest_queues_and_enters_in_the_order_in_which_it_came(make: Make) -> None:
    """Two a day of five; who came first enters first, and a later one does not pass those who wait."""
    world = make(limited())
    for number, name in enumerate(("one", "two", "three", "four")):
        world.at(timedelta(minutes=number)).lead(name, industry="saas")
        world.tick()
    world.run(16 * HOUR)  # after midnight in Bucharest
    world.lead("late", industry="saas")
    world.run(5 * DAY)

    assert [name for _, name in entered(world)] == ["one", "two", "three", "four", "late"]
    starts = [row.started_at for row in world.rows(Enrolment)]
    assert starts[2] == starts[3] == world.start.replace(hour=22)  # midnight of the program's clock, 22:00Z in winter
    assert starts[4] == world.start.replace(hour=22) + DAY
    assert world.rows(EnrolmentQueue) == []


def test_a_crowd_enters_over_days_and_none_is_lost(make: Make) -> None:
    """25 leads at 10 a day are inside after three days; each day has its limit."""
    world = make(limited("10 per day"))
    world.crowd([f"n{number}" for number in range(25)], industry="saas")
    world.tick()
    world.run(4 * DAY)

    days = Counter(row.started_at.astimezone(ZoneInfo("Europe/Bucharest")).date() for row in world.rows(Enrolment))
    assert sorted(days.values()) == [5, 10, 10]
    assert len(world.passages()) == 25


LEAVING = {
    "who does not match any more": lambda world: world.lead("two", industry="retail"),
    "who is suppressed": lambda world: world.sql(
        "INSERT INTO suppression (kind, value, reason, source, at)"
        " VALUES ('address', 'two@lead.example', 'asked', 'test', 0)"
    ),
}


@pytest.mark.parametrize("name", LEAVING)
def test_who_may_not_enter_any_more_leaves_the_queue(make: Make, name: str) -> None:
    """The place goes to the next in line on the same day."""
    world = make(limited("1 per day"))
    for who in ("one", "two", "three"):
        world.lead(who, industry="saas")
        world.tick()
    world.at(HOUR)
    LEAVING[name](world)
    world.run(16 * HOUR)

    assert [who for _, who in entered(world)] == ["one", "three"]
    assert world.rows(EnrolmentQueue) == []


def test_who_was_enrolled_by_hand_is_not_counted(make: Make) -> None:
    """The limit is the rule's."""
    world = make(limited("1 per day"))
    world.lead("hand")
    live = world.machine.live()
    said = world.do(
        lambda link: byhand.enrol(Run(link, live, world.now), live.segment("drip"), world.ids["hand"], "Ana")
    )
    world.lead("rule", industry="saas")
    world.tick()

    assert said is None
    assert set(world.passages()) == {"hand", "rule"}


def test_without_the_limit_the_queue_is_let_in(make: Make) -> None:
    """A version without a limit enrols at once whoever waited."""
    world = make(limited("1 per day"))
    world.crowd(["one", "two", "three"], industry="saas")
    world.tick()
    world.publish(program(drip=sequence(REST, when="{industry: saas}")))
    world.tick()

    assert set(world.passages()) == {"one", "two", "three"}
    assert world.rows(EnrolmentQueue) == []


def test_two_processes_do_not_let_in_more_than_the_day_allows(make: Make) -> None:
    """The day's count is kept under a lock, whoever settles."""
    world = make(limited("3 per day"))
    other = second_machine(world)
    for number in range(8):
        (world if number % 2 else other).lead(f"n{number}", industry="saas")
        (other if number % 2 else world).tick()
    other.machine.close()

    assert len(world.rows(Enrolment)) == 3
    assert len(world.rows(EnrolmentQueue)) == 5


WRONG = {"limit: 0 per day": "0 per day", "limit: 5 per week": "5 per week", "limit: many": "many"}


@pytest.mark.parametrize("name", WRONG)
def test_a_limit_that_is_none_is_refused(name: str) -> None:
    """With the place and the way out."""
    files = program(drip=sequence(REST, enrol=name))
    problems = [str(problem) for problem in check(files) if "per day" in problem.remedy or "per day" in str(problem)]

    assert any(f"'{WRONG[name]}' is not a number a day; write '2 per day'" in problem for problem in problems)
