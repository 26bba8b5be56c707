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
from sqlalchemy import select, update
from sqlmodel import col

from nurture.engine import scoring
from nurture.engine.consents import object_to
from nurture.intake import write
from nurture.intake.write import NewEvent
from nurture.language import conditions as c
from nurture.language.compiler import compile_condition
from nurture.records import Event, Holding, ScoreEntry, StageTransition
from nurture.records.types import to_micros
from nurture.worklist import put_work
from tests.engine import plain
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, PROGRAM, World, new_database, program, sequence

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
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
@settings(max_examples=15)
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
    world.answer("ana", "rejected", reason)
    for day, event in later:
        world.run(MONDAY + day * DAY)
        world.event("ana", event)
        world.tick()

    moves = world.rows(StageTransition, col(StageTransition.to_stage) == "mql")
    assert len(moves) == times


# Caps and classes

CAPPED = """
groups:
  content: {half_life: 30 days, at_most: 12}
  trial: {expires: 10 days}
engagement:
  - {rule: clicked, when: {did: clicked_it}, points: 5, cap: 1 per day}
  - {rule: read, when: {did: read_it}, points: 8, group: content, cap: [1 per day, 2 in total]}
  - {rule: tried, when: {did: tried_it}, points: 20, group: trial}
  - {rule: left, when: {did: left_us}, points: -3}
at_most: 25
"""


def counted(world: World, name: str) -> list[tuple[str, float]]:
    """(event, points that count) of a lead's lines, in the order of what happened."""
    rows = world.rows(ScoreEntry, col(ScoreEntry.lead_id) == world.ids[name])
    names = {row.id: row.key for row in world.rows(Event)}
    return [(names[row.event_id], row.counted) for row in sorted(rows, key=lambda row: (row.at, row.event_id))]


def verdict(world: World, key: str, actor: str) -> None:
    """What did this is somebody else by now; the next settling looks at it."""

    def turn(link: Any) -> None:
        link.execute(update(Event).where(col(Event.key) == key).values(actor=actor, settled_at=None))
        put_work(link, world.ids.values(), world.now)

    world.do(turn)
    world.tick()


#: Cap, events (key, hour, person or not), whose verdict turns (key, then what), and what counts at the end.
VERDICTS: dict[str, tuple[str, list[tuple[str, int, str]], list[tuple[str, str]], list[tuple[str, float]]]] = {
    "the second click of a day counts when the first was a machine's": (
        "clicked_it", [("a", 0, "person"), ("b", 1, "person")], [("a", "machine")], [("b", 5)],
    ),
    "a later click gives way when an earlier one was a person's": (
        "clicked_it", [("a", 0, "machine"), ("b", 1, "person")], [("a", "person")], [("a", 5), ("b", 0)],
    ),
    "in all: the third takes the place of a machine's": (
        "read_it", [("a", 0, "person"), ("b", 24, "person"), ("c", 48, "person")], [("a", "machine")],
        [("b", 8), ("c", 8)],
    ),
    "in all: of the same day, then of the next": (
        "read_it", [("a", 0, "person"), ("b", 1, "person"), ("c", 24, "person"), ("d", 48, "person")],
        [("a", "machine")], [("b", 8), ("c", 8), ("d", 0)],
    ),
    "in all: a person's after all pushes the last out": (
        "read_it", [("a", 0, "machine"), ("b", 24, "person"), ("c", 48, "person")], [("a", "person")],
        [("a", 8), ("b", 8), ("c", 0)],
    ),
    "there and back": (
        "read_it", [("a", 0, "person"), ("b", 24, "person"), ("c", 48, "person")],
        [("a", "machine"), ("a", "person")], [("a", 8), ("b", 8), ("c", 0)],
    ),
}  # fmt: skip


def test_a_change_of_class_derives_the_caps_anew(make: Make) -> None:
    """Places of a day, and places in all, that a machine had taken are given to who comes next, and taken back."""
    world = make(program({"scoring.yaml": CAPPED}, calm=CALM))
    for name, (event, events, *_) in VERDICTS.items():
        world.lead(name, email=f"{len(world.ids)}@lead.example")
        for key, hour, actor in events:
            occurred = MONDAY - 3 * DAY + hour * HOUR
            world.event(name, event, occurred=occurred, actor=actor, key=f"{name}:{key}")
    world.tick()
    for name, (_, _, verdicts, expected) in VERDICTS.items():
        for key, actor in verdicts:
            verdict(world, f"{name}:{key}", actor)
        assert [(key.rpartition(":")[2], points) for key, points in counted(world, name)] == expected, name


def test_each_line_says_why_and_all_sum_to_the_number(make: Make) -> None:
    """Caps, expiry and bounds are lines, and at any instant they add up."""
    world = make(program({"scoring.yaml": CAPPED}, calm=CALM))
    world.lead("ana")
    for day, event in (
        (0, "tried_it"),
        (0.1, "left_us"),
        (1, "read_it"),
        (1.1, "read_it"),
        (2, "read_it"),
        (3, "read_it"),
    ):
        world.event("ana", event, occurred=MONDAY + day * DAY - 8 * DAY)
    world.tick()
    said = [(line.rule, round(line.points), line.why) for line in world.story("ana").lines if line.rule != "rounded"]
    later = [(line.rule, line.why) for line in world.at(3 * DAY).story("ana").lines if line.rule in ("tried", "left")]

    assert said == [
        ("tried", 20, ""), ("left", -2, ""), ("read", 7, ""), ("read", 0, "over 1 per day"), ("read", 7, ""),
        ("read", 0, "over 2 in total"), ("at most 12 for content", -2, ""), ("at most 25 for all engagement", -5, ""),
    ]  # fmt: skip
    assert later == [("tried", "expired on 4 Mar"), ("left", "")]
    for days in (-9, -7.5, -6, 0, 2, 3, 40):
        story = world.at(days * DAY).story("ana")
        assert math.isclose(sum(line.points for line in story.lines), story.score or 0, abs_tol=0.006)


@SQLITE
def test_another_clock_has_other_days(make: Make) -> None:
    """A lead that moves keeps what a recomputation would give it: two events of one day in London are of two in Athens."""
    rules = "engagement: [{rule: seen, when: {did: seen}, points: 10, cap: 1 per day}]"
    world = make(program({"scoring.yaml": rules}, calm=CALM))
    world.lead("ana", timezone="Europe/London")
    for hour in (21, 22):
        world.event("ana", "seen", occurred=MONDAY.replace(hour=hour, minute=30) - DAY)
    world.tick()
    scores = [world.story("ana").score]
    for zone in ("Europe/Athens", "Europe/London"):
        world.lead("ana", timezone=zone)
        world.tick()
        scores.append(world.story("ana").score)

    assert [round(score or 0) for score in scores] == [10, 20, 10]


@SQLITE
def test_what_was_learnt_later_was_not_counted_then(make: Make) -> None:
    """Told of an instant, the score is the one that rules saw then."""
    world = make(program({"scoring.yaml": "engagement: [{rule: seen, when: {did: seen}, points: 10}]"}, calm=CALM))
    world.lead("ana")
    world.at(2 * DAY).event("ana", "seen", occurred=MONDAY)
    world.tick()
    then = world.at(DAY).story("ana")

    assert (then.score, then.lines) == (0, [])


@SQLITE
def test_what_ran_out_is_taken_out_once(make: Make) -> None:
    """A tick whose clock is behind the last door's does not bring expired points back, nor take them twice."""
    rules = "groups: {g: {expires: 2 days}}\nengagement: [{rule: a, when: {did: a}, points: 20, group: g}]"
    world = make(program({"scoring.yaml": rules}, calm=CALM))
    world.lead("ana")
    world.event("ana", "a", settle=True)
    for seconds in (1, -1, 2):
        world.at(2 * DAY + timedelta(seconds=seconds)).event("ana", "a", settle=True)
    assert world.story("ana").score == 60


@SQLITE
def test_who_objects_compares_with_nothing(make: Make) -> None:
    """A level below one of scores is found, since a comparison with an unknown score is false, not unknown."""
    rules = "awareness: [{level: hot, when: {score: {at_least: 20}}}, {level: warm, when: {industry: saas}}]"
    way = sequence("  - {id: rest, wait: 9 days}\n  - {id: over, exit: done}", when="{awareness: warm}")
    world = make(program({"scoring.yaml": rules}, way=way))
    world.lead("ana", industry="saas")
    world.do(
        lambda link: object_to(link, world.machine.library.live(link), world.ids["ana"], "profiling", world.now, "test")
    )
    world.tick()
    with world.machine.db.read() as link:
        warm = compile_condition(c.Field("awareness", "is", "warm"), world.machine.library.live(link).scope())
        assert link.execute(select(warm), {"at_now": to_micros(world.now)}).scalars().all() == [True]


# MQL levels

MATRIX = """
mql:
  levels:
    hot: {fit: {at_least: C}, engagement: {at_least: 50}}
    warm: {engagement: {at_least: 30}}
milestones:
  burning: {when: {mql_level: hot}}
  called: {when: by_step, handoff: true}
"""
DOINGS = """
half_life: 10 days
engagement: [{rule: big, when: {did: big}, points: 32}]
fit: [{rule: ours, when: {industry: saas}, thirds: 3, points: 5}]
"""


def test_levels_of_the_matrix(make: Make) -> None:
    """A lead becomes MQL at the first level that holds, the transition names it, and conditions may ask for it."""
    ways = "  - id: fork\n    branch: [{if: {mql_level: {at_least: hot}}, then: hot}]\n    else: cold\n"
    ways += "  - {id: hot, exit: hot}\n  - {id: cold, exit: cold}"
    files = {"scoring.yaml": DOINGS, "lifecycle.yaml": MATRIX}
    world = make(program(files, calm=CALM, ways=sequence(ways, when="{did: asked}")))
    for name, industry, often in (("hot", "saas", 2), ("warm", "saas", 1), ("unfit", "retail", 2), ("none", "saas", 0)):
        world.lead(name, industry=industry)
        for _ in range(often):
            world.event(name, "big")
        world.event(name, "asked")
    world.tick()
    moves = world.rows(StageTransition, col(StageTransition.to_stage) == "mql")

    assert {world.names()[move.lead_id]: move.cause for move in moves} == {
        "hot": "the MQL definition holds: hot", "warm": "the MQL definition holds: warm",
        "unfit": "the MQL definition holds: warm",
    }  # fmt: skip
    assert world.milestones("hot") == [("burning", "noted", None)]
    assert world.stands("ways") == {"hot": "hot", "warm": "cold", "unfit": "cold", "none": "cold"}


def test_a_level_is_left_on_time_and_armed_again_ten_below(make: Make) -> None:
    """Engagement fades below a level, and below that less ten: each is noticed when it comes, without a touch."""
    world = make(program({"scoring.yaml": DOINGS, "lifecycle.yaml": MATRIX}, calm=CALM))
    world.lead("ana")
    world.event("ana", "big")
    world.tick()
    held = []
    for day in (1, 2, 7, 7.3):
        world.run(MONDAY + day * DAY)
        held.append(len(world.rows(Holding, col(Holding.rule) == "mql")))

    assert held == [1, 1, 1, 0]  # 32 points are less than 19.5 after 7.15 days


@pytest.mark.parametrize("together", [False, True])
def test_a_cap_in_all_that_retention_gives_back(make: Make, together: bool) -> None:
    """Three of four counted and are removed: the fourth and two new ones do, in whatever batches, and after a rebuild."""
    rule = "engagement: [{rule: seen, when: {did: seen}, points: 10, cap: 3 in total, half_life: 3000 days}]"
    world = make(program({"scoring.yaml": rule}, calm=CALM))
    world.lead("ana")
    for day in range(4):
        world.at(MONDAY + day * DAY)
        world.event("ana", "seen")
        world.tick()
    old = [entry.event_id for entry in world.rows(ScoreEntry) if entry.counted]

    world.at(MONDAY + 10 * DAY)
    gone = scoring.without(col(ScoreEntry.event_id).in_(old))
    world.do(lambda link: [link.execute(one, {"at_now": to_micros(world.now)}) for one in gone] and None)
    world.lead("beside")
    for _ in range(2):  # what comes of somebody else of the batch changes nothing for her
        world.event("beside", "seen")
    world.event("ana", "other")
    world.tick()
    others = world.rows(ScoreEntry, col(ScoreEntry.lead_id) == world.ids["ana"])
    for day in (11, 12):
        world.at(MONDAY + day * DAY)
        world.event("ana", "seen")
        if not together:
            world.tick()
    world.tick()
    counted = [entry.counted for entry in world.rows(ScoreEntry, col(ScoreEntry.lead_id) == world.ids["ana"])]

    assert [entry.counted for entry in others] == [0.0]
    assert (len(old), counted) == (3, [10.0, 10.0, 10.0])
