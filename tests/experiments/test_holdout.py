"""The holdout: who gets no marketing, what goes on all the same, and the lift."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlmodel import col

from nurture.reading.holdout import lift
from nurture.records import Enrolment, Touch
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World
from tests.experiments import plain
from tests.experiments.dealt import crowd, key, written

STEPS = """
  - {id: hello, email: hello.j2}
  - {id: receipt, email: receipt.j2, kind: operational}
  - {id: ads, audience: {add: visitors}}
  - {id: settle, wait: 2 days}
  - {id: out, audience: {remove: visitors}}
  - {id: piece, offer: {stage: consideration}}
  - {id: done, exit: done}"""
HOUSE = "audiences: {visitors: {url: 'https://ads.example/visitors'}}\n"


def house(share: str = "", steps: str = STEPS, **keys: Any) -> dict[str, str]:
    files = written(steps, house=HOUSE + (f"holdout: {share}\n" if share else ""), **keys)
    files["offers.yaml"] = (
        "offers: [{key: guide, title: A guide, stage: consideration, url: 'https://acme.example/guide'}]\n"
    )
    return files


def held(world: World, names: list[str], share: int) -> set[str]:
    """Those held out, by the plain reader."""
    return {who for who in names if plain.place("holdout", key(world, who)) < share * 100}


def test_held_out_leads_walk_and_get_no_marketing(make: Make) -> None:
    """Marketing and additions to audiences are suppressed; operational mail and removals go on."""
    world = make(house("20%"))
    names = crowd(world, 40)
    world.event_of(names, "signed_up")
    world.tick().run(3 * DAY)

    out = held(world, names, 20)
    assert 2 < len(out) < 16
    ids = {world.ids[who] for who in out}
    found = Counter((row.step, row.lead_id in ids, row.state, row.reason) for row in world.rows(Touch))
    inside, without = 40 - len(out), len(out)
    assert found == {
        ("hello", False, "sent", None): inside, ("hello", True, "suppressed", "holdout"): without,
        ("receipt", False, "sent", None): inside, ("receipt", True, "sent", None): without,
        ("ads", False, "sent", None): inside, ("ads", True, "suppressed", "holdout"): without,
        ("out", False, "sent", None): inside, ("out", True, "sent", None): without,
        ("piece", False, "sent", None): inside, ("piece", True, "suppressed", "holdout"): without,
    }  # fmt: skip
    assert set(world.stands().values()) == {"done"}
    assert world.machine.waiting("tour", world.now) == {}


def test_a_larger_share_only_adds(make: Make) -> None:
    """For life: 20 % to 30 % holds more out and lets nobody go."""
    world = make(house("20%"))
    names = crowd(world, 60)
    world.event_of(names[:30], "signed_up")
    world.tick()
    world.at(DAY).publish(house("30%"))
    world.event_of(names[30:], "signed_up")
    world.tick()

    said = {world.names()[row.lead_id]: row.reason for row in world.rows(Touch, col(Touch.step) == "hello")}
    assert {who for who, reason in said.items() if reason == "holdout"} == {
        *held(world, names[:30], 20), *held(world, names[30:], 30),
    }  # fmt: skip
    assert held(world, names, 20) < held(world, names, 30)


def test_hand_offs_go_on(make: Make) -> None:
    """A held-out lead that asks for a demo is handed to sales like any other."""
    files = house("99%", objective="demo_requested")
    files["lifecycle.yaml"] = "milestones: {demo_requested: {when: {did: demo_requested}, handoff: true}}\n"
    world = make(files)
    (who,) = crowd(world, 1)
    world.event(who, "signed_up")
    world.tick().at(HOUR)
    assert held(world, [who], 99) == {who}
    world.event(who, "demo_requested")
    world.tick()

    assert [row.state for row in world.handoffs(who)] == ["open"]
    assert world.stands() == {who: "objective"}


def test_lift_with_an_interval(make: Make) -> None:
    """Treated against held out, of those that entered, since they entered; what can be told is said."""
    world = make(house("30%", objective="demo_requested"))
    names = crowd(world, 120)
    crowd(world, 10, "outside")
    world.event_of(names, "signed_up")
    world.tick().at(HOUR)
    out = held(world, names, 30)
    treated = [who for who in names if who not in out]
    world.event_of(treated[: len(treated) // 2] + sorted(out)[:2], "demo_requested")
    world.tick()

    told = lift(world.machine)
    objective, handed, won = told.rows
    assert (told.share, told.left_out) == (30, 0)
    assert objective["treated"]["leads"] == len(treated)
    assert objective["treated"]["converted"] == len(treated) // 2
    assert objective["held out"]["leads"] == len(out)
    assert objective["held out"]["converted"] == 2
    assert objective["low"] > 0
    assert objective["verdict"].startswith("more of the treated: of the treated ")
    assert handed["low"] < 0 < handed["high"]
    assert won["verdict"].startswith("no difference can be told: ")


def test_who_changed_sides_is_in_neither_group(make: Make) -> None:
    """Leads that were treated before the share grew tell nothing of either."""
    world = make(house("10%"))
    names = crowd(world, 60)
    world.event_of(names, "signed_up")
    world.tick().at(DAY).publish(house("40%"))

    told = lift(world.machine)
    both = held(world, names, 40) - held(world, names, 10)
    assert told.left_out == len(both) > 10
    assert told.rows[0]["held out"]["leads"] == len(held(world, names, 10))
    assert told.rows[0]["treated"]["leads"] == 60 - len(held(world, names, 40))


def test_without_a_holdout(make: Make) -> None:
    """Nobody is held out, and there is nothing to compare with."""
    world = make(house())
    names = crowd(world, 10)
    world.event_of(names, "signed_up")
    world.tick()

    assert len(world.rows(Enrolment)) == 10
    assert lift(world.machine).rows[0]["verdict"] == "no difference can be told: nobody is held out yet"
