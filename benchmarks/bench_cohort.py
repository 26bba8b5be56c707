"""A cohort of due leads through a wait, a branch and a split, beside the bare SQL statements that do the same.

Both sides move the same rows of two databases that hold the same, in turn. The bare side is what a person would type:
one UPDATE for each way, the whole cohort at once, one transaction for each step, nobody else to mind.
`bench_cohort.py 100000` takes fewer than a million leads, `small` 20,000.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import common
import crowd
from sqlalchemy import text

from nurture.language.arms import experiment, factors
from nurture.records.types import to_micros
from nurture.rehearse.stage import Stage

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
    version, everybody = stage.machine.live().segment("bench").id, range(1, leads + 1)
    industry = "'{\"industry\": \"' || CASE n % 2 WHEN 1 THEN 'saas' ELSE 'farming' END || '\"}'"
    fields = industry if stage.machine.db.is_sqlite else f"CAST({industry} AS JSON)"
    with crowd.in_bulk(stage.machine.db) as bulk:
        bulk.leads(everybody, START, fields=fields, folded=fields)
        bulk.enrolments(everybody, START, version, "bench", "settle", START + timedelta(days=2))


def back(stage: Stage) -> None:
    """Everybody stands in the wait again."""
    stage.machine.db.transact(
        lambda link: link.execute(
            text("UPDATE enrolment SET step = 'settle', path = '/settle/', entered_at = :start, due_at = :due"),
            {"start": to_micros(START), "due": to_micros(START + timedelta(days=2))},
        )
    )
    crowd.vacuum(stage.machine.db)


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
        rows = link.execute(text("SELECT step, count(*) FROM enrolment GROUP BY step ORDER BY step"))
        return {step: many for step, many in rows}


def compare(kind: str, url: str, leads: int) -> list[dict[str, Any]]:
    """The two sides in turn on one database; medians for each step, and the median of the rounds' ratios."""
    stage = crowd.house(url, START, FILES)
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
    return [
        {
            "database": kind, "leads": leads, "step": step, "engine s": median(ours[step] for ours, _ in rounds[1:]),
            "bare SQL s": median(theirs[step] for _, theirs in rounds[1:]),
            "ratio": median(ours[step] / theirs[step] for ours, theirs in rounds[1:]),
        }
        for step in STEPS
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(20_000, 1_000_000)
        rows = [row for kind, url in b.databases("cohort") for row in compare(kind, url, leads)]
        b.table(f"due leads through a step, seconds, medians of {ROUNDS} rounds in turn", rows)


if __name__ == "__main__":
    main()
