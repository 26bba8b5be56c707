"""One Prefect server for all tests of the flows: the shipped one, with the shipped settings."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from tests.flows.fake_machine import FakeMachine

ROOT = Path(__file__).parents[2]
Stage = Callable[..., FakeMachine]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python -m flows server` on a free port with a database of its own; its API's address."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    with (home / "server.log").open("w") as log:
        command = [sys.executable, "-m", "flows", "server", "--port", port]
        env = os.environ | {"PREFECT_HOME": str(home), "PYTHONPATH": os.pathsep.join(["src", *sys.path])}
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        wait_for(url, process, home / "server.log")
        quick: dict[Any, Any] = {
            PREFECT_LOGGING_TO_API_ENABLED: False,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
        with temporary_settings({PREFECT_API_URL: url, **quick}):
            yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers; its log is the failure's text."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def stage(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Put a scripted machine behind the flows."""

    def put(**script: Any) -> FakeMachine:
        machine = FakeMachine(**script)
        for module in ("segment", "routing", "deploy"):
            monkeypatch.setattr(f"flows.{module}.open_machine", lambda clock=None: machine)
        return machine

    yield put
    gc.collect()  # Prefect's clients leave sockets to the collector: here, and not in somebody else's test
