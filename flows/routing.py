"""The witness of hand-offs: rings after a doorbell, keeps their terms, sweeps up what is left, shows what waits."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import artifacts, events, machines, tasks
from flows.shown import run_name, safely
from flows.tallies import in_words
from nurture.engine import terms


@flow(name="nurture-routing", flow_run_name=run_name, persist_result=False)
@safely
def nurture_routing(at: str | None = None) -> State[Any]:
    """Keep the terms of hand-offs, settle what changed, tell the salespeople, list what waits for an answer.

    Args:
        at: an ISO instant with its zone, for rehearsed clocks; empty means now
    """
    with machines.machine(at) as machine:
        now = machine.now()
        kept = terms.keep_all(machine.db, machine.library, now)
        settled = machine.settle(now)
        told = tasks.tell_sales(tasks.untouched(machine), now, return_state=True)
        waiting = artifacts.publish_handoffs(machine)
        if settled.handoffs:
            events.emit("routing", "nurture.handoff.opened", {"handoffs": settled.handoffs})
        counts: dict[str, Any] = {"opened": settled.handoffs, "reassigned": kept.reassigned, "overdue": kept.overdue}
        counts |= {"told": told.result(), "waiting": waiting}
        return Completed(message=in_words(counts) or "nothing waits", data=counts)
