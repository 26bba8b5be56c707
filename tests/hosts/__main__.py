"""Two hosts, one house: `python -m tests.hosts` (Linux, as root; some fifteen minutes; names of scenarios pick some).

Makes network namespaces with a bridge, PostgreSQL, Prefect's server and a relay on it, and two hosts with a worker each;
strikes them while they send, and compares the books with what the relay took. Nothing listens outside the namespaces, and
nothing is left. Exit code 1 when a promise was broken; a sentence and 0 where the machine lacks what it takes.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.hosts.installation import installation
from tests.hosts.network import lacking, network
from tests.hosts.trial import HEADS, SCENARIOS, Trial


def main() -> int:
    """Set up, play, print."""
    ask = argparse.ArgumentParser("python -m tests.hosts", description=__doc__)
    ask.add_argument("scenarios", nargs="*", metavar="|".join(one.slug for one in SCENARIOS))
    asked = ask.parse_args().scenarios
    chosen = [one for one in SCENARIOS if not asked or one.slug in asked]
    if (lacks := lacking()) is not None:
        tell(f"The trial of two hosts was not run: {lacks}.")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who ends it leaves nothing behind either
    folder = Path(tempfile.mkdtemp(prefix="nurture-hosts-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    tell(f"{platform.platform()}, Python {platform.python_version()}; everything is in {folder}")
    with network(folder, ["a", "b"]) as hosts, installation(folder, hosts, [one.slug for one in chosen]) as house:
        trial = Trial(house, tell)
        for host in hosts:
            house.worker(host)
        found = []
        for scenario in chosen:
            tell(f"{scenario.slug}: {scenario.said}")
            found.append(trial.play(scenario))
            for line in found[-1].broken[:20]:
                tell(f"  BROKEN: {line}")
        trial.db.dispose()
        rows = [list(HEADS), *(one.row() for one in found)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
        for row in rows:
            tell("  ".join(f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=True)).rstrip())
    if any(one.broken for one in found):
        tell(f"BROKEN; everything is kept in {folder}")
        return 1
    tell("all promises held")
    shutil.rmtree(folder)
    return 0


def tell(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
