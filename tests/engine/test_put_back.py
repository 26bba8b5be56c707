"""Caps where clocks are put back by three hours within the day, as at Casey on 9 March 2023."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

from sqlmodel import col

from nurture.records import ScoreEntry
from tests.engine.conftest import Make
from tests.engine.world import program, sequence

RULE = "engagement: [{rule: looked, when: {did: seen}, points: -3, cap: [1 per day, 2 in total]}]\n"
CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", when="{tags: nobody}")
#: The last second of the day before, the first and the last instant of the day of 27 hours, the first of the day after.
INSTANTS = (
    datetime(2023, 3, 8, 12, 59, 59, tzinfo=UTC),
    datetime(2023, 3, 8, 13, 0, tzinfo=UTC),
    datetime(2023, 3, 9, 15, 59, 59, 999_999, tzinfo=UTC),
    datetime(2023, 3, 9, 16, 0, tzinfo=UTC),
)


def at(line: ScoreEntry) -> datetime:
    return line.at


def test_a_day_that_is_three_hours_longer_is_one_day(make: Make) -> None:
    """The first of each day counts, and of those the first two, in whatever order they come."""
    world = make(program({"scoring.yaml": RULE}, calm=CALM))
    orders = {str(order): order for order in permutations(range(4))}
    world.crowd(orders, timezone="Antarctica/Casey")
    for place in range(4):
        for who, order in orders.items():
            world.event(who, "seen", occurred=INSTANTS[order[place]])
        world.machine.settle(world.now)

    counted = {
        who: [line.counted for line in sorted(world.rows(ScoreEntry, col(ScoreEntry.lead_id) == lead), key=at)]
        for who, lead in world.ids.items()
    }
    assert counted == {who: [-3.0, -3.0, 0.0, 0.0] for who in orders}
