"""Scores: a pure function of events, fields, rules and the instant, however and whenever the events came in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import col

from nurture.engine import doors
from nurture.intake import write
from nurture.intake.write import NewEvent
from nurture.records import Event, ScoreEntry, StageTransition
from tests.engine import plain
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, PROGRAM, World, new_database, program, sequence

CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", when="{tags: nobody}")
SCORING = """
half_life: 30 days
engagement:
  - {rule: asked, when: {did: asked}, points: 40}
  - {rule: looked at prices, when: {did: seen, where: {path: "/pricing*"}}, points: 10, cap: 2 per day}
  - {rule: looked, when: {did: seen}, points: 2.5, cap: 3 per day, half_life: 14 days}
  - {rule: looked for a job, when: {did: seen, where: {path: "/careers*"}}, points: -15, cap: 1 per day}
  - {rule: short of breath, when: {did: asked}, points: 7, half_life: 6 hours}
"""
#: The same, for the plain reader: event, path, points, cap, half-life in days.
RULES: list[tuple[str, str, float, int | None, float]] = [
    ("asked", "", 40, None, 30),
    ("seen", "/pricing", 10, 2, 30),
    ("seen", "", 2.5, 3, 14),
    ("seen", "/careers", -15, 1, 30),
    ("asked", "", 7, None, 0.25),
]
ZONES = ["Europe/Bucharest", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Apia"]
_names = itertools.count(1)


@dataclass(frozen=True)
class Deed:
    """An event: when it happened, before the end of the story; in which batch it comes in; twice if replayed."""

    name: str
    path: str
    ago: timedelta
    batch: int
    actor: str
    replayed: bool


def deeds() -> st.SearchStrategy[list[Deed]]:
    ago = st.one_of(
        st.sampled_from([timedelta(), HOUR, 23 * HOUR, DAY, 90 * DAY, 4000 * DAY]), st.timedeltas(timedelta(), 3 * DAY)
    ).map(lambda span: span // HOUR * HOUR if span > DAY else span)
    return st.lists(
        st.builds(
            Deed,
            st.sampled_from(["asked", "seen", "seen", "seen", "else"]),
            st.sampled_from(["/pricing", "/pricing/a", "/careers", "/"]),
            ago,
            st.integers(0, 2),
            st.sampled_from(["person", "person", "system", "machine"]),
            st.booleans(),
        ),
        max_size=14,
    )


def plain_raw(rows: list[Any], zone: str, now: datetime) -> float:
    """Points as a person with a pencil adds them up."""
    total = 0.0
    for name, path, points, cap, half_life in RULES:
        days: dict[Any, int] = {}
        for row in sorted(rows, key=lambda row: (row.occurred_at, row.id)):
            if row.name != name or row.actor == "machine" or not row.data["path"].startswith(path):
                continue
            day = plain.to_local(row.occurred_at, zone).date()
            days[day] = days.get(day, 0) + 1
            if cap is None or days[day] <= cap:
                total += points * 0.5 ** ((now - row.occurred_at) / (half_life * DAY))
    return total


def plain_score(raw: float) -> set[int]:
    """The number, or both where a millionth decides."""
    return {max(0, min(100, math.floor(raw + 0.5 + off))) for off in (0, 2e-6, -2e-6)}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def scored(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world that scores, shared by all histories: each has leads of its own."""
    world = World(new_database(request), program({"scoring.yaml": SCORING}, calm=CALM))
    yield world
    world.close()


def put(world: World, rows: list[NewEvent]) -> None:
    world.do(lambda link: write.put_events(link, rows))


def bring(world: World, histories: list[list[Deed]]) -> list[str]:
    """A lead for each history; its events in three batches, a day apart, settled after each."""
    names = []
    world.at(world.now + 4 * DAY)
    end = world.now + 2 * DAY
    for number, _ in enumerate(histories):
        names.append(f"lead{next(_names)}")
        world.lead(names[-1], timezone=ZONES[number % len(ZONES)])
    for batch in range(3):
        world.at(end - (2 - batch) * DAY)
        rows = [
            NewEvent(
                world.ids[who],
                d.name,
                min(end - d.ago, world.now),
                world.now,
                world.now,
                {"path": d.path},
                "test",
                f"{who}-{number}",
                d.actor,
            )
            for who, history in zip(names, histories, strict=True)
            for number, d in enumerate(history)
            if d.batch == batch or (d.replayed and d.batch < batch)
        ]
        put(world, rows)
        world.machine.settle(world.now)
    return names


@given(histories=st.lists(deeds(), min_size=4, max_size=4), later=st.sampled_from([0, 1, 20, 400]))
@settings(max_examples=25)
def test_the_score_is_what_a_pencil_says(scored: World, histories: list[list[Deed]], later: int) -> None:
    """Whatever came late, twice or out of order; at the end and long after; and the lines sum to the number."""
    names = bring(scored, histories)
    end = scored.now
    scored.at(end + later * DAY)

    for name, zone in zip(names, ZONES, strict=True):
        raw = plain_raw(scored.rows(Event, col(Event.lead_id) == scored.ids[name]), zone, scored.now)
        story = scored.story(name)
        assert story.score in plain_score(raw)
        assert math.isclose(sum(line.points for line in story.lines if line.at is not None), raw, abs_tol=1e-6)
        assert story.score is not None
        assert math.isclose(sum(line.points for line in story.lines), story.score or 0, abs_tol=0.006)
    scored.at(end)


def test_a_rebuild_gives_the_same(scored: World) -> None:
    """After another publication every ledger is derived anew, and nobody's number has moved."""
    history = [Deed("seen", "/pricing", n * 5 * HOUR, n % 3, "person", False) for n in range(14)]
    history += [Deed("asked", "/", DAY, 1, "person", False)]
    names = bring(scored, [history] * 4)
    before = {name: scored.story(name) for name in names}
    entries = [(row.event_id, row.rule, row.counted, row.day) for row in ledger(scored)]
    published = scored.publish(
        program({"scoring.yaml": SCORING, "program.yaml": PROGRAM + "caps: {per_day: 3}\n"}, calm=CALM)
    )
    after = {name: scored.story(name) for name in names}

    assert published.program_changed
    assert published.rescored == len(scored.ids)
    assert {name: story.score for name, story in after.items()} == {name: story.score for name, story in before.items()}
    assert sorted(entries) == sorted((row.event_id, row.rule, row.counted, row.day) for row in ledger(scored))
    for name in names:
        raws = [sum(line.points for line in story.lines if line.at) for story in (before[name], after[name])]
        assert math.isclose(*raws, abs_tol=1e-6)


def ledger(world: World) -> list[Any]:
    return world.rows(ScoreEntry)


FIT = """
fit:
  - {rule: ours, when: {industry: saas}, thirds: 3, points: 10}
  - {rule: large, when: {employees: {at_least: 50}}, thirds: 8, points: 5}
  - {rule: founder, when: {role: founder}, thirds: 2}
  - {rule: student, when: {role: student}, thirds: -6, points: -4}
  - {rule: paid, when: {paid: true}, points: 3}
"""
FITS: dict[str, tuple[dict[str, Any], str | None, int]] = {
    "nothing is known": ({}, None, 0),
    "nothing matches": ({"industry": "retail", "employees": 3}, None, 0),
    "a letter up": ({"industry": "saas"}, "C", 10),
    "two rules": ({"industry": "saas", "role": "founder"}, "B-", 10),
    "no better than A+": ({"industry": "saas", "employees": 50, "role": "founder"}, "A+", 15),
    "no worse than F": ({"role": "student"}, "F", 0),
    "up and down": ({"industry": "saas", "role": "student"}, "F", 6),
    "points alone are no fit": ({"paid": True}, None, 3),
}


def test_fit_is_a_letter(make: Make) -> None:
    """Thirds are summed, then kept within F and A+; unknown adds nothing, and no match at all is no letter."""
    world = make(program({"scoring.yaml": FIT}, calm=CALM))
    for name, (values, *_) in FITS.items():
        world.lead(name, email=f"{len(world.ids)}@lead.example", **values)
    world.tick()

    assert {name: (world.story(name).fit, world.story(name).score) for name in FITS} == {
        name: (letter, score) for name, (_, letter, score) in FITS.items()
    }
    for name in FITS:
        story = world.story(name)
        assert math.isclose(sum(line.points for line in story.lines), story.score or 0, abs_tol=0.006)


def test_fit_goes_with_its_rules(make: Make) -> None:
    """Rules that give only points give no letter, and rules that are taken away take letter and points along."""

    def files(rules: str) -> dict[str, str]:
        return program({"scoring.yaml": f"fit: [{rules}]"}, calm=CALM)

    world = make(files("{rule: ours, when: {industry: saas}, thirds: 3, points: 10}"))
    world.lead("ana", industry="saas")
    seen = []
    for rules in (None, "{rule: ours, when: {industry: saas}, points: 4}", ""):
        if rules is not None:
            world.publish(files(rules))
        world.tick()
        seen.append((world.story("ana").fit, world.story("ana").score))

    assert seen == [("C", 10), (None, 4), (None, 0)]


@pytest.mark.parametrize("raw", [-30, 130], ids=["below", "above"])
def test_the_number_stays_within_its_bounds(make: Make, raw: int) -> None:
    """0 to 100, and the explanation says what was kept back."""
    world = make(program({"scoring.yaml": f"engagement: [{{rule: a, when: {{did: a}}, points: {raw}}}]"}, calm=CALM))
    world.lead("ana")
    world.event("ana", "a")
    world.tick()

    story = world.story("ana")
    assert story.score == (0 if raw < 0 else 100)
    assert sum(line.points for line in story.lines) == story.score
    assert story.lines[-1].rule == "kept within 0 to 100"


# MQL

MQL = """
mql: {when: {score: {at_least: 50}}%s}
milestones: {became_mql: {when: {stage: mql}, handoff: true}}
recycle: {premature: 1 days}
"""
POINTS = """
half_life: 10 days
engagement:
  - {rule: big, when: {did: big}, points: 30}
  - {rule: small, when: {did: small}, points: 8}
"""
STORIES: dict[str, tuple[str, str, list[tuple[float, str]], int]] = {
    # rearm_below, what sales says, then (day, event): how often the lead becomes MQL
    "jitter": ("", "inaccurate_data", [(4.2, "look"), (4.3, "small")], 1),
    "jitter, bound said": (", rearm_below: 40", "inaccurate_data", [(4.2, "look"), (4.3, "small")], 1),
    "jitter, bound close": (", rearm_below: 48", "inaccurate_data", [(4.2, "look"), (4.3, "small")], 2),
    "fell below, was seen there": ("", "inaccurate_data", [(8, "look"), (9, "big")], 2),
    "fell below, nobody looked": ("", "inaccurate_data", [(9, "big")], 2),
    "fell below the said bound, nobody looked": (", rearm_below: 40", "inaccurate_data", [(9, "big")], 2),
    "after recycling": ("", "premature", [(4.2, "look"), (4.3, "small")], 2),
    "after recycling, never fell": ("", "premature", [(1, "small"), (2, "small")], 1),
}


@pytest.mark.parametrize("name", STORIES)
def test_nobody_becomes_mql_twice_by_jitter(make: Make, name: str) -> None:
    """A lead that sales sent back is MQL again only after its score has fallen ten below, or it was recycled."""
    bound, reason, later, times = STORIES[name]
    world = make(program({"lifecycle.yaml": MQL % bound, "scoring.yaml": POINTS}, calm=CALM))
    world.lead("ana")
    for _ in range(2):
        world.event("ana", "big")
    world.tick()
    handoff, live = world.handoffs("ana")[0].id, world.machine.live()
    world.do(
        lambda link: doors.answer_handoff(link, live, handoff, "rejected", reason, "mihai@acme.example", world.now)
    )
    for day, event in later:
        world.run(MONDAY + day * DAY)
        world.event("ana", event)
        world.tick()

    moves = world.rows(StageTransition, col(StageTransition.to_stage) == "mql")
    assert len(moves) == times
