"""Events for the feed and for automations: a handful per tick, never one per lead or touch."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import get_client
from prefect.events import Event, emit_event

from flows.tallies import Tick

DOORBELL = "nurture.lead.demo_requested"


def announce(tick: Tick) -> None:
    """What one tick of a segment has to tell. A hand-off opened also rings the doorbell, see prefect.yaml."""
    about = f"segment.{tick.segment}"
    emit(about, "nurture.tick.completed", tick.counts())
    for step, why in tick.broken().items():
        emit(about, "nurture.step.failed", {"step": step, "why": why})
    for milestone, leads in (+tick.settled.milestones).items():
        emit(about, "nurture.milestone.reached", {"milestone": milestone, "leads": leads})
    if handoffs := tick.counts()["handoffs"]:
        emit(about, "nurture.handoff.opened", {"handoffs": handoffs})


def emit(about: str, name: str, payload: dict[str, Any]) -> None:
    """One event about `segment.win-back` or `routing`; Prefect adds the run that it came from."""
    resource = {"prefect.resource.id": f"nurture.{about}", "prefect.resource.name": about.split(".")[-1]}
    emit_event(event=name, resource=resource, payload=payload)


def ring() -> dict[str, str]:
    """Wake the routing flow from outside of a flow; it is over when the server has the event."""
    event = Event(event=DOORBELL, resource={"prefect.resource.id": "nurture.door"})
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")])
    return {"rung": DOORBELL}
