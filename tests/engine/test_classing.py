"""Whose doing a click was, where a person knows better."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nurture.engine import byhand
from nurture.records import Audit, Event
from tests.engine.world import World, program, sequence

Make = Callable[..., World]
STEPS = "\n  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 30 days}"
SCORING = "engagement: [{rule: clicked, when: {did: email_clicked}, points: 10}]"
REST = timedelta(minutes=1)


@pytest.fixture
def written_to(make: Make) -> World:
    """Ana has a letter that is an hour old."""
    world = make(program({"scoring.yaml": SCORING}, drip=sequence(STEPS)))
    world.lead("ana")
    world.event("ana", "signed_up")
    return world.tick().at(timedelta(hours=1))


def classed(world: World) -> dict[str, tuple[str, str | None]]:
    """Who clicked, as what, and why."""
    names = world.names()
    return {names[row.lead_id]: (row.actor, row.classed_by) for row in world.rows(Event, Event.name == "email_clicked")}


def scores(world: World, *names: str) -> list[int | None]:
    """As told an hour later."""
    world.at(world.now + REST).tick()
    return [world.story(name).score for name in names]


def test_a_person_says_whose_doing_it_was(written_to: World) -> None:
    """There and back again: the score follows each time, and who said so is kept."""
    written_to.click("ana", "hello")
    assert scores(written_to, "ana") == [10]

    def say(actor: str) -> int:
        def work(link: Any) -> int:
            live = written_to.machine.library.live(link)
            lead = written_to.who("ana").id
            span = {"since": written_to.start, "until": written_to.now}
            return byhand.reclass(link, live, lead, actor, written_to.now, because="a test of ours", by="ops", **span)

        return int(written_to.do(work))

    assert (say("machine"), scores(written_to, "ana")) == (1, [0])
    assert classed(written_to)["ana"] == ("machine", "ops: a test of ours")
    assert say("machine") == 0
    assert (say("person"), scores(written_to, "ana")) == (1, [10])
    assert [row.by for row in written_to.rows(Audit, Audit.act == "reclass")] == ["ops", "ops"]
