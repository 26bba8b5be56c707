"""A month in one sitting: `python -m tests.soak --people 20000 --days 30`; exit code 1 where a promise was broken.

Real channels, journals, web app and database; the clock alone is virtual. It prints a line for each day.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.soak.day import Day
from tests.soak.story import Month, Plan

_COLUMNS = (
    ("day", 4), ("wall", 6), ("cpu", 6), ("sent", 7), ("ticks", 6), ("ms/tick", 8), ("rss", 6), ("fds", 4), ("thr", 4), ("vers", 5),
    ("plans", 6), ("stmts", 6), ("db MB", 7), ("free", 6), ("wal", 6), ("jrn", 4), ("jrnMB", 6), ("files", 6),
    ("touches", 8), ("events", 8), ("opening", 8),
)  # fmt: skip


def main() -> int:
    """Run, judge, print."""
    asked = _asked()
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nurture-soak-")))
        url = None
        if asked.database == "postgres":
            from tests.faults.servers import durable
            from tests.postgres import server

            running = stack.enter_context(server())
            url = durable(running, running.create())
        every = range(1, asked.days + 1)
        plan = Plan(
            asked.people, asked.days, (folder / "home").resolve(), url,
            fresh=frozenset({asked.fresh}), killed=frozenset({asked.killed}),
            edits=frozenset(day for day in every if day % 4 == 3), forgets=frozenset(day for day in every if day % 3 == 0),
            profiles=frozenset(day for day in every if day in (2, asked.days - 2)) if asked.profile else frozenset(),
        )  # fmt: skip
        month = Month(plan, _tell)
        _say("".join(word.rjust(width) for word, width in _COLUMNS) + "  (leftovers)")
        try:
            month.run()
        finally:
            if asked.json:
                asked.json.write_text(json.dumps([asdict(day) for day in month.days], indent=1))
        for number, counts in month.objects.items():
            _say(f"objects after day {number}: {dict(counts.most_common(12))}")
        for day in (month.days[0], month.days[-1]):
            _say(f"rows after day {day.number}: { {name: rows for name, rows in day.tables.items() if rows} }")
        for entry in month.entries:
            _say(f"{'ok ' if entry.balances else 'BAD'} {entry.what}: {entry.outside} | {entry.inside}")
        for sentence in month.broken:
            _say(f"BROKEN {sentence}")
    return 0 if not month.broken and all(entry.balances for entry in month.entries) else 1


def _tell(day: Day) -> None:
    held, disk, rows = day.held, day.disk, day.tables
    per = 1000 * held["tick_cpu"] / held["ticks"] if held["ticks"] else 0
    figures = (
        day.number, f"{held['wall']:.0f}", f"{held['cpu']:.0f}", int(held["sent"]), int(held["ticks"]), f"{per:.0f}",
        f"{held['rss_mb']:.0f}", int(held["files"]), int(held["threads"]), int(held["versions"]), int(held["plans"]),
        int(held["statements"]), f"{disk['db_mb']:.1f}", f"{disk.get('free_mb', 0):.1f}", f"{disk.get('wal_mb', 0):.1f}",
        int(disk["journals"]), f"{disk['journal_mb']:.2f}", int(disk["home_files"]), rows["touch"], rows["event"],
        rows["opening"],
    )  # fmt: skip
    left = {name: count for name, count in day.stuck.items() if count}
    _say("".join(str(it).rjust(width) for it, (_, width) in zip(figures, _COLUMNS, strict=False)) + f"  {left or '-'}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--folder", type=Path, help="kept afterwards; else a temporary one")
    parser.add_argument("--json", type=Path, help="every figure of every day")
    parser.add_argument(
        "--fresh", type=int, default=3, help="the day on which each tick is a process of its own; 0: none"
    )
    parser.add_argument("--killed", type=int, default=4, help="the day on which it is killed before each tick; 0: none")
    parser.add_argument("--profile", action="store_true", help="cProfile of day 2 and of the last but two")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
