"""A cohort of due leads through a wait, a branch and a split, beside the bare SQL statements that do the same.

Both sides move the same rows of two databases that hold the same, in turn. The bare side is what a person would type:
one UPDATE for each way, the whole cohort at once, one transaction for each step, nobody else to mind.
`bench_cohort.py 100000` takes fewer than a million leads.
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

from sqlalchemy import text

from nurture import clock
from nurture.dialects import upsert
from nurture.language.arms import experiment, factors
from nurture.records import Enrolment, Lead
from nurture.records.types import to_micros
from nurture.rehearse.stage import Stage, set_stage

ROUNDS = 3
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
STEPS = ("settle", "fork", "half")
FILES = {
    "program.yaml": """
name: Bench
sender: {name: Bench, address: bench@bench.example}
address: Bench Ltd, 1 Bench Street, Benchtown
zone: Europe/Bucharest
fields: {industry: text}
sales: [{name: Sam, email: sam@bench.example}]
""",
    "bench/sequence.yaml": """
name: Bench
segment: {industry: [saas, farming]}
enrol: {when: {did: go}}
steps:
  - {id: settle, wait: 2 days}
  - {id: fork, branch: [{if: {industry: saas}, then: half}], else: rest}
  - {id: rest, wait: 30 days, next: done}
  - {id: half, split: {left: 60, right: 40}}
  - {id: left, wait: 10 days, next: done}
  - {id: right, wait: 20 days}
  - {id: done, exit: completed}
""",
}


def fill(stage: Stage, leads: int) -> None:
    """`leads` leads that all stand in the wait, and are due."""
    version = stage.machine.live().segment("bench").id
    due = START + timedelta(days=2)
    for first in range(1, leads + 1, 20_000):
        ids = range(first, min(first + 20_000, leads + 1))
        people = [
            {
                "id": n, "draw": clock.draw31(), "email": f"lead{n}@bench.example", "zone": "Europe/Bucharest",
                "stage": "lead", "status": "new", "fields": {"industry": "saas" if n % 2 else "farming"},
                "folded": {"industry": "saas" if n % 2 else "farming"}, "fit_points": 0.0, "created_at": START,
                "changed_at": START,
            }
            for n in ids
        ]  # fmt: skip
        places = [
            {
                "id": n, "lead_id": n, "sequence": "bench", "version_id": version, "rotation": 1,
                "enrolled_by": "rule", "step": "settle", "occurrence": 1, "path": "/settle/", "entered_at": START,
                "due_at": due, "listening": False, "started_at": START,
            }
            for n in ids
        ]  # fmt: skip

        def put(link: Any, people: Any = people, places: Any = places) -> None:
            link.execute(upsert(link)(Lead), people)
            link.execute(upsert(link)(Enrolment), places)

        stage.machine.db.transact(put)


def back(stage: Stage) -> None:
    """Everybody stands in the wait again."""
    stage.machine.db.transact(
        lambda link: link.execute(
            text("UPDATE enrolment SET step = 'settle', path = '/settle/', entered_at = :start, due_at = :due"),
            {"start": to_micros(START), "due": to_micros(START + timedelta(days=2))},
        )
    )
    if not stage.machine.db.is_sqlite:
        with stage.machine.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
            link.exec_driver_sql("VACUUM ANALYZE")


def engine(stage: Stage) -> dict[str, float]:
    """Seconds of each step by the engine."""
    now = stage.clock.at = START + timedelta(days=2, hours=1)
    took = {}
    for step in STEPS:
        with stage.machine.lease("bench", "bench"):
            began = time.perf_counter()
            report = stage.machine.run_step("bench", step, now, "bench")
            took[step] = time.perf_counter() - began
        assert report.due, report
    return took


def bare(stage: Stage) -> dict[str, float]:
    """Seconds of each step by one UPDATE for each way."""
    day, offset = 86_400_000_000, 7_200_000_000
    a, b = factors(experiment("bench", "half"))
    here = "FROM lead WHERE lead.id = enrolment.lead_id AND step = :step AND due_at <= :now"
    industry = "json_extract(lead.folded, '$.industry')" if stage.machine.db.is_sqlite else "lead.folded ->> 'industry'"
    arm = f"({a} * CAST(lead.draw AS BIGINT) + {b}) % 2147483647 % 10000"

    def go(to: str, wait: int, which: str) -> str:
        due = f"due_at + {wait * day}" if wait else "due_at"
        return (
            f"UPDATE enrolment SET step = '{to}', path = path || '{to}/', occurrence = 1, entered_at = due_at,"
            f" due_at = {due}, deadline_at = NULL, listening = {(stage.machine.db.is_sqlite and '0') or 'false'} {here}"
            f" AND {which}"
        )

    ways = {
        "settle": [go("fork", 0, "1 = 1")],
        "fork": [go("half", 0, f"{industry} = 'saas'"), go("rest", 30, "1 = 1")],
        "half": [go("left", 10, f"{arm} < 6000"), go("right", 20, "1 = 1")],
    }
    values = {"now": to_micros(START + timedelta(days=2, hours=1)), "offset": offset}
    took = {}
    for step, statements in ways.items():

        def one(link: Any, step: str = step, statements: list[str] = statements) -> None:
            for statement in statements:
                link.execute(text(statement), {"step": step, "now": values["now"]})

        began = time.perf_counter()
        stage.machine.db.transact(one)
        took[step] = time.perf_counter() - began
    return took


def standing(stage: Stage) -> dict[str, int]:
    """How many stand where."""
    with stage.machine.db.read() as link:
        return dict(link.execute(text("SELECT step, count(*) FROM enrolment GROUP BY step ORDER BY step")).all())  # type: ignore[arg-type]


def compare(name: str, url: str, leads: int) -> dict[str, Any]:
    """The two sides in turn on one database; medians for each step, and the median of the rounds' ratios."""
    stage = set_stage(START, url)
    stage.publish(FILES)
    fill(stage, leads)
    rounds = []
    for _ in range(ROUNDS + 1):  # the first warms up
        back(stage)
        ours = engine(stage)
        stood = standing(stage)
        back(stage)
        theirs = bare(stage)
        assert standing(stage) == stood, (standing(stage), stood)
        rounds.append((ours, theirs))
    stage.close()
    rows = {
        step: {
            "engine_s": statistics.median(ours[step] for ours, _ in rounds[1:]),
            "bare_s": statistics.median(theirs[step] for _, theirs in rounds[1:]),
            "ratio": statistics.median(ours[step] / theirs[step] for ours, theirs in rounds[1:]),
        }
        for step in STEPS
    }
    return {"database": name, "leads": leads, "steps": rows}


def main() -> None:
    """Print the table, and the same as JSON."""
    leads = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.postgres import server as postgres  # the tests' own: started here, ended here

    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        results.append(compare("SQLite", f"sqlite:///{folder}/bench.db", leads))
        server = stack.enter_context(postgres())
        results.append(compare("PostgreSQL", server.url(server.create(name="bench_cohort")), leads))
    print(f"{leads:,} due leads through a step, seconds, median of {ROUNDS} alternating rounds")
    print(f"{'':12}{'step':10}{'engine':>10}{'bare SQL':>10}   ratio")
    for result in results:
        for step, row in result["steps"].items():
            print(
                f"{result['database']:12}{step:10}{row['engine_s']:>10.2f}{row['bare_s']:>10.2f}   {row['ratio']:.2f}"
            )
    machine = {"python": platform.python_version(), "system": platform.platform(), "rounds": ROUNDS}
    print(json.dumps({**machine, "results": results}))


if __name__ == "__main__":
    main()
