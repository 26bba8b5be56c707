"""Two workers on one segment: one carries it, the other helps to send and never begins what it was not invited to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture import clock
from nurture.channels.base import Journal, Parcel, Receipt, Stop
from nurture.channels.recording import RecordingChannel
from nurture.engine import helping, holds, machine
from nurture.engine.delivery import Courier
from nurture.engine.helping import Invitation, help_or_tick, invitation, lend_a_hand
from nurture.engine.leases import HELPERS
from nurture.errors import SegmentBusy
from nurture.records import Enrolment, Hold, Lease, Meta, Touch
from nurture.records.types import to_micros
from tests.engine.conftest import Make
from tests.engine.world import HOUR, PROGRAM, World, program, second_machine, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}"
OFF = "guard: {canary: off, growth: off}\n"
LEADS, BATCH = 30, 5
#: Seconds until a thread that ought to come is given up.
PATIENCE = 20


class Watched(RecordingChannel):
    """Does something before the second batch leaves."""

    def __init__(self, at_second: Callable[[], None]) -> None:
        super().__init__("email")
        self.at_second, self.batches, self.first = at_second, 0, threading.Event()

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        self.batches += 1
        if self.batches == 2:
            self.at_second()
        self.first.set()
        return super().deliver(batch, journal, stop)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of five, and looks that follow each other quickly."""
    monkeypatch.setattr(machine, "Courier", partial(Courier, _most=BATCH))
    monkeypatch.setattr(helping, "ALONE", BATCH)
    monkeypatch.setattr(helping, "_LOOK", 0.01)


def full(make: Make, guard: str = OFF) -> World:
    """So many leads who are about to enter."""
    made = make(program({"program.yaml": PROGRAM + guard}, news=sequence(STEPS)))
    names = [f"lead{number}" for number in range(LEADS)]
    made.crowd(names)
    made.event_of(names, "signed_up")
    return made


@pytest.mark.usefixtures("small")
def test_the_second_tick_helps_the_first(make: Make) -> None:
    """It sends its part, each letter leaves once, and the first moves all the leads on."""
    first = full(make)
    second = second_machine(first)
    helper = Watched(lambda: None)
    second.machine.email = helper
    came: list[Future[Any]] = []

    with ThreadPoolExecutor(1) as pool, ExitStack() as closing:
        closing.callback(second.close)

        def call() -> None:
            came.append(pool.submit(help_or_tick, second.machine, "news", second.now))
            assert helper.first.wait(PATIENCE)

        carrier = first.machine.email = Watched(call)
        done = first.machine.tick("news", first.now)
        report, helped = came[0].result(PATIENCE)

    ours, theirs = ({parcel.to for parcel in one.parcels} for one in (carrier, helper))
    assert (len(carrier.parcels), len(helper.parcels)) == (len(ours), len(theirs)) == (done.sent, helped)
    assert helped == report.sent >= BATCH
    assert not ours & theirs
    assert len(ours | theirs) == LEADS
    assert {row.step for row in first.rows(Enrolment)} == {"rest"}
    assert first.rows(Lease) == []
    assert not first.rows(Meta, col(Meta.key).startswith("helping"))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_is_invited_where_the_guard_lets_a_number_go(make: Make) -> None:
    """A person has confirmed so many for today, and now there are more: they are counted by one run."""
    first = full(make, "guard: {canary: off, growth: off, most_per_day: 20}\n")
    first.tick()
    (hold,) = first.rows(Hold)
    assert hold.audience == LEADS
    first.do(lambda link: holds.release(link, hold.id, LEADS, "ana", first.now, "Europe/Bucharest"))
    seen: list[Invitation | None] = []
    more = [f"more{number}" for number in range(BATCH)]
    first.crowd(more)
    first.event_of(more, "signed_up")
    first.machine.email = Watched(lambda: seen.append(invitation(first.machine.db, "news")))
    first.at(HOUR).tick()

    assert len(first.sent) == LEADS
    assert seen == [None]


def standing(world: World, owner: str, seconds: float) -> Invitation:
    """An invitation to what stands due in `news`, of an owner whose lease runs for so long."""
    version = world.machine.live().segment("news").id
    made = Invitation(owner, version, "hello", to_micros(world.now))
    world.sql("INSERT INTO meta (key, value) VALUES ('helping:news', :said)", said=made.written())
    until = to_micros(clock.SystemClock().now() + timedelta(seconds=seconds))
    world.sql(
        "INSERT INTO lease (name, owner, token, until) VALUES ('segment:news', 'host:boot:1:x/run', 1, :until)",
        until=until,
    )
    return made


def planned(make: Make, guard: str = OFF) -> World:
    """Everybody's letter is planned and due, and none has left: it was paused for a moment."""
    world = full(make, guard)
    world.sql("INSERT INTO control (scope, state, at, by) VALUES ('segment:news', 'paused', 0, 'ana')")
    world.tick()
    world.sql("DELETE FROM control")
    world.sql("UPDATE touch SET next_at = allowed_at, reason = NULL")
    return world


#: What makes an invitation void.
VOID = {
    "the lease is over": "UPDATE lease SET until = until - 3600000000",
    "another run has the lease": "UPDATE lease SET owner = 'host:boot:2:y/run'",
    "it was taken back": "DELETE FROM meta WHERE key = 'helping:news'",
    "it is for an earlier instant": "UPDATE touch SET next_at = next_at + 1",
}


def test_a_helper_begins_only_what_it_is_invited_to(make: Make) -> None:
    """Asked in the claim itself; where all is as it was said, everything goes."""
    world = planned(make)
    live = world.machine.live()
    version = live.segment("news")
    step: Any = version.spec.step("hello")
    sent = {}
    for case, change in {**VOID, "it stands": "UPDATE touch SET next_at = next_at - 1"}.items():
        world.sql("DELETE FROM meta WHERE key = 'helping:news'")
        world.sql("DELETE FROM lease")
        invited = standing(world, "host:boot:1:x/run", 60)
        world.sql(change)
        world.machine.deliver(live, version, step, world.now, "helping", invited=invited)
        sent[case] = len(world.sent)

    assert sent == {**dict.fromkeys(VOID, 0), "it stands": LEADS}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_host_helps_with_few_runs_at_a_time(make: Make) -> None:
    """Ticks that come every minute while one takes hours do not pile up."""
    world = full(make)
    with ExitStack() as stack:
        places = [stack.enter_context(world.machine.leases.help("news", f"run{n}")) for n in range(HELPERS + 1)]
        stack.enter_context(second_machine(world).machine.lease("news", "carrier"))
        refused = lend_a_hand(world.machine, "news", "one more")

    assert places == [True] * HELPERS + [False]
    assert refused is None
    assert world.rows(Lease) == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_small_tick_is_refused_at_once(make: Make) -> None:
    """There is too little to do for two."""
    world = make(program({"program.yaml": PROGRAM + OFF}, news=sequence(STEPS)))
    other = second_machine(world)
    with other.machine.lease("news", "carrier"), pytest.raises(SegmentBusy, match="carried by another run"):
        help_or_tick(world.machine, "news", world.now)
    other.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_others_have_claimed_counts_for_the_day(make: Make) -> None:
    """Neither due nor begun, and about to be: 15 of 30 are in other hands, and 20 may go without a question."""
    world = planned(make, "guard: {canary: off, growth: off, most_per_day: 20}\n")
    world.sql(
        "UPDATE touch SET state = 'claimed', lease_owner = 'other:boot:1:x/run', lease_until = :until WHERE id IN"
        " (SELECT id FROM touch ORDER BY id LIMIT 15)",
        until=to_micros(clock.SystemClock().now() + HOUR),
    )
    world.tick()

    assert world.sent == []
    assert [row.audience for row in world.rows(Hold)] == [LEADS - 15]
    assert {row.state for row in world.rows(Touch)} == {"claimed", "held"}
