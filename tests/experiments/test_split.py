"""Splits: shares of the leads go different ways, each lead the same way whenever it comes by."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlmodel import col

from nurture.reading.experiments import experiments
from nurture.records import Enrolment
from tests.engine.conftest import Make
from tests.engine.world import DAY, World
from tests.experiments import plain
from tests.experiments.dealt import crowd, key, written

WAYS = """
  - {{id: half, split: {shares}}}
  - {{id: call, exit: called}}
  - {{id: case, exit: cased}}"""
#: A sequence that a lead may pass again.
AGAIN: dict[str, Any] = {"when": "{did: signed_up, within: 2 hours}", "enrol": "again: {after: 1 days}"}


def split(shares: str = "{call: 60, case: 40}", **keys: Any) -> dict[str, str]:
    return written(WAYS.format(shares=shares), **keys)


def passed(world: World, who: list[str]) -> dict[str, str]:
    """The way that each of them took, last."""
    names, ids = world.names(), {world.ids[name] for name in who}
    rows = world.rows(Enrolment, col(Enrolment.outcome).in_(("called", "cased")))
    return {names[row.lead_id]: row.path.split("/")[2] for row in rows if row.lead_id in ids}


def sent_through(world: World, who: list[str]) -> dict[str, str]:
    world.event_of(who, "signed_up")
    world.tick()
    return passed(world, who)


def test_a_split_is_what_the_plain_reader_draws(make: Make) -> None:
    """For every lead, at one instant, with one UPDATE a way."""
    world = make(split("{call: 33.3, case: 66.7}"))
    names = crowd(world, 200)

    went = sent_through(world, names)

    assert went == {who: plain.arm("tour/half", key(world, who), {"call": 33.3, "case": 66.7}) for who in names}
    assert {row.path for row in world.rows(Enrolment)} == {"/half/call/", "/half/case/"}


def test_the_same_lead_the_same_way(make: Make) -> None:
    """Also when it enters again; in another sequence, or at another split, it is dealt anew."""
    ways = """
  - {id: half, split: {call: 50, case: 50}}
  - {id: call, split: {more: 50, less: 50}}
  - {id: case, exit: cased}
  - {id: more, exit: more}
  - {id: less, exit: less}"""
    world = make(written(ways, **AGAIN) | {"other/sequence.yaml": written(ways)["tour/sequence.yaml"]})
    names = crowd(world, 200)
    sent_through(world, names)
    first = world.passages("tour")
    world.at(3 * DAY).tick()
    sent_through(world, names)
    again = world.passages("tour")

    assert {who: row.path for who, row in again.items()} == {who: row.path for who, row in first.items()}
    assert {row.rotation for row in again.values()} == {2}
    assert Counter(row.path for row in first.values()).keys() == {"/half/call/more/", "/half/call/less/", "/half/case/"}
    there = world.passages("other")
    alike = sum(there[who].path.split("/")[2] == first[who].path.split("/")[2] for who in names)
    assert 70 < alike < 130


def test_other_shares_move_leads_one_way(make: Make) -> None:
    """50/50 to 60/40: a tenth goes from the smaller to the larger, nobody back."""
    world = make(split("{case: 50, call: 50}", **AGAIN))
    names = crowd(world, 200)
    before = sent_through(world, names)
    world.at(DAY).publish(split("{call: 60, case: 40}", **AGAIN))
    after = sent_through(world.at(3 * DAY), names)

    moved = Counter((before[who], after[who]) for who in names)
    assert moved.keys() == {("call", "call"), ("case", "call"), ("case", "case")}
    assert 6 < moved[("case", "call")] < 40


def told(world: World) -> dict[str, Any]:
    (row,) = experiments(world.machine)
    return row


def test_the_report_counts_the_objective(make: Make) -> None:
    """Each lead once, by the way it took first, converted by the objective since it enrolled, whenever that was."""
    steps = """
  - {id: half, split: {call: 50, case: 50}}
  - {id: call, wait: 5 days}
  - {id: case, wait: 5 days}"""
    world = make(written(steps, objective="demo_requested"))
    names = crowd(world, 200)
    world.event_of(names, "signed_up")
    world.tick()
    stood = {who: row.step for who, row in world.passages().items()}
    called = [who for who in names if stood[who] == "call"]
    world.at(DAY)
    world.event_of(called[: len(called) // 2], "demo_requested")
    world.tick()

    said = told(world)
    assert said["counts"] == "reached demo_requested after enrolment"
    assert [(arm["arm"], arm["share"], arm["exposed"], arm["converted"]) for arm in said["arms"]] == [
        ("call", 50, len(called), len(called) // 2), ("case", 50, 200 - len(called), 0),
    ]  # fmt: skip
    assert said["sure"]
    assert said["verdict"].startswith("call 50.0 % against 0.0 %: it does better, at 95 % confidence") or (
        said["verdict"].startswith("call 49.")
    )


def test_without_an_objective_nothing_is_compared(make: Make) -> None:
    """The report still tells who went where."""
    world = make(split())
    sent_through(world, crowd(world, 20))

    said = told(world)
    assert (said["p"], said["verdict"]) == (None, "nothing is compared")
    assert sum(arm["exposed"] for arm in said["arms"]) == 20


def test_ids_that_look_like_patterns_are_no_patterns(make: Make) -> None:
    """`a_b` is not `axb`: `_` stands for any letter in LIKE."""
    steps = """
  - {id: half, split: {a_b: 50, axb: 50}}
  - {id: a_b, exit: one}
  - {id: axb, exit: two}"""
    world = make(written(steps))
    names = crowd(world, 40)
    world.event_of(names, "signed_up")
    world.tick()

    went = Counter(row.outcome for row in world.passages().values())
    assert {arm["arm"]: arm["exposed"] for arm in told(world)["arms"]} == {"a_b": went["one"], "axb": went["two"]}
