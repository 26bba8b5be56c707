"""What is told of a hand-off that somebody gave away by hand before its deadline: nobody has missed anything."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nurture.engine import passing
from nurture.engine.story import tell
from nurture.engine.telling_sales import letter_names
from nurture.reading.explain import explain
from nurture.reading.outcomes import outcomes
from nurture.records import Handoff
from tests.engine.conftest import Make, make
from tests.engine.test_answers import files as recycling
from tests.engine.test_terms import ask, files
from tests.engine.world import HOUR, World

__all__ = ["make"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def told(world: World) -> dict[str, str]:
    """What the new owner's notice, `explain` and the report say of the first hand-off and the one instead of it."""
    machine = world.machine
    row = world.rows(Handoff)[-1]
    with machine.db.read() as link:
        live = machine.library.live(link)
        person = next(one for one in live.house.program.sales if one.email == row.owner)
        story = tell(link, live, row.lead_id, machine.now())
        names = letter_names(link, live.house, story, row, person, machine.keys, "https://acme.example", machine.now())
    return {
        "notice": names["notice"]["text"],
        "earlier": names["earlier"][0]["what"],
        "explain": explain(machine, str(row.lead_id)).text(100).partition("Sequences")[0],
        "expired": str(sum(one["expired"] for one in outcomes(machine)["milestones"])),
    }


#: When it is given away; how the notice begins, what was said before, what is counted as expired, what explain says.
GIVEN: dict[str, tuple[timedelta, str, str, str, list[str]]] = {
    "in time": (
        timedelta(minutes=5), "Ann had it before, and it was given to you. ", "given to somebody else", "0",
        ["given to bob@acme.example", "handed over; ann@acme.example had it before"],
    ),
    "too late": (
        30 * HOUR, "Ann did not answer in time, so it comes to you. ", "nobody answered in time", "1",
        ["nobody answered in time; it went to bob@acme.example", "after ann@acme.example did not answer in time"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_given_away_by_hand(make: Make, case: str) -> None:
    """Who did it before the deadline has missed none; an overdue one was missed all the same."""
    after, notice, earlier, expired, explained = GIVEN[case]
    world = make(files())
    ask(world, "ana")
    world.machine.settle(world.now)
    world.at(after)
    live = world.machine.live()
    world.do(lambda link: passing.reassign(link, live, 1, None, "boss@acme.example", world.now))
    found = told(world)

    assert found["notice"].startswith(notice)
    assert (found["earlier"], found["expired"]) == (earlier, expired)
    assert [words for words in explained if words not in found["explain"]] == []
    assert ("in time" in found["explain"]) == (case == "too late")


def test_why_it_rests(make: Make) -> None:
    """Not every lead that rests was premature."""
    world = make(recycling())
    world.lead("ana")
    world.event("ana", "demo", settle=True)
    world.answer("ana", "lost", "price")
    world.at(HOUR).event("ana", "signed_up", settle=True)

    said = explain(world.machine, str(world.ids["ana"])).text(100)
    assert "since sales said “lost: price”" in said
    assert "premature" not in said
