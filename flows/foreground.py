"""Flow runs in this process, reported to the Prefect server like any other; nothing has to be deployed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from flows import machines
from flows.routing import nurture_routing
from flows.segment import nurture_segment
from nurture.cli.operator import say_if_cloned
from nurture.cli.running import chosen
from nurture.cli.speech import say_where_mail_goes, say_where_texts_go, settings
from nurture.engine.machine import Machine

ROUTING = "routing"


def ticks(segments: list[str], at: str | None) -> Iterator[dict[str, Any]]:
    """Run the flow of each, or of all that are live, one after the other; `routing` is the routing flow.

    Raises NotPublished before anything runs.
    """
    with machines.held(at) as machine:
        for segment in looked_at(machine, segments):
            if segment == ROUTING:
                yield described(nurture_routing(at=at, return_state=True))
            else:
                yield described(nurture_segment(segment, at=at, return_state=True))


def looked_at(machine: Machine, segments: list[str]) -> list[str]:
    """Which are to run, in turn; says, as `nurture tick` does, what of a tick would reach nobody."""
    if segments and set(segments) == {ROUTING}:
        return segments
    live = chosen(machine, tuple(segment for segment in segments if segment != ROUTING))
    say_if_cloned(machine)
    say_where_texts_go(machine, given := settings())
    say_where_mail_goes(given)
    return segments or live


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
