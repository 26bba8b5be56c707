"""A real installation for the flows: a program on an SQLite file, and a relay that keeps the mail."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from sqlmodel import col

from flows.routing import nurture_routing
from flows.segment import nurture_segment
from nurture.channels.mailbox import KeptMail
from nurture.records import Touch
from tests.engine.world import MONDAY, World, program, sequence

#: A lead whose data must be nowhere in Prefect.
CANARY = {"email": "wexholm@canary.example", "first_name": "Quillonde", "last_name": "Vasquenard"}
LIFECYCLE = """
mql: {when: {score: {at_least: 90}}, rearm_below: 10}
milestones:
  ready: {when: by_step, handoff: true}
  demo_requested: {when: {did: demo_requested}, handoff: true}
"""
STEPS = """
  - {id: welcome, email: welcome.j2}
  - {id: fork, label: "Interested?", branch: [{if: {industry: saas}, then: case}], else: guide}
  - {id: case, label: Case study, email: case.j2, next: decide}
  - {id: guide, email: guide.j2}
  - {id: decide, wait_until: {did: asked}, at_most: 3 days, then: rep, else: last}
  - {id: rep, handoff: ready, passed: over, refused: last}
  - {id: last, email: last.j2}
  - {id: over, exit: completed}
"""
EVALUATORS = sequence(STEPS)
FILES = program({"lifecycle.yaml": LIFECYCLE}, evaluators=EVALUATORS)


class House(World):
    """A world whose flows run as an operator's do: settings from the environment, mail by SMTP."""

    def __init__(self, url: str, mail: KeptMail, files: Mapping[str, str] = FILES, start: datetime = MONDAY) -> None:
        super().__init__(url, files, start)
        self.mail = mail

    def arrive(self, count: int, industry: str = "saas", consent: str | None = "contract") -> None:
        """So many people sign up now."""
        for _ in range(count):
            name = f"p{len(self.ids)}"
            self.lead(name, consent, industry=industry)
            self.event(name, "signed_up")

    def canary(self) -> None:
        """The one whose name we search for signs up now."""
        self.lead("canary", industry="saas", **CANARY)
        self.event("canary", "signed_up")

    def flow(self, segment: str = "evaluators", at: datetime | timedelta | None = None) -> Any:
        """Run the flow of a segment, or `routing`, with its clock at `at` (the house's, unless said)."""
        if at is not None:
            self.at(at)
        stamp = self.now.isoformat()
        if segment == "routing":
            return nurture_routing(at=stamp, return_state=True)
        return nurture_segment(segment, at=stamp, return_state=True)

    def ledger(self, state: Any) -> dict[str, int]:
        """What our database holds of a run's touches, by their state."""
        run = str(state.state_details.flow_run_id)
        states = [row.state for row in self.rows(Touch, col(Touch.run_id) == run)]
        return {word: states.count(word) for word in set(states)}

    def addressed(self, to: str) -> int:
        """How many messages came for this address."""
        return sum(to in kept.to for kept in self.mail.messages)


def hung_up() -> str:
    """The address of a relay at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"smtp://127.0.0.1:{free.getsockname()[1]}"


def break_table(house: House, table: str) -> None:
    """From now on the database refuses rows here, and quotes a lead in saying so, as drivers do."""
    said = f"row of {CANARY['email']}"
    house.sql(f"CREATE TRIGGER broken BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, '{said}'); END")


def recorded(state: Any, expected: int) -> list[TaskRun]:
    """The task runs of a flow run, once the server has recorded so many as ended."""
    this = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + 20
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(flow_run_filter=this)
            ended = [one for one in runs if one.state and one.state.is_final()]
            if len(ended) >= expected or time.monotonic() > deadline:
                return runs
            time.sleep(0.1)


def boxes(state: Any, expected: int) -> dict[str, tuple[str, list[str]]]:
    """Label: (colour, labels of those with an edge to it) of a run's graph."""
    runs = recorded(state, expected)
    names: dict[object, str] = {one.id: one.name for one in runs}
    return {one.name: (str(one.state and one.state.name), sorted(edges(one, names))) for one in runs}


def edges(run: TaskRun, names: Mapping[object, str]) -> set[str]:
    """From where Prefect draws a line: each parameter that it believes to have seen in another run's result."""
    given = {parameter: found for parameter, found in run.task_inputs.items() if found}
    assert given.keys() <= {"upstream"}, given
    return {names[one.id] for one in given.get("upstream", []) if hasattr(one, "id")}


def messages(state: Any, expected: int) -> dict[str, str]:
    """Label: what the box says of itself."""
    return {one.name: str(one.state and one.state.message) for one in recorded(state, expected)}


def page(key: str) -> str:
    """The newest version of an artifact."""
    found: Any = Artifact.get(key)
    return str(found.data)
