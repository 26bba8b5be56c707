"""What a touched lead costs does not grow with what it did before: counted in steps of SQLite's machine, not in time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event

from nurture.intake import write
from nurture.intake.write import NewEvent
from tests.engine.world import DAY, World, new_database, program, sequence, world

FILES = program(
    {
        "scoring.yaml": """
groups:
  clicks: {half_life: 14 days, at_most: 40}
  recent: {expires: 5 days, at_most: 30}
engagement:
  - {rule: clicked, when: {did: clicked}, points: 5, cap: [2 per day, 4 in total], group: clicks}
  - {rule: followed, when: {did: clicked}, points: 2, cap: 2 per day, group: recent}
  - {rule: read, when: {did: read}, points: 3, cap: 3 in total}
""",
        "lifecycle.yaml": """
mql: {when: {score: {at_least: 900}}}
milestones:
  keen: {when: {did: clicked, at_least: 3, within: 4 days}, handoff: false}
  reader: {when: {did: read, at_least: 4}, handoff: false}
  both: {when: {all: [{did: clicked}, {did: read}]}, handoff: false}
""",
    },
    nurture=sequence(
        "  - {id: rest, wait: 90 days}\n  - {id: done, exit: completed}", when="{did: clicked, at_least: 2}",
        leave="{did: read, at_least: 2, within: 1 hour}", objective="keen",
    ),
)  # fmt: skip


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world on SQLite."""
    request.param = "sqlite"
    with world(new_database(request), FILES) as made:
        yield made


def test_a_touched_lead_costs_the_same_after_a_long_history(here: World) -> None:
    """Two leads that do the same today, one of whom has done it a hundred times as often before."""
    counted = itertools.count()
    past = {"short": 10, "long": 1_000}
    for name in past:
        here.lead(name)
    rows = [
        NewEvent(
            here.ids[name], ("clicked", "read")[n % 2], at := here.now + DAY / many * n, at, at, {}, "test",
            f"{name} {n}",
        )
        for name, many in past.items()
        for n in range(many)
    ]  # fmt: skip
    here.do(lambda link: write.put_events(link, rows))
    here.at(timedelta(days=2)).tick()

    def steps(name: str, day: int) -> int:
        here.at(timedelta(days=day)).machine.settle(here.now)  # what time alone has turned
        here.event(name, "clicked")
        here.event(name, "read")
        before = next(counted)
        assert here.machine.settle(here.now).looked_at == 1
        return next(counted) - before

    def count(link: object, *_: object) -> None:
        link.set_progress_handler(lambda: next(counted) < 0, 1)  # type: ignore[attr-defined]

    event.listen(here.machine.db.engine, "checkout", count)
    for name in past:  # statements are planned, zones known
        steps(name, 3)
    taken = {name: steps(name, day) for day, name in enumerate(past, 20)}
    assert taken["long"] < 1.2 * taken["short"], taken
    assert len(here.milestones("long")) == len(here.milestones("short"))
