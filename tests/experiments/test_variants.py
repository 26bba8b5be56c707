"""Arms of a letter: who gets which, what is counted, and when there is a winner."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col

from nurture.channels.recording import RecordingChannel
from nurture.engine import doors
from nurture.reading.experiments import experiments
from nurture.records import Experiment, Touch
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World
from tests.experiments import plain
from tests.experiments.dealt import arms, click, crowd, key, letter, shares, some, written

HALVES = {"a": 50.0, "b": 50.0}
#: A sequence that a lead may pass again.
AGAIN: dict[str, Any] = {"when": "{did: signed_up, within: 2 hours}", "enrol": "again: {after: 1 days}"}
LETTERS = {"nudge.a.j2": letter("Text A"), "nudge.b.j2": letter("Text B")}


def nudge(winner: str = "{by: clicked, after: 1 days}", shares: str = "{a: 50, b: 50}", more: str = "") -> str:
    says = f", winner: {winner}" if winner else ""
    return f"  - {{id: nudge, email: nudge.j2, variants: {shares}{says}{more}}}\n  - {{id: done, exit: done}}"


def tour(steps: str, letters: dict[str, str] | None = None, **more: str) -> dict[str, str]:
    files = written(steps, letters or LETTERS, **more)
    files.pop("tour/nudge.j2")
    return files


def mailed(world: World, count: int, name: str = "lead") -> list[str]:
    """A crowd that has just got its letters."""
    names = crowd(world, count, name)
    world.event_of(names, "signed_up")
    world.tick()
    return names


def verdict(world: World) -> dict[str, Any]:
    (row,) = experiments(world.machine)
    return row


def test_each_lead_gets_the_letter_of_its_arm(make: Make) -> None:
    """The arm is what the plain reader draws, the letter is the arm's, and the touch keeps both."""
    world = make(tour(nudge()))
    names = mailed(world, 60)

    assert arms(world, "nudge") == {who: plain.arm("tour/nudge", key(world, who), HALVES) for who in names}
    assert {row.variant for row in world.rows(Touch, col(Touch.arm) == "a")} == {"tour/nudge.a.j2"}
    assert isinstance(world.machine.email, RecordingChannel)
    said = Counter(b"Text A" in parcel.payload for parcel in world.machine.email.parcels)
    assert said == {True: shares(world, "nudge")["a"], False: shares(world, "nudge")["b"]}
    assert 15 < said[True] < 45


def test_an_arm_speaks_the_leads_language(make: Make) -> None:
    """`nudge.a.ar.j2` is the Arabic of arm a; who speaks another language reads `nudge.a.j2`."""
    arabic = {"nudge.a.ar.j2": letter("النص أ"), "nudge.b.ar.j2": letter("النص ب")}
    world = make(tour(nudge(), {**LETTERS, **arabic}))
    for number in range(12):
        world.lead(f"en{number}", language="en")
        world.lead(f"ar{number}", language="ar-EG")
    world.event_of(list(world.ids), "signed_up")
    world.tick()

    names = world.names()
    read = {(names[row.lead_id][:2], row.arm, row.variant) for row in world.rows(Touch)}
    assert read <= {
        (tongue, arm, f"tour/nudge.{arm}.{'ar.' if tongue == 'ar' else ''}j2")
        for tongue in ("en", "ar")
        for arm in "ab"
    }
    assert len(read) == 4


def test_arms_are_one_message(make: Make) -> None:
    """Who had arm a of a letter does not get arm b of it by another way: nobody gets a letter twice."""
    steps = """
  - {id: first, email: nudge.j2, variants: {a: 50, b: 50}}
  - {id: second, email: nudge.j2, variants: {a: 50, b: 50}}
  - {id: done, exit: done}"""
    world = make(tour(steps))
    mailed(world, 20)

    found = Counter((row.step, row.state, row.reason) for row in world.rows(Touch))
    assert found == {("first", "sent", None): 20, ("second", "suppressed", "already_received"): 20}


def test_the_better_letter_wins_for_newcomers(make: Make) -> None:
    """Decided once those exposed have had their day; later leads all get the winner, those before keep theirs."""
    world = make(tour(nudge(more=", repeat: true"), **AGAIN))
    names = mailed(world, 80)
    before = arms(world, "nudge")
    click(world, some(world, "nudge", "a", 0.6) + some(world, "nudge", "b", 0.1), "nudge")

    mailed(world.at(DAY - HOUR), 10, "early")
    assert verdict(world)["winner"] is None
    assert set(shares(world, "nudge")) == {"a", "b"}

    mailed(world.at(2 * DAY), 20, "late")
    (row,) = world.rows(Experiment)
    assert (row.winner, row.decided_at) == ("a", world.now)
    assert {arm for who, arm in arms(world, "nudge").items() if who.startswith("late")} == {"a"}
    assert row.figures["arms"]["a"]["exposed"] + row.figures["arms"]["b"]["exposed"] == 90

    world.at(5 * DAY)
    world.event_of(names, "signed_up")
    world.tick()
    again = [row for row in world.rows(Touch) if row.planned_at == world.now]
    assert len(again) == 80
    assert {world.names()[row.lead_id]: row.arm for row in again} == before
    said = verdict(world)
    assert said["verdict"].startswith("a is the winner since 2026-03-04 08:00Z: newcomers get it")
    assert [(arm["arm"], arm["exposed"]) for arm in said["arms"]] == [
        (arm, sum(1 for who, one in arms(world, "nudge").items() if one == arm and not who.startswith("late")))
        for arm in "ab"
    ]


def test_arms_that_do_alike_have_no_winner(make: Make) -> None:
    """The answer is no, with the figures and how many more leads the difference would need."""
    world = make(tour(nudge()))
    mailed(world, 100)
    click(world, some(world, "nudge", "a", 0.30) + some(world, "nudge", "b", 0.25), "nudge")
    mailed(world.at(3 * DAY), 10, "late")

    said = verdict(world)
    assert (said["winner"], said["sure"]) == (None, False)
    assert said["always valid p"] > 0.05
    assert said["verdict"].startswith("no winner can be told at 95 %: a ")
    assert said["more needed"] > 500
    assert f"about {said['more needed']:,} more leads would be needed" in said["verdict"]
    (row,) = world.rows(Experiment)
    assert (row.winner, row.decided_at, row.looked_at) == (None, None, world.now)


def test_machines_count_for_nothing(make: Make) -> None:
    """A scanner that follows every link of arm a makes it no winner."""
    world = make(tour(nudge()))
    mailed(world, 80)
    click(world, some(world, "nudge", "a", 1), "nudge", machine="a scanner")
    mailed(world.at(2 * DAY), 4, "late")

    assert [arm["converted"] for arm in verdict(world)["arms"]] == [0, 0]


def test_clicks_count_of_whom_they_can_be_seen(make: Make) -> None:
    """Leads whose links are plain are in neither figure."""
    world = make(tour(nudge()))
    crowd(world, 10, "plain", tracked=False)
    mailed(world, 10)
    world.event_of([f"plain{n}" for n in range(10)], "signed_up")
    world.tick().at(2 * DAY)

    assert sum(arm["exposed"] for arm in verdict(world)["arms"]) == 10


DEEDS = {
    "replied": ("replied", "", "reply"),
    "an objective": ("objective", "demo_requested", "demo_requested"),
    "an event": ("{did: tour_taken}", "", "tour_taken"),
    "an event with where": ("{did: tour_taken, where: {path: '/a*'}}", "", "tour_taken"),
}


@pytest.mark.parametrize(("by", "objective", "deed"), DEEDS.values(), ids=DEEDS)
def test_what_a_winner_is_measured_by(make: Make, by: str, objective: str, deed: str) -> None:
    """Only what a person did, after the letter was sent and within its time, by each lead once."""
    keys: dict[str, Any] = {"objective": objective} if objective else {}
    world = make(tour(nudge(f"{{by: {by}, after: 1 days}}"), **keys))
    names = crowd(world, 40)
    early = names[0]
    if deed == "tour_taken":
        world.event(early, deed, path="/early")
    world.at(HOUR)
    world.event_of(names, "signed_up")
    world.tick().at(2 * HOUR)
    done = some(world, "nudge", "a", 0.5)
    for who in [*done, done[0]]:
        if deed == "reply":
            _reply(world, who)
        else:
            world.event(who, deed, path="/a/1")
    late = next(who for who in names if who not in done)
    world.at(2 * DAY)
    if deed != "reply":
        world.event(late, deed, path="/a/2")
    world.tick()

    assert [arm["converted"] for arm in verdict(world)["arms"]] == [len(done), 0]


def _reply(world: World, who: str) -> None:
    touch, live = world.touch(who, "nudge").id, world.machine.live()
    world.do(lambda link: doors.reply(link, live, touch, world.now, automatic=False))


def _decided(world: World) -> None:
    """A winner: a."""
    mailed(world, 80)
    click(world, some(world, "nudge", "a", 0.6) + some(world, "nudge", "b", 0.1), "nudge")
    mailed(world.at(2 * DAY), 2, "second")
    assert verdict(world)["winner"] == "a"


def test_other_texts_begin_anew(make: Make) -> None:
    """One word of one arm, in any language, and nobody knows any more which is better."""
    world = make(tour(nudge()))
    _decided(world)
    world.publish(tour(nudge(), {**LETTERS, "nudge.b.j2": letter("A better text B")}))
    mailed(world, 40, "later")

    assert {arm for who, arm in arms(world, "nudge").items() if who.startswith("later")} == {"a", "b"}
    assert [arm["exposed"] for arm in verdict(world)["arms"]] == [0, 0]
    world.publish(tour(nudge()))  # the texts of before, and what was found of them
    assert verdict(world)["winner"] == "a"


def test_without_the_rule_nobody_wins(make: Make) -> None:
    """A winner that is known goes with the rule, and comes back with it."""
    world = make(tour(nudge()))
    _decided(world)
    world.publish(tour(nudge("")))
    mailed(world, 20, "later")

    assert {arm for who, arm in arms(world, "nudge").items() if who.startswith("later")} == {"a", "b"}
    assert verdict(world)["winner"] is None
    world.publish(tour(nudge()))
    mailed(world, 10, "last")
    assert {arm for who, arm in arms(world, "nudge").items() if who.startswith("last")} == {"a"}


def test_other_shares_are_the_same_experiment(make: Make) -> None:
    """What was seen counts on, whichever version it was sent by; leads move one way."""
    world = make(tour(nudge(more=", repeat: true"), **AGAIN))
    names = mailed(world, 80)
    before = arms(world, "nudge")
    world.at(DAY).publish(tour(nudge(shares="{a: 75, b: 25}", more=", repeat: true"), **AGAIN))
    world.at(3 * DAY).event_of(names, "signed_up")
    world.tick()
    after = arms(world, "nudge")

    assert {(before[who], after[who]) for who in names} == {("a", "a"), ("b", "a"), ("b", "b")}
    world.at(5 * DAY)
    seen = {arm["arm"]: arm["exposed"] for arm in verdict(world)["arms"]}
    assert seen == Counter(before.values())  # each lead once, in the arm that it had first


def test_it_is_looked_at_once_an_hour(make: Make) -> None:
    """Counting costs; a look more often finds hardly more."""
    world = make(tour(nudge()))
    mailed(world, 2)
    for minutes, looks in ((30, 0), (59, 0), (60, 1), (90, 1)):
        mailed(world.at(timedelta(minutes=minutes)), 2, f"at{minutes}x")
        (row,) = world.rows(Experiment)
        assert row.looked_at == world.start + looks * HOUR


def test_three_arms_and_no_rule(make: Make) -> None:
    """Without `winner` nothing is decided; the report tells who clicked."""
    letters = {**LETTERS, "nudge.long.j2": letter("A long text")}
    world = make(tour(nudge("", "{a: 33.3, b: 33.3, long: 33.4}"), letters))
    mailed(world, 90)
    click(world, some(world, "nudge", "long", 0.9) + some(world, "nudge", "a", 0.1), "nudge")
    mailed(world.at(3 * DAY), 5, "late")

    said = verdict(world)
    assert said["winner"] is None
    assert said["sure"]
    assert said["verdict"].startswith("long 8")
    assert "newcomers" not in said["verdict"]
    assert world.rows(Experiment) == []
