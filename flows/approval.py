"""The question that a hold asks, in Prefect's pages: a suspended run each, whose answer is done as one by command is.

The hold in our own database is the truth: a run that is lost, timed out or answered wrongly is asked anew by a tick.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from prefect import flow, suspend_flow_run
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows import events, machines
from flows.shown import Shown, safely
from nurture.engine import holds
from nurture.engine.holds import Waiting
from nurture.engine.machine import Machine
from nurture.reading.holds import figures

NAME = "nurture-approval"
#: Then the run fails, and the next tick asks anew.
PATIENCE = timedelta(days=7)


class Answer(RunInput):
    """What the form asks; `count` has to be the exact number that waits."""

    answer: Literal["release", "discard"] = Field(title="Release or discard")
    count: int = Field(title="How many messages is that? Repeat the number", ge=0)
    by: str = Field(default="", title="Your name, for the records", max_length=80)


@flow(name=NAME, flow_run_name=lambda: f"hold {flow_run.parameters.get('hold')}", persist_result=False)
@safely
def nurture_approval(hold: int) -> State[Any]:
    """Ask in this page what is to become of a hold's messages, and do it.

    Args:
        hold: the hold's number, as `nurture holds` lists it
    """
    with machines.machine() as machine:
        found = read(machine, hold)
        if found.answered_at is not None:
            return Completed(message=already(found))
        form = Answer.with_initial_data(description=question(found))
        given = suspend_flow_run(
            wait_for_input=form, timeout=int(PATIENCE.total_seconds()), key=f"hold-{hold}"
        )  # a resumed run comes by here a second time, and goes on with the answer
        return Completed(message=act(machine, hold, given))


def read(machine: Machine, hold: int) -> Waiting:
    """The hold as it stands now."""
    with machine.db.read() as link:
        return holds.hold(link, hold)


def act(machine: Machine, hold: int, given: Answer) -> str:
    """Give the answer to the engine; what was done, in words. Raises Refused, Shown."""
    by, now = f"{given.by.strip() or 'somebody'} (Prefect)", machine.now()
    found = read(machine, hold)
    if found.answered_at is not None:
        return already(found)
    if given.answer == "release":
        zone = machine.live().house.program.zone
        done = machine.db.transact(lambda link: holds.release(link, hold, given.count, by, now, zone), door=True)
        return f"released {done:,}; they go out with the next tick"
    if given.count != found.waiting:
        raise Shown(f"{given.count:,} is not how many wait for hold {hold}; the next tick asks anew")
    done = machine.db.transact(lambda link: holds.discard(link, hold, by, now), door=True)
    return f"discarded {done:,}; their leads go on with the next tick"


def already(found: Waiting) -> str:
    """Somebody else was first."""
    return f"hold {found.id} is {found.state} already, by {found.answered_by}"


def question(found: Waiting) -> str:
    """The form's text, in Markdown: counts alone, never a lead's data."""
    why = {
        "canary": "The first few messages of this version came to no good end.",
        "growth": "That is far more than this sequence sends in a day.",
    }[found.kind]
    return (
        f"### {found.waiting:,} messages of {found.sequence} wait\n\n{why}\n\n"
        f"| hold | kind | version | waiting since | figures |\n|---|---|---|---|---|\n"
        f"| {found.id} | {found.kind} | {found.version} | {found.asked_at:%Y-%m-%d %H:%M}Z | {figures(found)} |\n\n"
        f"**Release** sends them with the next tick; **discard** calls them off, and their leads go on. Either way "
        f"repeat the number. By command: `nurture holds release {found.id} --count NUMBER`, "
        f"`nurture holds discard {found.id}`."
    )


def ask(machine: Machine, segment: str, since: datetime) -> None:
    """After a tick that began at `since`: a run for each open question of the segment, none for those answered."""
    known = {hold.id: hold for hold in all_holds(machine, segment)}
    if not known:
        return
    asked = [hold for hold in known.values() if hold.state == "asked"]
    for hold in asked:
        if hold.asked_at >= since:
            payload = {"hold": hold.id, "kind": hold.kind, "waiting": hold.waiting}
            events.emit(f"segment.{segment}", "nurture.run.held", payload)
    with get_client(sync_client=True) as client:
        runs = runs_of(client, segment)
        for run in runs:
            found = known.get(run.parameters["hold"])  # none: of a database that was here before
            if found is not None and found.answered_at is not None and run.state_type == StateType.PAUSED:
                client.set_flow_run_state(run.id, Completed(message=already(found)), force=True)
        for hold in asked:
            mine = [run for run in runs if run.parameters["hold"] == hold.id]
            if all(run.state is not None and run.state.is_final() for run in mine):
                create(client, segment, hold.id, len(mine))


def all_holds(machine: Machine, segment: str) -> list[Waiting]:
    """The segment's holds, answered ones included."""
    with machine.db.read() as link:
        return holds.holds(link, open_only=False, sequences=[segment])


def runs_of(client: SyncPrefectClient, segment: str) -> list[FlowRun]:
    """The runs that have asked for this segment."""
    tags = FlowRunFilterTags(all_=["nurture-hold", f"segment:{segment}"])
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tags))


def create(client: SyncPrefectClient, segment: str, hold: int, turn: int) -> None:
    """One run for this turn of asking, whoever else wants it; none where nothing is deployed."""
    try:
        deployment = client.read_deployment_by_name(f"{NAME}/approval")
    except ObjectNotFound:
        return  # ticks without deployments: the hold is answered by command
    client.create_flow_run_from_deployment(
        deployment.id, parameters={"hold": hold}, idempotency_key=f"hold-{hold}-{turn}",
        tags=["nurture-hold", f"segment:{segment}"],
    )  # fmt: skip
