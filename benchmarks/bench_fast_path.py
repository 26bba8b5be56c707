"""From a posted demo request to the salesperson's notice in the relay's hands: idle, and while a tick carries 100,000.

Three processes, as in a house: this one posts forms and is the relay; one serves the public app; one ticks. Requests
come at a steady pace whatever the answers take, so a slow one does not spare those behind it. `moving` carries the
cohort through a wait, a branch and a split; `settling` takes in an event of each lead; `writing` plans letters and
sends them through the same relay. The loads follow each other in each round. Numbers: leads, seconds of a load, rounds.
"""

from __future__ import annotations

import gc
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import common
import httpx
from sqlalchemy import select
from sqlmodel import col
from standing import FILES, back, fill, touched

from nurture.db import migrate
from nurture.engine.machine import Machine
from nurture.engine.publishing import publish
from nurture.opening import open_machine
from nurture.program.load import load
from nurture.records import Handoff, Lead, Outbox

#: Requests a second.
PACE = 8
LOADS = ("idle", "moving", "settling", "writing")


def serve() -> None:
    """A process of its own: the public app, until it is told to end. Prints its address."""
    from nurture.web.server import PublicServer

    machine = open_machine()
    with PublicServer(machine, forms_per_minute=10**6, forms_per_address=10**6) as server:
        print(server.url, flush=True)
        signal.sigwait([signal.SIGTERM])
    machine.close()


def tick(load: str, leads: int) -> None:
    """A process of its own: carries everybody, again and again, until it is ended. Prints how many are due."""
    machine = open_machine()
    while True:
        if load == "settling":
            touched(machine, leads)
            print(leads, flush=True)
            machine.settle(machine.now())
        else:
            print(sum(machine.waiting(load, machine.now()).values()), flush=True)
            machine.tick(load, machine.now())
            back(machine, load, leads)


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


def measured(machine: Machine, sink: Any, url: str, name: str, seconds: float) -> dict[str, dict[str, float]]:
    """Percentiles in milliseconds of a round, of each part of the way; none may be lost or doubled."""
    posted = post(url, name, seconds)
    told = accepted(machine, sink, len(posted), posted)
    assert told.keys() == posted.keys(), f"{len(posted) - len(told)} notices are missing"
    parts = {
        "answer": [done - at for at, done in posted.values()],
        "notice after it": [max(0.0, told[email] - done) for email, (_, done) in posted.items()],
        "whole": [told[email] - at for email, (at, _) in posted.items()],
    }
    return {part: percentiles(values) for part, values in parts.items()}


def percentiles(values: list[float]) -> dict[str, float]:
    """50th, 95th, 99th and the worst, in milliseconds."""
    cut = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cut[49] * 1e3, "p95": cut[94] * 1e3, "p99": cut[98] * 1e3, "worst": max(values) * 1e3}


def under(load: str, leads: int, stack: ExitStack) -> None:
    """Have `load` going on until the stack ends."""
    if load != "idle":
        child = stack.enter_context(process("tick", load, str(leads)))
        assert child.stdout is not None
        due = int(child.stdout.readline())
        assert due >= leads, due


def house(
    name: str, url: str, folder: Path, leads: int, seconds: float, rounds: int
) -> dict[str, list[dict[str, dict[str, float]]]]:
    """Of each load its rounds, all on one database."""
    from tests.faults.sink import MailSink

    migrate(url)
    found: dict[str, list[dict[str, dict[str, float]]]] = {load: [] for load in LOADS}
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
            for number in range(rounds):
                for each in LOADS:
                    with ExitStack() as stack:
                        under(each, leads, stack)
                        found[each].append(measured(machine, sink, at, f"{each}{number}", seconds))
                    back(machine, "writing", leads)  # the next tick finds everybody due
                    back(machine, "moving", leads)
        machine.close()
    return found


def rows_of(name: str, found: dict[str, list[dict[str, dict[str, float]]]]) -> list[dict[str, Any]]:
    """Medians over the rounds; `to idle`: of each round's 99th percentile to that of its own idle run."""
    rows: list[dict[str, Any]] = []
    for load_, each in found.items():
        pairs = zip(each, found["idle"], strict=True)
        ratio = statistics.median(one["whole"]["p99"] / idle["whole"]["p99"] for one, idle in pairs)
        for part in ("answer", "notice after it", "whole"):
            figures = {key: statistics.median(one[part][key] for one in each) for key in ("p50", "p95", "p99", "worst")}
            rows.append(
                {"database": name, "load": load_, "part": part} | figures
                | {"to idle": ratio if part == "whole" and load_ != "idle" else None}
            )  # fmt: skip
    return rows


def main() -> None:
    """All loads on both databases."""
    with common.bench(__doc__) as b:
        given = [*b.numbers, *([20_000, 3, 1] if b.small else [100_000, 15, 3])[len(b.numbers) :]]
        leads, seconds, rounds = given[:3]
        rows = []
        for name, url in b.databases("fast_path"):
            rows += rows_of(name, house(name, url, b.folder, leads, seconds, rounds))
        title = f"a demo request to its notice, ms: {PACE} a second for {seconds} s, a tick of {leads:,} due leads"
        b.table(title, rows, "Goal: the 99th percentile under load at most 3 times that of the same round's idle run.")


if __name__ == "__main__":
    gc.set_threshold(50_000)  # as every command does
    {"serve": serve, "tick": lambda: tick(sys.argv[2], int(sys.argv[3]))}.get((sys.argv[1:] or [""])[0], main)()
