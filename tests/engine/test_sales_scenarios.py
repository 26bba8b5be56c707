"""What becomes of single leads between marketing and sales, to the instant: one team, one house, one year."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.records import Enrolment, Handoff, Milestone, Outbox, StageTransition
from tests.engine.world import World, new_database, program, sequence, world

HOUSE = """
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
sales:
  - {name: Ola, email: ola@acme.example, country: SA, zone: Asia/Riyadh, countries: [SA]}
  - {name: Radu, email: radu@acme.example, country: RO, countries: [SA]}
  - {name: Kay, email: kay@acme.example, country: KW, zone: Asia/Kuwait, countries: [KW]}
  - {name: Nat, email: nat@acme.example, country: SA, zone: Europe/Bucharest, hours: "00:00-08:00", countries: [FR]}
  - {name: Ron, email: ron@acme.example, country: RO, countries: [US]}
"""
LIFECYCLE = """
mql: {when: {score: {at_least: 50}}, rearm_below: 40}
milestones:
  demo: {when: {did: demo}, handoff: true, entrance: ready}
  more: {when: {did: more}, handoff: true, entrance: service}
  prices: {when: {did: prices}, handoff: true}
  became_mql: {when: {stage: mql}, handoff: true}
sla: {accept_within: 4 business hours, meet_within: 8 business hours, reassign: 1, escalate_to: lead@acme.example}
recycle: {premature: 30 days}
"""
#: Points that last for twenty days, whole, and then are gone.
SCORING = """
groups: {lasting: {expires: 20 days}}
engagement: [{rule: came, when: {did: came}, points: 30, group: lasting}]
"""
FILES = program(
    {"program.yaml": HOUSE, "lifecycle.yaml": LIFECYCLE, "scoring.yaml": SCORING},
    drip=sequence(
        "  - {id: rest, wait: 60 days}\n  - {id: over, exit: done}",
        when="{did: handoff_rejected, where: {reason: premature}}",
        leave="{stage: sal}",
    ),
)
#: name: the lead; what happens to it, and what is to be seen of it, each with its instant.
Scenario = tuple[dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]
SCENARIOS: dict[str, Scenario] = {
    "unanswered over the weekend of the Gulf, then Bucharest's": (
        {"country": "SA", "owner": "ola@acme.example"},
        [("2026-03-05T14:00+03:00", "demo"), ("2026-03-08T12:00+03:00", "prices"), ("2026-03-09T12:00+02:00", "accepted")],
        [
            ("2026-03-05T14:00+03:00", "notice to ola"),
            ("2026-03-05T14:00+03:00", "is sal"),
            ("2026-03-05T16:00+03:00", "reminder to ola"),
            ("2026-03-08T10:00+03:00", "escalation of ola"),
            ("2026-03-08T10:00+03:00", "notice to radu"),
            ("2026-03-08T12:00+03:00", "prices is evidence for radu"),
            ("2026-03-09T11:00+02:00", "reminder to radu"),
            ("2026-03-10T12:00+02:00", "meeting reminder to radu"),
            ("2026-03-11T09:00+02:00", "escalation of radu"),
        ],
    ),
    "a meeting that did not come about is asked after on Sunday": (
        {"country": "SA", "owner": "ola@acme.example"},
        [("2026-03-05T11:00+03:00", "demo"), ("2026-03-05T12:00+03:00", "accepted"), ("2026-03-09T10:00+03:00", "met")],
        [
            ("2026-03-05T11:00+03:00", "notice to ola"),
            ("2026-03-05T11:00+03:00", "is sal"),
            ("2026-03-08T12:00+03:00", "meeting reminder to ola"),
            ("2026-03-09T09:00+03:00", "escalation of ola"),
        ],
    ),
    "overdue, said on each working day of Kuwait": (
        {"country": "KW"},
        [("2026-03-11T09:00+03:00", "demo"), ("2026-03-16T08:00+03:00", "accepted"), ("2026-03-16T08:30+03:00", "met")],
        [
            ("2026-03-11T09:00+03:00", "notice to kay"),
            ("2026-03-11T09:00+03:00", "is sal"),
            ("2026-03-11T11:00+03:00", "reminder to kay"),
            *((f"2026-03-{day}:00+03:00", what)
              for day in ("11T13", "12T09", "15T09") for what in ("escalation of kay", "reminder to kay")),
        ],
    ),
    "an hour that is left out within the deadline": (
        {"country": "FR"},
        [("2026-03-29T01:00+02:00", "demo"), ("2026-03-29T06:00+03:00", "accepted"), ("2026-03-29T06:00+03:00", "met")],
        [
            ("2026-03-29T01:00+02:00", "notice to nat"),
            ("2026-03-29T01:00+02:00", "is sal"),
            ("2026-03-29T04:00+03:00", "reminder to nat"),
        ],
    ),
    "an hour that comes twice within the deadline": (
        {"country": "FR"},
        [("2026-10-25T01:00+03:00", "demo"), ("2026-10-25T05:00+02:00", "accepted"), ("2026-10-25T05:00+02:00", "met")],
        [
            ("2026-10-25T01:00+03:00", "notice to nat"),
            ("2026-10-25T01:00+03:00", "is sal"),
            ("2026-10-25T03:00+03:00", "reminder to nat"),
            ("2026-10-25T04:00+02:00", "escalation of nat"),
            ("2026-10-25T04:00+02:00", "reminder to nat"),
        ],
    ),
    "a holiday of the owner's country, which is none of the lead's": (
        {"country": "SA", "owner": "ola@acme.example", "timezone": "Europe/Bucharest"},
        [("2026-09-22T16:00+03:00", "demo"), ("2026-09-24T12:00+03:00", "accepted"), ("2026-09-24T12:00+03:00", "met")],
        [
            ("2026-09-22T16:00+03:00", "notice to ola"),
            ("2026-09-22T16:00+03:00", "is sal"),
            ("2026-09-24T10:00+03:00", "reminder to ola"),
        ],
    ),
    "too early, and back on its own clock": (
        {"country": "US", "timezone": "America/New_York"},
        [("2026-03-02T10:00-05:00", "demo"), ("2026-03-02T12:00-05:00", "rejected as premature")],
        [
            ("2026-03-02T10:00-05:00", "notice to ron"),
            ("2026-03-02T10:00-05:00", "is sal"),
            ("2026-03-02T12:00-05:00", "is recycled"),
            ("2026-04-01T12:00-04:00", "is in drip"),
        ],
    ),
    "who asks for us while it rests is heard": (
        {"country": "US", "timezone": "America/New_York"},
        [
            ("2026-03-02T10:00-05:00", "demo"),
            ("2026-03-02T12:00-05:00", "rejected as premature"),
            ("2026-03-10T11:00-04:00", "demo"),
            ("2026-03-11T06:30-04:00", "met"),
        ],
        [
            ("2026-03-02T10:00-05:00", "notice to ron"),
            ("2026-03-02T10:00-05:00", "is sal"),
            ("2026-03-02T12:00-05:00", "is recycled"),
            ("2026-03-10T11:00-04:00", "notice to ron"),
            ("2026-03-10T11:00-04:00", "is sal"),
            ("2026-03-11T05:00-04:00", "reminder to ron"),
        ],
    ),
    "a customer who asks for more is passed on as one": (
        {"country": "SA", "owner": "ola@acme.example", "stage": "customer"},
        [("2026-03-03T09:00+03:00", "more"), ("2026-03-03T14:00+03:00", "rejected as not_persona")],
        [
            ("2026-03-03T09:00+03:00", "notice to ola"),
            ("2026-03-03T09:00+03:00", "is sal"),
            ("2026-03-03T11:00+03:00", "reminder to ola"),
            ("2026-03-03T13:00+03:00", "escalation of ola"),
            ("2026-03-03T13:00+03:00", "notice to radu"),
            ("2026-03-03T14:00+03:00", "is customer"),
        ],
    ),
    "an MQL again when what it earned had run out": (
        {"country": "US"},
        [
            ("2026-03-03T10:00+02:00", "came"),
            ("2026-03-04T10:00+02:00", "came"),
            ("2026-03-04T11:00+02:00", "rejected as inaccurate_data"),
            ("2026-03-23T11:00+02:00", "came"),  # the first has run out an hour before: 30, below 40
            ("2026-03-23T11:30+02:00", "rejected as inaccurate_data"),
        ],
        [
            ("2026-03-04T10:00+02:00", "is mql"),
            ("2026-03-04T10:00+02:00", "notice to ron"),
            ("2026-03-04T10:00+02:00", "is sal"),
            ("2026-03-04T11:00+02:00", "is lead"),
            ("2026-03-23T11:00+02:00", "is mql"),
            ("2026-03-23T11:00+02:00", "notice to ron"),
            ("2026-03-23T11:00+02:00", "is sal"),
            ("2026-03-23T11:30+02:00", "is lead"),
        ],
    ),
    "no MQL again while what it earned lasts": (
        {"country": "US"},
        [
            ("2026-03-03T10:00+02:00", "came"),
            ("2026-03-04T10:00+02:00", "came"),
            ("2026-03-04T11:00+02:00", "rejected as inaccurate_data"),
            ("2026-03-23T09:59+02:00", "came"),  # 90 now, 60 when the first runs out
        ],
        [
            ("2026-03-04T10:00+02:00", "is mql"),
            ("2026-03-04T10:00+02:00", "notice to ron"),
            ("2026-03-04T10:00+02:00", "is sal"),
            ("2026-03-04T11:00+02:00", "is lead"),
        ],
    ),
}  # fmt: skip
WORDS = {"handoff_notice": "notice to", "handoff_reminder": "reminder to", "handoff_escalation": "escalation of",
         "meeting_reminder": "meeting reminder to"}  # fmt: skip


def deed(here: World, who: str, what: str) -> None:
    """Something that the lead does, or that sales says of its latest hand-off."""
    said, _, reason = what.partition(" as ")
    if said in ("accepted", "rejected", "met"):
        here.answer(who, said, reason or None)
    else:
        here.event(who, what, settle=True)


def tale(here: World, who: str) -> set[tuple[datetime, str]]:
    """What is to be seen of the lead, each with its second."""
    mine = {row.id: row.owner.partition("@")[0] for row in here.handoffs(who)}
    lead = here.ids[who]
    seen = [
        (row.created_at, f"{WORDS[row.kind.partition(':')[0]]} {mine[row.row_id]}")
        for row in here.rows(Outbox, col(Outbox.row_id).in_(mine))
    ]
    seen += [(row.at, f"is {row.to_stage}") for row in here.rows(StageTransition, col(StageTransition.lead_id) == lead)]
    seen += [(row.started_at, f"is in {row.sequence}") for row in here.rows(Enrolment, col(Enrolment.lead_id) == lead)]
    seen += [
        (row.reached_at, f"{row.name} is evidence for {mine[row.handoff_id]}")
        for row in here.rows(Milestone, col(Milestone.lead_id) == lead, col(Milestone.outcome) == "evidence")
    ]
    return {(at.replace(microsecond=0), what) for at, what in seen if at > here.start}


@pytest.fixture(scope="module")
def year(request: pytest.FixtureRequest) -> Iterator[World]:
    """All scenarios in one world, from February to November, each lead of another company."""
    request.param = "sqlite"
    with world(new_database(request), FILES, datetime(2026, 2, 23, 8, tzinfo=UTC)) as here:
        stops: dict[datetime, list[Callable[[], None]]] = {}
        for number, (name, (values, happens, _)) in enumerate(SCENARIOS.items()):
            here.lead(name, email=f"me@company{number}.example", **values)
            for at, what in happens:
                stops.setdefault(datetime.fromisoformat(at), []).append(partial(deed, here, name, what))

        def all_of(deeds: list[Callable[[], None]]) -> None:
            for one in deeds:
                one()

        here.run(datetime(2026, 11, 1, tzinfo=UTC), {at: partial(all_of, deeds) for at, deeds in sorted(stops.items())})
        yield here


@pytest.mark.parametrize("name", SCENARIOS)
def test_to_the_instant(year: World, name: str) -> None:
    """Who is told what, and what the lead is, on the clocks of the owner and of the lead."""
    expected = {(datetime.fromisoformat(at), what) for at, what in SCENARIOS[name][2]}
    assert sorted(tale(year, name)) == sorted(expected)


def test_who_is_passed_on_comes_by_the_same_way(year: World) -> None:
    """A hand-off that stands instead of another keeps the way by which the lead came, and the stage it came from."""
    first, second = year.handoffs("a customer who asks for more is passed on as one")
    assert (first.state, second.state, second.instead_of) == ("reassigned", "rejected", first.id)
    assert {(row.entrance, row.stage_before) for row in (first, second)} == {("service", "customer")}
    assert f"{second.deadline_at:%d %H:%M:%S}" == "03 14:00:00"  # four hours of Bucharest, from noon
    assert year.rows(Handoff, col(Handoff.state) == "open") == []
