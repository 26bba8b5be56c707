"""`goto`: what a loop does, and which loops are refused."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlmodel import col

from nurture.program.check import check
from nurture.records import Enrolment, Touch
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, sequence


def enrolled(world: World, *names: str) -> World:
    for name in names:
        world.lead(name)
        world.event(name, "signed_up")
    return world.tick()


def sent(world: World, who: str) -> list[tuple[str, int, int]]:
    """(step, occurrence, days since the start) of what a lead got."""
    rows = world.rows(Touch, col(Touch.lead_id) == world.ids[who], col(Touch.state) == "sent")
    return [(row.step, row.occurrence, (row.sending_at - world.start) // DAY) for row in rows]


LOOP = """
  - {id: news, email: news.j2, repeat: true}
  - {id: read, wait_until: {clicked: news}, at_most: 2 days, then: end}
  - {id: again, goto: news, turns: 3, then: bye}
  - {id: aside, email: aside.j2}
  - {id: bye, email: bye.j2}
  - {id: end, exit: completed}
"""


def test_a_loop_is_walked_so_often_and_its_clicks_are_of_the_present_turn(make: Make) -> None:
    """Three walks in all; a click in an older letter is not one in the present one."""
    world = enrolled(make(program(drip=sequence(LOOP))), "idle", "reader", "backwards")
    first: dict[str, int] = {}

    def click_the_first() -> None:
        touches = world.rows(Touch, col(Touch.lead_id) == world.ids["backwards"], col(Touch.step) == "news")
        first["touch"] = touches[0].id
        from nurture.engine import doors

        world.do(
            lambda link: doors.click(link, first["touch"], 0, world.now, machine=None, rest=world.machine.click_rest)
        )

    at: dict[datetime, object] = {
        world.start + 3 * DAY: lambda: world.click("reader", "news"),
        world.start + 3 * DAY + HOUR: click_the_first,
    }
    world.run(20 * DAY, at)  # type: ignore[arg-type]

    walks = [("news", 1, 0), ("news", 2, 2), ("news", 3, 4)]
    assert sent(world, "idle") == [*walks, ("bye", 1, 6)]
    assert sent(world, "backwards") == [*walks, ("bye", 1, 6)]
    assert sent(world, "reader") == walks[:2]
    paths = {world.names()[row.lead_id]: row.path for row in world.rows(Enrolment)}
    assert paths["reader"] == "/news/read/again/<again/news/read/end/"


def test_an_inner_loop_does_not_begin_anew_with_the_outer_one(make: Make) -> None:
    """Turns are counted in the enrolment, so a loop in a loop ends as well."""
    steps = """
  - {id: month, email: month.j2, repeat: true}
  - {id: week, email: week.j2, repeat: true}
  - {id: pause, wait: 1 day}
  - {id: weekly, goto: week, turns: 2}
  - {id: monthly, goto: month, turns: 3}
"""
    world = enrolled(make(program(drip=sequence(steps))), "ana")
    world.run(20 * DAY)

    assert sent(world, "ana") == [
        ("month", 1, 0), ("week", 1, 0), ("week", 2, 1), ("month", 2, 2), ("week", 3, 2), ("month", 3, 3), ("week", 4, 3),
    ]  # fmt: skip
    assert world.stands() == {"ana": "completed"}


def test_offers_go_round_until_nothing_is_left(make: Make) -> None:
    """A new piece each turn, without `repeat`; then the lead idles."""
    pieces = "".join(
        f"  - {{key: piece-{n}, title: T{n}, stage: awareness, url: 'https://acme.example/{n}'}}\n" for n in (1, 2)
    )
    steps = "  - {id: piece, offer: {}}\n  - {id: pause, wait: 1 day}\n  - {id: again, goto: piece, turns: 5}"
    world = enrolled(make(program({"offers.yaml": f"offers:\n{pieces}"}, drip=sequence(steps))), "ana")
    world.run(9 * DAY)

    assert [(row.content, row.occurrence) for row in world.rows(Touch)] == [("piece-1", 1), ("piece-2", 2)]
    assert world.stands() == {"ana": "piece"}


#: An edit of LOOP on the third day (all are in their second walk), and what an idle lead gets from then on.
EDITED = {
    "nothing": (LOOP, [("news", 3, 4), ("bye", 1, 6)]),
    "more turns": (LOOP.replace("turns: 3", "turns: 4"), [("news", 3, 4), ("news", 4, 6), ("bye", 1, 8)]),
    "fewer turns": (LOOP.replace("turns: 3", "turns: 2"), [("bye", 1, 4)]),
    "the goto is gone": (LOOP.replace("  - {id: again, goto: news, turns: 3, then: bye}\n", ""), [("aside", 1, 4), ("bye", 1, 4)]),
    "a letter more in the loop": (
        LOOP.replace("  - {id: again", "  - {id: tip, email: tip.j2, repeat: true}\n  - {id: again"),
        [("tip", 1, 4), ("news", 3, 4), ("tip", 2, 6), ("bye", 1, 6)],
    ),
    "the letter stands below the wait": (
        LOOP.replace("  - {id: news, email: news.j2, repeat: true}\n", "").replace(
            "  - {id: again, goto: news", "  - {id: news, email: news.j2, repeat: true}\n  - {id: again, goto: read"
        ),
        [("news", 4, 6), ("bye", 1, 6)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITED)
def test_a_loop_that_is_edited(make: Make, name: str) -> None:
    """What a walk has done it does not do again; each further walk does all of it."""
    steps, expected = EDITED[name]
    world = enrolled(make(program(drip=sequence(LOOP))), "ana")
    world.run(3 * DAY)
    world.publish(program(drip=sequence(steps, on_edit="migrate")))
    world.run(20 * DAY)

    assert sent(world, "ana") == [("news", 1, 0), ("news", 2, 2), *expected]


REFUSED = {
    "forward": (
        LOOP.replace("goto: news", "goto: bye"),
        "8:23: 'bye' stands below, and a goto leads back; use next: bye in the step above",
    ),
    "itself": (LOOP.replace("goto: news", "goto: again"), "8:23: 'again' names its own step; name a step above"),
    "a slip": (LOOP.replace("goto: news", "goto: newz"), "8:23: there is no step 'newz'; did you mean 'news'?"),
    "no turns": (LOOP.replace(", turns: 3", ""), "8:5: 'turns' is missing; add 'turns:'"),
    "one turn": (
        LOOP.replace("turns: 3", "turns: 1"),
        "8:36: steps.2.turns: '1' is too small; write 2 or more",
    ),
    "a letter that goes out once": (
        LOOP.replace(", repeat: true", ""),
        "6:23: in the second turn 'news' would be passed over: nobody gets a letter twice; add repeat: true, or send an offer",
    ),
    "no wait": (
        LOOP.replace("  - {id: read, wait_until: {clicked: news}, at_most: 2 days, then: end}\n", ""),
        "7:23: no wait on the way news > again: leads would come round at once; put a wait, or a wait_until for an event, on each way between the two",
    ),
    "a way past the wait": (
        LOOP.replace("  - {id: read", "  - {id: fork, branch: [{if: {industry: saas}, then: again}]}\n  - {id: read"),
        "9:23: no wait on the way news > fork > again: leads would come round at once; put a wait, or a wait_until for an event, on each way between the two",
    ),
    "a step that only the loop would lead to": (
        LOOP.replace("  - {id: aside", "  - {id: aside, wait: 1 day, next: bye}\n  - {id: lost").replace("then: bye", "then: aside"),
        "10:10: no lead ever comes to 'lost'; name it in a step above, or remove it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_loop_that_cannot_be(name: str) -> None:
    """Told with its place and the way out, and nothing else is told."""
    steps, problem = REFUSED[name]
    steps = (
        steps
        if name == "a step that only the loop would lead to"
        else steps.replace("  - {id: aside, email: aside.j2}\n", "")
    )
    found = [str(one) for one in check(program(drip=sequence(steps)))]

    assert [one for one in found if one.startswith("drip/sequence.yaml")] == [f"drip/sequence.yaml:{problem}"]


def test_a_loop_that_can_be() -> None:
    whole = LOOP.replace("  - {id: aside, email: aside.j2}\n", "")
    assert [str(one) for one in check(program(drip=sequence(whole))) if one.file == "drip/sequence.yaml"] == []
