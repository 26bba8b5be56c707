"""The deployments on the shipped server: made from what is live, started by schedules and by the doorbell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields

from flows import events
from flows.__main__ import shipped
from flows.deploy import deploy, pause_others, with_segments
from nurture.channels.mailbox import KeptMail
from nurture.clock import SystemClock
from tests.engine.world import program
from tests.flows.conftest import ROOT
from tests.flows.house import EVALUATORS, FILES, House

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
SEGMENTS = program(saas_evaluators=EVALUATORS, win_back=EVALUATORS, trade_fair=EVALUATORS)


@dataclass
class Installation:
    """Three live segments, of which prefect.yaml does not name the last; a worker that runs what is due."""

    house: House
    said: dict[str, list[str]]
    worker: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def deployed(server: str, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("deployed")
    url = f"sqlite:///{shutil.copyfile(migrated_sqlite, folder / 'nurture.db')}"
    with KeptMail() as mail, pytest.MonkeyPatch.context() as patch:
        own = {"HOME": str(folder), "DATABASE_URL": url, "SMTP_URL": mail.url}
        for name, value in own.items():
            patch.setenv(f"NURTURE_{name}", value)
        house = House(url, mail, FILES | SEGMENTS, SystemClock().now())  # the worker has no other clock
        said = deploy()
        env = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": os.pathsep.join(["src", *sys.path]),
                            "PREFECT_WORKER_QUERY_SECONDS": "1"}  # fmt: skip
        with (folder / "worker.log").open("w") as log:
            command = [sys.executable, "-m", "flows", "worker"]
            worker = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            yield Installation(house, said, worker)
        finally:
            worker.terminate()
            worker.wait(30)
            house.close()


def wait_until(found: Callable[[], Any]) -> Any:
    """The first answer that is not empty; the last one when time is over."""
    deadline = time.monotonic() + 120
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


def runs(test: Callable[[FlowRun], bool]) -> list[FlowRun]:
    with get_client(sync_client=True) as client:
        return [run for run in client.read_flow_runs() if run.deployment_id is not None and test(run)]


def test_one_deployment_per_live_segment(deployed: Installation) -> None:
    with get_client(sync_client=True) as client:
        one = client.read_deployment_by_name("nurture-segment/trade-fair")
        lost = client.read_automations_by_name("nurture: lost run")
        pool = client.read_work_pool("nurture")

    assert deployed.said == {
        "deployed": ["saas-evaluators", "win-back", "approval", "helping", "routing", "evaluators", "trade-fair"],
        "paused": [],
    }  # fmt: skip
    assert (one.parameters, one.schedules[0].slug) == ({"segment": "trade-fair"}, "trade-fair")
    assert one.global_concurrency_limit is not None
    assert one.global_concurrency_limit.limit == 1
    assert one.concurrency_options is not None
    assert one.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert len(lost) == 1
    assert pool.type == "process"


def test_a_doorbell_starts_a_run_that_tells_sales(deployed: Installation) -> None:
    """Two leads ask, the bell rings twice; a worker carries a run that shows both, and each notice arrives once.

    A tick that falls due by the clock in the same minute may have opened and told them before.
    """
    house = deployed.house
    for name in ("ana", "ben"):
        house.lead(name)
        house.event(name, "demo_requested")
        events.ring()

    assert house.mail.wait(2, 60)
    ended = wait_until(lambda: runs(lambda run: run.name.startswith("routing ") and bool(run.end_time)))
    assert ended[-1].state.message.endswith("waiting 2")
    assert {run.state.name for run in ended} == {"Completed"}
    assert house.addressed("mihai@acme.example") == 2


def test_a_run_of_a_deployment_serves_its_segment(deployed: Installation) -> None:
    house = deployed.house
    with get_client(sync_client=True) as client:
        one = client.read_deployment_by_name("nurture-segment/evaluators")
        for schedule in one.schedules:  # a run of the schedule in the same minute would serve them first
            client.update_deployment_schedule(one.id, schedule.id, active=False)
        begun = {StateType.PENDING, StateType.RUNNING}
        wait_until(lambda: not runs(lambda run: run.state_type in begun))
        house.arrive(2)
        made = client.create_flow_run_from_deployment(one.id, parameters={"at": house.now.isoformat()})

        (ended,) = wait_until(lambda: runs(lambda run: run.id == made.id and bool(run.end_time)))

    assert (ended.name, ended.state.name) == (f"evaluators {house.now:%Y-%m-%d %H:%M}", "Completed")
    assert "sent 4" in ended.state.message


def test_a_schedule_makes_runs(deployed: Installation) -> None:
    """Prefect's own scheduler, which fails on SQLAlchemy 2.1 unless `flows.server` mends it."""
    assert wait_until(lambda: runs(lambda run: run.auto_scheduled))


def test_a_segment_that_is_no_longer_live_is_paused(deployed: Installation) -> None:
    with get_client(sync_client=True) as client:
        gone = pause_others(client, ["saas-evaluators", "win-back", "routing", "evaluators"])

        assert gone == ["trade-fair"]
        assert client.read_deployment_by_name("nurture-segment/trade-fair").paused


def test_a_new_segment_is_built_like_the_others() -> None:
    pattern = {
        "entrypoint": "flows/segment.py:nurture_segment",
        "tags": ["segment"],
        "description": "A tick.",
    }
    plan = {"definitions": {"segment": pattern}, "deployments": []}

    (made,) = with_segments(plan, ["trade-fair"])["deployments"]

    assert (made["name"], made["parameters"]) == ("trade-fair", {"segment": "trade-fair"})
    assert "/v2/artifacts/key/sequence-trade-fair" in made["description"]


def test_the_servers_settings_exist() -> None:
    """Prefect passes over a variable that it does not know in silence."""
    names = {name for name in shipped() if name.startswith("PREFECT_")}

    assert names <= {field.upper() for field in _get_settings_fields(Settings)}
