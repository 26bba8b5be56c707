"""A hold's question in Prefect's pages: asked once, answered in the form or by command, and done by the engine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from sqlmodel import col

from flows import approval
from flows.approval import Answer, act, nurture_approval, question, read
from flows.deploy import make_pool
from flows.shown import Shown
from nurture.channels.mailbox import KeptMail
from nurture.clock import SystemClock
from nurture.engine import holds
from nurture.errors import Refused
from nurture.records import Hold, Touch
from tests.engine.world import program, sequence
from tests.flows.conftest import ROOT
from tests.flows.house import House

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
STEPS = "  - {id: hello, email: hello.j2}\n  - {id: over, exit: completed}"


def guarded() -> dict[str, str]:
    """A program that asks above three letters a day."""
    files = program(evaluators=sequence(STEPS))
    files["program.yaml"] += "\nguard: {canary: off, growth: off, most_per_day: 3}\n"
    return files


@pytest.fixture
def asking(server: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """An installation whose approval flow is deployed, with a worker that carries it."""
    with KeptMail() as mail:
        for name, value in {"HOME": str(tmp_path), "DATABASE_URL": sqlite_url, "SMTP_URL": mail.url}.items():
            monkeypatch.setenv(f"NURTURE_{name}", value)
        house = House(sqlite_url, mail, guarded(), SystemClock().now())  # the worker has no other clock
        with get_client(sync_client=True) as client:
            make_pool(client, "approvals")
        nurture_approval.from_source(source=str(ROOT), entrypoint="flows/approval.py:nurture_approval").deploy(  # type: ignore[union-attr]
            "approval", work_pool_name="approvals", build=False, print_next_steps=False
        )
        env = os.environ | {"PREFECT_API_URL": server, "PYTHONPATH": os.pathsep.join(["src", *sys.path]),
                            "PREFECT_WORKER_QUERY_SECONDS": "1"}  # fmt: skip
        with (tmp_path / "worker.log").open("w") as log:
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "approvals", "--type", "process"]
            worker = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            yield house
        finally:
            worker.terminate()
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:  # it would see a run through that nobody waits for any more
                worker.kill()
                worker.wait()
            house.close()


def runs() -> list[Any]:
    """The runs that asked, oldest first."""
    with get_client(sync_client=True) as client:
        return sorted(approval.runs_of(client, "evaluators"), key=lambda run: run.created)


def resume(server: str, run: object, given: dict[str, object]) -> httpx.Response:
    """Give the form's answer; Prefect on SQLite says 503 while its database is busy."""
    deadline = time.monotonic() + 30
    while True:
        said = httpx.post(f"{server}/flow_runs/{run}/resume", json={"run_input": given})
        if said.status_code != 503 or time.monotonic() > deadline:
            return said
        time.sleep(0.2)


def wait_for(state: str, turn: int = 0) -> Any:
    """The run of this turn, once it is in that state."""
    deadline = time.monotonic() + 120
    while True:
        found = runs()
        names = [run.state.name for run in found]
        if names[turn : turn + 1] == [state]:
            return found[turn]
        assert time.monotonic() < deadline, names
        time.sleep(0.2)


def tick(house: House) -> None:
    """A run of the segment's flow, now by the worker's clock."""
    assert house.flow(at=SystemClock().now()).name == "Completed"


def test_a_form_answers_a_hold(asking: House, server: str) -> None:
    """One suspended run however many ticks; the form's answer releases; a command's answer ends the run that asks."""
    house = asking
    house.arrive(5)
    tick(house)
    tick(house)
    run = wait_for("Suspended")
    keys = run.state.state_details.run_input_keyset
    text = httpx.get(f"{server}/flow_runs/{run.id}/input/{keys['description']}").text
    wrong = resume(server, run.id, {"answer": "perhaps", "count": 5})
    right = {"answer": "release", "count": 5, "by": "Ana"}
    resume(server, run.id, right).raise_for_status()
    ended = wait_for("Completed")
    tick(house)
    after = (len(runs()), house.mail.wait(5, 20), house.rows(Hold)[0].answered_by)

    house.arrive(4)
    tick(house)
    wait_for("Suspended", 1)
    house.do(lambda link: holds.discard(link, 2, "ben", house.now))
    tick(house)
    closed = wait_for("Completed", 1)

    assert (wrong.json()["status"], ended.state.message) == (
        "REJECT",
        "released 5; they go out with the next tick",
    )
    assert "5 messages of evaluators wait" in text
    assert "@" not in text
    assert after == (1, True, "Ana (Prefect)")
    assert closed.state.message == "hold 2 is discarded already, by ben"


#: What the form says of a hold of four: what becomes of it.
ANSWERS: dict[str, tuple[dict[str, Any], type[Exception] | None, str]] = {
    "release with the number": ({"answer": "release", "count": 4}, None, "planned"),
    "release with another": ({"answer": "release", "count": 5}, Refused, "held"),
    "discard with the number": ({"answer": "discard", "count": 4}, None, "cancelled"),
    "discard with another": ({"answer": "discard", "count": 0}, Shown, "held"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_repeats_the_number(house: House, name: str) -> None:
    said, refused, state = ANSWERS[name]
    house.publish(guarded())
    house.arrive(4)
    house.tick("evaluators")
    machine, answer = house.machine, Answer(**said)

    if refused is None:
        act(machine, 1, answer)
        assert act(machine, 1, answer).endswith("already, by somebody (Prefect)")
    else:
        with pytest.raises(refused, match="not how many wait"):
            act(machine, 1, answer)

    assert {row.state for row in house.rows(Touch, col(Touch.lead_id).is_not(None))} == {state}
    assert question(read(machine, 1)).startswith("### ")
