"""What turns by time alone turns on time: fading scores and expiring events, against a plain bisection."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from math import floor

import pytest
import yaml
from sqlalchemy import select
from sqlmodel import col

from nurture.engine.running import Run
from nurture.intake import write
from nurture.intake.write import NewEvent
from nurture.language.compiler import Scope
from nurture.language.conditions import Field, parse_condition
from nurture.language.turns import turning, turns
from nurture.records import Lead, Milestone, Work
from nurture.records.types import from_micros
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, World, program, sequence

SECOND = timedelta(seconds=1)
#: Event to its points and the days in which half of them are gone; None: what the lead is, which does not fade.
RULES = {"prices": (10, 5), "guide": (25, 30), "visit": (3, 90), "jobs": (-15, 2), "bounce": (-30, 20)}
FIT = 7
_EARNS = [f"  - {{rule: {n}, when: {{did: {n}}}, points: {p}, half_life: {d} days}}" for n, (p, d) in RULES.items()]
SCORING = "\n".join(
    ["half_life: 30 days", "engagement:", *_EARNS, f"fit: [{{rule: ours, when: {{industry: saas}}, points: {FIT}}}]"]
)
#: As a marketer writes it, and as a person reads it.
TESTS: dict[str, tuple[str, Callable[[int], bool]]] = {
    "under": ("{under: 30}", lambda score: score < 30),
    "at_most": ("{at_most: 12}", lambda score: score <= 12),
    "at_most-a-half": ("{at_most: 40.5}", lambda score: score <= 40.5),
    "at_least": ("{at_least: 20}", lambda score: score >= 20),
    "above": ("{above: 33}", lambda score: score > 33),
    "is": ("17", lambda score: score == 17),
    "not": ("{not: [100, 35]}", lambda score: score not in (100, 35)),
    "one-of": ("[9, 45]", lambda score: score in (9, 45)),
    "both": ("{at_least: 5, under: 10}", lambda score: 5 <= score < 10),
    "nought": ("0", lambda score: score == 0),
    "never": ("{at_least: 101}", lambda score: score >= 101),
}
FAR = 120 * DAY


@dataclass
class Ledger:
    """What earns a lead its score."""

    deeds: list[tuple[str, datetime]]
    fits: bool

    def score(self, at: datetime) -> int:
        """The number as anybody would work it out."""
        left: float = sum(RULES[n][0] * 0.5 ** ((at - then) / timedelta(days=RULES[n][1])) for n, then in self.deeds)
        return max(0, min(100, floor(left + FIT * self.fits + 0.500001)))

    def turns(
        self, holds: Callable[[int], bool], start: datetime, step: timedelta = HOUR / 3, far: timedelta = FAR
    ) -> datetime | None:
        """The first instant after `start` at which `holds` is true, to a millisecond; None: not before `far`."""
        at = start
        while at < start + far and not holds(self.score(at)):
            at += step
        if at >= start + far:
            return None
        low, high = at - step, at
        while high - low > timedelta(milliseconds=1):
            middle = low + (high - low) / 2
            low, high = (low, middle) if holds(self.score(middle)) else (middle, high)
        return high


def ledgers(count: int, seed: int) -> dict[str, Ledger]:
    chance = random.Random(seed)
    found = {}
    for number in range(count):
        kinds = chance.sample(list(RULES), chance.choice([1, 1, 2, 3, 5]))
        deeds = [
            (kind, MONDAY - timedelta(minutes=chance.randrange(60 * 24 * 40)))
            for kind in kinds
            for _ in range(chance.choice([1, 2, 5]))
        ]
        found[f"lead{number}"] = Ledger(deeds, chance.random() < 0.5)
    return found


def settle_until(world: World, until: datetime) -> int:
    """Settle whenever a lead is to be looked at; how many instants that were."""
    looks = 0
    while (rows := world.rows(Work, col(Work.due_at) <= until)) and looks < 20_000:
        world.clock.at = max(world.now, min(row.due_at for row in rows))
        world.machine.settle(world.now)
        looks += 1
    return looks


def earn(world: World, people: dict[str, Ledger]) -> None:
    """Leads of these ledgers, and their events."""
    for fits in (True, False):
        some = [name for name, ledger in people.items() if ledger.fits is fits]
        world.crowd(some, **({"industry": "saas"} if fits else {}))
    deeds = [
        NewEvent(world.ids[name], kind, then, world.now, world.now, {}, "test", f"{name}-{number}")
        for name, ledger in people.items()
        for number, (kind, then) in enumerate(ledger.deeds)
    ]
    world.do(lambda link: write.put_events(link, deeds))


def _turned(bound: int, before: int) -> Callable[[int], bool]:
    return lambda score: (score >= bound) is not (before >= bound)


def test_a_look_is_never_planned_too_late(make: Make) -> None:
    """Of hundreds of leads: the next look comes no later than the score crosses a bound, and of one half-life exactly then."""
    world = make(program({"scoring.yaml": SCORING}))
    people = ledgers(100, 8)
    earn(world, people)
    world.machine.settle(world.now)
    exact = 0
    for now, bound in product((MONDAY, MONDAY + 9 * DAY), (1, 20, 45)):
        with world.machine.db.read() as link:
            live = world.machine.library.live(link)
            looks = select(col(Lead.id), turns([Field("score", "at_least", bound)], live.scope())[1][0])
            found = {world.names()[lead]: at for lead, at in Run(link, live, now)(looks)}
        for name, ledger in people.items():
            true = ledger.turns(_turned(bound, ledger.score(now)), now, 6 * HOUR, 60 * DAY)
            planned = None if found[name] is None else from_micros(found[name])
            assert planned is None or planned >= now + SECOND, name
            if true is not None:
                assert planned is not None, name
                assert planned <= max(true, now + SECOND) + timedelta(milliseconds=2), name
                if len({kind for kind, _ in ledger.deeds}) == 1:
                    exact += 1
                    assert abs(planned - true) <= SECOND, name
    assert exact > 10


@pytest.mark.parametrize("name", TESTS)
def test_a_test_of_the_score_turns_at_its_bounds_alone(name: str) -> None:
    """From one whole number to the next the answer changes only where a bound is looked at."""
    written, holds = TESTS[name]
    found = turning(parse_condition({"score": yaml.safe_load(written)}), Scope({}))
    bounds = {part.value for part in found if isinstance(part, Field)}

    assert {score for score in range(1, 101) if holds(score) is not holds(score - 1)} == bounds


@pytest.mark.parametrize(
    "tests",
    [["under", "at_most-a-half", "at_least"], ["is", "nought"]],
    ids=["bounds", "numbers"],
)
def test_a_fading_score_turns_a_condition_within_a_second(make: Make, tests: list[str]) -> None:
    """Sums of several half-lives, of points above and below zero, over every bound: acted on when it is crossed."""
    calm = "  - {id: rest, wait: 900 days}\n  - {id: over, exit: done}"
    slugs = {name.replace("_", "-"): name for name in tests}
    files = {
        slug: sequence(calm, when="{email: {known: true}}", leave=f"{{score: {TESTS[name][0]}}}")
        for slug, name in slugs.items()
    }
    world = make(program({"scoring.yaml": SCORING}, **files))
    people = ledgers(5 if world.machine.db.is_sqlite else 3, 5)
    earn(world, people)
    world.tick()
    looks = settle_until(world, MONDAY + FAR)

    acted = 0
    for slug, name in slugs.items():
        holds = TESTS[name][1]
        inside = world.passages(slug)
        for who, ledger in people.items():
            assert (who in inside) is not holds(ledger.score(MONDAY)), (name, who)
            if who not in inside:
                continue
            ended, true = inside[who].ended_at, ledger.turns(holds, MONDAY)
            acted += true is not None
            if true is None:
                assert ended is None or ended > MONDAY + FAR - SECOND, (name, who, ended)
            else:
                assert abs((ended or MONDAY) - true) <= SECOND, (name, who, ended, true)
    assert acted >= 2
    assert looks < 40 * len(tests) * len(people)


def test_points_that_do_not_fade_are_not_looked_at(make: Make) -> None:
    """Fit alone holds the score up for ever, and a lead without points has none to lose: nobody looks again."""
    scoring = SCORING.replace("points: 7", "points: 60")
    files = program(
        {"scoring.yaml": scoring, "lifecycle.yaml": "mql: {when: {score: {at_least: 60}}}"},
        one=sequence("  - {id: rest, wait: 9 days}", when="{score: {at_least: 50}}"),
    )
    world = make(files)
    world.lead("fits", industry="saas")
    world.lead("blank")
    world.tick()

    assert world.stands() == {"fits": "rest"}
    assert world.rows(Work) == []


TIMED = {
    # condition: hours after the one event, at noon on Monday, at which it becomes true
    "{did_not: seen, within: 2 days}": 48,
    "{did_not: seen, since: 90 minutes}": 1.5,
    "{not: {did: seen, within: 36 hours}}": 36,
    "{did_not: seen, within: 3 days, since: 30 days}": 72,
    "{awareness: {not: knows_us}}": 24,
    "{buying_stage: {under: decision}}": 60,
}
LEVELS = """
awareness:
  - {level: knows_us, when: {did: seen, within: 24 hours}}
  - {level: new, when: {email: {known: true}}}
buying_stage:
  - {stage: decision, when: {did: seen, within: 60 hours}}
  - {stage: consideration, when: {did: seen, within: 5 days}}
"""


def test_what_expires_turns_at_the_very_instant(make: Make) -> None:
    """`within`, `since` and levels made of them leave at the microsecond, in `leave`, `enrol`, `wait_until`, milestone."""
    calm = "  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}"
    until = "  - {{id: quiet, wait_until: {}, at_most: 60 days, then: good, else: bad}}\n"
    ends = "  - {id: good, exit: good}\n  - {id: bad, exit: bad}"
    sequences = {}
    for number, condition in enumerate(TIMED):
        sequences[f"leaves{number}"] = sequence(calm, when="{tags: in}", leave=condition)
        sequences[f"waits{number}"] = sequence(until.format(condition) + ends, when="{tags: in}")
        sequences[f"enters{number}"] = sequence(calm, when=condition, segment="{tags: in}")
    milestones = "".join(f"  m{number}: {{when: {condition}}}\n" for number, condition in enumerate(TIMED))
    world = make(
        program({"scoring.yaml": LEVELS, "lifecycle.yaml": f"milestones:\n{milestones}"}, **sequences),
        MONDAY + timedelta(microseconds=7),
    )
    world.lead("ana", tags=["in"])
    world.event("ana", "seen")
    start = world.now
    world.run(9 * DAY)

    for number, (condition, hours) in enumerate(TIMED.items()):
        at = start + hours * HOUR
        assert world.passages(f"leaves{number}")["ana"].ended_at == at, condition
        assert world.passages(f"enters{number}")["ana"].started_at == at, condition
        (reached,) = [row.reached_at for row in world.rows(Milestone, col(Milestone.name) == f"m{number}")]
        assert reached == at, condition
        if "did" not in condition:  # else only what happened since the step was entered counts
            waited = world.passages(f"waits{number}")["ana"]
            assert (waited.outcome, waited.ended_at) == ("good", at), condition


def test_a_late_tick_enters_the_step_at_the_turn(make: Make) -> None:
    """Nobody ticked for days: the wait for silence was over when the silence was long enough, not at the tick."""
    steps = """
  - {id: quiet, wait_until: {did_not: seen, within: 3 days, since: 60 days}, at_most: 30 days, then: good, else: bad}
  - {id: good, wait: 90 days}
  - {id: bad, exit: bad}"""
    world = make(program(drip=sequence(steps, when="{tags: in}")))
    world.lead("ana", tags=["in"])
    world.event("ana", "seen")
    world.tick().at(20 * DAY).tick()

    passage = world.passages()["ana"]
    assert (passage.step, passage.entered_at - MONDAY) == ("good", 3 * DAY)


@pytest.mark.parametrize("late", [timedelta(), 12 * DAY], ids=["in time", "late"])
def test_a_score_that_falls_while_waiting(make: Make, late: timedelta) -> None:
    """`wait_until` a score is under a bound: entered when it was, whenever the tick comes."""
    scoring = "engagement: [{rule: guide, when: {did: guide}, points: 40, half_life: 10 days}]"
    steps = """
  - {id: cold, wait_until: {score: {under: 20}}, at_most: 30 days, then: good, else: bad}
  - {id: good, wait: 90 days}
  - {id: bad, exit: bad}"""
    world = make(program({"scoring.yaml": scoring}, drip=sequence(steps, when="{did: guide}")))
    world.lead("ana")
    world.event("ana", "guide")
    world.tick()
    if late:
        world.at(10 * DAY + late).tick()
    else:
        world.run(15 * DAY)

    passage = world.passages()["ana"]
    fell = passage.entered_at - MONDAY
    assert passage.step == "good"
    assert 10 * DAY < fell < 10.4 * DAY  # 40 is 19.5 after 10 days and a little: it was 20 until then
