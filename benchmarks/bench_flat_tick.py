"""A tick with 1,000 leads due: on a base of 1,000 leads and on one of 100,000, on both databases.

Both sides are measured alternately in one run; the figure is the median of the rounds, the ratio that of the pairs.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import upsert
from nurture.records import Consent, Enrolment, Event, Lead, ScoreSum, Touch, Work
from nurture.rehearse.stage import Stage, set_stage
from nurture.worklist import put_work

DUE, ROUNDS = 1_000, 5
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
PROGRAM = {
    "program.yaml": """
name: Bench
sender: {name: Bench, address: bench@bench.example}
address: Bench Ltd, 1 Bench Street, Benchtown
zone: Europe/Bucharest
fields: {industry: text}
sales: [{name: Sam, email: sam@bench.example}]
""",
    "scoring.yaml": "engagement: [{rule: went, when: {did: go}, points: 10}]\n",
    "bench/sequence.yaml": """
name: Bench
segment: {industry: saas}
enrol: {when: {did: go, within: 1 hour}, again: {after: 1 hour}}
steps:
  - {id: welcome, email: welcome.j2, repeat: true}
  - {id: fork, branch: [{if: {score: {at_least: 90}}, then: done}]}
  - {id: settle, wait: 1 hour}
  - {id: done, exit: completed}
""",
    "rest/sequence.yaml": """
name: Everybody else, in the middle of a long wait
segment: {industry: farming}
enrol: {when: {did: went_before}}
leave: {stage: customer}
steps:
  - {id: hello, email: hello.j2}
  - {id: settle, wait: 360 days}
""",
    "rest/hello.j2": "{% block subject %}Hello{% endblock %}{% block body %}<p>Hello</p>"
    '<p>{{ address }} <a href="{{ unsubscribe_url }}">unsubscribe</a></p>{% endblock %}',
    "bench/welcome.j2": "{% block subject %}Hi {{ lead.first_name }}{% endblock %}{% block body %}<p>Hello</p>"
    '<p>{{ address }} <a href="{{ unsubscribe_url }}">unsubscribe</a></p>{% endblock %}',
}


def fill(stage: Stage, leads: int) -> None:
    """`leads` leads, the first thousand of them in the segment."""
    for first in range(0, leads, 10_000):
        rows = [
            {
                "draw": clock.draw31(), "email": f"lead{n}@bench.example", "first_name": f"Lead {n}",
                "zone": "Europe/Bucharest", "stage": "lead", "status": "new",
                "fields": {"industry": "saas" if n < DUE else "farming"},
                "folded": {"industry": "saas" if n < DUE else "farming"}, "fit_points": 0.0, "created_at": START,
                "changed_at": START,
            }
            for n in range(first, min(first + 10_000, leads))
        ]  # fmt: skip
        stage.machine.db.transact(lambda link, rows=rows: link.execute(Lead.__table__.insert(), rows))
    basis = [
        {"lead_id": n + 1, "purpose": "mail", "basis": "consent", "source": "bench", "given_at": START}
        for n in range(DUE)
    ]
    stage.machine.db.transact(lambda link: link.execute(Consent.__table__.insert(), basis))


def settle_in(stage: Stage, leads: int) -> None:
    """Everybody but the first thousand has a past: an event, a score, a letter sent, a place in a wait, a next look."""
    version = stage.machine.live().segment("rest").id
    later = START + timedelta(days=360)
    for first in range(DUE, leads, 10_000):
        ids = range(first + 1, min(first + 10_000, leads) + 1)
        stage.machine.db.transact(lambda link, ids=ids: past(link, ids, version, later))


def past(link: Any, ids: range, version: int, later: datetime) -> None:
    """The rows of `ids`."""

    def rows(**values: Any) -> list[dict[str, Any]]:
        return [
            {"lead_id": n, **{key: value(n) if callable(value) else value for key, value in values.items()}}
            for n in ids
        ]

    event = {"occurred_at": START, "recorded_at": START, "ripe_at": START, "settled_at": START, "actor": "person"}
    link.execute(Event.__table__.insert(), rows(name="went_before", data={}, source="past", key=str, **event))
    link.execute(ScoreSum.__table__.insert(), rows(half_life_hours=720.0, total=12.0, as_of=START))
    link.execute(Work.__table__.insert(), rows(due_at=later))
    place = {
        "step": "settle",
        "occurrence": 1,
        "path": "/hello/settle/",
        "entered_at": START,
        "due_at": later,
        "listening": False,
    }
    link.execute(
        Enrolment.__table__.insert(),
        rows(id=int, sequence="rest", version_id=version, rotation=1, enrolled_by="rule", started_at=START, **place),
    )
    link.execute(
        Touch.__table__.insert(),
        rows(
            id=int, enrolment_id=int, sequence="rest", version_id=version, step="hello", occurrence=1, kind="email",
            purpose="marketing", content="rest/hello.j2", state="planned", due_at=START, allowed_at=START, attempt=0,
            tracked=False, planned_at=START, sending_at=START, ended_at=START,
        ),
    )  # fmt: skip
    mine = col(Touch.id).between(ids.start, ids.stop)
    for state in ("claimed", "sending", "sent"):
        link.execute(update(Touch).where(mine).values(state=state))


def advance_keys(stage: Stage) -> None:
    """PostgreSQL hands out keys of its own: after those that were given above."""
    if stage.machine.db.is_sqlite:
        return
    for table in ("enrolment", "touch"):
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        stage.machine.db.transact(
            lambda link, table=table, sequence=sequence: link.exec_driver_sql(
                f"SELECT setval({sequence}, (SELECT coalesce(max(id), 0) + 1 FROM {table}))"
            )
        )


def round_(stage: Stage, number: int) -> float:
    """Seconds for the tick in which a thousand leads enter, are written to, rescored and moved on."""
    stage.clock.at = START + timedelta(days=2 * number)
    stage.machine.tick("bench", stage.clock.now())
    now = stage.clock.at = stage.clock.at + timedelta(hours=3)
    events = [
        {
            "lead_id": n + 1, "name": "go", "occurred_at": now, "recorded_at": now, "ripe_at": now, "actor": "person",
            "data": {}, "source": "bench", "key": f"{number}:{n}",
        }
        for n in range(DUE)
    ]  # fmt: skip

    def go(link: Any) -> None:
        link.execute(upsert(link)(Event), events)
        put_work(link, select(col(Lead.id)).where(col(Lead.id) <= DUE), now)

    stage.machine.db.transact(go)
    began = time.perf_counter()
    report = stage.machine.tick("bench", now)
    took = time.perf_counter() - began
    assert report.sent == DUE, report
    return took


def compare(name: str, urls: tuple[str, str], sizes: tuple[int, int]) -> dict[str, Any]:
    """The two bases in turn; medians and the median of the pairs' ratios."""
    stages = []
    for url, size in zip(urls, sizes, strict=True):
        stage = set_stage(START, url)
        fill(stage, size)
        stage.publish(PROGRAM)
        stage.machine.settle(START)
        settle_in(stage, size)
        advance_keys(stage)
        if not stage.machine.db.is_sqlite:
            with stage.machine.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
                link.exec_driver_sql("VACUUM ANALYZE")
        stages.append(stage)
    for stage in stages:
        round_(stage, 1)
    pairs = [(round_(stages[0], number), round_(stages[1], number)) for number in range(2, ROUNDS + 2)]
    for stage in stages:
        stage.close()
    small, large = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return {"database": name, "small": sizes[0], "small_s": small, "large": sizes[1], "large_s": large, "ratio": ratio}


def main() -> None:
    """Print the table, and the same as JSON."""
    sizes = (1_000, 100_000)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.postgres import server as postgres  # the tests' own: started here, ended here

    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        results.append(compare("SQLite", (f"sqlite:///{folder}/small.db", f"sqlite:///{folder}/large.db"), sizes))
        server = stack.enter_context(postgres())
        urls = tuple(server.url(server.create(name=name)) for name in ("bench_small", "bench_large"))
        results.append(compare("PostgreSQL", urls, sizes))
    print(f"a tick with {DUE:,} leads due, seconds, median of {ROUNDS} alternating rounds")
    print(f"{'':12}{sizes[0]:>12,} leads{sizes[1]:>12,} leads   ratio")
    for row in results:
        print(f"{row['database']:12}{row['small_s']:>18.2f}{row['large_s']:>18.2f}   {row['ratio']:.2f}")
    machine = {"python": platform.python_version(), "system": platform.platform(), "due": DUE, "rounds": ROUNDS}
    print(json.dumps({**machine, "results": results}))


if __name__ == "__main__":
    main()
