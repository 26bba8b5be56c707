"""Real flow runs, and what they leave in Prefect's own database: `python -m tests.soak.runs`.

Idle runs, busy ones, runs by a worker; then a month passes (the rows are dated back) and the server's own cleaning is
watched with the settings of flows/server.env, but for how often it comes.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from nurture.clock import seeded
from nurture.demo import sample
from nurture.demo.people import people
from nurture.demo.prefect_runs import PrefectRuns, _end
from nurture.demo.website import SOURCE
from nurture.engine import publishing
from nurture.engine.live import Library
from nurture.intake import import_events, import_leads
from nurture.program.load import load
from tests.soak.story import START, Plan, opened

_ROOT = Path(__file__).parents[2]
#: A tick at three in the morning finds nobody; from nine on a Tuesday every sequence writes.
_NIGHT, _MORNING = START + timedelta(days=1, hours=1), START + timedelta(days=1, hours=9)
_TABLES = (
    "flow_run", "flow_run_state", "task_run", "task_run_state", "events", "event_resources", "log", "artifact",
    "artifact_collection", "flow_run_input", "worker", "concurrency_limit_v2", "automation_event_follower",
)  # fmt: skip
_QUICK = {"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "10"}
#: Columns that say when something was, of the tables that are cleaned by age.
_DATED = {
    "flow_run": ("created", "updated", "start_time", "end_time", "expected_start_time", "next_scheduled_start_time"),
    "events": ("occurred", "received", "recorded"), "event_resources": ("occurred", "created", "updated"),
    "log": ("timestamp", "created", "updated"), "artifact": ("created", "updated"),
}  # fmt: skip


class Prefect:
    """Its server and database, watched. `runs`: of the demo, which knows how both are started."""

    def __init__(self, runs: PrefectRuns, folder: Path) -> None:
        self.runs, self.folder, self.done = runs, folder, 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        with self.runs.server():
            self.runs.ready(180)
            yield

    def rows(self) -> dict[str, int]:
        """Rows by table, of those that grow."""
        with closing(sqlite3.connect(self.folder / "prefect.db", timeout=30)) as link:
            known = {name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = {one: link.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in sorted(known)}
        return {one: count for one, count in found.items() if count}

    def megabytes(self) -> tuple[float, float]:
        """Of the file and its log; of pages in the file that hold nothing."""
        with closing(sqlite3.connect(self.folder / "prefect.db", timeout=30)) as link:
            page, free = (link.execute(f"PRAGMA {word}").fetchone()[0] for word in ("page_size", "freelist_count"))
        size = sum(file.stat().st_size for file in self.folder.glob("prefect.db*") if not file.name.endswith("-shm"))
        return size / 1e6, page * free / 1e6

    def quiet(self, seconds: float = 120) -> None:
        """Wait until the server has recorded what it was told: its tables stand still."""
        before, until = None, time.monotonic() + seconds
        while before != (now := (self.rows().get("events"), self.rows().get("task_run"))) and time.monotonic() < until:
            before = now
            time.sleep(4)

    def note(self, what: str, began: tuple[float, int], **more: Any) -> tuple[float, int]:
        """A line of figures since `began` (megabytes, runs); where it stands now."""
        self.quiet()
        size, free = self.megabytes()
        runs = self.done - began[1]
        per = f"{100 * (size - free - began[0]) / runs:.2f} MB per 100 runs, " if runs else ""
        rss = resident(self.runs._process.pid)
        told = "".join(f", {word} {figure}" for word, figure in more.items())
        say(f"{what}: {runs} runs, {per}file {size:.1f} MB, {free:.1f} free, server {rss:.0f} MB{told}")
        return size - free, self.done


def resident(pid: int) -> float:
    """Megabytes of the processes of the group that `pid` leads."""
    whole = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError, ValueError):
            if os.getpgid(int(status.parent.name)) == pid:
                whole += sum(
                    int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")
                )
    return whole / 1024


def main() -> int:
    """Do the runs, watch the cleaning; 1 where something old was not removed."""
    asked = _asked()
    with tempfile.TemporaryDirectory(prefix="nurture-runs-") as made:
        folder = (asked.folder or Path(made)).resolve()
        plan = Plan(1000, 5, folder / "home")
        plan.folder.mkdir(parents=True)
        with opened(plan) as (house, _, files):
            _fill(house, plan.folder, files)
            runs = PrefectRuns(_ROOT, folder / "prefect", house.settings)
            prefect = Prefect(runs, folder / "prefect")
            with prefect.serving():
                _drive(prefect, house.segments, asked)
            _age(folder / "prefect" / "prefect.db", timedelta(days=31))
            return _watch(prefect, asked.seconds)


def _fill(house: Any, folder: Path, files: dict[str, str]) -> None:
    chance = seeded("runs")
    everybody = people(1000, START.date(), chance)
    sample.write_leads(folder / "leads.csv", everybody, chance)
    sample.write_events(folder / "events.ndjson", sample.history(everybody, START, chance))
    known = house.house.program
    import_leads(house.db, folder / "leads.csv", known=known, now=START)
    rest = timedelta(seconds=30)
    import_events(house.db, folder / "events.ndjson", known=known, now=START, source=SOURCE, click_rest=rest)
    loaded = load(files).require()
    house.db.transact(lambda link: publishing.publish(link, Library(), loaded, house.segments, START))


def _drive(prefect: Prefect, segments: list[str], asked: argparse.Namespace) -> None:
    began = prefect.note("a new server", (0.0, 0))
    say(f"  rows: {prefect.rows()}")
    phases = (("idle", asked.idle, _NIGHT, timedelta(minutes=5)), ("busy", asked.busy, _MORNING, timedelta(days=1)))
    for name, calls, first, apart in phases:
        for call in range(calls):
            _tick(prefect, segments, first + call * apart)
            if call + 1 in (calls // 2, calls):
                began = prefect.note(f"{name} runs", began)
    say(f"  rows: {prefect.rows()}")
    with _worker(prefect) as worker:
        for number in range(asked.rounds):
            _by_worker(prefect, segments)
            if number + 1 in (1, asked.rounds // 2, asked.rounds):
                began = prefect.note("runs of a worker", began, worker=f"{resident(worker.pid):.0f} MB")
    say(f"  rows: {prefect.rows()}")


def _tick(prefect: Prefect, segments: list[str], at: datetime) -> None:
    prefect.runs.tick(segments, at)
    prefect.done += len(segments)


@contextmanager
def _worker(prefect: Prefect) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the pool, and the deployments without their schedules."""
    environment, python = prefect.runs.environment(), sys.executable
    subprocess.run([python, "-m", "flows", "deploy"], cwd=_ROOT, env=environment, check=True, capture_output=True)
    for deployment in _deployments(prefect):
        for schedule in deployment["schedules"]:
            _asked_of(prefect, "PATCH", f"deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": False})
    with (prefect.folder / "worker.log").open("w") as log:
        command = [python, "-m", "flows", "worker"]
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def _deployments(prefect: Prefect) -> Any:
    return _asked_of(prefect, "POST", "deployments/filter", {})


def _asked_of(prefect: Prefect, method: str, way: str, said: Any = None) -> Any:
    """An answer of the API; a server whose database is locked just now says 503, and is asked again."""
    for _ in range(30):
        answer = httpx.request(method, f"{prefect.runs.api}/{way}", json=said, timeout=60)
        if answer.status_code != 503:
            break
        time.sleep(2)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def _by_worker(prefect: Prefect, segments: list[str]) -> None:
    """One run of each segment's deployment, to its end."""
    mine, over = [], ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    for deployment in _deployments(prefect):
        if deployment["name"] in segments:
            way = f"deployments/{deployment['id']}/create_flow_run"
            mine.append(_asked_of(prefect, "POST", way, {"state": {"type": "SCHEDULED"}})["id"])
    until = time.monotonic() + 300
    while mine and time.monotonic() < until:
        time.sleep(1)
        states = {one: _asked_of(prefect, "GET", f"flow_runs/{one}")["state_type"] for one in mine}
        mine = [one for one in mine if states[one] not in over]
        prefect.done += len(states) - len(mine)


def _age(file: Path, by: timedelta) -> None:
    """Date everything back, as if so much time had gone by."""
    with sqlite3.connect(file) as link:
        for table, columns in _DATED.items():
            known = {row[1] for row in link.execute(f"PRAGMA table_info({table})")}
            earlier = ", ".join(f"{one} = {_earlier(one, by)}" for one in columns if one in known)
            if earlier:
                link.execute(f"UPDATE {table} SET {earlier}")
    link.close()


def _earlier(column: str, by: timedelta) -> str:
    return f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{by.days} days')"


def _watch(prefect: Prefect, seconds: float) -> int:
    """The server's cleaning at work on rows that are a month old."""
    os.environ |= _QUICK  # what is set in the environment wins over flows/server.env
    plain = prefect.runs.environment
    prefect.runs.environment = lambda: plain() | _QUICK  # type: ignore[method-assign]
    before = prefect.rows()
    with prefect.serving():
        until = time.monotonic() + seconds
        while time.monotonic() < until and (prefect.rows().get("flow_run", 0) or prefect.rows().get("events", 0) > 500):
            time.sleep(5)
        time.sleep(10)
        after = prefect.rows()
        prefect.note("after a month", (0.0, prefect.done))
    grown = ("flow_run", "flow_run_state", "task_run", "task_run_state", "events", "event_resources", "log", "artifact")
    for table in grown:
        say(f"  {table}: {before.get(table, 0):,} rows before, {after.get(table, 0):,} after")
    return int(bool(after.get("flow_run", 0)) or after.get("events", 0) > before["events"] / 10)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.runs", description=__doc__)
    parser.add_argument("--idle", type=int, default=30, help="calls of `flows tick`, four runs each, that find nobody")
    parser.add_argument("--busy", type=int, default=15, help="calls on as many mornings, when every sequence writes")
    parser.add_argument("--rounds", type=int, default=8, help="runs of each segment's deployment by a worker")
    parser.add_argument("--seconds", type=float, default=180, help="how long the cleaning is watched at most")
    parser.add_argument("--folder", type=Path, help="kept afterwards; else a temporary one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
