"""The states of a touch: the database itself refuses what the state machine does not allow."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.engine.conftest import Make
from tests.engine.world import World, program, sequence

#: Where each state may lead: nothing irrevocable is undone, and nothing is sent that was not promised before.
LEGAL = {
    "planned": {"claimed", "held", "cancelled", "suppressed", "expired"},
    "held": {"planned", "cancelled", "expired", "suppressed"},
    "claimed": {"planned", "sending", "suppressed", "held", "retry_wait", "failed", "cancelled", "expired"},
    "sending": {"sent", "retry_wait", "failed", "uncertain", "planned"},
    "retry_wait": {"claimed", "planned", "expired", "suppressed", "cancelled"},
    "uncertain": {"sent", "planned"},
    "sent": set(),
    "failed": set(),
    "suppressed": set(),
    "cancelled": set(),
    "expired": set(),
}


def planned(make: Make) -> World:
    """A world with one touch, planned and held back by a closed window."""
    world = make(program(drip=sequence("  - {id: hello, email: hello.j2}", send='{hours: "20:00-21:00"}')))
    world.lead("ana")
    world.event("ana", "signed_up")
    return world.tick()


def way_to(state: str) -> list[str]:
    """A legal way from `planned` to `state`."""
    ways = [["planned"]]
    while ways[0][-1] != state:
        way = ways.pop(0)
        ways += [[*way, step] for step in sorted(LEGAL[way[-1]]) if step not in way]
    return ways[0][1:]


def test_every_pair_of_states_is_allowed_or_refused(make: Make) -> None:
    """All of the eleven times eleven pairs, by plain SQL: only those of the table go through."""
    world = planned(make)
    pairs = [(old, new) for old in LEGAL for new in LEGAL if new != old]
    said = {(old, new): tried(world, [*way_to(old), new]) for old, new in pairs}

    refused = {pair for pair, words in said.items() if "a touch may not change its state so" in words}
    assert {pair for pair, words in said.items() if words == "done"} == set(pairs) - refused
    assert set(pairs) - refused == {(old, new) for old, news in LEGAL.items() for new in news}


def tried(world: World, way: list[str]) -> str:
    """What the database says to a touch that goes this way; it is taken back either way."""

    def walk(link: Connection) -> None:
        for state in way:
            link.exec_driver_sql(f"UPDATE touch SET state = '{state}'")
        raise Undone

    try:
        world.do(walk)
    except Undone:
        return "done"
    except DBAPIError as refusal:
        return str(refusal)
    raise AssertionError("unreachable")


class Undone(Exception):
    """Roll back what was tried."""


COPY = (
    "INSERT INTO touch (lead_id, enrolment_id, sequence, version_id, step, occurrence, kind, purpose, state, due_at,"
    " allowed_at, attempt, tracked, planned_at) SELECT lead_id, enrolment_id, sequence, version_id, step,"
    " :turn, kind, purpose, :state, due_at, allowed_at, attempt, tracked, planned_at FROM touch"
)


@pytest.mark.parametrize("state", [state for state in LEGAL if state != "planned"])
def test_a_touch_begins_as_planned(make: Make, state: str) -> None:
    """Nobody writes a touch that is already claimed, sent or over."""
    world = planned(make)

    with pytest.raises(DBAPIError, match="touch"):
        world.sql(COPY, state=state, turn=2)

    world.sql(COPY, state="planned", turn=2)
    assert [row[1] for row in world.touches()["ana"]] == ["planned", "planned"]


def test_one_touch_for_each_turn_of_a_step(make: Make) -> None:
    """The same enrolment, step and turn twice is refused by the database, and never asked for by the plan."""
    world = planned(make)
    world.sql("UPDATE enrolment SET due_at = entered_at")
    world.tick()

    assert world.touches()["ana"] == [("hello", "planned", "window")]
    with pytest.raises(IntegrityError):
        world.sql(COPY, state="planned", turn=1)
    world.sql(COPY, state="planned", turn=2)
