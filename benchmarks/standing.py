"""A house in which every lead is due: in a wait of two sequences, with nothing said of it since.

`moving` carries its leads through a branch and a split; `writing` sends a letter to each.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import literal, select, text
from sqlmodel import col

from nurture import clock
from nurture.dialects import new_rows, upsert
from nurture.engine.machine import Machine
from nurture.records import Consent, Enrolment, Event, Lead
from nurture.records.types import Document, Instant, to_micros
from nurture.worklist import work_for

#: Rows of a transaction: as long as one of the engine's takes, so that doors wait for it no longer than for those.
SOME = 1_000
SHARED = Path(__file__).parents[1] / "templates" / "_shared"
FILES = {
    "program.yaml": """
name: Bench
sender: {name: Bench, address: bench@bench.example}
address: Bench Ltd, 1 Bench Street, Benchtown
zone: Europe/Bucharest
fields: {industry: text, employees: number, role: text, use_case: text, last_purchase: date}
sales: [{name: Sam, email: sam@bench.example}, {name: Kim, email: kim@bench.example}]
forms: {demo: {event: demo_requested, fields: [first_name, company], title: Book a demo}}
guard: {canary: off, growth: off}
""",
    "lifecycle.yaml": """
milestones: {demo_requested: {when: {did: demo_requested}, handoff: true}}
""",
    "moving/sequence.yaml": """
name: Moving
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
    "writing/sequence.yaml": """
name: Writing
segment: {industry: [saas, farming]}
enrol: {when: {did: go}}
steps:
  - {id: settle, wait: 2 days}
  - {id: hello, email: hello.j2}
  - {id: done, exit: completed}
""",
    **{f"_shared/{file.name}": file.read_text("utf-8") for file in SHARED.glob("*.j2")},
    "writing/hello.j2": "{% block subject %}Hello {{ lead.first_name or 'there' }}{% endblock %}{% block body %}"
    + "<p>A paragraph of a letter, as long as most are, with nothing in it that anybody would miss.</p>" * 60
    + '<p>{{ address }} <a href="{{ unsubscribe_url }}">unsubscribe</a></p>{% endblock %}',
}


def fill(machine: Machine, leads: int) -> None:
    """`leads` leads, all in both sequences' waits, all due."""
    now = machine.now()
    start, due = now - timedelta(days=2, hours=1), now - timedelta(hours=1)
    live = machine.live()
    for first in range(1, leads + 1, 5_000):
        ids = range(first, min(first + 5_000, leads + 1))
        people = [
            {
                "id": n, "draw": clock.draw31(), "email": f"lead{n}@bench.example", "zone": "Europe/Bucharest",
                "stage": "lead", "status": "new", "fields": {"industry": "saas" if n % 2 else "farming"},
                "folded": {"industry": "saas" if n % 2 else "farming"}, "fit_points": 0.0, "created_at": start,
                "changed_at": start,
            }
            for n in ids
        ]  # fmt: skip
        places = [
            {
                "lead_id": n, "sequence": slug, "version_id": live.segment(slug).id, "rotation": 1,
                "enrolled_by": "rule", "step": "settle", "occurrence": 1, "path": "/settle/", "entered_at": start,
                "due_at": due, "listening": False, "started_at": start,
            }
            for n in ids for slug in ("moving", "writing")
        ]  # fmt: skip
        agreed = [
            {"lead_id": n, "purpose": "mail", "basis": "consent", "source": "bench", "given_at": start, "evidence": {}}
            for n in ids
        ]

        def put(link: Any, rows: tuple[Any, ...] = (people, places, agreed)) -> None:
            for table, values in zip((Lead, Enrolment, Consent), rows, strict=True):
                link.execute(upsert(link)(table), values)

        machine.db.transact(put)
    if not machine.db.is_sqlite:  # numbers were given; the next is drawn behind them
        numbers = text("SELECT setval(pg_get_serial_sequence('lead', 'id'), max(id)) FROM lead")
        machine.db.transact(lambda link: link.execute(numbers))
        with machine.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
            link.exec_driver_sql("ANALYZE")


def back(machine: Machine, slug: str, leads: int) -> None:
    """Everybody stands in the wait of `slug` again, unsent; a little at a time, as whatever writes much must."""
    now = machine.now()
    start, due = now - timedelta(days=2, hours=1), now - timedelta(hours=1)
    for first in range(1, leads + 1, SOME):
        values = {
            "slug": slug, "start": to_micros(start), "due": to_micros(due), "first": first, "last": first + SOME - 1,
        }  # fmt: skip

        def put(link: Any, values: dict[str, Any] = values) -> None:
            some = "WHERE sequence || '' = :slug AND lead_id BETWEEN :first AND :last"  # found by lead, not by sequence
            link.execute(text(f"DELETE FROM touch {some}"), values)
            link.execute(
                text(
                    "UPDATE enrolment SET step = 'settle', path = '/settle/', occurrence = 1, entered_at = :start,"
                    f" due_at = :due, ended_at = NULL, outcome = NULL, claim = NULL {some}"
                ),
                values,
            )

        machine.db.transact(put)


def touched(machine: Machine, leads: int) -> None:
    """An event of each lead that no rule asks for, and its row of the work list."""
    now, key = machine.now(), clock.unguessable()
    at = literal(now, Instant())
    for first in range(1, leads + 1, SOME):
        some = select(col(Lead.id)).where(col(Lead.id).between(first, min(first + SOME - 1, leads)))
        rows = some.add_columns(
            literal("email_sent"), at, at, at, literal("system"), literal({}, Document), literal("bench"),
            literal(key).concat(col(Lead.id)),
        )  # fmt: skip
        columns = ["lead_id", "name", "occurred_at", "recorded_at", "ripe_at", "actor", "data", "source", "key"]
        statements = new_rows(Event, columns, rows), work_for(some, at)

        def put(link: Any, statements: tuple[Any, ...] = statements) -> None:
            for statement in statements:
                link.execute(statement)

        machine.db.transact(put)
