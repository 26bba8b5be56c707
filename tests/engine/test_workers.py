"""Workers that live, sleep or die: who is alive keeps what it holds, who is dead loses it at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col

from nurture.channels.base import Receipt
from nurture.db import take_lease
from nurture.engine import control, delivery, doors, leases, workers
from nurture.engine.heart import Heart
from nurture.engine.recording import record
from nurture.errors import SegmentBusy
from nurture.records import Handoff, Lease, Outbox, Touch
from tests.engine.channels import Killed, Scripted
from tests.engine.conftest import Make
from tests.engine.world import World, program, second_machine, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}\n  - {id: over, exit: done}"
LIFECYCLE = {"lifecycle.yaml": "milestones: {demo: {when: {did: demo}, handoff: true}}"}


def at_home(world: World, folder: Path, channel: Scripted | None = None) -> World:
    """A world whose machine keeps a journal there, and sends by `channel`."""
    world.machine.journal_folder = folder
    world.machine.__post_init__()
    world.machine.email = channel or Scripted()
    return world


def begun(make: Make, folder: Path, channel: Scripted | None = None) -> World:
    """Six leads about to be written to."""
    world = at_home(make(program(LIFECYCLE, drip=sequence(STEPS))), folder, channel)
    for n in range(6):
        world.lead(f"lead{n}")
        world.event(f"lead{n}", "signed_up")
    return world


def ends(world: World) -> list[str]:
    return [row.state for row in world.rows(Touch)]


def kill(world: World) -> None:
    """What the kernel does to a process: its files are closed, and nothing is tidied up."""
    world.machine.journal.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("holder", ["dead", "alive"])
def test_what_a_dead_worker_held_is_free_at_once(make: Make, tmp_path: Path, holder: str) -> None:
    """Its segment and its messages are carried on by the next tick on this host; those of a living one are not."""
    world = begun(make, tmp_path, Scripted({"lead3@lead.example": ["killed"]}))
    with pytest.raises(Killed):
        world.machine.tick("drip", world.now)
    world.sql(
        "INSERT INTO lease (name, owner, token, until) SELECT 'segment:drip', lease_owner, 1, 9e15 FROM touch LIMIT 1"
    )
    if holder == "dead":
        kill(world)
    other = at_home(second_machine(world), tmp_path)

    if holder == "alive":
        with pytest.raises(SegmentBusy, match="segment 'drip' is carried by another run"):
            other.tick()
        assert other.machine.recover(other.now) == {}
        assert set(ends(other)) == {"sending"}
    else:
        other.tick()
        other.at(timedelta(minutes=2)).tick()
        assert ends(other) == ["sent"] * 6
        keys = [p.key for one in (world, other) for p in one.machine.email.parcels]  # type: ignore[attr-defined]
        assert len(keys) == len(set(keys)) == 6
    other.close()


def test_a_slow_relay_costs_no_lease(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker waits for an answer, its heart keeps claim and segment, however short their leases are."""
    monkeypatch.setattr(delivery, "LEASE", timedelta(seconds=3))
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=3))
    seen: list[Any] = []

    def wait(_: object) -> None:
        if not seen:
            time.sleep(4)
            seen.append(other.machine.recover(other.now))
            with pytest.raises(SegmentBusy):
                other.tick()

    world = begun(make, tmp_path, Scripted(before=wait))
    other = at_home(second_machine(world), tmp_path / "elsewhere")
    world.tick()

    assert seen == [{}]
    assert ends(world) == ["sent"] * 6
    assert len(world.machine.email.parcels) == 6  # type: ignore[attr-defined]
    other.close()


def test_a_run_that_lost_its_segment_stops(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that slept past its lease finds out at its next step, and leaves the segment to who has it."""
    monkeypatch.setattr(Heart, "_run", lambda self: None)
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.5))
    world = begun(make, tmp_path)
    with world.machine.lease("drip", "one"):
        world.machine.settle(world.now)
        time.sleep(0.6)
        with pytest.raises(SegmentBusy, match="was taken over by another run; this one stops"):
            world.machine.run_step("drip", "hello", world.now, "one")

    assert world.machine.email.parcels == []  # type: ignore[attr-defined]
    assert world.rows(Lease) == []


STALE = {
    # what its journal says of a touch, and the state after the host was rebooted
    "accepted": "sent",
    "refused": "failed",
    "not_started": "uncertain",
    "try_later": "uncertain",
    "unknown": "uncertain",
}


@pytest.mark.parametrize("said", STALE)
def test_after_a_power_failure_an_old_line_proves_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """The last lines may be lost with the machine: a line of an earlier try is no proof that a later one never began."""
    world = begun(make, tmp_path, Scripted({f"lead{n}@lead.example": ["killed"] for n in range(6)}))
    with pytest.raises(Killed):
        world.machine.tick("drip", world.now)
    for row in world.rows(Touch):
        world.machine.journal.replied(Receipt(row.id, said, "an earlier try"))  # type: ignore[arg-type]
    kill(world)
    monkeypatch.setattr(workers, "boot", lambda: "newboot1")
    other = at_home(second_machine(world), tmp_path)
    other.machine.recover(other.now)

    assert set(ends(other)) == {STALE[said]}
    other.close()


@pytest.mark.parametrize("who", ["unsubscribes", "is stopped by name"])
def test_nobody_is_written_to_who_said_no_while_the_batch_was_under_way(make: Make, tmp_path: Path, who: str) -> None:
    """The permit was given for two hundred at once; a goodbye in between is known before the next body."""

    def says_no(parcel: Any) -> None:
        if len(world.machine.email.parcels) == 1 and not gone:  # type: ignore[attr-defined]
            gone.extend(lead for name, lead in world.ids.items() if f"{name}@lead.example" != first())
            for lead in gone:
                world.do(lambda link, lead=lead: no(link, lead))  # type: ignore[misc]
            time.sleep(0.01)

    def first() -> str:
        return str(world.machine.email.parcels[0].to)  # type: ignore[attr-defined]

    def no(link: Any, lead: int) -> None:
        if who == "unsubscribes":
            doors.unsubscribe_lead(link, world.machine.live(), lead, world.now, source="test")
        else:
            control.stop(link, f"lead:{lead}", "olga", world.now)

    gone: list[int] = []
    world = begun(make, tmp_path, Scripted(before=says_no))
    world.tick()

    assert len(gone) == 5
    assert [parcel.to for parcel in world.machine.email.parcels] == [first()]  # type: ignore[attr-defined]
    assert sorted(ends(world)) == sorted(["sent", *["cancelled" if who == "unsubscribes" else "planned"] * 5])


LATE: dict[str, tuple[str, str]] = {
    # what the holder says after its batch was given up as uncertain: how the touch stands then
    "accepted": ("accepted", "sent"),
    "refused": ("refused", "uncertain"),
    "try later": ("try_later", "uncertain"),
    "never begun": ("not_started", "uncertain"),
}


@pytest.mark.parametrize("name", LATE)
def test_an_answer_that_comes_late(make: Make, tmp_path: Path, name: str) -> None:
    """The worker lived after all: a yes is taken; its lead has gone on, so anything else is left to a person."""
    verdict, state = LATE[name]
    world = begun(make, tmp_path, Scripted({"lead0@lead.example": ["killed"]}))
    with pytest.raises(Killed):
        world.machine.tick("drip", world.now)
    first = world.rows(Touch)[0]
    world.sql("UPDATE touch SET lease_until = 1")
    other = at_home(second_machine(world), tmp_path / "elsewhere")
    other.machine.recover(other.now)
    between = set(ends(other))
    receipt = Receipt(first.id, verdict, "said late")  # type: ignore[arg-type]
    world.do(lambda link: record(link, [receipt], world.now, first.lease_owner))

    assert between == {"uncertain"}
    assert ends(world) == [state, *["uncertain"] * 5]
    other.close()


def test_an_answer_that_only_the_journal_knows(make: Make, tmp_path: Path) -> None:
    """The holder slept, woke, heard a yes and died before it was recorded: its journal makes the touch sent."""
    world = begun(make, tmp_path, Scripted({"lead0@lead.example": ["accepted", "then killed"]}))
    with pytest.raises(Killed):
        world.machine.tick("drip", world.now)
    world.sql("UPDATE touch SET lease_until = 1")
    elsewhere = at_home(second_machine(world), tmp_path / "elsewhere")
    elsewhere.machine.recover(elsewhere.now)
    between = set(ends(elsewhere))
    kill(world)
    other = at_home(second_machine(world), tmp_path)
    other.machine.recover(other.now)

    answered = {parcel.touch_id for parcel in world.machine.email.parcels}  # type: ignore[attr-defined]
    assert between == {"uncertain"}
    assert 1 <= len(answered) <= 6
    assert {row.id for row in other.rows(Touch, col(Touch.state) == "sent")} == answered
    assert {row.lease_owner for row in other.rows(Touch)} == {None}
    assert sorted(path.name for path in tmp_path.glob("*.log")) == [f"{other.machine.worker.replace(':', '-')}.log"]
    elsewhere.close()
    other.close()


def test_a_notice_of_a_dead_worker_goes_out_at_once(make: Make, tmp_path: Path) -> None:
    """A salesperson does not wait for a lease: the next drain sends it, under the same Message-ID."""
    said: list[Callable[[], None]] = []

    def die(_: object) -> None:
        raise Killed

    world = begun(make, tmp_path, Scripted(before=die))
    world.lead("zoe")
    world.event("zoe", "demo", settle=True)
    with pytest.raises(Killed):
        world.machine.drain(world.now)
    other = at_home(second_machine(world), tmp_path)
    alive = other.machine.drain(other.now)
    kill(world)

    assert (alive, other.machine.drain(other.now), said) == (0, 1, [])
    assert [row.done_at is not None for row in other.rows(Outbox)] == [True]
    assert len(other.rows(Handoff)) == 1
    other.close()


def test_two_hearts_on_one_lease(make: Make, tmp_path: Path) -> None:
    """Two runs that begin in the same moment: one carries the segment, the other is told so."""
    world = begun(make, tmp_path)
    other = at_home(second_machine(world), tmp_path)
    together, busy = threading.Barrier(2), []

    def tick(which: World) -> None:
        together.wait()
        try:
            which.machine.tick("drip", world.now, "the same run")
        except SegmentBusy:
            busy.append(which)

    threads = [threading.Thread(target=tick, args=(one,)) for one in (world, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    keys = [p.key for one in (world, other) for p in one.machine.email.parcels]  # type: ignore[attr-defined]
    assert len(keys) == len(set(keys)) == 6
    assert len(busy) <= 1
    assert {row.state for row in world.rows(Touch, col(Touch.step) == "hello")} == {"sent"}
    other.close()


#: Journals that a tick finds: whose, how many days ago it was last written, and whether it stays.
LEFT = {
    "a dead worker's of long ago": ("here:boot:1:beef", 8, False),
    "a dead worker's of this week": ("here:boot:2:beef", 6, True),
    "of one who lives": ("here:boot:3:beef", 8, True),
    "of one in whose name something is": ("here:boot:4:beef", 8, True),
    "of another host, whose locks are not seen": ("here-too:boot:5:beef", 8, True),
}


def test_journals_of_the_dead_go_in_the_end(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed with nothing in its hands leaves a file that nobody else would ever remove."""
    world = make(program(drip=sequence(STEPS)))
    monkeypatch.setattr("nurture.engine.workers.socket.gethostname", lambda: "here")
    world.do(lambda link: take_lease(link, "segment:other", "here:boot:4:beef/run", 60))
    opened = {name: workers.open_journal(tmp_path, worker) for name, (worker, _, _) in LEFT.items()}
    for name, (worker, days, _) in LEFT.items():
        if name != "of one who lives":
            opened[name].close()
        long_ago = time.time() - days * 86_400
        os.utime(workers.journal_file(tmp_path, worker), (long_ago, long_ago))
    world.machine.journal_folder = tmp_path

    world.tick()

    assert {name: workers.journal_file(tmp_path, worker).exists() for name, (worker, _, _) in LEFT.items()} == {
        name: stays for name, (_, _, stays) in LEFT.items()
    }
    opened["of one who lives"].close()
