"""What every benchmark shares: its arguments, the machine's facts, rounds in turn, tables, and a file of JSON.

    with common.bench(__doc__) as b:
        leads = 1_000 if b.small else 100_000
        for name, url in b.databases("leads"):
            found = common.rounds(ours, theirs, 3)       # each gives one figure, a float
            rows.append({"database": name, "ours": found.ours, "theirs": found.theirs, "ratio": found.ratio})
        b.table("touches a second", rows)

`relay.py` has smtp-sink and smtp-source, `crowd.py` fills databases with leads and their past. Raise `Missing` where a
tool is not here: the benchmark says so and is over. A wrong result is an `assert`: the run fails.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `tests.postgres` starts a server of the benchmark's own
T = TypeVar("T")
Rows = Sequence[Mapping[str, Any]]
#: A server as a house runs it, where the tests' leaves out what keeps data over a loss of power.
POSTGRES = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "256MB"}


class Missing(Exception):
    """A tool that this machine has not; says how to get it."""


@dataclass
class Bench:
    """One benchmark under way. `numbers`: the arguments that are numbers."""

    name: str
    small: bool
    numbers: list[int]
    #: A folder of its own, removed at the end.
    folder: Path
    stack: ExitStack
    tables: list[dict[str, Any]] = field(default_factory=list)
    #: Versions of whatever took part, besides what `machine` names.
    versions: dict[str, str] = field(default_factory=dict)
    _server: Any = None

    def size(self, small: int, large: int) -> int:
        """The first number that was given, else what the form says."""
        return self.numbers[0] if self.numbers else small if self.small else large

    def postgres(self, name: str) -> str:
        """The URL of a new, empty database on a PostgreSQL server that lives as long as the benchmark."""
        if self._server is None:
            from tests import postgres

            postgres.CONFIGURATION.update(POSTGRES)
            self._server = self.stack.enter_context(postgres.server())
            self.versions["PostgreSQL"] = self._server.version
        return str(self._server.url(self._server.create(name=name)))

    def databases(self, *names: str) -> Iterator[tuple[str, Any]]:
        """("SQLite", url), then ("PostgreSQL", url); with several names a tuple of URLs for each."""
        for kind in ("SQLite", "PostgreSQL"):
            lite = kind == "SQLite"
            urls = tuple(f"sqlite:///{self.folder}/{name}.db" if lite else self.postgres(name) for name in names)
            yield kind, urls[0] if len(urls) == 1 else urls

    def table(self, title: str, rows: Rows, *notes: str) -> None:
        """Print rows under their keys, with notes below, and keep them for the JSON."""
        print(f"\n{title}")
        if rows:
            heads = list(dict.fromkeys(key for row in rows for key in row))
            lines = [heads, *([told(row.get(head)) for head in heads] for row in rows)]
            widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
            left = [all(isinstance(row.get(head), str | None) for row in rows) for head in heads]
            for line in lines:
                cells = zip(line, widths, left, strict=True)
                print("  ".join(f"{cell:<{wide}}" if by else f"{cell:>{wide}}" for cell, wide, by in cells).rstrip())
        for note in notes:
            print(note)
        sys.stdout.flush()
        self.tables.append({"title": title, "rows": [dict(row) for row in rows], "notes": list(notes)})


def told(value: Any) -> str:
    """A cell: three digits that count, thousands apart."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@contextmanager
def bench(doc: str | None) -> Iterator[Bench]:
    """Read the arguments, make a folder, and print and write what was found, with the machine and its load."""
    gc.set_threshold(50_000)  # as every command does
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(name, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", metavar="small|N", help="the small form, or sizes in numbers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there as well")
    given = parser.parse_args()
    numbers = [int(word.replace("_", "")) for word in given.sizes if word != "small"]
    facts, began = machine(), time.time()
    told_: dict[str, Any] = {"benchmark": name, "small": "small" in given.sizes, "sizes": numbers}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
        one = Bench(name, bool(told_["small"]), numbers, folder, stack)
        try:
            yield one
        except Missing as tool:
            print(f"{name}: {tool}")
            told_["missing"] = str(tool)
        stack.close()
    told_ |= {"date": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")}
    told_ |= {"seconds": round(time.time() - began, 1), "load": [facts.pop("load"), load()]}
    told_ |= {"machine": facts | one.versions, "tables": one.tables}
    print(f"\n{name}: {told_['seconds']} s, load {told_['load'][0]} to {told_['load'][1]}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(told_, indent=1, default=str) + "\n", "utf-8")


def machine() -> dict[str, Any]:
    """What this machine is, and what runs on it; `load` is that of the last minute."""
    about = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in about if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.platform(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "OpenSSL": ssl.OPENSSL_VERSION,
        "load": load(),
    }


def load() -> float:
    """How many processes have wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


@dataclass
class Rounds:
    """Figures of two sides that took turns."""

    ours_each: list[float]
    theirs_each: list[float]

    @property
    def ours(self) -> float:
        """Our median."""
        return statistics.median(self.ours_each)

    @property
    def theirs(self) -> float:
        """The other side's median."""
        return statistics.median(self.theirs_each)

    @property
    def ratios(self) -> list[float]:
        """Ours to theirs, round by round."""
        return [mine / other for mine, other in zip(self.ours_each, self.theirs_each, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)


def in_turn(sides: Mapping[str, Callable[[], float]], count: int = 3, warm: int = 0) -> dict[str, list[float]]:
    """Each side's figures: all sides once a round, `count` rounds after `warm` that do not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm + count):
        for name, side in sides.items():
            figure = side()
            if number >= warm:
                found[name].append(figure)
    return found


def rounds(ours: Callable[[], float], theirs: Callable[[], float], count: int = 3, warm: int = 0) -> Rounds:
    """Two sides in turn."""
    found = in_turn({"ours": ours, "theirs": theirs}, count, warm)
    return Rounds(found["ours"], found["theirs"])


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of the wall, and what came out."""
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def cpu(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of this process's CPU, all threads, and what came out."""
    began = time.process_time()
    done = work()
    return time.process_time() - began, done


def beside() -> float:
    """Seconds of CPU so far of the processes that make letters for this one."""
    ticks = 0
    for task in Path("/proc/self/task").glob("*/children"):
        for child in task.read_text("utf-8").split():
            if "nurture.engine.press" in Path(f"/proc/{child}/cmdline").read_text("utf-8"):
                ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mb() -> float:
    """The most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Child:
    """A process that has ended well: seconds of the wall and of CPU, the most memory it held, and what it said."""

    seconds: float
    cpu: float
    megabytes: float
    said: str


def child(*command: str | Path, env: Mapping[str, str] | None = None) -> Child:
    """Run a command to its end. Raises AssertionError with what it said if it ends badly."""
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        most, over = [0], threading.Event()
        looking = threading.Thread(target=_look, args=(process.pid, most, over))
        looking.start()
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        over.set()
        looking.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    assert process.returncode == 0, f"{' '.join(map(str, command))}: {process.returncode}\n{said[-4000:]}"
    return Child(took, used.ru_utime + used.ru_stime, most[0] / 1024, said)


def _look(pid: int, most: list[int], over: threading.Event) -> None:
    """Keep a process's own high-water mark, in kilobytes; getrusage's counts ours, from before it was that program."""
    while not over.is_set():
        try:
            about = Path(f"/proc/{pid}/status").read_text("utf-8")
        except OSError:
            return
        most[0] = max(most[0], *(int(line.split()[1]) for line in about.splitlines() if line.startswith("VmHWM")), 0)
        over.wait(0.05)
