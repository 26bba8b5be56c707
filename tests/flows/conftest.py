"""One Prefect server for all tests of the flows: the shipped one, with the shipped settings."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
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

from nurture.channels.mailbox import KeptMail
from tests.flows.house import House

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep these tests on one worker, and so on one server, with `--dist=loadgroup`.

    The marks say so too, but pytest-xdist 3.8 writes the group where pytest 9.2 does not read it any more
    (pytest-dev/pytest-xdist#1386); delete this once it does.
    """
    for item in items if getattr(config.option, "loadgroup", False) else ():
        if item.path.is_relative_to(HERE) and not item.nodeid.endswith("@prefect"):
            item._id = item._id.parse(f"{item.nodeid}@prefect")


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the Prefect server keeps what it knows."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def server(prefect_home: Path) -> Iterator[str]:
    """`python -m flows server` on a free port with a database of its own; its API's address."""
    home = prefect_home
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
        gc.freeze()  # what is imported by now need not be looked through after each test
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
def house(server: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """An installation that the flows find by NURTURE_* variables: a program is live, and nobody in it."""
    with KeptMail() as mail:
        monkeypatch.setenv("NURTURE_HOME", str(tmp_path))
        monkeypatch.setenv("NURTURE_DATABASE_URL", sqlite_url)
        monkeypatch.setenv("NURTURE_SMTP_URL", mail.url)
        made = House(sqlite_url, mail)
        yield made
        made.close()
    gc.collect()  # Prefect's clients leave sockets to the collector: here, and not in somebody else's test
