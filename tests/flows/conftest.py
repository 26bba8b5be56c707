"""One Prefect server for all tests of the flows, started once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from flows.__main__ import shipped
from tests.flows.fake_machine import FakeMachine

Stage = Callable[..., FakeMachine]


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    """A real server with the shipped settings, on a port and a database of its own."""
    quick: dict[Any, Any] = {PREFECT_LOGGING_TO_API_ENABLED: False, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shipped().items():
            if not name.endswith(("_URL", "_HOST", "_PORT")):
                patch.setenv(name, value)
        with prefect_test_harness(server_startup_timeout=120), temporary_settings(quick):
            yield


@pytest.fixture
def stage(server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Put a scripted machine behind the flows."""

    def put(**script: Any) -> FakeMachine:
        machine = FakeMachine(**script)
        for module in ("segment", "routing", "deploy"):
            monkeypatch.setattr(f"flows.{module}.open_machine", lambda: machine)
        return machine

    yield put
    gc.collect()  # Prefect's clients leave sockets to the collector: here, and not in somebody else's test
