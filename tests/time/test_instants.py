"""A step that sends nothing happens at its due instant: a late tick finds what was true then."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, World, program, sequence

SECOND = timedelta(seconds=1)
SCORING = """
engagement: [{rule: seen, when: {did: seen}, points: 10, half_life: 2 days}]
fit: [{rule: saas, when: {industry: saas}, points: 3}]
awareness:
  - {level: knows_us, when: {did: seen, at_least: 2, within: 36 hours}}
  - {level: new, when: {did: seen}}
"""
#: The branch is due two days after the start.
FORK = """
  - {{id: rest, wait: 48 hours}}
  - {{id: fork, branch: [{{if: {condition}, then: good}}], else: bad}}
  - {{id: good, wait: 90 days, next: over}}
  - {{id: bad, wait: 90 days}}
  - {{id: over, exit: done}}"""
BRANCHES: dict[str, tuple[str, list[float], str]] = {
    # condition; hours after the start at which ana does `seen`; the way at the due instant
    "recorded before": ("{did: seen}", [47.99], "good"),
    "recorded at the instant": ("{did: seen}", [48], "good"),
    "recorded a second later": ("{did: seen}", [48 + 1 / 3600], "bad"),
    "did not, then did": ("{did_not: seen}", [50], "good"),
    "times": ("{did: seen, at_least: 2}", [1, 60], "bad"),
    "within counts back from the instant": ("{did: seen, within: 24 hours}", [25], "good"),
    "and no farther": ("{did: seen, within: 24 hours}", [23], "bad"),
    "a fading score": ("{score: {at_least: 5}}", [0], "good"),
    "it was no more than that": ("{score: {at_least: 6}}", [0], "bad"),
    "points that came later": ("{score: {at_least: 15}}", [24, 49], "bad"),
    "of several kinds": ("{score: {at_least: 15}}", [24, 47, 47], "good"),
    "a level": ("{awareness: knows_us}", [13, 40], "good"),
    "a level that came later": ("{awareness: knows_us}", [13, 49], "bad"),
    "a level that is over by the tick": ("{awareness: {at_least: new}}", [1], "good"),
    "in a sequence that it entered later": ("{in_sequence: other}", [50], "bad"),
    "in a sequence that it is in": ("{in_sequence: other}", [40], "good"),
    "a letter that came later": ("{received: other/hello.j2}", [50], "bad"),
    "a letter that it had": ("{received: other/hello.j2}", [40], "good"),
    "a letter's event": ("{did: email_sent}", [40], "good"),
}


@pytest.mark.parametrize("late", [timedelta(), 40 * HOUR], ids=["at once", "days late"])
def test_a_branch_is_decided_as_of_its_due_instant(make: Make, late: timedelta) -> None:
    """A lead for each case, a sequence for each condition; what happens between the instant and the tick is not seen."""
    other = sequence("  - {id: hello, email: hello.j2}\n  - {id: stay, wait: 3 hours}", when="{did: seen}")
    rules = {condition: f"s{number}" for number, condition in enumerate({case[0] for case in BRANCHES.values()})}
    names = {f"lead{number}": name for number, name in enumerate(BRANCHES)}
    files = {slug: sequence(FORK.format(condition=rule), when=f"{{tags: {slug}}}") for rule, slug in rules.items()}
    world = make(program({"scoring.yaml": SCORING}, other=other.replace("wait: 3 hours", "wait: 30 days"), **files))
    for lead, name in names.items():
        world.lead(lead, tags=[rules[BRANCHES[name][0]]])
    world.tick()
    due = MONDAY + 48 * HOUR
    for at, lead in sorted((hours, lead) for lead, name in names.items() for hours in BRANCHES[name][1]):
        instant = MONDAY + at * HOUR
        if world.now < due + late < instant:
            world.at(due + late).tick()
        world.at(instant)
        world.event(lead, "seen")
        if instant <= due:
            world.tick("other")  # it is entered, and its letter goes out, when it is looked at
    world.at(max(due + late, world.now)).tick()

    found = {name: world.passages(rules[BRANCHES[name][0]])[lead] for lead, name in names.items()}
    assert {name: row.step for name, row in found.items()} == {name: way for name, (_, _, way) in BRANCHES.items()}
    assert {row.entered_at for row in found.values()} == {due}


UNTIL = """
  - {id: ready, wait_until: {any: [{industry: saas}, {tags: vip}, {listed: Guests}, {did: asked}]}, at_most: 2 days,
     then: good, else: bad}
  - {id: good, wait: 90 days, next: over}
  - {id: bad, wait: 90 days}
  - {id: over, exit: done}"""
NOT = """
  - {id: ready, wait_until: {not: {tags: cold}}, at_most: 2 days, then: good, else: bad}
  - {id: good, exit: good}
  - {id: bad, exit: bad}"""
CHANGES: dict[str, tuple[str, float, str, float]] = {
    # what becomes true, hours after the start; the way, hours of entry there
    "a field in time": ("field", 10, "good", 10),
    "a tag in time": ("tag", 10, "good", 10),
    "a list in time": ("list", 10, "good", 10),
    "a field at the deadline": ("field", 48, "good", 48),
    "a field a second later": ("field", 48 + 1 / 3600, "bad", 48),
    "a tag later": ("tag", 60, "bad", 48),
    "a list later": ("list", 60, "bad", 48),
    "an event in time": ("event", 10, "good", 10),
    "an event later": ("event", 49, "bad", 48),
    "nothing": ("nothing", 20, "bad", 48),
}


def change(world: World, name: str, what: str) -> None:
    """Make the condition of UNTIL true of a lead."""
    if what == "event":
        world.event(name, "asked")
    elif what == "field":
        world.lead(name, industry="SaaS")
    elif what == "tag":
        world.lead(name, tags=["VIP"])
    elif what == "list":
        world.lead(name, lists=["guests"])


@pytest.mark.parametrize("late", [None, 40 * HOUR], ids=["ticks after each change", "a tick days later"])
def test_a_wait_for_a_field_ends_by_the_deadline(make: Make, late: timedelta | None) -> None:
    """A field, a tag and a list have no history: they count if the lead was last changed by the deadline."""
    world = make(program(drip=sequence(UNTIL, when="{email: {known: true}}")))
    for name in CHANGES:
        world.lead(name)
    world.tick()
    for name, (what, hours, *_) in sorted(CHANGES.items(), key=lambda item: item[1][1]):
        world.at(MONDAY + hours * HOUR)
        change(world, name, what)
        if late is None:
            world.tick()
    world.at(48 * HOUR + (late or 13 * HOUR)).tick()

    found = {name: (row.step, (row.entered_at - MONDAY) / HOUR) for name, row in world.passages().items()}
    assert found == {name: (way, at) for name, (_, _, way, at) in CHANGES.items()}


@pytest.mark.parametrize(("hours", "way"), [(10, "good"), (49, "bad")])
def test_a_negation_that_comes_true_too_late(make: Make, hours: int, way: str) -> None:
    """`not` of a tag turns true when the tag goes; after the deadline that is too late, though the tick is later still."""
    strip = "  - {id: rest, wait: %d hours}\n  - {id: strip, update: {tags: {remove: cold}}}"
    world = make(
        program(
            drip=sequence(NOT, when="{email: {known: true}}"),
            strip=sequence(strip % hours, when="{email: {known: true}}", priority="90"),
        )
    )
    world.lead("ana", tags=["cold"])
    world.tick()
    world.at(hours * HOUR).tick("strip")
    world.at(4 * DAY).tick("drip")

    assert world.passages("drip")["ana"].outcome == way


def test_clicks_in_a_branch_are_those_of_its_instant(make: Make) -> None:
    """`clicked:` in a branch: a click that has rested by the due instant counts, one that has not does not."""
    steps = """
  - {id: hello, email: hello.j2}
  - {id: rest, wait: 24 hours}
  - {id: fork, branch: [{if: {clicked: hello}, then: good}], else: bad}
  - {id: good, exit: good}
  - {id: bad, exit: bad}"""
    world = make(program(drip=sequence(steps, when="{email: {known: true}}")))
    moments = {"early": -2 * HOUR, "just-rested": -30 * SECOND, "rests-yet": -29 * SECOND, "later": HOUR}
    for name in moments:
        world.lead(name)
    world.tick()
    for name, gap in moments.items():
        world.at(24 * HOUR + gap).click(name, "hello")
    world.at(3 * DAY).tick()

    assert world.stands() == {"early": "good", "just-rested": "good", "rests-yet": "bad", "later": "bad"}
