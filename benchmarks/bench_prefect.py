"""What Prefect costs: a run of 10,000 touches by `nurture run`, beside the same by `nurture tick`.

Both are processes of their own on one base, in turn, each with 5,000 other leads who get two letters; the Prefect
server is the shipped one with the shipped settings and runs all the while. `bench_prefect.py small` takes 1,000 leads,
on SQLite alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import common
import httpx
import relay
from home import Home
from letters import FILES

ROUNDS = 3


@contextmanager
def prefect(folder: Path) -> Iterator[str]:
    """A Prefect server with a database of its own; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"PREFECT_HOME": str(folder), "PYTHONPATH": f"{common.ROOT / 'src'}{os.pathsep}{common.ROOT}"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "server", "--port", port],
            cwd=common.ROOT, env=env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/api/health"):
            assert process.poll() is None, (folder / "server.log").read_text("utf-8")[-3000:]
            assert time.monotonic() < deadline, "the Prefect server does not answer"
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    """Whether somebody is there."""
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def compare(kind: str, url: str, sink: relay.Sink, port: str, folder: Path, leads: int) -> list[dict[str, Any]]:
    """Rounds of both on one database: whole processes, and from the flow's start to its end."""
    home = Home(folder, url, sink.url, FILES)
    env = {"NURTURE_PREFECT_LISTEN": f"127.0.0.1:{port}", "PREFECT_HOME": str(folder / "prefect")}
    env["PYTHONDONTWRITEBYTECODE"] = ""  # as an installed program, which is not compiled anew at each start
    children: dict[str, list[common.Child]] = {"run": [], "tick": [], "empty run": [], "empty tick": []}

    def side(name: str) -> float:
        empty, word = name.startswith("empty"), name.split()[-1]
        if not empty:
            home.arrive(leads)
        taken = sink.taken()
        children[name].append(ran := home.nurture(word, "bench", **env))
        assert sink.taken() - taken == (0 if empty else 2 * leads), ran.said
        return ran.seconds

    found = common.in_turn({name: (lambda name=name: side(name)) for name in children}, ROUNDS, warm=1)  # type: ignore[misc]
    assert home.count("state <> 'sent'") == 0
    home.db.dispose()
    shares = [1 - tick / run for run, tick in zip(found["run"], found["tick"], strict=True)]
    return [
        {
            "database": kind, "touches": 2 * leads, "nurture run s": median(found["run"]),
            "nurture tick s": median(found["tick"]), "Prefect's share": f"{median(shares):.0%}",
            "run, nobody due s": median(found["empty run"]), "tick, nobody due s": median(found["empty tick"]),
            "us of CPU a touch, run": 1e6 * median(one.cpu for one in children["run"][1:]) / (2 * leads),
            "tick": 1e6 * median(one.cpu for one in children["tick"][1:]) / (2 * leads),
            "MB, run": median(one.megabytes for one in children["run"][1:]),
            "MB, tick": median(one.megabytes for one in children["tick"][1:]),
        }
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    with common.bench(__doc__) as b:
        leads = b.size(1_000, 5_000)
        rows: list[dict[str, Any]] = []
        server = b.folder / "server"
        server.mkdir()
        with relay.sink(b.folder) as sink, prefect(server) as port:
            for kind, url in b.databases("prefect"):
                rows += compare(kind, url, sink, port, b.folder / kind, leads)
                if b.small:
                    break
        b.table(f"a run's seconds with Prefect and without, medians of {ROUNDS} rounds in turn; goal 10 %", rows)


if __name__ == "__main__":
    main()
