"""Flow runs in this process, reported to the Prefect server like any other; nothing has to be deployed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from flows.routing import nurture_routing
from flows.segment import nurture_segment


def ticks(segments: list[str], at: str | None) -> Iterator[dict[str, Any]]:
    """Run the flow of each, one after the other; `routing` is the routing flow."""
    for segment in segments:
        if segment == "routing":
            yield described(nurture_routing(at=at, return_state=True))
        else:
            yield described(nurture_segment(segment, at=at, return_state=True))


def described(state: State[Any]) -> dict[str, Any]:
    """A run for programs: who it was, how it ended, its counts."""
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
    outcome = state.result(raise_on_failure=False)
    counts = getattr(outcome, "counts", outcome)
    return {
        "flow_run_id": str(run.id),
        "name": run.name,
        "state": state.name,
        "message": state.message,
        "counts": counts if isinstance(counts, dict) else {},
    }
