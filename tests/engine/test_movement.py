"""How leads go through steps: when they leave, which way, and that nobody takes another's way."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest

from nurture.program.check import check
from tests.engine import plain
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, World, program, sequence

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
ZONES = (
    "Europe/Bucharest",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "Asia/Gaza",
    "America/Sao_Paulo",
)


def enrolled(world: World, *names: str, **values: Any) -> World:
    """Leads of these names, enrolled now."""
    for name in names:
        world.lead(name, **values)
        world.event(name, "signed_up")
    return world


def test_waits_do_not_drift_when_ticks_are_late(make: Make) -> None:
    """Each wait is measured from the instant at which the one before it was over, not from the tick."""
    world = make(
        program(
            drip=sequence("""
  - {id: two-days, wait: 2 days}
  - {id: half, wait: 36 hours}
  - {id: short, wait: 90 minutes}
  - {id: over, exit: done}""")
        )
    )
    enrolled(world, "ana").tick()

    seen = []
    for late in (2 * DAY + 5 * HOUR, 3 * DAY + 12 * HOUR + 70 * MINUTE, 9 * DAY):
        world.at(late).tick()
        passage = world.passages()["ana"]
        seen.append((passage.step, passage.entered_at - MONDAY, passage.ended_at and passage.ended_at - MONDAY))

    end = 3 * DAY + 12 * HOUR
    last = end + 90 * MINUTE
    assert seen == [("half", 2 * DAY, None), ("short", end, None), (None, last, last)]


@pytest.mark.parametrize(
    ("zone", "start"),
    [("Europe/Bucharest", datetime(2026, 10, 23, tzinfo=UTC)), ("America/New_York", datetime(2026, 3, 6, tzinfo=UTC))],
    ids=["autumn", "spring"],
)
def test_a_cohort_waits_on_each_leads_own_clock(make: Make, zone: str, start: datetime) -> None:
    """Days are the lead's: hundreds of leads of eight zones, entered all around a clock change, in one statement."""
    world = make(program(drip=sequence("  - {id: rest, wait: 2 days}\n  - {id: over, exit: done}")), start)
    zones = cycle((None, zone, *ZONES))
    expected: dict[str, datetime] = {}
    for hour in range(0, 72, 3):
        world.at(start + hour * HOUR + 50 * MINUTE)
        for _ in range(10):
            name, own = f"lead{len(expected)}", next(zones)
            enrolled(world, name, **({"timezone": own} if own else {}))
            expected[name] = plain.days_after(world.now, 2, own or "Europe/Bucharest")
        world.tick()
    world.at(start + 10 * DAY).tick()

    assert {name: row.ended_at for name, row in world.passages().items()} == expected


def test_the_two_leads_of_bucharest(make: Make) -> None:
    """Twenty minutes apart on the night of the change, an hour apart two days later: the later is the earlier."""
    world = make(program(drip=sequence("  - {id: rest, wait: 2 days}\n  - {id: over, exit: done}")))
    for name, minute in (("before", "00:50"), ("after", "01:10")):
        world.at(datetime.fromisoformat(f"2026-10-25T{minute}Z"))
        enrolled(world, name).tick()
    world.at(datetime(2026, 11, 1, tzinfo=UTC)).tick()

    ends = {name: f"{row.ended_at:%d %H:%M}" for name, row in world.passages().items()}
    assert ends == {"before": "27 01:50", "after": "27 01:10"}


UNTIL = """
  - {id: engaged, wait_until: {did: seen, where: {page: "/a*"}}, at_most: 2 days, then: good, else: bad}
  - {id: good, wait: 30 days, next: over}
  - {id: bad, wait: 30 days}
  - {id: over, exit: done}"""


@pytest.mark.parametrize("ticks", ["after each event", "five days later"])
def test_wait_until_goes_by_what_was_recorded(make: Make, ticks: str) -> None:
    """`then` at the event if it was recorded by the lead's own deadline, else `else` at it, whenever somebody ticks."""
    chance = random.Random(7)
    world = make(program(drip=sequence(UNTIL)), datetime(2026, 10, 23, 20, tzinfo=UTC))
    deadlines, events, expected = {}, [], {}
    for number, zone in zip(range(160), cycle((None, *ZONES)), strict=False):
        name = f"lead{number}"
        enrolled(world, name, **({"timezone": zone} if zone else {}))
        deadlines[name] = plain.days_after(world.now, 2, zone or "Europe/Bucharest")
    world.tick()
    for name, deadline in deadlines.items():
        gap = chance.choice([-20 * HOUR, -SECOND, timedelta(), SECOND, HOUR, None])
        page = chance.choice(["/a", "/a/b", "/b"])
        if gap is not None:
            events.append((deadline + gap, name, page))
        in_time = gap is not None and gap <= timedelta() and page != "/b"
        expected[name] = ("good", deadline + (gap or timedelta())) if in_time else ("bad", deadline)
    at = {when for when, _, _ in events}
    for when in sorted(at):
        world.at(when)
        for _, name, page in [event for event in events if event[0] == when]:
            world.event(name, "seen", page=page)
        if ticks == "after each event":
            world.tick()
    world.at(5 * DAY).tick()

    assert {name: (row.step, row.entered_at) for name, row in world.passages().items()} == expected


OTHERS = {"nothing else": None, "something else before the deadline": DAY, "something else after it": 3 * DAY}


@pytest.mark.parametrize("other", OTHERS)
def test_then_is_entered_at_the_very_event(make: Make, other: str) -> None:
    """A late tick finds what was waited for, and more that happened since: the step is entered at the former."""
    world = make(program(drip=sequence(UNTIL)))
    enrolled(world, "ana").tick()
    world.at(HOUR).event("ana", "seen", page="/a")
    if (later := OTHERS[other]) is not None:
        world.at(later).event("ana", "seen", page="/b")
    world.at(4 * DAY).tick()

    passage = world.passages()["ana"]
    assert (passage.step, passage.entered_at - passage.started_at) == ("good", HOUR)


RESTING = {
    # the click, seconds from the deadline; who; the way and seconds from the deadline of entry there
    "a person long before": (-7200, None, ("good", -7170)),
    "a person just before": (-10, None, ("good", 20)),
    "a person at the deadline": (0, None, ("good", 30)),
    "a person a second late": (1, None, ("bad", 0)),
    "a scanner just before": (-10, "a known scanner", ("bad", 0)),
    "nobody": (None, None, ("bad", 0)),
}


def test_a_click_rests_before_it_decides(make: Make) -> None:
    """A click in time decides when it has rested; one that turns out a scanner's leaves `else` at the deadline."""
    world = make(
        program(
            drip=sequence("""
  - {id: hello, email: hello.j2}
  - {id: engaged, wait_until: {clicked: hello}, at_most: 48 hours, then: good, else: bad}
  - {id: good, wait: 30 days, next: over}
  - {id: bad, wait: 30 days}
  - {id: over, exit: done}""")
        )
    )
    enrolled(world, *RESTING).tick()
    deadline = world.now + 48 * HOUR
    clicks: dict[datetime, list[tuple[str, str | None]]] = {}
    for name, (seconds, machine, _) in RESTING.items():
        if seconds is not None:
            clicks.setdefault(deadline + seconds * SECOND, []).append((name, machine))

    def follow(those: list[tuple[str, str | None]]) -> Callable[[], None]:
        def all_of_them() -> None:
            for name, machine in those:
                world.click(name, "hello", machine=machine)

        return all_of_them

    world.run(deadline + HOUR, {at: follow(those) for at, those in clicks.items()})

    seen = {name: (row.step, (row.entered_at - deadline) // SECOND) for name, row in world.passages().items()}
    assert seen == {name: expected for name, (*_, expected) in RESTING.items()}


def test_what_wakes_one_wait_does_not_end_the_next(make: Make) -> None:
    """An event counts for the wait it ended, not again for the one that is entered by it."""
    world = make(
        program(
            drip=sequence("""
  - {id: first, wait_until: {did: seen}, at_most: 2 days, then: second, else: over}
  - {id: second, wait_until: {did: seen}, at_most: 2 days, then: over, else: over}
  - {id: over, exit: done}""")
        )
    )
    enrolled(world, "through the door", "by the tick").tick()
    world.at(HOUR)
    world.event("through the door", "seen", settle=True)
    world.event("by the tick", "seen")
    world.tick()

    assert world.stands() == {"through the door": "second", "by the tick": "second"}


def test_a_wait_for_silence_ends_by_time_alone(make: Make) -> None:
    """`wait_until` with a condition that time turns goes `then` at that very instant, without anything happening."""
    world = make(
        program(
            drip=sequence("""
  - {id: quiet, wait_until: {did_not: seen, within: 3 days, since: 90 days}, at_most: 30 days, then: good, else: bad}
  - {id: good, exit: good}
  - {id: bad, exit: bad}""")
        )
    )
    enrolled(world, "ana", "bob")
    for name, hours in (("ana", 0), ("bob", 5)):
        world.at(hours * HOUR)
        world.event(name, "seen", settle=True)
        world.event(name, "seen", occurred=world.now - HOUR, settle=True)
    world.run(DAY)
    before = world.stands()
    world.run(5 * DAY)

    ends = {name: (row.outcome, row.ended_at - MONDAY) for name, row in world.passages().items()}
    assert before == {"ana": "quiet", "bob": "quiet"}
    assert ends == {"ana": ("good", 3 * DAY), "bob": ("good", 3 * DAY + 5 * HOUR)}


FORK = """
  - id: fork
    branch:
      - {if: {industry: saas, employees: {at_least: 50}}, then: large}
      - {if: {any: [{tags: vip}, {did: called, at_least: 2, within: 30 days}]}, then: warm}
      - {if: {not: {role: {known: true}}}, then: unknown}
      - {if: {industry: [saas, fintech]}, then: ours}
    else: others
  - {id: large, wait: 90 days, next: over}
  - {id: warm, wait: 90 days, next: over}
  - {id: unknown, wait: 90 days, next: over}
  - {id: ours, wait: 90 days, next: over}
  - {id: others, wait: 90 days}
  - {id: over, exit: done}"""


def test_a_branch_takes_the_first_case_that_holds(make: Make) -> None:
    """Hundreds of leads in one cohort, each its own way, as a person would sort them one by one."""
    chance = random.Random(11)
    world = make(program(drip=sequence(FORK)))
    expected = {}
    for number in range(300):
        name, calls = f"lead{number}", chance.choice([0, 0, 1, 2])
        values: dict[str, Any] = {
            "industry": chance.choice(["saas", "SaaS", "fintech", "retail", None]),
            "employees": chance.choice([None, 49, 50, 500]),
            "role": chance.choice([None, "founder"]),
        }
        tags = chance.choice([[], [], ["VIP"], ["cold"]])
        enrolled(world, name, tags=tags, **{k: v for k, v in values.items() if v is not None})
        for _ in range(calls):
            world.event(name, "called")
        saas = values["industry"] in ("saas", "SaaS")
        if saas and (values["employees"] or 0) >= 50:
            expected[name] = "large"
        elif tags == ["VIP"] or calls >= 2:
            expected[name] = "warm"
        elif values["role"] is None:
            expected[name] = "unknown"
        else:
            expected[name] = "ours" if saas or values["industry"] == "fintech" else "others"
    world.tick()

    assert world.stands() == expected


def test_targets_and_the_list_say_where_steps_lead(make: Make) -> None:
    """`next` goes over steps, a step without a target goes on to the next of the list, an exit names the end."""
    world = make(
        program(
            drip=sequence("""
  - {id: one, wait: 1 days, next: three}
  - {id: two, exit: never}
  - {id: three, branch: [{if: {role: chief}, then: five}]}
  - {id: four, exit: plain}
  - {id: five, exit: chiefly}""")
        )
    )
    enrolled(world, "ana")
    enrolled(world, "chief", role="chief").tick()
    world.at(DAY).tick()

    assert {name: row.outcome for name, row in world.passages().items()} == {"ana": "plain", "chief": "chiefly"}


def test_an_update_changes_the_lead_and_what_follows_from_it(make: Make) -> None:
    """Tags, status and fields are written for the cohort alone, and conditions see them at once."""
    world = make(
        program(
            drip=sequence("""
  - id: mark
    update:
      tags: {add: [Evaluated, "ü"], remove: cold}
      status: open
      fields: {industry: SaaS, role: null, employees: 7, paid: true}
  - id: fork
    branch:
      - {if: {not: {industry: saas, employees: 7, paid: true, status: open, tags: evaluated}}, then: wrong}
      - {if: {any: [{role: {known: true}}, {tags: cold}, {role: chief}]}, then: wrong}
  - {id: right, exit: right}
  - {id: wrong, exit: wrong}"""),
            other=sequence("  - {id: rest, wait: 1 days}\n  - {id: over, exit: done}", when="{tags: evaluated}"),
        )
    )
    enrolled(world, "ana", "bob", role="chief", industry="retail", tags=["cold"])
    world.lead("eve", role="chief", industry="retail", tags=["cold"])
    world.tick()

    assert world.stands("drip") == {"ana": "right", "bob": "right"}
    assert world.stands("other") == {"ana": "rest", "bob": "rest"}
    eve = world.who("eve")
    assert (eve.status, eve.fields) == ("new", {"role": "chief", "industry": "retail"})


def test_whoever_leaves_does_so_at_once_and_objective_comes_first(make: Make) -> None:
    """A wait does not keep a lead whose objective is reached, whose stage or segment has changed, who is suppressed."""
    world = make(
        program(
            {"lifecycle.yaml": "milestones: {demo: {when: {did: demo}}}"},
            drip=sequence(
                "  - {id: rest, wait: 30 days}\n  - {id: over, exit: done}",
                segment="{industry: saas}",
                objective="demo",
                leave="{any: [{tags: gone}, segment_left, {did: demo}]}",
            ),
        )
    )
    names = ("demo", "tag", "segment", "unsubscribed", "stays")
    enrolled(world, *names, industry="saas").tick()

    world.at(DAY)
    world.event("demo", "demo", settle=True)
    world.event("unsubscribed", "unsubscribed", settle=True)
    world.lead("tag", tags=["gone"])
    world.lead("segment", industry="retail")
    world.tick()

    ends = {name: (row.outcome, row.ended_at) for name, row in world.passages().items()}
    assert ends == {
        "demo": ("objective", world.now),
        "tag": ("left", world.now),
        "segment": ("left", world.now),
        "unsubscribed": ("suppressed", world.now),
        "stays": (None, None),
    }


def test_a_handoff_step_interrupts_other_sequences_at_once(make: Make) -> None:
    """A lead that a step hands to sales leaves what its new stage forbids, in the same tick."""
    calm = "  - {id: rest, wait: 30 days}\n  - {id: over, exit: done}"
    world = make(
        program(
            {"lifecycle.yaml": "milestones: {engaged: {when: by_step, handoff: true}}"},
            drip=sequence(
                "  - {id: rep, handoff: engaged}\n  - {id: rest, wait: 30 days}\n  - {id: over, exit: done}",
                leave="{stage: sal}",
                priority="10",
            ),
            calm=sequence(calm, leave="{stage: sal}"),
        )
    )
    enrolled(world, "ana").tick()

    assert (world.who("ana").stage, world.stands("drip"), world.stands("calm")) == (
        "sal",
        {"ana": "left"},
        {"ana": "left"},
    )


def test_a_lead_that_moves_waits_on_its_new_clock(make: Make) -> None:
    """A wait is measured from its beginning in the zone where the lead is now; if that is past, it is over now."""
    world = make(program(drip=sequence("  - {id: rest, wait: 2 days}\n  - {id: over, exit: done}")))
    enrolled(world, "west", "east", "stays", timezone="Europe/Bucharest").tick()
    world.at(datetime(2026, 3, 4, 7, 30, tzinfo=UTC))
    start = datetime(2026, 3, 27, 8, 0, tzinfo=UTC)  # two days later clocks have changed in Bucharest, not in Dubai
    world.at(start)
    enrolled(world, "dubai", "remains", timezone="Europe/Bucharest").tick()
    world.at(start + DAY)
    world.lead("dubai", timezone="Asia/Dubai")
    world.tick().at(start + 5 * DAY).tick()

    ends = {name: row.ended_at - start for name, row in world.passages().items() if name in ("dubai", "remains")}
    assert ends == {"dubai": 2 * DAY, "remains": 2 * DAY - HOUR}


@pytest.mark.parametrize(
    "steps",
    [
        "  - {id: one, wait: 1 days}\n  - {id: two, wait: 1 days, next: one}",
        "  - {id: one, wait: 1 days, next: one}",
        "  - {id: one, branch: [{if: {role: a}, then: one}]}\n  - {id: two, exit: done}",
    ],
    ids=["back", "to itself", "a branch to itself"],
)
def test_loops_are_refused(steps: str) -> None:
    """A way that leads back is found before anybody is enrolled."""
    said = [str(problem) for problem in check(program(drip=sequence(steps)))]

    assert any("leads back" in line or "names its own step" in line for line in said)
