"""`python -m flows`: tick, deploy, ring, server, worker; `engine` is what a worker starts for each run."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

ENV = Path(__file__).with_name("server.env")
#: Seconds that a process has to end in good order when its parent is gone.
GRACE = 10.0


def main() -> int:
    """Exit code 0 done, 1 a run did not complete or nothing was done, 2 wrong use."""
    asked = arguments().parse_args()
    end_with_parent()
    if getattr(asked, "port", None):
        os.environ |= at_port(asked.port)
    for name, value in shipped().items():
        os.environ.setdefault(name, value)
    if asked.command in ("server", "worker"):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` leaves it ignored
    if asked.command == "server":
        from flows.server import start

        start()
    if asked.command == "engine":
        return engine()
    if asked.command == "worker":
        os.environ |= findable()
        become("worker", "start", "--pool", "nurture", "--type", "process", "--limit", asked.limit)
    try:
        return tick(asked.segments, asked.at) if asked.command == "tick" else told(asked.command)
    except Exception as problem:
        if (way := way_out(problem)) is None:
            raise
        say(way, sys.stderr)
        return 1
    finally:
        gc.freeze()


def end_with_parent() -> None:
    """Whom `nurture serve` started ends when it does, even by `kill -9` (Linux's prctl(2), PR_SET_PDEATHSIG).

    By force where that takes too long: Prefect's worker may wait at its exit for a server that is gone, and for ever.
    """
    parent = os.environ.pop("NURTURE_PARENT", None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(1)  # it was gone before it could be watched
    threading.Thread(target=outlived, args=(int(parent),), daemon=True).start()


def outlived(parent: int) -> None:
    """Kill this process `GRACE` seconds after `parent` has gone."""
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)


def shipped() -> dict[str, str]:
    """The settings in flows/server.env."""
    lines = [line.split("=", 1) for line in ENV.read_text().splitlines() if "=" in line and line[0] != "#"]
    return dict(lines)


def at_port(port: int) -> dict[str, str]:
    """Three settings that must agree, or the pages stay empty."""
    url = f"http://127.0.0.1:{port}/api"
    return {"PREFECT_SERVER_API_PORT": str(port), "PREFECT_API_URL": url, "PREFECT_UI_API_URL": url}


def arguments() -> argparse.ArgumentParser:
    """The words of the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows", description="Nurture's flows in Prefect.")
    commands = parser.add_subparsers(dest="command", required=True)
    ticks = commands.add_parser("tick", help="run one tick of each segment, here and now")
    ticks.add_argument("segments", nargs="*", metavar="SEGMENT", help="a segment's name, or `routing`; else all live")
    as_if = "act as if it were this instant (2026-03-02T09:05:00Z): all of it is really done, sent and written down"
    ticks.add_argument("--at", metavar="INSTANT", help=as_if)
    commands.add_parser("deploy", help="make a deployment of each live segment, the pool and the automation")
    commands.add_parser("ring", help="have the routing flow look at once, through its deployment")
    servers = commands.add_parser("server", help="start the Prefect server with the settings of flows/server.env")
    servers.add_argument("--port", type=int, help="instead of 4200")
    workers = commands.add_parser("worker", help="start a worker of the pool `nurture`")
    workers.add_argument("--limit", default="4", metavar="N", help="runs at a time")
    commands.add_parser("engine", help="what a worker starts for each run")
    return parser


def become(*words: str) -> None:
    """Be Prefect's command, in this process."""
    sys.argv = ["prefect", *words]
    runpy.run_module("prefect", run_name="__main__")


def findable() -> dict[str, str]:
    """With these, `python -m flows` is this one, in whatever folder a worker starts it."""
    first = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(ENV.parents[1])}
    return {name: os.pathsep.join(filter(None, (own, os.environ.get(name)))) for name, own in first.items()}


def engine() -> int:
    """Become `python -m prefect.engine`, in this process, which is quicker."""
    from flows import tasks  # noqa: F401 - and all that a run needs

    sys.argv = ["prefect.engine"]
    sys.modules.pop("prefect.engine", None)  # to be the main module, without a warning that it is there already
    runpy.run_module("prefect.engine", run_name="__main__")
    return 0


def tick(segments: list[str], at: str | None) -> int:
    """Print one line of JSON per run."""
    from flows.foreground import ticks

    completed = True
    for run in ticks(segments, at):
        say(json.dumps(run))
        completed = completed and run["state"] == "Completed"
    return 0 if completed else 1


def told(command: str) -> int:
    """`deploy` prints what was deployed and what was paused; `ring` rings for the routing flow."""
    from flows import deploy, events

    say(json.dumps(deploy.deploy() if command == "deploy" else events.ring()))
    return 0


def way_out(problem: Exception) -> str | None:
    """What to tell the operator; None for a defect, which keeps its traceback."""
    from httpx import HTTPError, HTTPStatusError

    from flows.shown import Shown
    from nurture.errors import NurtureError

    if isinstance(problem, Shown | NurtureError):
        return str(problem)
    server = os.environ["PREFECT_API_URL"]
    if isinstance(problem, HTTPStatusError) and (code := problem.response.status_code) in (401, 403):
        return f"the Prefect server at {server} refuses us ({code}); look at PREFECT_API_AUTH_STRING"
    if isinstance(problem, HTTPError) or "Failed to reach API" in str(problem):
        return f"no Prefect server answers at {server}; start one: python -m flows server"
    return None


def say(line: str, stream: TextIO | None = None) -> None:
    """A line, at once."""
    (stream or sys.stdout).write(f"{line}\n")
    (stream or sys.stdout).flush()


if __name__ == "__main__":
    sys.exit(main())
