"""Run every benchmark of this folder, each in a process of its own, and gather what they say in results.json.

`python benchmarks small` runs the small forms, `python benchmarks small touch flat` only bench_touch and bench_flat.
Ends with 1 if one of them found its own work done wrongly; one whose tool is missing says so and does no harm.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import relay
from common import Missing

HERE = Path(__file__).parent


def main() -> int:
    """Run them, and give the exit code."""
    small = "small" in sys.argv[1:]
    wanted = [f"bench_{word}" for word in sys.argv[1:] if word != "small"]
    files = [file for file in sorted(HERE.glob("bench_*.py")) if not wanted or file.stem in wanted]
    if unknown := set(wanted) - {file.stem for file in files}:
        print(f"there is no {', '.join(sorted(unknown))} in {HERE}", file=sys.stderr)
        return 2
    for tool, needing in sorted(lacking(files).items()):
        print(f"{tool}\nWithout it these measure less, or nothing: {', '.join(needing)}", flush=True)
    found, failed, began = [], [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            print(f"\n== {file.stem}", flush=True)
            told = Path(folder) / f"{file.stem}.json"
            words = [sys.executable, str(file), *(["small"] if small else []), "--json", str(told)]
            if subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode:
                failed.append(file.stem)
            elif told.exists():
                found.append(json.loads(told.read_text("utf-8")))
    results = HERE / "results.json"
    results.write_text(json.dumps({"small": small, "failed": failed, "benchmarks": found}, indent=1) + "\n", "utf-8")
    print(f"\n{len(found)} benchmarks in {time.monotonic() - began:.0f} s; their figures: {results}")
    for one in found:
        if "missing" in one:
            print(f"not measured: {one['benchmark']}: {one['missing']}")
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


def lacking(files: list[Path]) -> dict[str, list[str]]:
    """What says that a tool is missing, and the benchmarks that send mail with it."""
    told: dict[str, list[str]] = {}
    for file in files:
        try:
            if "\nimport relay\n" in file.read_text("utf-8"):
                relay.tool("smtp-sink")
        except Missing as tool:
            told.setdefault(str(tool), []).append(file.stem)
    return told


if __name__ == "__main__":
    sys.exit(main())
