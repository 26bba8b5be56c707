"""From a posted demo request to the salesperson's notice in the relay's hands: idle, and while a tick carries 100,000.

Three processes, as in a house: this one posts forms and is the relay; one serves the public app; one ticks. Requests
come at a steady pace whatever the answers take, so a slow one does not spare those behind it. `moving` carries the
cohort through a wait, a branch and a split; `writing` sends letters to it through the same relay.
`bench_fast_path.py 20000 10` takes fewer leads, and ten seconds for each load instead of thirty.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, text
from sqlmodel import col

from nurture import clock
from nurture.db import migrate
from nurture.dialects import upsert
from nurture.engine.machine import Machine
from nurture.engine.publishing import publish
from nurture.opening import open_machine
from nurture.program.load import load
from nurture.records import Consent, Enrolment, Handoff, Lead, Outbox
from nurture.records.types import to_micros

#: Requests a second.
PACE = 8
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
    for first in range(1, leads + 1, 2_000):
        values = {
            "slug": slug, "start": to_micros(start), "due": to_micros(due), "first": first, "last": first + 1_999,
        }  # fmt: skip

        def put(link: Any, values: dict[str, Any] = values) -> None:
            some = "WHERE sequence = :slug AND lead_id BETWEEN :first AND :last"
            link.execute(text(f"DELETE FROM touch {some}"), values)
            link.execute(
                text(
                    "UPDATE enrolment SET step = 'settle', path = '/settle/', occurrence = 1, entered_at = :start,"
                    f" due_at = :due, ended_at = NULL, outcome = NULL, claim = NULL {some}"
                ),
                values,
            )

        machine.db.transact(put)


def serve() -> None:
    """A process of its own: the public app, until it is told to end. Prints its address."""
    from nurture.web.server import PublicServer

    machine = open_machine()
    with PublicServer(machine, forms_per_minute=10**6, forms_per_address=10**6) as server:
        print(server.url, flush=True)
        signal.sigwait([signal.SIGTERM])
    machine.close()


def tick(slug: str, leads: int) -> None:
    """A process of its own: ticks of `slug`, each over everybody, until it is ended."""
    machine = open_machine()
    while True:
        print(json.dumps({"due": sum(machine.waiting(slug, machine.now()).values())}), flush=True)
        machine.tick(slug, machine.now())
        back(machine, slug, leads)


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """This file again, with `words`; ended at the end, its group with it."""
    child = subprocess.Popen(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def post(url: str, round_: str, seconds: float) -> dict[str, tuple[float, float]]:
    """Requests at a steady pace; of each address when it was due to be sent and when it was answered."""
    found: dict[str, tuple[float, float]] = {}

    def one(number: int, at: float) -> None:
        email = f"{round_}-{number}@person.example"
        time.sleep(max(0.0, at - time.time()))
        said = client.post(f"{url}/f/demo", data={"email": email, "first_name": "Ana", "company": "Acme"})
        assert said.status_code == 303, said.text
        found[email] = (at, time.time())

    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(64) as hands:
        begin = time.time() + 0.2
        for waiting in [hands.submit(one, n, begin + n / PACE) for n in range(int(PACE * seconds))]:
            waiting.result()
    return found


def accepted(machine: Machine, sink: Any, wanted: int, posted: dict[str, Any]) -> dict[str, float]:
    """Of each address when the relay had its notice; waits up to a minute for all of them."""
    query = (
        select(col(Outbox.message_id), col(Lead.email))
        .join(Handoff, col(Handoff.id) == col(Outbox.row_id))
        .join(Lead, col(Lead.id) == col(Handoff.lead_id))
        .where(col(Outbox.kind) == "handoff_notice", col(Outbox.done_at).is_not(None))
    )
    for _ in range(600):
        with machine.db.read() as link:
            names = {message: email for message, email in link.execute(query) if email in posted}
        if len(names) >= wanted:
            break
        time.sleep(0.1)
    return {names[one.message_id]: one.at for one in sink.kept() if one.message_id in names}


def measured(machine: Machine, sink: Any, url: str, name: str, seconds: float) -> dict[str, Any]:
    """Percentiles in milliseconds of a round; none may be lost or doubled."""
    posted = post(url, name, seconds)
    told = accepted(machine, sink, len(posted), posted)
    assert told.keys() == posted.keys(), f"{len(posted) - len(told)} notices are missing"
    parts = {
        "answer": [done - at for at, done in posted.values()],
        "notice after it": [max(0.0, told[email] - done) for email, (_, done) in posted.items()],
        "whole": [told[email] - at for email, (at, _) in posted.items()],
    }
    return {"requests": len(posted)} | {part: percentiles(values) for part, values in parts.items()}


def percentiles(values: list[float]) -> dict[str, float]:
    """50th, 95th, 99th and the worst, in milliseconds."""
    cut = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cut[49] * 1e3, "p95": cut[94] * 1e3, "p99": cut[98] * 1e3, "worst": max(values) * 1e3}


def house(name: str, url: str, folder: Path, leads: int, seconds: float) -> list[dict[str, Any]]:
    """All loads on one database."""
    from tests.faults.sink import MailSink

    migrate(url)
    rows = []
    with MailSink(folder / f"{name}.log") as sink:
        os.environ |= {
            "NURTURE_DATABASE_URL": url.replace("+psycopg", ""), "NURTURE_HOME": str(folder / name),
            "NURTURE_SMTP_URL": sink.url, "NURTURE_PUBLIC_URL": "http://127.0.0.1:8321",
        }  # fmt: skip
        machine = open_machine()
        loaded = load(FILES).require()
        machine.db.transact(lambda link: publish(link, machine.library, loaded, sorted(loaded.segments), machine.now()))
        fill(machine, leads)
        with process("serve") as server:
            assert server.stdout is not None
            at = server.stdout.readline().strip()
            measured(machine, sink, at, "warm", 3)
            for load_ in ("idle", "moving", "writing"):
                with ExitStack() as stack:
                    if load_ != "idle":
                        child = stack.enter_context(process("tick", load_, str(leads)))
                        assert child.stdout is not None
                        due = json.loads(child.stdout.readline())["due"]
                        assert due >= leads, due
                    row = measured(machine, sink, at, load_, seconds)
                rows.append({"database": name, "load": load_, **row})
        machine.close()
    return rows


def main() -> None:
    """Print the table, and the same as JSON."""
    leads = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.postgres import server as postgres  # the tests' own: started here, ended here

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = house("SQLite", f"sqlite:///{folder}/bench.db", folder, leads, seconds)
        running = stack.enter_context(postgres())
        rows += house("PostgreSQL", running.url(running.create(name="bench_fast")), folder, leads, seconds)
    print(
        f"A demo request to the notice accepted by the relay, ms, {PACE} requests a second; tick of {leads:,} due leads"
    )
    print(f"{'':12}{'load':10}{'part':18}{'p50':>8}{'p95':>8}{'p99':>8}{'worst':>8}")
    for row in rows:
        for part in ("answer", "notice after it", "whole"):
            figures = "".join(f"{row[part][key]:>8.0f}" for key in ("p50", "p95", "p99", "worst"))
            print(f"{row['database']:12}{row['load']:10}{part:18}{figures}")
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    print(json.dumps({**machine, "leads": leads, "results": rows}))


if __name__ == "__main__":
    {"serve": serve, "tick": lambda: tick(sys.argv[2], int(sys.argv[3]))}.get((sys.argv[1:] or [""])[0], main)()
