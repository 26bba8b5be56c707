"""What becomes of a message: by the relay's answer, by a template's fault, by the death of its worker."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col

from nurture.channels.base import Journal, Parcel, Receipt
from nurture.engine import control, delivery, workers
from nurture.engine.heart import Heart
from nurture.engine.parcels import Maker
from nurture.records import AudienceMember, Event, Touch
from tests.engine.channels import Killed, Scripted
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, LETTER, World, program, second_machine, sequence

MINUTE = timedelta(minutes=1)
STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}\n  - {id: over, exit: done}"


def enrolled(world: World, *names: str, **values: Any) -> World:
    for name in names:
        world.lead(name, **values)
        world.event(name, "signed_up")
    return world


def answers(**said: list[str]) -> dict[str, list[str]]:
    return {f"{name}@lead.example": list(words) for name, words in said.items()}


def test_each_answer_of_the_relay_has_its_end(make: Make) -> None:
    """One bad address fails alone, what is in doubt is said so, and every lead moves on when its touch has ended."""
    world = make(program(drip=sequence(STEPS)))
    relay = world.machine.email = Scripted(
        answers(bad=["refused"], doubt=["unknown"], busy=["try_later"], down=["not_started"])
    )
    enrolled(world, "fine", "bad", "doubt", "busy", "down", "also-fine").tick()

    states = {name: (row.state, row.ended_at == world.now, row.next_at) for name, row in latest(world).items()}
    assert {name: state for name, (state, *_) in states.items()} == {
        "fine": "sent",
        "also-fine": "sent",
        "bad": "failed",
        "doubt": "uncertain",
        "busy": "retry_wait",
        "down": "planned",
    }
    assert {name: ended for name, (_, ended, _) in states.items()} == {
        "fine": True,
        "also-fine": True,
        "bad": True,
        "doubt": True,
        "busy": False,
        "down": False,
    }
    assert world.stands() == {
        **dict.fromkeys(("fine", "also-fine", "bad", "doubt"), "rest"),
        "busy": "hello",
        "down": "hello",
    }
    assert states["down"][2] == world.now + MINUTE
    assert len(relay.parcels) == 5
    events = {world.names()[row.lead_id] for row in world.rows(Event, col(Event.name) == "email_sent")}
    assert events == {"fine", "also-fine"}


def latest(world: World) -> dict[str, Any]:
    return {world.names()[row.lead_id]: row for row in world.rows(Touch)}


def test_try_later_waits_longer_each_time_and_sends_the_same(make: Make) -> None:
    """5, 15, 45 … minutes, a fifth more or less; one Message-ID and one body; then sent, once."""
    world = make(program(drip=sequence(STEPS)))
    relay = world.machine.email = Scripted(answers(ana=["try_later"] * 3))
    enrolled(world, "ana").tick()
    pauses = []
    for _ in range(3):
        row = latest(world)["ana"]
        assert row.state == "retry_wait"
        pauses.append((row.next_at - world.now) / MINUTE)
        world.at(row.next_at - timedelta(seconds=1)).tick()
        assert len(relay.parcels) == len(pauses)
        world.at(row.next_at).tick()

    assert [0.8 * m <= pause <= 1.2 * m for pause, m in zip(pauses, (5, 15, 45), strict=True)] == [True] * 3
    assert len(relay.parcels) == 4
    assert {parcel.key for parcel in relay.parcels} == {latest(world)["ana"].message_id}
    assert (latest(world)["ana"].state, latest(world)["ana"].attempt, world.stands()) == ("sent", 3, {"ana": "rest"})


def test_a_relay_that_asks_for_ages_is_given_a_day(make: Make) -> None:
    """Whatever number a way out passes on, infinity too: the tick ends, and the message is tried within a day."""

    class Patient(Scripted):
        def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Callable[..., bool]) -> list[Receipt]:
            return [replace(one, wait=math.inf) for one in super().deliver(batch, journal, stop)]

    world = make(program(drip=sequence(STEPS)))
    world.machine.email = Patient(answers(ana=["try_later"]))
    enrolled(world, "ana").tick()

    assert (latest(world)["ana"].state, latest(world)["ana"].next_at - world.now) == ("retry_wait", DAY)


def test_what_never_gets_through_expires(make: Make) -> None:
    """A relay that is busy for days: after `max_late` the message is given up, and the lead goes on."""
    world = make(program(drip=sequence(STEPS)))
    world.machine.email = Scripted(answers(ana=["try_later"] * 50))
    enrolled(world, "ana").run(3 * DAY)

    assert (latest(world)["ana"].state, latest(world)["ana"].reason, world.stands()) == (
        "expired",
        "late",
        {"ana": "rest"},
    )


def test_a_channel_that_is_down_is_asked_once_and_again_later(make: Make) -> None:
    """Nothing of the batch is lost or failed; the tick does not hammer, and when it is up all of it goes."""
    world = make(program(drip=sequence(STEPS)))
    names = [f"lead{n}" for n in range(5)]
    relay = world.machine.email = Scripted({f"{name}@lead.example": ["not_started"] for name in names})
    relay.down = "the relay is down"
    enrolled(world, *names)
    first, second = (world.machine.tick("drip", world.now) for _ in range(2))
    relay.down = None
    world.at(2 * MINUTE).tick()

    assert [step.deferred for step in first.steps] == [{"not_started": 5}]
    assert second.steps == []
    assert {row.state for row in world.rows(Touch)} == {"sent"}
    assert len(relay.parcels) == 5


def test_a_fault_of_a_template_fails_its_lead_alone(make: Make) -> None:
    """A letter that cannot be written for one lead says where; the others of the batch get theirs."""
    letter = LETTER.replace("<html>", "<html>\n{{ 100 // lead.employees }}")
    world = make(program({"drip/hello.j2": letter}, drip=sequence(STEPS)))
    enrolled(world, "fine", employees=7)
    enrolled(world, "nobody", employees=0)
    enrolled(world, "also", employees=8).tick()

    found = latest(world)
    assert {name: row.state for name, row in found.items()} == {"fine": "sent", "nobody": "failed", "also": "sent"}
    assert "drip/hello.j2:2" in found["nobody"].reason
    assert world.stands() == dict.fromkeys(("fine", "nobody", "also"), "rest")


def test_what_was_sent_names_what_it_was(make: Make) -> None:
    """A sent touch carries its Message-ID, address, variant, the hash of its bytes, and the letter is the lead's."""
    world = make(program({"drip/hello.ar.j2": program(drip=sequence(STEPS))["drip/hello.j2"]}, drip=sequence(STEPS)))
    enrolled(world, "ana")
    enrolled(world, "amal", language="ar", tracking=None).tick()

    found = latest(world)
    assert {name: (row.address, row.variant, row.tracked) for name, row in found.items()} == {
        "ana": ("ana@lead.example", "drip/hello.j2", True),
        "amal": ("amal@lead.example", "drip/hello.ar.j2", False),
    }
    assert sorted(world.sent) == sorted((row.address, row.message_id) for row in found.values())
    assert all(len(row.payload_sha256) == 64 and row.sending_at == row.ended_at == world.now for row in found.values())


def test_an_audience_follows_the_sequence(make: Make) -> None:
    """Membership is told when the step is taken, and taken back when the lead leaves the sequence, whichever way."""
    files = {"lifecycle.yaml": "milestones: {demo: {when: {did: demo}}}"}
    world = make(
        program(
            files,
            drip=sequence(
                "  - {id: ads, audience: {add: readers}}\n  - {id: rest, wait: 2 days}\n  - {id: over, exit: done}",
                objective="demo",
            ),
        )
    )
    enrolled(world, "ends", "reaches", "goes").tick()
    inside = members(world)
    world.at(HOUR)
    world.event("reaches", "demo", settle=True)
    world.event("goes", "unsubscribed", settle=True)
    world.tick()
    during = members(world)
    world.run(3 * DAY)

    assert inside == {"ends": True, "reaches": True, "goes": True}
    assert during == {"ends": True, "reaches": False, "goes": False}
    assert members(world) == {"ends": False, "reaches": False, "goes": False}


def members(world: World) -> dict[str, bool]:
    """What the platform was told."""
    return {world.names()[row.lead_id]: row.told for row in world.rows(AudienceMember)}


# Workers that die


@pytest.fixture
def journalled(make: Make, tmp_path: Path) -> World:
    """A world whose machine keeps a journal, with six leads about to be written to."""
    world = make(program(drip=sequence(STEPS)))
    keep_journal(world, tmp_path)
    return enrolled(world, *(f"lead{n}" for n in range(6)))


def keep_journal(world: World, folder: Path) -> None:
    world.machine.journal_folder = folder
    world.machine.__post_init__()


def dies(world: World, channel: Scripted) -> None:
    world.machine.email = channel
    with pytest.raises(Killed):
        world.tick()
    world.sql("DELETE FROM lease")


def restarted(world: World, folder: Path) -> tuple[World, Scripted]:
    other = second_machine(world)
    keep_journal(other, folder)
    channel = other.machine.email = Scripted()
    return other, channel


def expire(world: World) -> None:
    world.sql("UPDATE touch SET lease_until = 1 WHERE lease_until IS NOT NULL")


def test_a_worker_that_died_before_sending_gives_all_back(
    journalled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was only claimed is planned again when the lease is over, not before, and sent once."""

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(Maker, "make", die)
    dies(journalled, Scripted())
    monkeypatch.undo()
    other, channel = restarted(journalled, tmp_path)
    other.tick()
    before = [row.state for row in other.rows(Touch)], len(channel.parcels)
    expire(other)
    other.tick()

    assert before == (["claimed"] * 6, 0)
    assert [row.state for row in other.rows(Touch)] == ["sent"] * 6
    assert len(channel.parcels) == 6
    other.close()


DEATHS = {
    # what lead3 meets: how it ends, by the journal of this host
    "before its body": (["killed"], "sent", 6),
    "during its body": (["killed_later"], "uncertain", 6),
    "after its answer": (["accepted", "then killed"], "sent", 6),
}


@pytest.mark.parametrize("name", DEATHS)
def test_the_journal_tells_what_was_on_the_wire(journalled: World, tmp_path: Path, name: str) -> None:
    """Those that were answered are recorded, those never begun are sent now, the one in flight is uncertain."""
    said, state, letters = DEATHS[name]
    first = Scripted(answers(lead3=said))
    dies(journalled, first)
    died = {row.state for row in journalled.rows(Touch)}
    other, second = restarted(journalled, tmp_path)
    expire(other)
    other.tick()
    other.at(2 * MINUTE).tick()

    states = {name: row.state for name, row in latest(other).items()}
    everything = [parcel.key for channel in (first, second) for parcel in channel.parcels]
    assert died == {"sending"}
    assert states == {**dict.fromkeys(states, "sent"), "lead3": state}
    assert len(everything) == len(set(everything)) == letters
    assert set(other.stands().values()) == {"rest"}
    other.close()


def test_of_another_host_nothing_is_known(journalled: World, tmp_path: Path) -> None:
    """A batch that another host had on the wire is uncertain as a whole: nothing of it is sent again by itself."""
    dies(journalled, Scripted(answers(lead3=["killed"])))
    journalled.sql("UPDATE touch SET lease_owner = 'elsewhere:1:abc'")
    other, channel = restarted(journalled, tmp_path)
    expire(other)
    other.tick()
    other.run(2 * DAY)

    assert {row.state for row in other.rows(Touch)} == {"uncertain"}
    assert channel.parcels == []
    assert set(other.stands().values()) == {"rest"}
    other.close()


def test_a_worker_that_ends_with_work_in_doubt_keeps_its_journal(journalled: World, tmp_path: Path) -> None:
    """An interrupt lets go of everything in order, and what was answered by then is still known afterwards."""
    first = Scripted(answers(lead3=["accepted", "then killed"]))
    dies(journalled, first)
    journalled.machine.close()
    other, second = restarted(journalled, tmp_path)
    expire(other)
    other.tick()
    other.at(2 * MINUTE).tick()

    everything = [parcel.key for channel in (first, second) for parcel in channel.parcels]
    assert len(everything) == len(set(everything)) == 6
    other.close()


ELSEWHERE = {"another folder": "folder", "another boot": "boot"}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_journal_that_cannot_be_trusted_proves_nothing(
    journalled: World, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this host, but with another journal folder or after a boot: what had no answer is uncertain, not resent."""
    dies(journalled, Scripted(answers(lead3=["killed"])))
    folder = tmp_path / "other" if ELSEWHERE[name] == "folder" else tmp_path
    if ELSEWHERE[name] == "boot":
        monkeypatch.setattr(workers, "boot", lambda: "newboot1")
    other, channel = restarted(journalled, folder)
    expire(other)
    other.tick()

    ends = [row.state for row in other.rows(Touch)]
    assert channel.parcels == []
    assert set(ends) <= {"sent", "uncertain"}
    assert "uncertain" in ends
    other.close()


def test_a_slow_worker_does_not_send_what_was_taken_from_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept past its lease in the middle of a batch: the rest goes out once, by whoever has it."""
    monkeypatch.setattr(delivery, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(Heart, "_run", lambda self: None)  # who sleeps has no heart-beat
    world = make(program(drip=sequence(STEPS)))
    keep_journal(world, tmp_path)
    enrolled(world, *(f"lead{n}" for n in range(8)))
    other = second_machine(world)
    keep_journal(other, tmp_path)
    second = other.machine.email = Scripted()

    def slow(parcel: object) -> None:
        if len(first.parcels) == 3:
            time.sleep(1.2)
            world.sql("DELETE FROM lease")
            for at in (0, 2):
                world.at(at * MINUTE)
                other.tick()

    first = world.machine.email = Scripted(before=once(slow, 4))
    world.tick()
    world.at(5 * MINUTE).tick()
    world.at(10 * MINUTE).tick()

    everything = [parcel.key for channel in (first, second) for parcel in channel.parcels]
    assert len(everything) == len(set(everything))
    assert {row.state for row in world.rows(Touch)} <= {"sent", "uncertain"}
    assert set(world.stands().values()) == {"rest"}
    other.close()


def once(action: Callable[[Any], None], call: int) -> Callable[[Any], None]:
    """`action` at its n-th call alone."""
    calls = []

    def at(parcel: Any) -> None:
        calls.append(parcel)
        if len(calls) == call:
            action(parcel)

    return at


def test_stop_ends_a_send_run_between_two_bodies(make: Make) -> None:
    """An operator's stop reaches a batch on its way: those that have left are sent, the others wait for the resume."""
    world = make(program(drip=sequence(STEPS)))
    names = [f"lead{n}" for n in range(10)]
    enrolled(world, *names)

    def stop(_: object) -> None:
        thread = threading.Thread(
            target=lambda: world.do(lambda link: control.pause(link, "all", "operator", world.now))
        )
        thread.start()
        thread.join()
        time.sleep(0.6)  # what the machine was told is looked at twice a second

    relay = world.machine.email = Scripted(before=once(stop, 5))
    world.tick()
    after = len(relay.parcels), sorted(row.state for row in world.rows(Touch))
    world.at(HOUR).tick()
    world.do(lambda link: control.resume(link, "all", "operator", world.now))
    time.sleep(0.6)
    world.tick()

    assert after == (4, ["planned"] * 6 + ["sent"] * 4)
    assert len({parcel.key for parcel in relay.parcels}) == len(relay.parcels) == 10
