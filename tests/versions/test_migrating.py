"""What `on_edit: migrate` does with leads in states that the table of edits does not have."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import col

from nurture.channels.base import Receipt
from nurture.language.source import ProgramError
from nurture.program.load import load
from nurture.records import AudienceMember, Enrolment, SequenceVersion, Touch
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, second_machine, sequence


def follows(steps: str, **more: str) -> dict[str, str]:
    return program(drip=sequence(steps, on_edit="migrate", **more))


def enrolled(world: World, *names: str) -> World:
    for name in names:
        world.lead(name)
        world.event(name, "signed_up")
    return world.tick()


def versions(world: World) -> dict[str, int]:
    """The version that each lead is in, by its number."""
    number = {row.id: row.number for row in world.rows(SequenceVersion)}
    return {name: number[row.version_id] for name, row in world.passages().items()}


WAITS = """
  - {id: hello, email: hello.j2}
  - {id: engaged, wait_until: {clicked: hello}, at_most: 4 days, then: good, else: bad}
  - {id: bad, wait: 30 days}
  - {id: good, wait: 30 days}
"""
#: The step as it is after three days, and where leads stand then, with hours since the first morning: who did
#: nothing, who has joined on the first day, who joins on the third evening.
REWORDED = {
    "the same": ("{clicked: hello}, at_most: 4 days", {"idle": ("bad", 96), "early": ("bad", 96), "late": ("bad", 96)}),
    "shortened": ("{clicked: hello}, at_most: 2 days", {"idle": ("bad", 72), "early": ("bad", 72), "late": ("bad", 72)}),
    "lengthened": ("{clicked: hello}, at_most: 6 days", {"idle": ("bad", 144), "early": ("bad", 144), "late": ("bad", 144)}),
    "another event": ("{did: joined}, at_most: 4 days", {"idle": ("bad", 96), "early": ("good", 72), "late": ("good", 80)}),
    "another event, shortened": (
        "{did: joined}, at_most: 2 days", {"idle": ("bad", 72), "early": ("good", 72), "late": ("bad", 72)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REWORDED)
def test_a_wait_for_an_event_is_looked_at_by_its_new_words(make: Make, name: str) -> None:
    """What was recorded since the step began counts; nothing happens before the publication that brought it about."""
    words, expected = REWORDED[name]
    world = enrolled(make(program(drip=sequence(WAITS))), "idle", "early", "late")
    begun = world.now
    world.run(DAY, {world.now + HOUR: lambda: world.event("early", "joined")})
    world.run(3 * DAY)
    world.publish(follows(WAITS.replace("{clicked: hello}, at_most: 4 days", words)))
    world.run(7 * DAY, {begun + 80 * HOUR: lambda: world.event("late", "joined")})

    seen = {who: (row.step, (row.entered_at - begun) // HOUR) for who, row in world.passages().items()}
    assert seen == expected


GONE = """
  - {id: hello, email: hello.j2}
  - {id: held, wait: 9 days}
%s
  - {id: left, wait: 30 days, next: over}
  - {id: right, wait: 30 days}
  - {id: over, exit: done}
"""
#: Steps that go together with the wait before them, and where its leads go on.
CHAINS = {
    "a branch: its else": ("  - {id: fork, branch: [{if: {industry: saas}, then: left}], else: right}", "right"),
    "a branch without else: the next": ("  - {id: fork, branch: [{if: {industry: saas}, then: right}]}", "left"),
    "a wait_until: its else": ("  - {id: fork, wait_until: {clicked: hello}, at_most: 1 day, then: left, else: right}", "right"),
    "a goto: onwards": ("  - {id: fork, goto: hello, turns: 3, then: right}", "right"),
    "a letter: the next": ("  - {id: fork, email: fork.j2}", "left"),
    "a letter that names its next": ("  - {id: fork, email: fork.j2, next: right}", "right"),
    "a hand-off: as if refused": ("  - {id: fork, handoff: asked, passed: left, refused: right}", "right"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_who_stands_on_a_deleted_step_goes_where_it_led(make: Make, name: str) -> None:
    """The first step that followed in the old sequence and is still there, entered at the publication."""
    step, target = CHAINS[name]
    world = enrolled(make(program(drip=sequence(GONE % step))), "ana")
    world.at(DAY)
    effect = world.publish(follows((GONE % "").replace("  - {id: held, wait: 9 days}\n", ""))).effects[0]

    row = world.passages()["ana"]
    assert (row.step, row.entered_at, row.due_at) == (target, world.now, world.now + 30 * DAY - HOUR)  # clocks change
    assert [(one.deleted, one.to, one.leads) for one in effect.steps] == [(True, target, 1)]


def test_who_has_nothing_before_them_any_more_comes_to_the_end(make: Make) -> None:
    world = enrolled(
        make(program(drip=sequence("  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}"))), "ana"
    )
    effect = world.at(DAY).publish(follows("  - {id: hello, email: hello.j2}")).effects[0]

    assert world.stands() == {"ana": "completed"}
    assert (effect.ended, effect.details()[-1]) == (1, "1 lead comes to the end of the sequence")


def test_everybody_moves_whichever_version_they_were_pinned_to(make: Make) -> None:
    """Three pinned versions, one that migrates, one that pins again: only newcomers enter the last."""
    steps = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: %d days}"
    world = make(program(drip=sequence(steps % 20)))
    enrolled(world, "ana").publish(program(drip=sequence(steps % 21)))
    enrolled(world, "ben").publish(program(drip=sequence(steps % 22)))
    enrolled(world, "cleo")
    assert versions(world) == {"ana": 1, "ben": 2, "cleo": 3}

    effect = world.publish(follows(steps % 5)).effects[0]
    assert versions(world) == dict.fromkeys(("ana", "ben", "cleo"), 4)
    assert (effect.moved, effect.on_versions, {one.version for one in effect.steps}) == (3, {}, {1, 2, 3})

    enrolled(world, "dan")
    effect = world.publish(program(drip=sequence(steps % 6))).effects[0]
    assert (effect.moved, effect.on_versions) == (0, {4: 4})
    assert "4 inside finish on version 4" in str(effect)
    enrolled(world, "eve")
    assert versions(world) == {"ana": 4, "ben": 4, "cleo": 4, "dan": 4, "eve": 5}


LETTER = "  - {id: hello, email: hello.j2%s}\n  - {id: rest, wait: 5 days}\n  - {id: bye, email: bye.j2}"


@pytest.mark.parametrize("gone", [False, True], ids=["kept", "deleted"])
def test_a_letter_that_waits_to_be_tried_again(make: Make, gone: bool) -> None:
    """It is planned anew at its hour under the new version; or called off with its step."""
    world = make(program(drip=sequence(LETTER % "")))
    inner = world.machine.email.deliver
    world.machine.email.deliver = lambda parcels, journal, stop: [  # type: ignore[assignment, method-assign]
        Receipt(parcel.touch_id, "try_later", "451 greylisted") for parcel in parcels
    ]
    enrolled(world, "ana")
    again = world.touch("ana", "hello").next_at
    world.machine.email.deliver = inner  # type: ignore[method-assign]
    steps = (LETTER % "").split("\n", 1)[1] if gone else LETTER % ", kind: operational"
    effect = world.publish(follows(steps)).effects[0]
    assert (effect.replanned, effect.called_off) == ((0, 1) if gone else (1, 0))
    world.run(DAY)

    if gone:
        assert world.touches()["ana"] == [("hello", "cancelled", "edited")]
        assert world.stands() == {"ana": "rest"}
    else:
        assert world.touch("ana", "hello").purpose == "operational"
        assert world.touch("ana", "hello").sending_at == again
    assert len(world.sent) == (0 if gone else 1)


def test_an_uncertain_letter_is_over(make: Make) -> None:
    """Nobody knows whether it left, so it is not planned anew; its lead has gone on."""
    world = make(program(drip=sequence(LETTER % "")))
    inner = world.machine.email.deliver
    world.machine.email.deliver = lambda parcels, journal, stop: [  # type: ignore[assignment, method-assign]
        Receipt(parcel.touch_id, "unknown", "closed after the dot") for parcel in parcels
    ]
    enrolled(world, "ana")
    world.machine.email.deliver = inner  # type: ignore[method-assign]
    world.publish(follows(LETTER % ", kind: operational"))
    world.run(9 * DAY)

    assert world.touches()["ana"] == [("hello", "uncertain", "closed after the dot"), ("bye", "sent", None)]


def test_what_a_pause_keeps_back_is_planned_anew_and_goes_after_it(make: Make) -> None:
    from nurture.engine import control

    world = make(program(drip=sequence(LETTER % "")))
    world.do(lambda link: control.pause(link, "segment:drip", "ana", world.now))
    enrolled(world, "ana")
    assert world.touches()["ana"] == [("hello", "planned", "paused")]
    world.at(3 * DAY).publish(follows(LETTER % ", label: Hello"))
    world.tick()
    assert world.touches()["ana"] == [("hello", "planned", "paused")]
    world.do(lambda link: control.resume(link, "segment:drip", "ana", world.now))
    world.tick()

    assert world.touches()["ana"] == [("hello", "sent", None)]


def test_a_new_rule_to_leave_takes_out_those_inside(make: Make) -> None:
    world = make(program(drip=sequence(LETTER % "")))
    world.lead("ana", industry="saas")
    world.event("ana", "signed_up")
    enrolled(world, "ben")
    world.publish(follows(LETTER % "", leave="{industry: saas}"))
    world.tick()

    assert world.stands() == {"ana": "left", "ben": "rest"}


def test_an_audience_is_left_with_the_sequence_even_if_its_step_is_gone(make: Make) -> None:
    steps = "  - {id: ads, audience: {add: watchers}}\n  - {id: rest, wait: 5 days}"
    house = {"program.yaml": program()["program.yaml"] + 'audiences: {watchers: {url: "https://ads.example"}}\n'}
    world = enrolled(make(program(house, drip=sequence(steps))), "ana")
    world.publish(program(house, drip=sequence("  - {id: rest, wait: 5 days}", on_edit="migrate")))
    world.run(DAY)
    assert [row.wanted for row in world.rows(AudienceMember)] == [True]
    world.run(6 * DAY)
    assert [row.wanted for row in world.rows(AudienceMember)] == [False]


def test_a_step_that_changes_its_kind_is_refused_at_its_place(make: Make) -> None:
    """Pinned it may, since nobody crosses over; the database is as it was."""
    files = program(drip=sequence(LETTER % ""))
    world = enrolled(make(files), "ana")
    steps = (LETTER % "").replace("{id: rest, wait: 5 days}", "{id: rest, email: bye.j2}")
    with pytest.raises(ProgramError) as refused:
        world.publish(follows(steps))
    found = "step 'rest' is a wait in version 1, and an email here; give the new step an id of its own, or write on_edit: pin"
    assert str(refused.value) == f"drip/sequence.yaml:7:10: {found}"
    assert [row.number for row in world.rows(SequenceVersion)] == [1]
    world.publish(program(drip=sequence(steps)))
    assert versions(world) == {"ana": 1}


def test_nothing_is_kept_of_what_was_only_foreseen(make: Make) -> None:
    """The same numbers as afterwards, and not a row is different."""
    from nurture.engine.publishing import foresee

    world = enrolled(make(program(drip=sequence(LETTER % ""))), "ana", "ben")
    files = follows((LETTER % "").replace("5 days", "2 days"))
    before = [world.rows(table) for table in (Enrolment, Touch, SequenceVersion)]
    seen = foresee(world.machine.db, load(files), ["drip"], world.now)
    assert [world.rows(table) for table in (Enrolment, Touch, SequenceVersion)] == before
    assert world.publish(files) == seen
    assert str(seen.effects[0].steps[0]) == "2 leads wait in step rest: 2 move sooner"


def test_a_worker_of_the_old_version_finishes_what_it_has_claimed(make: Make) -> None:
    """Claimed before the edit: its letter goes as it was; the lead follows afterwards, and is never written to twice."""
    world = make(program(drip=sequence(LETTER % "")))
    other = second_machine(world)
    deliver = world.machine.email.deliver

    def publishing(parcels, journal, stop):
        world.machine.email.deliver = deliver  # type: ignore[method-assign]
        other.publish(follows((LETTER % "").replace("id: hello", "id: hi")))
        assert versions(world) == {"ana": 1}
        return deliver(parcels, journal, stop)

    world.machine.email.deliver = publishing  # type: ignore[method-assign]
    enrolled(world, "ana")
    world.run(9 * DAY)

    assert world.touches()["ana"] == [("hello", "sent", None), ("bye", "sent", None)]
    assert versions(world) == {"ana": 2}
    assert [row.path for row in world.rows(Enrolment, col(Enrolment.lead_id) == world.ids["ana"])] == [
        "/hello/rest/bye/"
    ]
    other.close()


def test_a_lead_far_from_home_waits_on_its_own_clock(make: Make) -> None:
    """The new length of a wait is measured in the lead's days: clocks change in New York on 8 March."""
    steps = "  - {id: rest, wait: %d days}\n  - {id: more, wait: 30 days}"
    world = make(program(drip=sequence(steps % 30)))
    world.lead("ana", timezone="America/New_York")
    world.event("ana", "signed_up")
    begun = world.tick().now
    world.at(DAY).publish(follows(steps % 10))

    assert world.passages()["ana"].due_at == begun + 10 * DAY - timedelta(hours=1)
