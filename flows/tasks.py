"""Every task of the flows, with its name, retries and tags side by side."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import allow_failure, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.utilities.annotations import quote

from flows.calling import Call
from flows.progress import Progress
from flows.shown import Shown, database_is_away, safely
from flows.tallies import sentence
from nurture.engine.machine import Machine
from nurture.engine.reports import StepView


@task(
    name="step",
    task_run_name="{label}: {due:,}",
    description="Carries the leads that are due at one step of a sequence.",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_jitter_factor=0.5,
    retry_condition_fn=database_is_away,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@safely
def carry_step(
    machine: Machine,
    segment: str,
    step: str,
    label: str,
    due: int,
    now: datetime,
    run_id: str,
    calls: bool,
    upstream: list[Any],  # noqa: ARG001 - for the edges
) -> State[Any]:
    """Safe to run again: the engine's ledger decides what is still to do."""
    shown, call = Progress(label), Call(segment, run_id)

    def told(done: int, total: int) -> None:
        if calls:
            call(done, total)
        shown(done, total)

    report = machine.run_step(segment, step, now, run_id, told, due)
    report.due = max(report.due, due)  # the engine's own count leaves out touches that were planned before
    said = sentence(report)
    if report.channel_down:
        why = f"no way out ({report.channel_down}); {said}; the rest waits for the next tick"
        return Failed(message=why, data=Shown(why, report))
    return Completed(message=said, data=report)


@task(
    name="tell",
    task_run_name="Tell sales",
    description="Sends the notices that salespeople have not been sent yet.",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_jitter_factor=0.5,
    retry_condition_fn=database_is_away,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@safely
def tell_sales(machine: Machine, now: datetime) -> State[Any]:
    """At least once, under one Message-ID each."""
    told = machine.drain(now)
    return Completed(message=f"told {told:,}", data=told)


def untouched(value: Any) -> Any:
    """As a parameter that Prefect leaves alone.

    It would look into the machine for futures and copy what it finds, and draw an edge from every step whose
    report holds the very string that is the segment's name.
    """
    return quote(value)


def start(
    machine: Machine,
    segment: str,
    step: StepView,
    due: int,
    now: datetime,
    parents: list[PrefectFuture[Any]],
) -> PrefectFuture[Any]:
    """Submit a step. Its parents are a parameter, so they are edges; a failed one does not stop it."""
    return carry_step.with_options(tags=[f"segment:{segment}", f"kind:{step.kind}"]).submit(
        machine=untouched(machine),
        segment=untouched(segment),
        step=step.id,
        label=step.label,
        due=due,
        now=now,
        run_id=flow_run.id,
        calls=flow_run.flow_name == "nurture-segment",  # who came to help calls nobody
        upstream=[allow_failure(parent) for parent in parents],
    )
