"""Milestones, the gate, and the hand-off to the right salesperson, once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col

from nurture.records import Handoff, Lead, Milestone, Outbox
from tests.engine.channels import Killed, Scripted
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, PROGRAM, program, sequence

CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", leave="{stage: [sal, disqualified]}")
LIFECYCLE = """
milestones:
  demo: {when: {did: demo}, handoff: true}
  prices: {when: {did: seen, where: {path: "/pricing*"}, at_least: 3, within: 14 days}, handoff: true}
  trial: {when: {did: trial}}
  engaged: {when: by_step, handoff: true}
gate:
  - {reason: inaccurate_data, refuse: {phone: {known: false}, email: {known: false}}, then: repair}
  - {reason: student, refuse: {role: student}, then: nurture}
  - {reason: competitor, refuse: {company: [Rival, Foe]}, then: disqualified}
  - {reason: not_persona, refuse: {employees: {under: 5}}, then: nurture}
recycle: {premature: 30 days}
sla: {accept_within: 4 business hours}
"""


def files(**more: str) -> dict[str, str]:
    return program({"lifecycle.yaml": LIFECYCLE} | more, drip=CALM)


GATE: dict[str, tuple[dict[str, Any], str, str | None, str, str]] = {
    # the lead: outcome, reason, its stage and status afterwards
    "a good one": ({}, "handed_off", None, "sal", "new"),
    "nothing is known": ({"consent": None}, "handed_off", None, "sal", "new"),
    "no way to reach it": ({"email": None}, "refused", "inaccurate_data", "lead", "needs_repair"),
    "a phone is enough": ({"email": None, "phone": "+40 21 123"}, "handed_off", None, "sal", "new"),
    "a student": ({"role": "Student"}, "refused", "student", "lead", "new"),
    "a competitor": ({"company": "RIVAL"}, "refused", "competitor", "disqualified", "new"),
    "too small": ({"employees": 4}, "refused", "not_persona", "lead", "new"),
    "the first reason counts": (
        {"employees": 4, "role": "student", "company": "Foe"},
        "refused",
        "student",
        "lead",
        "new",
    ),
    "five are enough": ({"employees": 5}, "handed_off", None, "sal", "new"),
    "a customer asks again": ({"stage": "customer"}, "handed_off", None, "sal", "new"),
}


def test_the_gate_decides_by_its_first_rule(make: Make) -> None:
    """Each lead that asks for a demo is handed over, or refused for the first reason, and goes where that says."""
    world = make(files())
    for name, (values, *_) in GATE.items():
        world.lead(name, **{"email": f"{len(world.ids)}@lead.example", "stage": "lead"} | values)
    world.tick()
    for name in GATE:
        world.event(name, "demo")
    world.tick()

    assert {name: world.milestones(name) for name in GATE} == {
        name: [("demo", outcome, reason)] for name, (_, outcome, reason, *_) in GATE.items()
    }
    leads = {world.names()[row.id]: (row.stage, row.status) for row in world.rows(Lead)}
    assert leads == {name: (stage, status) for name, (*_, stage, status) in GATE.items()}
    assert {world.names()[row.lead_id] for row in world.rows(Handoff)} == {
        name for name, (_, outcome, *_) in GATE.items() if outcome == "handed_off"
    }
    assert len(world.rows(Outbox)) == len(world.rows(Handoff))


def test_a_further_milestone_is_evidence(make: Make) -> None:
    """While a hand-off is open or its deal is on, what the lead does is added to it; afterwards it is a new one."""
    world = make(files())
    for name in ("open", "accepted", "rejected"):
        world.lead(name)
        world.event(name, "demo")
    world.tick()
    world.answer("accepted", "accepted")
    world.answer("rejected", "rejected", "inaccurate_data")
    world.at(DAY)
    for name in world.ids:
        world.event(name, "demo")
    world.tick()

    first = {name: [row.cycle for row in world.handoffs(name)] for name in world.ids}
    assert first == {"open": [1], "accepted": [1], "rejected": [1, 2]}
    assert (
        world.milestones("open")
        == world.milestones("accepted")
        == [("demo", "handed_off", None), ("demo", "evidence", None)]
    )
    assert world.milestones("rejected") == [("demo", "handed_off", None)] * 2
    evidence = world.rows(Milestone, col(Milestone.outcome) == "evidence")
    assert {row.handoff_id for row in evidence} == {world.handoffs(name)[0].id for name in ("open", "accepted")}


def test_one_lead_that_does_two_things_at_once_is_handed_over_once(make: Make) -> None:
    """Two milestones in one settle: the first opens the hand-off, the second is its evidence."""
    world = make(files())
    world.lead("ana")
    for _ in range(3):
        world.event("ana", "seen", path="/pricing")
    world.event("ana", "demo")
    world.tick()

    assert sorted(outcome or "" for _, outcome, _ in world.milestones("ana")) == ["evidence", "handed_off"]
    assert len(world.handoffs("ana")) == 1


def test_only_what_a_milestone_speaks_of_reaches_it(make: Make) -> None:
    """The third look at prices does; a look at something else is none, and neither is a machine's."""
    world = make(files())
    world.lead("ana")
    seen = []
    for path, actor in (
        ("/pricing", "person"),
        ("/pricing/a", "person"),
        ("/careers", "person"),
        ("/pricing", "machine"),
        ("/pricing", "person"),
        ("/careers", "person"),
        ("/careers", "person"),
        ("/pricing", "person"),
    ):
        world.at(world.now + HOUR)
        world.event("ana", "seen", path=path, actor=actor)
        world.tick()
        seen.append(len(world.milestones("ana")))

    assert seen == [0, 0, 0, 0, 1, 1, 1, 2]


def test_history_is_not_a_call_to_sales(make: Make) -> None:
    """What happened more than a week ago and comes in with an import is noted; within the week it is handed over."""
    world = make(files())
    for name, days in (("old", 8), ("recent", 6)):
        world.lead(name)
        world.event(name, "demo", occurred=world.now - days * DAY)
    world.event("recent", "trial")
    world.tick()

    assert world.milestones("old") == [("demo", "noted", None)]
    assert sorted(world.milestones("recent")) == [("demo", "handed_off", None), ("trial", "noted", None)]


def test_a_step_asks_sales_and_goes_by_the_answer_of_the_gate(make: Make) -> None:
    """`handoff` takes `passed` or `refused`; a lead that sales has already passes as evidence."""
    steps = """
  - {id: rest, wait: 1 days}
  - {id: rep, handoff: engaged, passed: good, refused: bad}
  - {id: good, exit: passed}
  - {id: bad, exit: refused}"""
    world = make(program({"lifecycle.yaml": LIFECYCLE}, drip=sequence(steps)))
    for name, role in (("good", "founder"), ("bad", "student"), ("known", "founder")):
        world.lead(name, role=role)
        world.event(name, "signed_up")
    world.tick()
    world.event("known", "demo")
    world.tick().at(DAY).tick()

    assert world.stands() == {"good": "passed", "bad": "refused", "known": "passed"}
    assert [outcome for _, outcome, _ in world.milestones("known")] == ["handed_off", "evidence"]
    assert world.milestones("bad") == [("engaged", "refused", "student")]


TEAM = """
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
fields: {industry: text, role: text, employees: number}
sales:
  - {name: A, email: a@acme.example, weight: 3}
  - {name: B, email: b@acme.example}
  - {name: C, email: c@acme.example, weight: 2}
  - {name: D, email: d@acme.example, countries: [AE, SA]}
  - {name: E, email: e@acme.example, countries: [AE], weight: 3}
  - {name: F, email: f@acme.example, language: fr}
"""


def test_owners_are_dealt_by_weight_and_territory(make: Make) -> None:
    """A thousand leads: each salesperson gets what the weights say, to the lead; territory and language come first."""
    world = make(program({"program.yaml": TEAM, "lifecycle.yaml": LIFECYCLE}, drip=CALM))
    kinds: dict[str, dict[str, Any]] = {
        "any": {},
        "ae": {"country": "AE"},
        "sa": {"country": "SA"},
        "fr": {"language": "fr"},
        "c": {"owner": "c@acme.example", "country": "AE"},
        "gone": {"owner": "x@acme.example"},
    }
    sizes = {"any": 700, "ae": 200, "sa": 40, "fr": 20, "c": 30, "gone": 10}
    for kind, size in sizes.items():
        world.crowd([f"{kind}{n}" for n in range(size)], **kinds[kind])
    world.sql("UPDATE lead SET email = 'me@' || id || '.example'")  # no two of one company
    for n in range(5):  # the turn is remembered between settlements
        world.event_of(list(world.ids)[n::5], "demo")
        world.machine.settle(world.now)

    owners: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for row in world.rows(Handoff):
        owners[world.names()[row.lead_id].rstrip("0123456789")][row.owner[0]] += 1
    together = owners["any"] + owners["gone"]  # an owner who is not in the team any more is nobody's
    assert together.total() == 710
    for person, weight in {"a": 3, "b": 1, "c": 2, "f": 1}.items():
        assert abs(together[person] - 710 * weight / 7) <= weight
    assert owners["ae"] == Counter({"d": 50, "e": 150})
    assert owners["sa"] == Counter({"d": 40})
    assert owners["fr"] == Counter({"f": 20})
    assert owners["c"] == Counter({"c": 30})
    assert {row.owner for row in world.rows(Lead)} == {f"{p}@acme.example" for p in "abcdef"}


DEADLINES = {
    # opened (UTC) -> deadline (UTC); four business hours of somebody in Bucharest, 09:00 to 17:00 on workdays
    "in the morning": ("2026-03-03T07:00", "2026-03-03T11:00"),
    "before work": ("2026-03-03T02:00", "2026-03-03T11:00"),
    "in the afternoon": ("2026-03-03T13:00", "2026-03-04T09:00"),
    "to the minute": ("2026-03-03T11:00", "2026-03-03T15:00"),
    "on Friday evening": ("2026-03-06T14:00", "2026-03-09T10:00"),
    "on Saturday": ("2026-03-07T12:00", "2026-03-09T11:00"),
    "before Easter (10 and 13 April are holidays)": ("2026-04-09T13:00", "2026-04-14T09:00"),
    "over the change of clocks": ("2026-03-27T14:00", "2026-03-30T09:00"),
}


def test_the_deadline_is_in_the_owners_business_hours(make: Make) -> None:
    """Hours, workdays and holidays of the salesperson, on their clock."""
    world = make(files(**{"program.yaml": PROGRAM}))
    for name, (opened, _) in sorted(DEADLINES.items(), key=lambda item: item[1]):
        world.at(datetime.fromisoformat(f"{opened}Z"))
        world.lead(name, email=f"{len(world.ids)}@lead.example")
        world.event(name, "demo", settle=True)

    found = {name: f"{world.handoffs(name)[0].deadline_at:%Y-%m-%dT%H:%M}" for name in DEADLINES}
    assert found == {name: deadline for name, (_, deadline) in DEADLINES.items()}


@pytest.mark.parametrize(
    "verdicts", [["try_later"] * 3, ["refused"], ["unknown", "unknown"], ["not_started"]], ids=" ".join
)
def test_one_notice_with_one_message_id(make: Make, verdicts: list[str]) -> None:
    """A channel that fails first is asked again, with the same Message-ID, until it takes the notice; then never."""
    world = make(files())
    relay = world.machine.email = Scripted({"mihai@acme.example": verdicts})
    world.lead("ana")
    world.event("ana", "demo", settle=True)
    for _ in range(8):
        world.machine.drain(world.now)
        world.at(world.now + 6 * HOUR)

    tries = len(verdicts) + 1 - verdicts.count("not_started")
    assert [parcel.to for parcel in relay.parcels] == ["mihai@acme.example"] * tries
    assert len({parcel.key for parcel in relay.parcels}) == 1
    (row,) = world.rows(Outbox)
    assert (row.message_id, row.next_at, row.attempt) == (relay.parcels[0].key, None, len(verdicts))
    assert row.done_at - row.created_at < timedelta(days=2)


def test_a_worker_that_dies_with_a_notice_does_not_lose_it(make: Make) -> None:
    """At least once: after the worker's lease another sends it, under the same Message-ID."""
    world = make(files())
    relay = world.machine.email = Scripted({"mihai@acme.example": ["killed_later"]})
    world.lead("ana")
    world.event("ana", "demo", settle=True)
    with pytest.raises(Killed):
        world.machine.drain(world.now)
    world.machine.drain(world.now)
    early = len(relay.parcels)
    world.at(HOUR)
    world.machine.drain(world.now)

    assert (early, len(relay.parcels), len({parcel.key for parcel in relay.parcels})) == (1, 2, 1)


def test_a_request_comes_before_what_a_lead_shows(make: Make) -> None:
    """One event reaches both; the first in the file is only shown, so the request opens the hand-off."""
    lifecycle = """
milestones:
  warm: {when: {score: {at_least: 5}}, handoff: true}
  demo: {when: {did: demo}, handoff: true, entrance: ready}
"""
    scoring = "engagement: [{rule: asked for a demo, when: {did: demo}, points: 40}]"
    world = make(program({"lifecycle.yaml": lifecycle, "scoring.yaml": scoring}, drip=CALM))
    world.lead("ana")
    world.event("ana", "demo")
    world.tick()

    assert [row.milestone for row in world.handoffs("ana")] == ["demo"]
    assert sorted((name, outcome) for name, outcome, _ in world.milestones("ana")) == [
        ("demo", "handed_off"),
        ("warm", "evidence"),
    ]
