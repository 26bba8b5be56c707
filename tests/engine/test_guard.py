"""The guard: a version's first large send is tried on a few, and an unusual number waits for a person who repeats it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.channels.base import Parcel
from nurture.engine import control, doors, guard, holds
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.records import Audit, Hold, Touch, Volume
from tests.engine.channels import Scripted
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}\n  - {id: over, exit: done}"
#: Above 20 a fifth goes first, for fifteen minutes; growth is judged apart.
CANARY = "{canary: {above: 20, share: 20%, most: 10}, growth: off}"
GROWTH = "{canary: off, growth: {above: 20, times: 2}}"
WATCH = timedelta(minutes=15)


def guarded(make: Make, guard: str, **sequences: str) -> World:
    return make(files_of(guard, **sequences))


def files_of(guard: str, **sequences: str) -> dict[str, str]:
    files = program(None, **(sequences or {"drip": sequence(STEPS)}))
    files["program.yaml"] += f"\nguard: {guard}\n"
    return files


def arrive(world: World, count: int, event: str = "signed_up") -> World:
    """So many newcomers whose trigger comes now."""
    names = [f"lead{len(world.ids) + n}" for n in range(count)]
    world.crowd(names)
    world.event_of(names, event)
    return world


def answer(world: World, work: Callable[..., Any], *args: Any) -> Any:
    return world.do(lambda link: work(link, *args))


def release(world: World, number: int, count: int) -> int:
    return int(answer(world, holds.release, number, count, "ana", world.now, "Europe/Bucharest"))


def discard(world: World, number: int) -> int:
    return int(answer(world, holds.discard, number, "ana", world.now))


def states(world: World) -> Counter[tuple[str, str | None]]:
    return Counter((row.state, row.reason) for row in world.rows(Touch))


def asked(world: World) -> list[tuple[str, str, int]]:
    """(kind, state, how many wait) of every hold."""
    with world.machine.db.read() as link:
        return [(one.kind, one.state, one.waiting) for one in holds.holds(link, open_only=False)]


def sent(world: World) -> int:
    return len(world.rows(Touch, col(Touch.sending_at).is_not(None)))


# canary


def news(world: World, name: str, many: int, **data: Any) -> None:
    """An event of so many of the touches that were sent."""
    rows = world.rows(Touch, col(Touch.state) == "sent")[:many]
    for row in rows:
        world.do(
            partial(
                doors.add_event, lead=row.lead_id, name=name, now=world.now, source="test", key=f"{name} {row.id}",
                touch=row.id, data=data,
            )
        )  # fmt: skip


def bounced(severity: str, many: int) -> Callable[[World], None]:
    return lambda world: news(world, "email_bounced", many, severity=severity)


def told(name: str, many: int) -> Callable[[World], None]:
    return lambda world: news(world, name, many)


#: Of a canary of 50 out of 60: (what the relay answers the first ones, what is told afterwards, whether the rest goes).
CANARIES: dict[str, tuple[list[str], Callable[[World], None], bool]] = {
    "nothing bad": ([], told("email_clicked", 30), True),
    "2 hard bounces of 50": ([], bounced("hard", 2), True),
    "3 hard bounces of 50": ([], bounced("hard", 3), False),
    "soft bounces alone": ([], bounced("soft", 30), True),
    "a complaint": ([], told("email_complained", 1), False),
    "one in 50 unsubscribes": ([], told("unsubscribed", 1), True),
    "two in 50 unsubscribe": ([], told("unsubscribed", 2), False),
    "an unknown end": (["unknown"], told("email_clicked", 1), False),
    "2 refusals of 50": (["refused"] * 2, told("email_clicked", 1), True),
    "3 refusals of 50": (["refused"] * 3, told("email_clicked", 1), False),
}


@pytest.mark.parametrize("name", CANARIES)
def test_a_first_large_send_is_tried_on_a_few(make: Make, name: str) -> None:
    """50 of 60 go; after a quarter of an hour the rest goes by itself, or waits for a person."""
    answers, then, passes = CANARIES[name]
    world = guarded(make, "{canary: {above: 20, share: 100%, most: 50}, growth: off}")
    world.machine.email = script = Scripted()

    def answer(parcel: Parcel) -> None:
        if answers:  # whichever of the sixty go first
            script.answers[parcel.to] = [answers.pop()]

    answers, script.before = list(answers), answer
    arrive(world, 60).tick().tick()
    first = sent(world), states(world)["planned", "canary"], asked(world)
    then(world)
    world.at(WATCH - timedelta(seconds=1)).tick()
    still = sent(world)
    world.at(WATCH).tick().tick()

    assert (first, still) == ((50, 10, [("canary", "watching", 10)]), 50)
    if passes:
        assert (sent(world), asked(world)) == (60, [("canary", "passed", 0)])
    else:
        assert (sent(world), states(world)["held", "canary"]) == (50, 10)
        assert asked(world) == [("canary", "asked", 10)]


#: guard, how many arrive: how many go at once.
FIRST = {
    "at the limit": (CANARY, 20, 20),
    "one above it": (CANARY, 21, 4),
    "no more than the most": (CANARY, 90, 10),
    "at least one": ("{canary: {above: 20, share: 0.1%}, growth: off}", 30, 1),
    "off": ("{canary: off, growth: off}", 60, 60),
    "a thousand by default": ("{growth: off}", 60, 60),
}


@pytest.mark.parametrize("name", FIRST)
def test_how_many_go_first(make: Make, name: str) -> None:
    guard, count, first = FIRST[name]
    world = arrive(guarded(make, guard), count).tick().tick()

    assert sent(world) == first


def test_newcomers_wait_with_the_rest(make: Make) -> None:
    """Who falls due while a canary is watched, or while it asks, is not written to either."""
    world = arrive(guarded(make, CANARY), 50).tick()
    arrive(world.at(timedelta(minutes=5)), 5).tick()
    watched = sent(world), asked(world)
    news(world, "email_complained", 1)
    world.at(WATCH).tick()
    arrive(world.at(HOUR), 5).tick()

    assert (watched, sent(world)) == ((10, [("canary", "watching", 45)]), 10)
    assert asked(world) == [("canary", "asked", 50)]
    assert release(world, 1, 50) == 50
    assert sent(world.tick()) == 60


def test_a_canary_that_did_not_sing_is_sent_anew(make: Make) -> None:
    """While the relay is down nothing can be learned: the watch begins again, and nobody else is written to."""
    world = guarded(make, CANARY)
    world.machine.email = Scripted({f"lead{n}@lead.example": ["not_started"] * 2 for n in range(50)})
    arrive(world, 50).tick().at(WATCH).tick()
    silent = asked(world), sum(row.state == "sent" for row in world.rows(Touch))
    world.at(3 * WATCH).tick()

    assert silent == ([("canary", "watching", 40)], 0)
    assert sent(world) <= 10


def test_each_version_has_one_canary(make: Make) -> None:
    """A few test leads do not use it up, the first large send does; a new version has its own."""
    world = arrive(guarded(make, CANARY), 5).tick()
    arrive(world.at(HOUR), 50).tick()
    first = sent(world)
    world.at(HOUR + WATCH).tick()
    arrive(world.at(2 * HOUR), 50).tick()
    second = sent(world)
    world.publish(files_of(CANARY, drip=sequence(STEPS.replace("9 days", "8 days"))))
    arrive(world.at(3 * HOUR), 50).tick()

    assert (first, second, sent(world)) == (15, 105, 115)


def test_what_falls_due_while_a_step_is_sending_is_looked_at_first(make: Make) -> None:
    """A window that opens during a delivery does not carry a whole zone past the canary."""
    window = {"drip": sequence(STEPS, send='{hours: "09:00-17:00"}')}
    world = guarded(make, CANARY, **window)
    zones = {"early": "Europe/Bucharest", "later": "Europe/London"}
    world.crowd([f"early{n}" for n in range(3)], timezone=zones["early"])
    world.crowd([f"later{n}" for n in range(50)], timezone=zones["later"])
    world.event_of(list(world.ids), "signed_up")
    opens = world.now.replace(hour=9, minute=0)  # 09:00 in London; the others' window has been open for hours

    def slow(_: object) -> None:
        world.clock.at = opens

    world.machine.email = Scripted(before=slow)
    world.tick()
    during = sent(world)
    world.tick()

    assert (during, sent(world)) == (3, 13)
    assert asked(world) == [("canary", "watching", 40)]


# growth


def usual_days(world: World, *counts: int) -> World:
    """So many newcomers on each of the days before."""
    for day, count in enumerate(counts):
        arrive(world.at(day * DAY), count).tick()
    return world.at(len(counts) * DAY)


#: guard, days before, today at once: how many wait for a person.
SUDDEN = {
    "as usual": (GROWTH, [18, 18, 18], 30, 0),
    "twice as many and no more": (GROWTH, [18, 18, 18], 36, 0),
    "more than twice": (GROWTH, [18, 18, 18], 37, 37),
    "a large program": (GROWTH, [18, 18, 18], 90, 90),
    "few, however sudden": (GROWTH, [1, 1, 1], 20, 0),
    "by the median, not the mean": (GROWTH, [12, 90, 12], 30, 30),
    "no days before": (GROWTH, [], 90, 0),
    "the day's most": ("{canary: off, growth: off, most_per_day: 25}", [], 26, 26),
    "up to the day's most": ("{canary: off, growth: off, most_per_day: 25}", [], 25, 0),
    "off": ("{canary: off, growth: off}", [18, 18], 90, 0),
}


@pytest.mark.parametrize("name", SUDDEN)
def test_far_more_than_usual_waits_for_a_person(make: Make, name: str) -> None:
    guard, before, today, waiting = SUDDEN[name]
    world = guarded(make, GROWTH.replace("above: 20", "above: 1000"))
    usual_days(world, *before)
    already = sent(world)
    world.publish(files_of(guard))
    arrive(world, today).tick().tick()

    assert sent(world) == already + today - waiting
    assert states(world)["held", "growth"] == waiting
    assert asked(world) == ([("growth", "asked", waiting)] if waiting else [])


def test_a_filter_that_grows_mails_nobody_without_the_number(make: Make) -> None:
    """24 a day, then 720 at once: not one goes out before the number is repeated, and then each goes once."""
    world = usual_days(guarded(make, GROWTH.replace("above: 20", "above: 1000")), 24, 24, 24)
    already = sent(world)
    world.publish(
        files_of("{canary: {above: 500}, growth: {above: 200, times: 2}}", drip=sequence(STEPS, when="{did: visited}"))
    )
    arrive(world, 720, "visited").tick().tick()
    wrong = []
    for number in (719, 721, 0, 7):
        with pytest.raises(Refused, match="repeat its number") as refused:
            release(world, 1, number)
        wrong.append("720" in str(refused.value))
    nobody = sent(world) - already
    assert release(world, 1, 720) == 720
    world.tick()
    canary = sent(world) - already
    world.run(3 * DAY + HOUR)

    assert (nobody, wrong) == (0, [False] * 4)
    assert canary == 7  # a new version's first send, on top
    assert sent(world) == already + 720
    assert len({key for _, key in world.sent}) == len(world.sent)
    assert [row.messages for row in world.rows(Volume)] == [24, 24, 24, 720]


def test_a_relay_that_is_down_makes_no_growth(make: Make) -> None:
    """What is tried again all day is one message of that day."""
    world = usual_days(guarded(make, GROWTH), 18, 18, 18)
    up, world.machine.email = world.machine.email, Scripted()
    arrive(world, 18)
    world.machine.email.answers.update({f"lead{n}@lead.example": ["not_started"] * 4 for n in range(54, 72)})
    for minutes in range(0, 8, 2):
        world.at(3 * DAY + timedelta(minutes=minutes)).tick()
    counted = {row.day: row.messages for row in world.rows(Volume)}
    world.machine.email = up
    world.at(3 * DAY + HOUR).tick()

    assert list(counted.values()) == [18] * 4
    assert (asked(world), sent(world)) == ([], 72)


def test_an_answer_in_the_middle_of_putting_aside(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person discards a hold while its messages are still being counted: the rest is asked about anew, none is lost."""
    monkeypatch.setattr(guard, "BULK_ROWS", 30)
    world = usual_days(guarded(make, GROWTH), 18, 18, 18)
    arrive(world, 100)
    put, transact = guard._put_aside, world.machine.db.transact
    parts: list[int] = []

    def aside(*args: Any) -> int:
        parts.append(put(*args))
        return parts[-1]

    def between(work: Callable[..., Any], **how: Any) -> Any:
        if len(parts) == 1:
            parts.append(transact(lambda link: holds.discard(link, 1, "ana", world.now), door=True))
        return transact(work, **how)

    monkeypatch.setattr(guard, "_put_aside", aside)
    monkeypatch.setattr(world.machine.db, "transact", between)
    world.tick()
    monkeypatch.undo()
    world.at(3 * DAY + HOUR).tick()
    waiting = [one for one in asked(world) if one[1] == "asked"]

    assert states(world)["held", "growth"] == sum(count for *_, count in waiting)
    assert states(world)["held", "growth"] + states(world)["cancelled", "discarded"] == 100


def test_a_number_is_confirmed_for_the_day_and_no_more(make: Make) -> None:
    """Who comes after the release waits for another answer; what was released goes on."""
    world = usual_days(guarded(make, GROWTH), 10, 10)
    arrive(world, 50).tick()
    release(world, 1, 50)
    arrive(world, 7).tick().tick()
    first = sent(world), asked(world)
    release(world, 2, 7)
    world.tick()
    second = sent(world)
    arrive(world.at(3 * DAY), 90).tick()

    assert first == (70, [("growth", "released", 0), ("growth", "asked", 7)])
    assert second == 77
    assert asked(world)[-1] == ("growth", "asked", 90)


def test_what_falls_due_during_a_hold_joins_it(make: Make) -> None:
    """The number to repeat is that of now; who leaves meanwhile is not counted."""
    world = usual_days(guarded(make, GROWTH), 10, 10)
    arrive(world, 50).tick()
    arrive(world, 3).tick()
    gone = next(iter(world.names()[row.lead_id] for row in world.rows(Touch, col(Touch.state) == "held")))
    world.do(lambda link: doors.unsubscribe_lead(link, world.machine.live(), world.ids[gone], world.now, source="test"))

    assert asked(world) == [("growth", "asked", 52)]
    assert [row.audience for row in world.rows(Hold)] == [53]
    with pytest.raises(Refused):
        release(world, 1, 53)
    assert release(world, 1, 52) == 52
    assert sent(world.tick()) == 72


def test_what_is_discarded_is_not_sent_and_its_leads_go_on(make: Make) -> None:
    world = usual_days(guarded(make, GROWTH), 10)
    arrive(world, 50).tick()
    done = discard(world, 1)
    world.tick()

    assert done == 50
    assert sent(world) == 10
    assert states(world)["cancelled", "discarded"] == 50
    assert set(world.stands().values()) == {"rest"}
    assert [(row.act, row.subject, row.by, row.detail) for row in world.rows(Audit)] == [
        ("hold_discarded", "hold:1", "ana", {"waiting": 50})
    ]


def test_who_matched_by_mistake_is_sent_away(make: Make) -> None:
    """A wrong filter has a way back: nothing of the sequence reaches them any more, and those inside before stay."""
    world = usual_days(guarded(make, GROWTH), 10)
    arrive(world, 50).tick()
    live = world.machine.live()
    gone = world.do(lambda link: holds.send_away(Run(link, live, world.now), 1, "ana"))
    world.run(30 * DAY)

    assert gone == 50
    assert sent(world) == 10
    assert Counter(world.stands().values()) == {"discarded": 50, "done": 10}
    assert asked(world) == [("growth", "discarded", 0)]


def test_an_answer_is_given_once(make: Make) -> None:
    """The second answer is told who gave the first; a number that is none, that there is no such hold."""
    world = usual_days(guarded(make, GROWTH), 10)
    arrive(world, 50).tick()
    release(world, 1, 50)

    with pytest.raises(Refused, match="released already, by ana on 2026-03-03"):
        discard(world, 1)
    with pytest.raises(NotFound, match="'nurture holds' lists them"):
        release(world, 2, 50)


def test_a_hold_is_not_late(make: Make) -> None:
    """A person may sleep on it: what is released after five days goes out, whatever max_late says."""
    world = usual_days(guarded(make, GROWTH), 10)
    arrive(world, 50).tick().at(6 * DAY).tick()
    release(world, 1, 50)

    assert sent(world.tick()) == 60


def test_an_edit_during_a_hold(make: Make) -> None:
    """Publishing another version answers nothing: what was held stays held, and newcomers join it."""
    world = usual_days(guarded(make, GROWTH), 10)
    arrive(world, 50).tick()
    world.publish(files_of(GROWTH, drip=sequence(STEPS.replace("9 days", "8 days"))))
    arrive(world, 5).tick()

    assert asked(world) == [("growth", "asked", 55)]
    assert sent(world) == 10
    assert release(world, 1, 55) == 55
    assert sent(world.tick()) == 65


def test_a_hold_is_its_segments_matter_alone(make: Make) -> None:
    """Other segments send, and operational mail of the same one does too."""
    steps = "  - {id: told, email: told.j2, kind: operational}\n" + STEPS
    world = guarded(make, GROWTH, drip=sequence(steps), other=sequence(STEPS, when="{did: came}"))
    usual_days(world, 10)
    arrive(world, 50)
    arrive(world, 15, "came").tick()

    went = Counter((row.sequence, row.step) for row in world.rows(Touch, col(Touch.state) == "sent"))
    assert went == {("drip", "told"): 60, ("drip", "hello"): 10, ("other", "hello"): 15}


def test_a_pause_over_a_hold(make: Make) -> None:
    """What is released into a pause waits for its end."""
    world = usual_days(guarded(make, GROWTH), 10)
    arrive(world, 50).tick()
    world.do(lambda link: control.pause(link, "segment:drip", "ana", world.now))
    release(world, 1, 50)
    world.tick()
    during = sent(world)
    world.do(lambda link: control.resume(link, "segment:drip", "ana", world.now))

    assert (during, sent(world.tick())) == (10, 60)
