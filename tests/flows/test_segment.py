"""What an operator sees of a tick: which boxes, in what order, in what colour."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows import tasks
from flows.segment import nurture_segment
from nurture.engine.reports import StepView
from nurture.errors import DatabaseGone
from tests.flows.conftest import Stage

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
AT = "2026-03-02T09:05:00Z"


def run(segment: str = "saas-evaluators", at: str | None = AT) -> Any:
    return nurture_segment(segment, at=at, return_state=True)


def boxes(state: Any, expected: int) -> dict[str, tuple[str, list[str]]]:
    """Label: (colour, labels of parents), as the server has recorded them."""
    this = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + 20
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(flow_run_filter=this)
            final = [one for one in runs if one.state and one.state.is_final()]
            if len(final) >= expected or time.monotonic() > deadline:
                break
            time.sleep(0.1)
    names: dict[UUID, str] = {one.id: one.name for one in runs}
    return {
        one.name: (
            str(one.state and one.state.name),
            sorted(names[parent.id] for parent in one.task_inputs["upstream"] if hasattr(parent, "id")),
        )
        for one in runs
    }


def test_the_graph_is_the_sequence(stage: Stage) -> None:
    """Leads due at the start, and those they become on the way, are boxes; the branch forks and joins."""
    stage(due={"interested": 300, "demo": 80})

    state = run()

    assert boxes(state, 7) == {
        "Interested?: 300": ("Completed", []),
        "Case study: 100": ("Completed", ["Interested?: 300"]),
        "Retarget: social ads: 200": ("Completed", ["Interested?: 300"]),
        "ROI guide: 200": ("Completed", ["Retarget: social ads: 200"]),
        "Demo requested?: 80": ("Completed", ["Case study: 100", "ROI guide: 200"]),
        "Hand to sales: 10": ("Completed", ["Demo requested?: 80"]),
        "Demo invitation: 70": ("Completed", ["Demo requested?: 80"]),
        "Sequence complete: 80": ("Completed", ["Demo invitation: 70", "Hand to sales: 10"]),
    }
    assert state.message.startswith("steps 8, due 1,040")


def test_steps_without_anybody_are_folded_away(stage: Stage) -> None:
    """The edge goes on to the nearest step that runs."""
    stage(due={"welcome": 50, "demo": 8})

    state = run()

    assert boxes(state, 5)["Demo requested?: 8"] == ("Completed", ["Welcome: 50"])


def test_a_failed_step_is_red_and_the_others_serve_their_cohorts(stage: Stage) -> None:
    machine = stage(due={"welcome": 50, "demo": 8}, breaks={"welcome": "row of ana@example.com"})

    state = run()

    seen = boxes(state, 4)
    assert seen["Welcome: 50"][0] == "Failed"
    assert seen["Demo requested?: 8"] == ("Completed", ["Welcome: 50"])
    assert state.is_failed()
    assert state.message.startswith("failed: welcome; the other steps")
    assert sorted(machine.attempts) == ["demo", "done", "invite", "to_sales", "welcome"]


def test_no_data_of_a_lead_reaches_prefect(stage: Stage) -> None:
    """What a driver says may quote a row; only its kind and place are shown."""
    stage(due={"welcome": 50}, breaks={"welcome": "row of ana@example.com"})
    this = run().state_details.flow_run_id

    with get_client(sync_client=True) as client:
        boxes_of = FlowRunFilter(id=FlowRunFilterId(any_=[this]))
        run_now = client.read_flow_run(this)
        shown = f"{run_now.state} {run_now.parameters} {client.read_task_runs(flow_run_filter=boxes_of)}"

    assert "ana@" not in shown
    assert run_now.name == "saas-evaluators 2026-03-02 09:05"


def test_a_channel_that_is_down_is_red_and_still_counted(stage: Stage) -> None:
    stage(due={"welcome": 50}, down={"welcome": "SMTP relay 127.0.0.1:25 refuses connections"})

    state = run()

    assert state.is_failed()
    assert "retrying 50" in state.message


def test_nobody_due_makes_no_box(stage: Stage) -> None:
    machine = stage(handoffs=2)

    state = run()

    assert (state.name, state.message) == ("Completed", "nobody due")
    assert boxes(state, 0) == {}
    assert machine.drained == 2  # settling opened hand-offs: their notices leave all the same


def test_a_busy_segment_is_cancelled_not_failed(stage: Stage) -> None:
    machine = stage(due={"welcome": 50}, busy=True)

    state = run()

    assert state.name == "Cancelled"
    assert "another run carries it" in state.message
    assert machine.attempts == []


@pytest.mark.parametrize(
    ("segment", "at", "says"),
    [("nobody", AT, "Nothing is live under 'nobody'"),
     ("win-back", "2026-03-02T09:05", "has no zone"),
     ("win-back", "noon", "is not an instant")],
)  # fmt: skip
def test_wrong_parameters_say_what_is_wrong(stage: Stage, segment: str, at: str, says: str) -> None:
    stage(due={"welcome": 50})

    state = run(segment, at)

    assert state.is_failed()
    assert says in state.message


def test_a_database_that_was_away_is_asked_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other failures are not tried again: the next tick does that."""
    monkeypatch.setattr(tasks.carry_step, "retry_delay_seconds", [0.05])
    machine = stage(due={"welcome": 50, "invite": 8})
    machine.errors = {"welcome": [DatabaseGone("it does not answer")], "invite": [ValueError("a defect")]}

    state = run()

    assert machine.attempts.count("welcome") == 2
    assert machine.attempts.count("invite") == 1
    assert state.message.startswith("failed: invite;")


def test_a_loop_back_waits_for_the_next_tick(stage: Stage) -> None:
    """A parent that comes later in the graph is no edge of this run."""
    ring = [StepView("welcome", "Welcome", "email", ["done"]), StepView("done", "Again", "exit", ["welcome"])]
    stage(due={"welcome": 5, "done": 3}, sequence=ring)

    assert boxes(run(), 2) == {"Welcome: 5": ("Completed", []), "Again: 3": ("Completed", ["Welcome: 5"])}
