"""One tick of one segment: the run's graph is the sequence, folded where nobody is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.states import Cancelled

from flows import approval, artifacts, events, machines, tallies, tasks
from flows.shown import run_name, safely
from nurture.crm import sync
from nurture.crm.secrets import load_secrets
from nurture.engine.machine import Machine
from nurture.errors import SegmentBusy
from nurture.settings import load_settings


@flow(
    name="nurture-segment",
    flow_run_name=run_name,
    persist_result=False,
)
@safely
def nurture_segment(segment: str, at: str | None = None) -> State[Any]:
    """Settle what changed, then carry each step's due cohort on, in the order of the sequence.

    Args:
        segment: the segment's folder under templates/, such as saas-evaluators
        at: an ISO instant with its zone, for rehearsed clocks; empty means now
    """
    with machines.machine(at) as machine:
        return tick(machine, segment, machine.now())


def tick(machine: Machine, segment: str, now: datetime) -> State[Any]:
    """A tick of this flow run; how it ended."""
    try:
        with machine.lease(segment, holder=flow_run.id):
            machine.recover(now)
            settled = machine.settle(now)
            runs = carry(machine, segment, now)
            settled.add(machine.settle(machine.now()))  # sending took its time
    except SegmentBusy as busy:
        return Cancelled(message=f"busy: {busy}")
    notices = machine.drain(now)
    done = tallies.Tick(segment, settled, {step: run.state for step, run in runs.items()}, notices)
    if runs:
        artifacts.publish_segment(machine, segment)
    events.announce(done)
    approval.ask(machine, segment, now)
    sync.tick(machine, load_secrets, load_settings().inner_hosts())  # it warns of a CRM that waits, and notes it
    return done.state()


def carry(machine: Machine, segment: str, now: datetime) -> dict[str, PrefectFuture[Any]]:
    """One task run for each step that has somebody due when its turn comes; parents make the edges."""
    runs: dict[str, PrefectFuture[Any]] = {}
    nearest: dict[str, set[str]] = {}  # step: itself if it runs, else the running steps just before it
    above: dict[str, set[str]] = {}  # running step: every running step before it
    waiting = machine.waiting(segment, now)
    for step in machine.steps(segment):
        before = set().union(*(nearest.get(parent, set()) for parent in step.parents))
        if before:
            wait([runs[name] for name in before])
            waiting = machine.waiting(segment, now)
        around = set().union(*(above[name] for name in before))
        before -= around - set(step.parents)  # past folded steps, no edge beside a longer way
        if due := waiting.get(step.id, 0):
            parents = [runs[name] for name in sorted(before)]
            runs[step.id] = tasks.start(machine, segment, step, due, now, parents)
            above[step.id] = before | around
        nearest[step.id] = {step.id} if due else before
    wait(list(runs.values()))
    return runs
