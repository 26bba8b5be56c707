"""What operators and marketers ask of a large base: seconds of each report, on a base and on one a tenth of it.

A million leads with ten events each (letters sent and clicked in, pages seen), two touches, a place in one of two
sequences, points, and for one in twenty a stage and a hand-off. Commands run in this process: what Python takes to
start is not in it. `bench_reports.py small` takes 10,000 leads.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import Any

import common
import crowd
from home import Home
from letters import FILES, HOUSE, LEAD, letter
from sqlalchemy import text

from nurture.cli.app import main as main_of_nurture

ROUNDS = 3
DAY = 86_400_000_000
PROGRAM = FILES | {
    "program.yaml": HOUSE + "holdout: 5\n",
    "lifecycle.yaml": """
mql: {when: {score: {at_least: 50}}}
milestones: {demo: {when: {did: demo_requested}, handoff: true}}
""",
    "bench/sequence.yaml": """
name: Bench
segment: {industry: saas}
objective: demo
enrol: {when: {did: go}}
steps:
  - {id: hello, email: hello.j2, variants: {a: 50, b: 50}, winner: {by: clicked, after: 1 day, confidence: 95}}
  - {id: half, split: {second: 60, settle: 40}}
  - {id: second, email: second.j2}
  - {id: settle, wait: 360 days}
  - {id: done, exit: completed}
""",
    "bench/hello.a.j2": letter("one thing"),
    "bench/hello.b.j2": letter("a thing"),
    "rest/sequence.yaml": """
name: Everybody else
segment: {industry: farming}
enrol: {when: {did: went}}
steps:
  - {id: hello, email: hello.j2}
  - {id: settle, wait: 360 days}
""",
    "rest/hello.j2": letter("another thing"),
}
del PROGRAM["bench/hello.j2"]
#: What is asked, in the words of the command line.
ASKED = (
    ("explain", "lead77@bench.example"),
    ("report", "funnel"),
    ("report", "handoffs"),
    ("report", "experiments"),
    ("report", "holdout"),
    ("cohorts", "bench"),
    ("handoffs",),
    ("uncertain", "list"),
    ("tasks",),
    ("tick", "bench"),
)


def fill(home: Home, leads: int) -> None:
    """Leads with two years behind them, who stand in a long wait."""
    now = datetime.now(UTC)
    start, later = now - timedelta(days=700), now + timedelta(days=360)
    everybody, lite = range(1, leads + 1), home.db.is_sqlite
    with home.db.read() as link:
        versions = {slug: number for slug, number in link.execute(text("SELECT sequence, id FROM sequence_version"))}
        house = link.execute(text("SELECT id FROM program_version")).scalar_one()
    slug = "CASE WHEN n % 2 = 0 THEN 'bench' ELSE 'rest' END"
    version = f"CASE WHEN n % 2 = 0 THEN {versions['bench']} ELSE {versions['rest']} END"
    arm = "CASE WHEN n % 2 = 1 THEN NULL WHEN n % 4 = 0 THEN 'a' ELSE 'b' END"
    way = "CASE WHEN n % 2 = 0 THEN '/hello/half/settle/' ELSE '/hello/settle/' END"
    industry = 'CASE WHEN n % 2 = 0 THEN \'{"industry": "saas"}\' ELSE \'{"industry": "farming"}\' END'
    if not lite:
        industry = f"CAST({industry} AS JSON)"
    with crowd.in_bulk(home.db) as bulk:
        begins = crowd.sql(start)
        moment = f"{begins} + n % {leads} * 48271 % {600 * DAY} + n / {leads} * {DAY}"
        stage = "CASE WHEN n % 20 = 0 THEN 'mql' ELSE 'lead' END"
        fields = {"fields": industry, "folded": industry, "stage": stage, "account": "'company' || (n / 20)"}
        bulk.leads(everybody, start, **LEAD | fields)
        bulk.consents(everybody, start)
        bulk.consents(everybody, start, "tracking")
        sent = {"sequence": slug, "version_id": version}
        bulk.enrolments(everybody, start, 0, "", "settle", later, path=way, **sent)
        for turn, step in enumerate(("hello", "settle")):
            numbers = range(1 + turn * leads, 1 + (turn + 1) * leads)
            who = f"n - {turn * leads}"
            columns = {**sent, "lead_id": who, "enrolment_id": who, "arm": arm if not turn else None, "tracked": "true"}
            columns |= {"sending_at": moment, "ended_at": moment, "planned_at": moment, "step": f"'{step}'"}
            bulk.touches(numbers, start, 0, "", step, **columns)
        names = "CASE n / {0} WHEN 0 THEN 'go' WHEN 1 THEN 'email_sent' WHEN 2 THEN 'email_clicked' ELSE 'came' END"
        touch = f"CASE WHEN n / {leads} IN (1, 2) THEN n % {leads} + 1 END"
        events = range(10 * leads)
        bulk.events(events, moment, names.format(leads), id="n + 1", lead_id=f"n % {leads} + 1", touch_id=touch)
        few = range(1, leads // 20 + 1)
        bulk.put("stage_transition", few, {
            "lead_id": "n * 20", "from_stage": "'lead'", "to_stage": "'mql'", "at": moment, "cause": "'score'",
            "author": "'engine'", "program_version_id": house,
        })  # fmt: skip
        bulk.put("handoff", few, {
            "lead_id": "n * 20", "cycle": 1, "milestone": "'demo'", "owner": "'sam@bench.example'", "score": 60,
            "state": "CASE n % 50 WHEN 0 THEN 'open' ELSE 'accepted' END", "stage_before": "'mql'", "opened_at": moment,
            "deadline_at": f"{moment} + {DAY}", "answered_at": f"CASE n % 50 WHEN 0 THEN NULL ELSE {moment} + 1000 END",
            "answered_by": "CASE n % 50 WHEN 0 THEN NULL ELSE 'sam@bench.example' END", "program_version_id": house,
        })  # fmt: skip
        bulk.put("score_sum", everybody, {
            "lead_id": "n", "group_name": "''", "half_life_hours": 720.0, "total": "n % 60", "as_of": start,
        })  # fmt: skip
        bulk.work(everybody, later)


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(10_000, 1_000_000)
        sizes = (leads // 10, leads)
        rows: list[dict[str, Any]] = []
        for kind, urls in b.databases("tenth", "whole"):
            homes = []
            for url, size in zip(urls, sizes, strict=True):
                homes.append(Home(b.folder / f"{kind}-{size}", url, "smtp://127.0.0.1:9", PROGRAM))
                fill(homes[-1], size)
            rows += [ask(kind, homes, sizes, words) for words in ASKED]
            for home in homes:
                home.db.dispose()
        b.table(f"seconds of a command, leads with ten events each; medians of {ROUNDS} rounds in turn", rows)


def ask(kind: str, homes: list[Home], sizes: tuple[int, int], words: tuple[str, ...]) -> dict[str, Any]:
    """One question, on both bases in turn."""

    def side(home: Home) -> float:
        os.environ.update(home.environment)
        said = io.StringIO()
        with redirect_stdout(said):
            seconds, code = common.timed(lambda: main_of_nurture(list(words)))
        assert code == 0, f"nurture {' '.join(words)}: {code}\n{said.getvalue()[-2000:]}"
        return seconds

    found = common.rounds(lambda: side(homes[1]), lambda: side(homes[0]), ROUNDS)
    heads = [f"s of {size:,} leads" for size in sizes]
    return {"database": kind, "nurture": " ".join(words), heads[0]: found.theirs, heads[1]: found.ours}


if __name__ == "__main__":
    main()
