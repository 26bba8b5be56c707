"""The long form: `python -m tests.faults --touches 100000 --kills 1000 --database sqlite` (or postgres).

Exit code 1 when anything went out twice, was lost, or is in doubt without a cause.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from nurture.db import migrate
from tests.faults.campaign import Campaign
from tests.faults.plan import Plan, prepare, started
from tests.faults.servers import durable, restart, stubborn_server
from tests.postgres import Server


def main() -> int:
    """Prepare, strike, judge, print."""
    asked = _asked()
    folder = Path(tempfile.mkdtemp(prefix="nurture-faults-"))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(stubborn_server()) if asked.database == "postgres" else None
        url = durable(server, server.create()) if server else f"sqlite:///{folder}/nurture.db"
        migrate(url)
        plan = Plan(
            url=url,
            folder=folder,
            touches=asked.touches,
            kills=asked.kills,
            segments=asked.segments,
            orderly=asked.orderly,
            disorderly=asked.disorderly,
            lease=asked.lease,
            planned_first=asked.touches > 5_000,
            seed=asked.seed,
            patience=asked.patience,
            restarts=asked.restarts if server else 0,
            restart=_restarting(server),
        )
        _tell(f"{started()} {platform.python_implementation()} {platform.python_version()}, {platform.platform()}")
        prepare(plan)
        _tell(f"{started()} prepared in {folder}")
        outcome = Campaign(plan, _tell).run()
        for word, figure in outcome.lines():
            _tell(f"{word:<24}{figure}")
        for line in [*outcome.duplicates, *outcome.unexplained][:50]:
            _tell(f"  {line}")
        _tell("all promises held" if outcome.good else f"BROKEN; everything is kept in {folder}")
    if outcome.good:
        shutil.rmtree(folder)
    return 0 if outcome.good else 1


def _restarting(server: Server | None) -> Callable[[], None] | None:
    return (lambda: restart(server)) if server is not None else None


def _asked() -> argparse.Namespace:
    ask = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    ask.add_argument("--touches", type=int, default=100_000)
    ask.add_argument("--kills", type=int, default=1_000)
    ask.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    ask.add_argument("--segments", type=int, default=3)
    ask.add_argument("--orderly", type=int, default=2, help="workers that take the segment's lease")
    ask.add_argument("--disorderly", type=int, default=1, help="workers that do not")
    ask.add_argument("--lease", type=float, default=1.0, help="seconds")
    ask.add_argument("--restarts", type=int, default=3, help="immediate restarts of PostgreSQL")
    ask.add_argument("--patience", type=float, default=7_200, help="seconds until it is given up")
    ask.add_argument("--seed", type=int, default=1)
    return ask.parse_args()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
