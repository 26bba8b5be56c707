"""What a worker holds and spends as more touches are due, and what a tick costs when nothing is.

A process of its own, `nurture tick`, sends one letter of 10 KB to each lead that stands due, into smtp-sink: to 10,000,
100,000 and 1,000,000. Then ticks with nobody due on 1,000 leads and on 1,000,000, each of whom has a past and stands in
a long wait. `bench_flat.py small` takes 500 and 5,000 due touches, and 1,000 and 20,000 leads in waits.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import common
import crowd
import relay
from home import Home
from letters import FILES, LEAD

from nurture.rehearse.stage import Stage

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
ROUNDS, TICKS = 3, 10
PROGRAM = {name: content for name, content in FILES.items() if name != "bench/second.j2"} | {
    "bench/sequence.yaml": """
name: Bench
segment: {industry: saas}
enrol: {when: {did: go, within: 1 hour}}
send: {days: all}
steps:
  - {id: hello, email: hello.j2}
  - {id: settle, wait: 360 days}
"""
}


def due(kind: str, urls: tuple[str, ...], sink: relay.Sink, folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    """A worker's memory and CPU with so many touches due, each on a base of its own."""
    rows: list[dict[str, Any]] = []
    for url, size in zip(urls, sizes, strict=True):
        home = Home(folder / f"{kind}-{size}", url, sink.url, PROGRAM)
        home.arrive(size)
        taken, spent = sink.taken(), sink.cpu()
        ran = home.nurture("tick", "bench", "--json")
        assert sink.taken() - taken == home.count("state = 'sent'") == size, ran.said
        assert json.loads(ran.said[ran.said.index("{") :])["steps"][0]["sent"] == size, ran.said
        home.db.dispose()
        rows.append({
            "database": kind, "due touches": size, "MB at most": ran.megabytes,
            "to the first": ran.megabytes / rows[0]["MB at most"] if rows else 1.0,
            "us of CPU a touch": 1e6 * ran.cpu / size, "of the sink's": 1e6 * (sink.cpu() - spent) / size,
            "touches/s": size / ran.seconds,
        })  # fmt: skip
    return rows


def waiting(url: str, leads: int) -> Stage:
    """So many leads with a past, in the middle of a long wait."""
    stage = crowd.house(url, START, PROGRAM)
    version, later = stage.machine.live().segment("bench").id, START + timedelta(days=360)
    everybody = range(1, leads + 1)
    with crowd.in_bulk(stage.machine.db) as bulk:
        bulk.leads(everybody, START, **LEAD)
        bulk.consents(everybody, START)
        bulk.enrolments(everybody, START, version, "bench", "settle", later)
        bulk.touches(everybody, START, version, "bench", "hello")
        bulk.events(everybody, START, "'go'")
        bulk.work(everybody, later)
    return stage


def idle(kind: str, urls: tuple[str, ...], sizes: list[int]) -> dict[str, Any]:
    """Milliseconds of a tick with nobody due, on both bases in turn."""
    few, many = (waiting(url, size) for url, size in zip(urls, sizes, strict=True))

    def side(stage: Stage) -> float:
        took = []
        for _ in range(TICKS):
            stage.clock.at += timedelta(minutes=5)
            seconds, report = common.timed(lambda: stage.machine.tick("bench", stage.clock.now()))
            assert not report.steps, report
            took.append(1e3 * seconds)
        return median(took)

    found = common.rounds(lambda: side(many), lambda: side(few), ROUNDS, warm=1)
    few.close()
    many.close()
    heads = [f"ms on {size:,} leads" for size in sizes]
    return {"database": kind, heads[0]: found.theirs, heads[1]: found.ours, "ratio": found.ratio}


def main() -> None:
    """Print the tables."""
    with common.bench(__doc__) as b:
        sizes = [b.size(5_000, 1_000_000)]
        while sizes[0] > (500 if b.small else 10_000):
            sizes.insert(0, max(500, sizes[0] // 10))
        bases = [1_000, 20_000 if b.small else 1_000_000]
        quiet = [idle(kind, urls, bases) for kind, urls in b.databases("few", "many")]
        b.table("a tick with nobody due; twice as long at most (goal 10)", quiet)
        rows: list[dict[str, Any]] = []
        with relay.sink(b.folder) as sink:
            for kind, (_, *urls) in b.databases("none", *(f"due{size}" for size in sizes)):
                rows += due(kind, urls, sink, b.folder, sizes)
        b.table(
            "`nurture tick` with so many touches due; 1.2 times the first's memory at most, and 300 MB (goal 9)", rows
        )


if __name__ == "__main__":
    main()
