"""What a touched lead costs grows neither with what it did before nor with how many come with it.

Counted in steps of SQLite's machine and in rows that PostgreSQL reads, not in time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from nurture.intake import write
from nurture.intake.write import NewEvent
from tests.engine.world import DAY, PROGRAM, World, new_database, program, sequence, world

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
  bought: {when: {did: clicked, at_least: 9, within: 1 minute}, handoff: false}
""",
    },
    letters=sequence(
        "  - {id: rest, wait: 5 days}\n  - {id: hello, email: hello.j2}\n  - {id: done, exit: completed}",
        when="{did: joined}", objective="bought",
    ),
    nurture=sequence(
        "  - {id: rest, wait: 90 days}\n  - {id: done, exit: completed}", when="{did: clicked, at_least: 2}",
        leave="{did: read, at_least: 2, within: 1 hour}", objective="keen",
    ),
)  # fmt: skip


#: Events of each lead's past.
PAST = {"short": 10, "long": 1_000}


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world on SQLite."""
    request.param = "sqlite"
    with world(new_database(request), FILES) as made:
        yield made


@pytest.fixture
def steps(here: World) -> Callable[[Callable[[], Any]], int]:
    """How many steps SQLite takes for what it is given, after two leads have a past: `long` and `short`."""
    counted = itertools.count()

    def count(link: Any, *_: Any) -> None:
        link.set_progress_handler(lambda: next(counted) < 0, 1)

    def taken(work: Callable[[], Any]) -> int:
        before = next(counted)
        work()
        return next(counted) - before

    for name in PAST:
        here.lead(name)
    rows = [
        NewEvent(
            here.ids[name], ("clicked", "read")[n % 2], at := here.now + DAY / many * n, at, at, {}, "test",
            f"{name} {n}",
        )
        for name, many in PAST.items()
        for n in range(many)
    ]  # fmt: skip
    here.do(lambda link: write.put_events(link, rows))
    here.at(timedelta(days=2)).tick()
    event.listen(here.machine.db.engine, "checkout", count)
    return taken


def test_a_touched_lead_costs_the_same_after_a_long_history(here: World, steps: Callable[..., int]) -> None:
    """Two leads that do the same today, one of whom has done it a hundred times as often before."""

    def settled(name: str, day: int) -> int:
        here.at(timedelta(days=day)).machine.settle(here.now)  # what time alone has turned
        here.event(name, "clicked")
        here.event(name, "read")
        return steps(lambda: here.machine.settle(here.now))

    for name in PAST:  # statements are planned, zones known
        settled(name, 3)
    taken = {name: settled(name, day) for day, name in enumerate(PAST, 20)}
    assert taken["long"] < 1.2 * taken["short"], taken
    assert here.milestones("long") == here.milestones("short") != []


def test_a_letter_costs_the_same_after_a_long_history(here: World, steps: Callable[..., int]) -> None:
    """Its permit looks whether the objective was reached by what nobody has settled yet."""
    taken = {}
    for day, name in enumerate(PAST, 20):
        here.at(timedelta(days=day)).event(name, "joined")
        here.tick()
    for day, name in enumerate(PAST, 25):
        here.at(timedelta(days=day)).machine.settle(here.now)
        taken[name] = steps(lambda: here.machine.tick("letters", here.now))
        assert here.touches("letters")[name] == [("hello", "sent", None)]
    assert taken["long"] < 1.2 * taken["short"], taken


_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
#: Rows of the tables that grow with every touch that PostgreSQL has read so far, by any way.
_READ = """
SELECT sum(coalesce(tables.seq_tup_read, 0) + coalesce(indexes.read, 0))
FROM pg_stat_user_tables tables
JOIN (SELECT relid, sum(idx_tup_read) AS read FROM pg_stat_user_indexes GROUP BY relid) indexes USING (relid)
WHERE tables.relname IN ('enrolment', 'touch', 'event', 'holding', 'work', 'score_entry')
"""


def two(days: int) -> dict[str, str]:
    """A program of two sequences that both want the same leads, and that asks of the last minutes; `days`: an edit."""
    steps = (
        f"  - {{id: hello, email: hello.j2}}\n  - {{id: rest, wait: {days} days}}\n"
        "  - {id: fork, branch: [{if: {did: read, within: 10 minutes}, then: again}]}\n"
        "  - {id: again, email: again.j2}"
    )
    rules = {"leave": "{did: left, within: 10 minutes}"}
    return program(
        {
            "program.yaml": f"{PROGRAM}guard: {{canary: off, growth: off}}\ncaps: {{per_day: 5, per_7_days: 9}}\n",
            "lifecycle.yaml": """
mql: {when: {did: bought}}
milestones:
  bought: {when: {did: bought, within: 5 minutes}, handoff: false}
  keen: {when: {did: joined, at_least: 2, within: 3 minutes}, handoff: false}
""",
            "scoring.yaml": """
engagement:
  - {rule: joined, when: {did: joined}, points: 5, cap: [2 per day, 4 in total]}
  - {rule: sent, when: {did: email_sent}, points: 1, cap: 2 per day}
""",
        },
        letters=sequence(steps, when="{did: joined, within: 1 hour}", objective="bought", priority="9", **rules),
        others=sequence(steps, when="{did: joined}", **rules),
    )  # fmt: skip


def test_a_lead_costs_the_same_among_many_whatever_the_statistics_say(request: pytest.FixtureRequest) -> None:
    """They are from when everybody had come to the end: nobody is inside, nothing is planned, as after a quiet week."""
    request.param = "postgres"
    with world(new_database(request), two(5)) as made:

        def rows_read() -> int:
            made.machine.db.dispose()  # what a connection has read is told when it ends
            with made.machine.db.read() as link:
                while link.execute(text(_OTHERS)).scalar_one():
                    link.rollback()
                return int(link.execute(text(_READ)).scalar_one())

        def taken(many: int) -> float:
            """Rows read for each of so many leads, from their entering to their end."""
            names = [f"{many}-{n}" for n in range(many)]
            made.crowd(names)
            made.event_of(names, "joined")
            before = rows_read()
            for n in range(14):
                made.at(made.now - made.start + DAY * min(n, 1)).tick()
            read = rows_read() - before
            for slug in ("letters", "others"):
                touches = made.touches(slug)
                assert all(touches[name] == [("hello", "sent", None), ("again", "sent", None)] for name in names)
            return read / many

        taken(50)
        made.publish(two(6))
        with made.machine.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
            assert not link.execute(text("SELECT count(*) FROM enrolment WHERE ended_at IS NULL")).scalar_one()
            link.exec_driver_sql("VACUUM ANALYZE")
        few, lots = taken(100), taken(800)
        assert lots < 1.5 * few, (few, lots)  # eight times as many: what is read for each lead anew would be eightfold
