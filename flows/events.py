"""Events for the feed and for automations: a handful per tick, never one per lead or touch."""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from flows.tallies import Tick

DOORBELL = "nurture.lead.demo_requested"  # rung by the web door when a lead asks for a person


def announce(tick: Tick) -> None:
    """What one tick of a segment has to tell."""
    emit(tick.segment, "nurture.tick.completed", tick.counts())
    for step, why in tick.broken().items():
        emit(tick.segment, "nurture.step.failed", {"step": step, "why": why})
    for milestone, leads in (+tick.settled.milestones).items():
        emit(tick.segment, "nurture.milestone.reached", {"milestone": milestone, "leads": leads})
    if handoffs := tick.counts()["handoffs"]:
        emit(tick.segment, "nurture.handoff.opened", {"handoffs": handoffs})


def emit(segment: str, name: str, payload: dict[str, Any]) -> None:
    """One event about a segment; Prefect adds the run that it came from."""
    resource = {"prefect.resource.id": f"nurture.segment.{segment}", "prefect.resource.name": segment}
    emit_event(event=name, resource=resource, payload=payload)
