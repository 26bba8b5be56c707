"""Real flow runs: a Prefect server of the demo's own, `python -m flows tick`, and the server's word."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select
from sqlmodel import col

from nurture import clock as clocks
from nurture.db import Database
from nurture.errors import NurtureError
from nurture.records import Touch
from nurture.settings import Settings

_COUNT = re.compile(r"(\w+) ([\d,]+)")
#: What a run and our ledger both count, for good.
COUNTED = ("sent", "suppressed", "failed", "expired", "uncertain")


class FlowsFault(NurtureError):
    """The flows or their server did not do what they should."""


@dataclass(frozen=True)
class Run:
    """A flow run as `python -m flows tick` reported it."""

    id: str
    name: str
    segment: str


@dataclass
class Checked:
    """A run, in the words of Prefect's API and of our ledger."""

    run: Run
    state: str
    said: dict[str, int] = field(default_factory=dict)
    ours: dict[str, int] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return self.state == "COMPLETED" and all(self.said.get(w, 0) == self.ours.get(w, 0) for w in COUNTED)


class PrefectRuns:
    """The server's address, and the runs so far."""

    def __init__(self, root: Path, folder: Path, settings: Settings) -> None:
        self._root, self._folder, self._settings = root, folder, settings
        self.port = _free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.runs: list[Run] = []

    def environment(self) -> dict[str, str]:
        """The house and the server for another process; nothing of the surroundings' own settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("NURTURE_", "PREFECT_"))}
        settings = self._settings
        assert settings.smtp_url is not None
        assert settings.sms_url is not None
        return own | {
            "NURTURE_HOME": str(settings.home.resolve()),
            "NURTURE_DATABASE_URL": f"sqlite:///{settings.home.resolve() / 'nurture.db'}",
            "NURTURE_TEMPLATES": str(settings.templates.resolve()),
            "NURTURE_SMTP_URL": settings.smtp_url.get_secret_value(),
            "NURTURE_SMS_URL": settings.sms_url.get_secret_value(),
            "NURTURE_PUBLIC_URL": settings.public_url,
            "PREFECT_HOME": str(self._folder.resolve()),
            "PREFECT_API_URL": self.api,
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }

    @contextmanager
    def server(self) -> Iterator[None]:
        """A Prefect server while the block lasts; it is not waited for here."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "server.log").open("w") as log:
            command = [sys.executable, "-m", "flows", "server", "--port", str(self.port)]
            process = subprocess.Popen(
                command,
                cwd=self._root,
                env=self.environment() | {"NURTURE_PARENT": str(os.getpid())},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                self._process = process
                yield
            finally:
                _end(process)

    def ready(self, seconds: float = 60) -> None:
        """Wait until the server answers. Raises FlowsFault when it does not."""
        until = clocks.monotonic() + seconds
        while clocks.monotonic() < until and self._process.poll() is None:
            try:
                if httpx.get(f"{self.api}/health", timeout=5).is_success:
                    return
            except httpx.HTTPError:
                clocks.pause(0.2)
        raise FlowsFault(f"the Prefect server did not start; {self._folder / 'server.log'} says why")

    def tick(self, segments: Sequence[str], at: datetime) -> list[Run]:
        """One flow run of each segment with its clock at `at`. Raises FlowsFault unless all are Completed."""
        stamp = at.isoformat().replace("+00:00", "Z")
        command = [sys.executable, "-m", "flows", "tick", *segments, "--at", stamp]
        done = subprocess.run(command, cwd=self._root, env=self.environment(), capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        log = self._folder / f"tick-{len(self.runs) // len(segments) + 1}.log"
        log.write_text(done.stdout + done.stderr)
        if done.returncode or len(lines) != len(segments):
            why = next((line["message"] for line in lines if line["state"] != "Completed"), None)
            said = why or (done.stderr.strip().splitlines() or ["it said nothing"])[-1].strip()
            raise FlowsFault(f"`python {' '.join(command[1:])}` failed: {said}; {log} says more")
        fresh = [Run(line["flow_run_id"], line["name"], segment) for line, segment in zip(lines, segments, strict=True)]
        self.runs += fresh
        return fresh

    def checked(self, db: Database) -> list[Checked]:
        """Every run as Prefect's API knows it, beside what our ledger holds of it."""
        found = []
        with httpx.Client(timeout=30) as prefect, db.read() as link:
            for run in self.runs:
                answer = _asked(prefect, f"{self.api}/flow_runs/{run.id}")
                message = (answer["state"] or {}).get("message") or ""
                said = {word: int(number.replace(",", "")) for word, number in _COUNT.findall(message)}
                mine = select(col(Touch.state), func.count()).where(col(Touch.run_id) == run.id)
                ours = {state: count for state, count in link.execute(mine.group_by(col(Touch.state)))}
                found.append(Checked(run, answer["state_type"], said, ours))
        return found


def _asked(prefect: httpx.Client, url: str) -> Any:
    try:
        return prefect.get(url).raise_for_status().json()
    except httpx.HTTPError as problem:
        raise FlowsFault(f"the Prefect server does not answer for {url}: {problem}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and what it started: they are a process group of their own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sign)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
