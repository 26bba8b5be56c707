"""Pause and resume, stop and start: what leaves, what moves, what waits, and what becomes of what was late."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from nurture.engine import control
from nurture.records import Audit, Control, Enrolment, Outbox, Touch
from tests.engine.channels import Scripted
from tests.engine.conftest import Make
from tests.engine.test_races import at_once, crowd
from tests.engine.world import DAY, HOUR, World, program, sequence

#: One segment for each way out: a letter, an operational one, an audience.
WAYS = {
    "drip": "  - {id: hello, email: hello.j2}",
    "answers": "  - {id: told, email: told.j2, kind: operational}",
    "ads": "  - {id: ads, audience: {add: evaluators}}",
}
SHARED = {
    "lifecycle.yaml": "milestones: {demo: {when: {did: demo}, handoff: true}}",
}
LETTER = "  - {id: hello, email: hello.j2}\n  - {id: over, exit: done}"
SCOPES = {"all": "all", "segment": "segment:drip"}


def world_of(make: Make, steps: str, *slugs: str, **more: str) -> World:
    return make(program(SHARED, **{slug: sequence(steps, **more) for slug in slugs or ("drip",)}))


def enter(world: World, *names: str) -> World:
    for name in names:
        world.lead(name)
        world.event(name, "signed_up")
    return world


def say(world: World, verb: str, scope: str, by: str = "operator") -> bool:
    """An operator's word, committed."""
    return bool(world.do(partial(getattr(control, verb), scope=scope, by=by, now=world.now)))


def left(world: World) -> dict[str, int]:
    """What has left the house, by way out."""
    rows = world.rows(Touch, col(Touch.state) == "sent")
    ways = ["audience" if row.kind == "audience" else row.purpose for row in rows]
    notices = len(world.rows(Outbox, col(Outbox.done_at).is_not(None)))
    return {way: ways.count(way) for way in ("marketing", "operational", "audience")} | {"notice": notices}


#: verb, scope: how many notices leave all the same.
QUIET = {
    ("pause", "all"): 1,
    ("pause", "segment"): 1,
    ("pause", "lead"): 1,
    ("stop", "all"): 0,
    ("stop", "segment"): 1,
    ("stop", "lead"): 1,
}


@pytest.mark.parametrize(("verb", "scope"), QUIET)
def test_nothing_leaves_of_what_is_said(make: Make, verb: str, scope: str) -> None:
    """Neither a letter nor an operational one nor an audience call; sales is told unless everything is stopped."""
    files = program(SHARED, **{slug: sequence(steps + "\n  - {id: over, exit: done}") for slug, steps in WAYS.items()})
    files["program.yaml"] += "\naudiences: {evaluators: {url: 'https://ads.example/hook'}}\n"
    world = enter(make(files), "ana")
    world.event("ana", "demo")
    scopes = {"all": ["all"], "segment": [f"segment:{slug}" for slug in WAYS], "lead": [f"lead:{world.ids['ana']}"]}
    said = [say(world, verb, one) for one in scopes[scope]]
    world.tick().run(2 * HOUR)
    during = left(world)
    ended = [say(world, {"pause": "resume", "stop": "start"}[verb], one) for one in scopes[scope]]
    world.run(3 * HOUR).tick()

    ways = ("marketing", "operational", "audience")
    assert all(said + ended)
    assert during == dict.fromkeys(ways, 0) | {"notice": QUIET[verb, scope]}
    assert left(world) == dict.fromkeys(ways, 1) | {"notice": 1}


WAIT_FIRST = (
    "  - {id: rest, wait: 1 days}\n  - {id: fork, branch: [{if: {industry: saas}, then: ask}], else: ask}\n"
    + ("  - {id: ask, email: ask.j2}\n  - {id: over, exit: done}")
)
#: verb: (where leads stand two days later, what became of the letter another two weeks later).
PLACES = {"pause": ("ask", "sent"), "stop": ("rest", "expired")}


@pytest.mark.parametrize("scope", ["all", "segment"])
@pytest.mark.parametrize("verb", PLACES)
def test_a_pause_goes_on_through_waits_and_is_forgiven_and_a_stop_is_not(make: Make, verb: str, scope: str) -> None:
    """After a pause what was due goes, however late; after a stop what is older than max_late expires."""
    world = world_of(make, WAIT_FIRST, send='{hours: "00:00-24:00"}')
    enter(world, "ana").tick()
    say(world, verb, SCOPES[scope])
    world.run(2 * DAY)
    during = world.stands()["ana"]
    world.run(16 * DAY)
    say(world, {"pause": "resume", "stop": "start"}[verb], SCOPES[scope])
    world.run(17 * DAY)

    assert (during, world.touch("ana", "ask").state) == PLACES[verb]
    assert world.stands()["ana"] == "done"


def test_a_short_stop_loses_nothing(make: Make) -> None:
    """What is not older than max_late goes out after the start, once."""
    world = world_of(make, LETTER)
    enter(world, "ana", "bob")
    say(world, "stop", "all")
    world.tick().at(5 * HOUR).tick()
    before = list(world.sent)
    nothing_due = world.machine.waiting("drip", world.now), world.machine.next_due()
    say(world, "start", "all")
    world.tick()

    assert (before, nothing_due) == ([], ({}, None))
    assert sorted(to for to, _ in world.sent) == ["ana@lead.example", "bob@lead.example"]


def test_after_two_weeks_a_lead_gets_one_letter_a_day(make: Make) -> None:
    """Five sequences waited behind a pause: on resume one letter a lead goes at once, and one more each day."""
    slugs = [f"seq{n}" for n in range(5)]
    world = world_of(make, LETTER, *slugs)
    enter(world, "ana", "bob").event("ana", "demo")
    say(world, "pause", "all")
    world.tick().run(14 * DAY)
    say(world, "resume", "all")
    world.tick().run(25 * DAY)

    gone: dict[int, list[int]] = {}
    for row in sorted(world.rows(Touch), key=lambda row: row.sending_at):
        gone.setdefault(row.lead_id, []).append((row.sending_at - world.start).days)
    assert list(gone.values()) == [[14, 15, 16, 17, 18]] * 2


#: What is said twice, or on top of another: (words, state left, answers).
WORDS: dict[str, tuple[list[str], str | None, list[bool]]] = {
    "a pause twice": (["pause", "pause"], "paused", [True, False]),
    "a stop twice": (["stop", "stop"], "stopped", [True, False]),
    "a stop over a pause": (["pause", "stop"], "stopped", [True, True]),
    "a pause over a stop": (["stop", "pause"], "stopped", [True, False]),
    "a resume of a stop": (["stop", "resume"], "stopped", [True, False]),
    "a start of a pause": (["pause", "start"], "paused", [True, False]),
    "a start and a start": (["stop", "start", "start"], None, [True, True, False]),
    "a resume of nothing": (["resume"], None, [False]),
}


@pytest.mark.parametrize("name", WORDS)
def test_words_are_said_once_and_written_down(make: Make, name: str) -> None:
    """The stronger word stays, a word that changes nothing says so, and each that does is a row of the audit."""
    words, state, answers = WORDS[name]
    world = world_of(make, LETTER)

    assert [say(world, word, "segment:drip", by="ana") for word in words] == answers
    assert [row.state for row in world.rows(Control)] == ([state] if state else [])
    done = {"pause": "paused", "resume": "resumed", "stop": "stopped", "start": "started"}
    expected = [(done[word], "segment:drip", "ana") for word, changed in zip(words, answers, strict=True) if changed]
    assert [(row.act, row.subject, row.by) for row in world.rows(Audit)] == expected


def test_a_resume_in_the_middle_of_a_tick(make: Make) -> None:
    """Resumed after the tick has looked and before it marks: nothing is marked as paused that nobody would resume."""
    world = make(program(drip=sequence("  - {id: hello, email: hello.j2}")))
    world.lead("ana")
    world.event("ana", "signed_up")
    world.do(lambda link: control.pause(link, "segment:drip", "olga", world.now))
    with pytest.MonkeyPatch.context() as patch:
        mark = control.mark_paused

        def late(link: Any, slug: str, now: Any) -> int:
            control.resume(link, "segment:drip", "olga", now)
            return mark(link, slug, now)

        patch.setattr(control, "mark_paused", late)
        world.tick()
    world.at(HOUR).tick()

    assert world.touches() == {"ana": [("hello", "sent", None)]}


def test_what_was_paused_and_then_stopped_starts_unforgiven(make: Make) -> None:
    """A stop over a pause takes its forgiveness away; the touch is not left behind."""
    world = world_of(make, LETTER)
    enter(world, "ana")
    say(world, "pause", "segment:drip")
    world.tick().run(3 * DAY)
    say(world, "stop", "segment:drip")
    say(world, "start", "segment:drip")
    world.tick()

    assert world.touches()["ana"] == [("hello", "expired", "late")]


def test_a_stopped_sequence_wants_nobody(make: Make) -> None:
    """A lead that a stopped sequence of higher priority would write to hears from the other one."""
    files = program(
        high=sequence(LETTER, priority="90"),
        low=sequence(LETTER, priority="10"),
    )
    world = make(files)
    enter(world, "ana")
    say(world, "stop", "segment:high")
    world.tick()

    assert {slug: world.touches(slug) for slug in ("high", "low")} == {
        "high": {},
        "low": {"ana": [("hello", "sent", None)]},
    }


def test_other_segments_go_on(make: Make) -> None:
    """A stop or a pause of one segment is nobody else's matter."""
    world = make(program(one=sequence(LETTER), two=sequence(LETTER, when="{did: came}")))
    for name, event in (("ana", "signed_up"), ("bob", "came")):
        world.lead(name)
        world.event(name, event)
    say(world, "stop", "segment:one")
    world.tick()

    assert [to for to, _ in world.sent] == ["bob@lead.example"]


def test_no_message_is_promised_after_a_stop(make: Make) -> None:
    """300 leads and a tick against a stop: no `sending` is committed later than the stop; nobody moves either."""
    world = crowd(make(program(drip=sequence("  - {id: hello, email: hello.j2}\n  - {id: on, wait: 9 days}"))), 300)
    world.machine.settle(world.now)
    begun = select(col(Touch.id)).where(col(Touch.sending_at).is_not(None))
    places = select(col(Enrolment.id), col(Enrolment.step))
    seen: list[Any] = []

    def halt(link: Any) -> None:
        control.stop(link, "all", "operator", world.now)
        seen[:] = [set(link.execute(begun).scalars()), dict(link.execute(places).all())]

    def shortly() -> None:
        time.sleep(0.05)
        world.do(halt)

    at_once(world.tick, shortly)
    world.tick()

    assert {row.id for row in world.rows(Touch, col(Touch.sending_at).is_not(None))} == seen[0]
    assert {row.id: row.step for row in world.rows(Enrolment)} == seen[1]


def test_a_stop_reaches_a_long_run(make: Make) -> None:
    """After `stop` has returned, a line that was about to begin a body may begin that one, and no other begins."""
    world = crowd(make(program(drip=sequence(LETTER))), 1200)
    world.machine.settle(world.now)
    halted = threading.Event()
    after: list[str] = []

    def before(parcel: Any) -> None:
        if halted.is_set():
            after.append(parcel.to)
        elif len(relay.parcels) == 400:
            thread = threading.Thread(target=lambda: say(world, "stop", "segment:drip"))
            thread.start()
            thread.join()
            world.machine._asked = (-1.0, {})  # as 50 ms later
            halted.set()

    relay = world.machine.email = Scripted(before=before)
    world.tick()

    assert len(relay.parcels) <= 401
    assert {row.state for row in world.rows(Touch, col(Touch.next_at).is_not(None))} == {"planned"}
