"""One segment, carried by one, two and four worker processes on PostgreSQL: `nurture tick bench`, so many at once.

One of them takes the segment's lease, plans and moves; the others find it busy and help to send. 4,000 leads enter,
get a letter, come through a gate and get another, as in bench_touch.py; smtp-sink counts. Every round looks that each
letter came once. `bench_workers.py small` takes 1,000 leads and two workers at most; a number takes so many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import common
import crowd
import relay
from bench_touch import START, enter
from letters import FILES, LEAD
from sqlalchemy import text

from nurture.rehearse.stage import Stage

ROUNDS = 3
WORKERS = (1, 2, 4)


@dataclass(frozen=True)
class Ran:
    """One round. `flowing`: seconds from the first letter at the sink to the last; `cpu`: of all processes."""

    seconds: float
    flowing: float
    cpu: float
    #: What each process sent, in falling order.
    sent: list[int]


@dataclass
class Office:
    """A database with its leads, and how a worker is started on it."""

    stage: Stage
    sink: relay.Sink
    env: dict[str, str]
    leads: int
    rounds: count[int]

    def work(self, workers: int) -> Ran:
        """Everybody enters anew; so many processes see to it."""
        number = next(self.rounds)
        now = enter(self.stage, self.leads, number)
        before, watch = self.sink.taken(), Flow(self.sink)
        began = time.perf_counter()
        command = [sys.executable, "-m", "nurture", "tick", "bench", "--now", now.isoformat(), "--json"]
        started = [subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
        said = [process.communicate()[0] for process in started]
        seconds = time.perf_counter() - began
        flowing = watch.over()
        ran = Ran(seconds, flowing, 0.0, sorted((sent(one) for one in said), reverse=True))
        assert sum(ran.sent) == 2 * self.leads, (ran.sent, [process.returncode for process in started])
        assert self.sink.taken() - before == 2 * self.leads, (self.sink.taken() - before, self.leads)
        self.require_once(2 * self.leads * number)
        return ran

    def measured(self, workers: int) -> Ran:
        """The same, with the CPU of the processes that have ended meanwhile."""
        before = os.times()
        ran = self.work(workers)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return Ran(ran.seconds, ran.flowing, used, ran.sent)

    def require_once(self, touches: int) -> None:
        """All touches were sent, each under a Message-ID of its own, and nobody is inside any more."""
        with self.stage.machine.db.read() as link:
            row = link.execute(
                text("SELECT count(*), count(DISTINCT message_id), count(*) FILTER (WHERE state = 'sent') FROM touch")
            ).one()
            inside = link.execute(text("SELECT count(*) FROM enrolment WHERE ended_at IS NULL")).scalar()
        assert tuple(row) == (touches,) * 3, (row, touches)
        assert not inside, inside


class Flow:
    """Watches a sink: when its first and its last letter of now came."""

    def __init__(self, sink: relay.Sink) -> None:
        self._sink, self._over = sink, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._first = self._last = 0.0
        self._thread.start()

    def over(self) -> float:
        """Seconds between them."""
        self._over.set()
        self._thread.join()
        return self._last - self._first

    def _look(self) -> None:
        taken = self._sink.taken()
        while not self._over.wait(0.02):
            if (now := self._sink.taken()) != taken:
                taken, self._last = now, time.perf_counter()
                self._first = self._first or self._last


def sent(said: str) -> int:
    """How many letters a tick has sent, by its own words."""
    return sum(int(step["sent"]) for step in json.loads(said)["steps"])


def office(url: str, sink: relay.Sink, folder: Path, leads: int) -> Office:
    """A published program and so many leads who agreed to be written to and followed."""
    stage, everybody = crowd.house(url, START, FILES), range(1, leads + 1)
    with crowd.in_bulk(stage.machine.db) as bulk:
        bulk.leads(everybody, START, **LEAD)
        bulk.consents(everybody, START)
        bulk.consents(everybody, START, "tracking")
    own = {
        "DATABASE_URL": url, "HOME": str(folder / "home"), "SMTP_URL": sink.url, "SECRET_KEY": "bench " * 8,
        "PUBLIC_URL": "https://links.bench.example",
    }  # fmt: skip
    env = os.environ | {f"NURTURE_{name}": value for name, value in own.items()}
    return Office(stage, sink, env | {"PYTHONPATH": str(common.ROOT / "src")}, leads, count(1))


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(1_000, 4_000)
        with relay.sink(b.folder) as sink:
            made = office(b.postgres("workers"), sink, b.folder, leads)
            made.measured(1)  # the first has to plan every statement
            found: dict[int, list[Ran]] = {workers: [] for workers in WORKERS if workers < 4 or not b.small}
            for _ in range(ROUNDS):
                for workers in found:
                    found[workers].append(made.measured(workers))
            made.stage.close()
        rows: list[dict[str, Any]] = [
            {
                "workers": workers, "touches": 2 * leads, "seconds": median(one.seconds for one in ran),
                "touches/s": median(2 * leads / one.flowing for one in ran),
                "s of CPU": median(one.cpu for one in ran),
                "sent by each": ", ".join(f"{part:,}" for part in sorted(ran, key=lambda one: one.seconds)[1].sent),
                "twice": 0,
            }
            for workers, ran in found.items()
        ]  # fmt: skip
        b.table(
            f"one segment, several worker processes, PostgreSQL; medians of {ROUNDS} rounds in turn",
            rows,
            "seconds: start of the processes to the end of the last; touches/s: between the first letter at the sink",
            "and the last, the gate between the two letters included; CPU: of the workers, their starting included.",
            "nothing came twice: by the sink's count and by the Message-IDs, or this had failed.",
        )


if __name__ == "__main__":
    main()
