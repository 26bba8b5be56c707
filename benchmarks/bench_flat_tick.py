"""A tick with 1,000 leads due: on a base of 1,000 leads and on one of 100,000, on both databases.

They enter, are written to, are rescored and move on; everybody else has a past and stands in a long wait.
`bench_flat_tick.py small` has 10,000 leads in the larger base; a number has so many.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import common
import crowd
from sqlalchemy import insert, select
from sqlmodel import col

from nurture.records import Event, Lead
from nurture.rehearse.stage import Stage
from nurture.worklist import put_work

DUE, ROUNDS = 1_000, 3
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
    """`leads` leads, the first thousand of them in the segment; the others have a past, and a place in a wait."""
    version, later = stage.machine.live().segment("rest").id, START + timedelta(days=360)
    first, rest = range(1, DUE + 1), range(DUE + 1, leads + 1)
    with crowd.in_bulk(stage.machine.db) as bulk:
        for numbers, industry in ((first, "saas"), (rest, "farming")):
            fields = f'\'{{"industry": "{industry}"}}\''
            bulk.leads(numbers, START, fields=fields, folded=fields, first_name="'Lead ' || n")
        bulk.consents(first, START)
        bulk.events(rest, START, "'went_before'")
        bulk.put("score_sum", rest, {
            "lead_id": "n", "group_name": "''", "half_life_hours": 720.0, "total": 12.0, "as_of": START,
        })  # fmt: skip
        bulk.work(rest, later)
        bulk.enrolments(rest, START, version, "rest", "settle", later, path="'/hello/settle/'")
        bulk.touches(rest, START, version, "rest", "hello")


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
        link.execute(insert(Event), events)
        put_work(link, select(col(Lead.id)).where(col(Lead.id) <= DUE), now)

    stage.machine.db.transact(go)
    took, report = common.timed(lambda: stage.machine.tick("bench", now))
    assert report.sent == DUE, report
    return took


def compare(kind: str, urls: tuple[str, str], sizes: tuple[int, int]) -> dict[str, Any]:
    """The two bases in turn."""
    stages = [crowd.house(url, START, PROGRAM) for url in urls]
    for stage, size in zip(stages, sizes, strict=True):
        fill(stage, size)
    numbers = [iter(range(1, ROUNDS + 2)) for _ in stages]
    many, few = (lambda at=at: round_(stages[at], next(numbers[at])) for at in (1, 0))
    found = common.rounds(many, few, ROUNDS, warm=1)
    for stage in stages:
        stage.close()
    heads = [f"s among {size:,} leads" for size in sizes]
    return {"database": kind, heads[0]: found.theirs, heads[1]: found.ours, "ratio": found.ratio}


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        sizes = (1_000, b.size(10_000, 100_000))
        rows = [compare(kind, urls, sizes) for kind, urls in b.databases("small", "large")]
        b.table(f"a tick with {DUE:,} leads due, medians of {ROUNDS} rounds in turn", rows)


if __name__ == "__main__":
    main()
