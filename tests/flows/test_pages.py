"""What the flows leave in the UI besides boxes: pages, deployments, settings."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields

from flows import artifacts
from flows.__main__ import shipped
from flows.deploy import deploy, pause_others, with_segments
from flows.routing import nurture_routing
from flows.segment import nurture_segment
from tests.flows.conftest import Stage
from tests.flows.fake_machine import FakeMachine

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def page(name: str) -> str:
    found: Any = Artifact.get(name)
    return str(found.data)


def test_a_tick_leaves_the_sequence_and_its_cohorts(stage: Stage) -> None:
    stage(due={"welcome": 1200})

    nurture_segment("saas-evaluators", at="2026-03-02T09:05:00Z")

    assert "```mermaid\nflowchart" in page("sequence-saas-evaluators")
    assert "| Welcome |  | 1,200 | 1,183 |" in page("sequence-saas-evaluators")
    assert "1183" in page("cohorts-saas-evaluators")
    assert "4711" in page("uncertain")
    assert "mql" in page("funnel")


def test_routing_tells_and_lists_by_number(stage: Stage) -> None:
    machine = stage(handoffs=3)

    state: Any = nurture_routing(at="2026-03-02T09:05:00Z", return_state=True)

    assert state.message == "opened 3, told 3, waiting 1"
    assert machine.drained == 3
    assert "demo_requested" in page("handoffs")
    assert "nothing to show" in page("uncertain")


def test_progress_is_shown_every_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short step shows none; a failure to show is not a failure to send."""
    clock, shown = [0.0], list[float]()

    def made(percent: float, **_words: str) -> UUID:
        shown.append(percent)
        return uuid4()

    def moved(_id: object, percent: float, **_words: str) -> None:
        shown.append(percent)
        raise OSError("no server")

    monkeypatch.setattr(artifacts, "monotonic", lambda: clock[0])
    monkeypatch.setattr(artifacts, "create_progress_artifact", made)
    monkeypatch.setattr(artifacts, "update_progress_artifact", moved)
    progress = artifacts.Progress("Welcome")
    for second in range(1, 11):
        clock[0] = second / 2
        progress(second * 10, 100)

    assert shown == [40, 80, 100]


@pytest.fixture(scope="module")
def deployed(server: str) -> dict[str, list[str]]:
    """Three live segments, of which prefect.yaml does not name the last."""
    machine = FakeMachine()
    machine.live = ["saas-evaluators", "win-back", "trade-fair"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.deploy.open_machine", lambda: machine)
        return deploy()


def test_deploy_makes_one_deployment_per_live_segment(deployed: dict[str, list[str]]) -> None:
    with get_client(sync_client=True) as client:
        one = client.read_deployment_by_name("nurture-segment/trade-fair")
        lost = client.read_automations_by_name("nurture: lost run")
        pool = client.read_work_pool("nurture")

    assert deployed == {"deployed": ["saas-evaluators", "win-back", "routing", "trade-fair"], "paused": []}
    assert (one.parameters, one.schedules[0].slug) == ({"segment": "trade-fair"}, "trade-fair")
    assert one.global_concurrency_limit is not None
    assert one.global_concurrency_limit.limit == 1
    assert one.concurrency_options is not None
    assert one.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert len(lost) == 1
    assert pool.type == "process"


def test_a_schedule_makes_runs(deployed: dict[str, list[str]]) -> None:
    """Prefect's own scheduler, which fails on SQLAlchemy 2.1 unless `flows.server` mends it."""
    deadline = time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            planned = [run for run in client.read_flow_runs() if run.auto_scheduled]
            if planned:
                break
            time.sleep(0.2)

    assert planned


def test_a_segment_that_is_no_longer_live_is_paused(deployed: dict[str, list[str]]) -> None:
    with get_client(sync_client=True) as client:
        gone = pause_others(client, ["saas-evaluators", "win-back", "routing"])

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
