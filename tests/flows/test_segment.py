"""What an operator sees of a tick: which boxes, in what order, in what colour; and what it did in fact."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from flows import tasks
from flows.segment import nurture_segment
from nurture import db
from nurture.engine.machine import Machine
from nurture.engine.reports import StepReport
from nurture.records import Handoff
from tests.engine.world import DAY, HOUR, program, sequence
from tests.flows.house import House, boxes, break_table, hung_up, messages

pytestmark = [
    pytest.mark.xdist_group("prefect"),  # one worker, so one server
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_the_graph_is_the_sequence(house: House) -> None:
    """Leads due at the start, and those they become on the way, are boxes; the branch forks and joins."""
    house.arrive(4, "saas")
    house.arrive(2, "retail")

    state = house.flow()

    assert boxes(state, 5) == {
        "Welcome: 6": ("Completed", []),
        "Interested?: 6": ("Completed", ["Welcome: 6"]),
        "Case study: 4": ("Completed", ["Interested?: 6"]),
        "Guide: 2": ("Completed", ["Interested?: 6"]),
        "Decide: 6": ("Completed", ["Case study: 4", "Guide: 2"]),
    }
    assert state.message == "entered 6, sent 12, moved 18, waiting 6"
    assert len(house.mail.messages) == 12


def test_counts_are_those_of_the_ledger(house: House) -> None:
    house.arrive(3)
    house.arrive(1, consent=None)

    state = house.flow()

    counts = state.result()
    assert {word: counts[word] for word in ("sent", "suppressed")} == house.ledger(state)
    assert (counts["sent"], len(house.mail.messages)) == (6, 6)


def test_a_box_says_what_was_done(house: House) -> None:
    """Who has come to a step to wait there has arrived, which is not a failure to move on."""
    house.arrive(3)
    house.arrive(1, consent=None)

    said = messages(house.flow(), 4)

    assert said["Welcome: 4"] == "due 4: sent 3, suppressed 1 (no_consent 1), moved on 4"
    assert said["Decide: 4"] == "due 4: waiting 4"


def test_a_run_started_again_sends_nothing_twice(house: House) -> None:
    house.arrive(5)
    house.flow()

    again = house.flow()

    assert (again.name, again.message) == ("Completed", "nobody due")
    assert boxes(again, 0) == {}
    assert len(house.mail.messages) == 10


def test_a_relay_that_is_down_is_red_and_the_others_serve_their_cohorts(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edge of a step goes past those without anybody to the nearest one that runs."""
    house.arrive(2)
    house.flow()
    house.at(2 * DAY).event("p0", "asked")
    house.event("p1", "asked")
    house.arrive(3)
    with monkeypatch.context() as patch:
        patch.setenv("NURTURE_SMTP_URL", hung_up())

        state = house.flow()

    assert boxes(state, 4) == {
        "Welcome: 3": ("Failed", []),
        "Decide: 2": ("Completed", ["Welcome: 3"]),
        "Rep: 2": ("Completed", ["Decide: 2"]),
        "Over: 2": ("Completed", ["Rep: 2"]),
    }
    assert state.is_failed()
    assert state.message.startswith(
        "failed: welcome; the other steps served their cohorts (entered 3, deferred 3, handoffs 2, moved 6, waiting 3)"
    )
    assert messages(state, 4)["Welcome: 3"].endswith(
        "due 3: deferred 3 (not_started 3), waiting 3; the rest waits for the next tick"
    )
    assert len(house.mail.messages) == 4

    mended = house.flow(at=2 * DAY + HOUR)  # the relay is back

    assert (mended.name, mended.result()["sent"]) == ("Completed", 6)
    assert mended.result()["notices"] == 2
    assert house.addressed("mihai@acme.example") == 2


def test_a_defect_is_red_in_its_step_alone_and_quotes_nobody(house: House) -> None:
    """What a database says may quote a row; only the kind of failure and its place are shown."""
    house.arrive(2, "saas")
    house.arrive(1, "retail")
    house.flow()
    house.at(2 * DAY).event("p0", "asked")
    house.at(3 * DAY)
    break_table(house, "handoff")

    state = house.flow()

    assert {label: colour for label, (colour, _) in boxes(state, 4).items()} == {
        "Decide: 3": "Completed", "Rep: 1": "Failed", "Last: 2": "Completed", "Over: 2": "Completed",
    }  # fmt: skip
    said = messages(state, 4)["Rep: 1"]
    assert re.fullmatch(r"IntegrityError at handoffs.py:\d+; the worker's own log says more", said)
    assert house.rows(Handoff) == []

    house.sql("DROP TRIGGER broken")

    assert house.flow().result()["handoffs"] == 1


def test_nobody_due_makes_no_box(house: House) -> None:
    """Settling may open hand-offs all the same: their notices leave."""
    house.lead("ana")
    house.event("ana", "demo_requested")

    state = house.flow()

    assert (state.name, state.message) == ("Completed", "nobody due, handoffs 1, notices 1")
    assert boxes(state, 0) == {}
    assert house.addressed("mihai@acme.example") == 1


def test_a_busy_segment_is_cancelled_not_failed(house: House) -> None:
    house.arrive(2)

    with house.machine.lease("evaluators", "somebody else"):
        state = house.flow()

    assert state.name == "Cancelled"
    assert state.message.startswith("busy: segment 'evaluators' is carried by another run")
    assert house.mail.messages == []


@pytest.mark.parametrize(
    ("segment", "at", "says"),
    [("nobody", "2026-03-02T09:05:00Z", "segment 'nobody' is not published (live: evaluators)"),
     ("evaluators", "2026-03-02T09:05", "has no zone"),
     ("evaluators", "noon", "is not an instant")],
)  # fmt: skip
def test_wrong_parameters_say_what_is_wrong(house: House, segment: str, at: str, says: str) -> None:
    state: Any = nurture_segment(segment, at=at, return_state=True)

    assert state.is_failed()
    assert says in state.message


def test_a_locked_database_is_asked_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the file while a step writes; when it lets go, a second try does the work."""
    monkeypatch.setattr(tasks.carry_step, "retry_delay_seconds", [0.05])
    prepare, run_step, tries = db._prepare_sqlite, Machine.run_step, list[str]()

    def impatient(dbapi: Any, record: Any) -> None:
        prepare(dbapi, record)
        dbapi.execute("PRAGMA busy_timeout=50")

    def held_up(machine: Machine, segment: str, step: str, *more: Any) -> StepReport:
        tries.append(step)
        if tries != ["welcome"]:
            return run_step(machine, segment, step, *more)
        with closing(sqlite3.connect(str(machine.db.url.database))) as other:
            other.execute("BEGIN IMMEDIATE")
            return run_step(machine, segment, step, *more)

    monkeypatch.setattr(db, "_prepare_sqlite", impatient)
    monkeypatch.setattr(Machine, "run_step", held_up)
    house.arrive(2)

    state = house.flow()

    assert tries == ["welcome", "welcome", "fork", "case", "decide"]
    assert state.name == "Completed"
    assert len(house.mail.messages) == 4


def test_a_way_back_waits_for_the_next_tick(house: House) -> None:
    """Two versions may have their steps in opposite order: a parent that comes later is no edge."""
    a, b, end = "  - {id: a, wait: 1 hours}\n", "  - {id: b, wait: 1 hours}\n", "  - {id: c, wait: 9 days}"
    first, second = sequence(a + b + end), sequence(b + a + end)
    house.publish(program(turning=first))
    house.arrive(2)
    house.tick("turning")
    house.publish(program(turning=second))
    house.arrive(1)
    house.tick("turning")

    state = house.flow("turning", at=HOUR)

    assert boxes(state, 2) == {"B: 1": ("Completed", []), "A: 2": ("Completed", ["B: 1"])}
