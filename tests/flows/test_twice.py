"""Every flow started twice: Prefect may deliver a run more than once, and two schedulers may fire in one second."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.routing import nurture_routing
from flows.segment import nurture_segment
from nurture.records import Touch
from tests.flows.conftest import ROOT
from tests.flows.house import House

FLOWS: dict[str, tuple[Any, str, dict[str, str]]] = {
    "a segment's": (nurture_segment, "flows/segment.py:nurture_segment", {"segment": "evaluators"}),
    "the routing": (nurture_routing, "flows/routing.py:nurture_routing", {}),
}
TIMES = {"one run that is delivered twice": 1, "two runs in the same second": 2}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", FLOWS)
def test_started_twice_nothing_is_sent_twice(house: House, server: str, name: str, times: str) -> None:
    """Two processes at once: each message and each notice once, whatever Prefect shows of it."""
    flow, entrypoint, parameters = FLOWS[name]
    house.arrive(12)
    house.at(house.start)
    if name == "the routing":
        for who in list(house.ids)[:3]:
            house.event(who, "demo_requested")
    with get_client(sync_client=True) as client:
        at = {**parameters, "at": house.now.isoformat()}
        runs = [client.create_flow_run(flow, parameters=at) for _ in range(TIMES[times])]
    started = [start(str(run.id), entrypoint, server) for run in (runs * 2)[:2]]
    codes = [one.wait(90) for one in started]
    house.flow(at=house.now)
    house.flow("routing")

    keys = Counter((kept.to, message_id(kept.payload)) for kept in house.mail.messages)
    notices = sum("mihai@acme.example" in to for to, _ in keys)
    assert min(codes) == 0
    assert max(keys.values()) == 1
    assert {row.state for row in house.rows(Touch)} == {"sent"}
    assert notices == (3 if name == "the routing" else 0)


def start(run: str, entrypoint: str, url: str) -> subprocess.Popen[bytes]:
    """A process that executes this run, as a worker starts it."""
    env = os.environ | {
        "PREFECT__FLOW_RUN_ID": run,
        "PREFECT__FLOW_ENTRYPOINT": entrypoint,
        "PREFECT_API_URL": url,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    command = [sys.executable, "-m", "flows", "engine"]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def message_id(payload: bytes) -> bytes:
    return next(line for line in payload.split(b"\r\n") if line.lower().startswith(b"message-id:"))
