"""Two batches at once, one on the wire and one being made ready: what each still owes to the leads, and to the other."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture import clock
from nurture.channels.base import Parcel
from nurture.channels.smtp import SmtpChannel
from nurture.channels.throttle import Throttle
from nurture.cli.ticking import Ticking
from nurture.engine import delivery, helping, machine
from nurture.engine.delivery import Courier
from nurture.engine.flights import Flight
from nurture.engine.parcels import Made, Maker
from nurture.errors import SegmentBusy
from nurture.records import Touch
from tests.engine.channels import Aside
from tests.engine.conftest import Make
from tests.engine.world import PROGRAM, World, program, second_machine, sequence

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}"
OFF = {"program.yaml": PROGRAM + "guard: {canary: off, growth: off}\n"}
BATCH = 3
#: Seconds until what ought to come is given up.
PATIENCE = 20
NAMES = [f"lead{number}" for number in range(2 * BATCH)]


def come(happened: threading.Event) -> None:
    assert happened.wait(PATIENCE)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Batches of three; set once the letters of the second are made."""
    monkeypatch.setattr(machine, "Courier", partial(Courier, _most=BATCH))
    real, second, batches = Maker.make, threading.Event(), Counter[str]()

    def make(*told: Any) -> Made:
        letters = real(*told)
        batches["made"] += 1
        if batches["made"] == 2:
            second.set()
        return letters

    monkeypatch.setattr(Maker, "make", make)
    return second


@pytest.fixture
def landing(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once somebody waits for a batch's end."""
    real, waited = Flight.down, threading.Event()

    def down(flight: Flight) -> str | None:
        waited.set()
        return real(flight)

    monkeypatch.setattr(Flight, "down", down)
    return waited


def flying(make: Make, meanwhile: Callable[[int], None], before: Callable[[Parcel], None] | None = None) -> World:
    """Two batches of leads who are about to enter; their relay does as `meanwhile` and `before` say."""
    world = make(program(OFF, news=sequence(STEPS)))
    world.crowd(NAMES)
    world.event_of(NAMES, "signed_up")
    world.machine.email = Aside(meanwhile, before)
    return world


def relay(world: World) -> Aside:
    assert isinstance(world.machine.email, Aside)
    return world.machine.email


def states(world: World) -> Counter[str]:
    return Counter(row.state for row in world.rows(Touch))


def waiting_in(world: World) -> Any:
    """One of the touches that are made and wait for the batch before."""
    return world.rows(Touch, col(Touch.state) == "claimed")[0]


def test_the_second_is_made_while_the_first_is_on_the_wire(make: Make, made: threading.Event) -> None:
    """Each letter leaves once, and both batches are recorded."""
    world = flying(make, lambda batch: come(made) if batch == 1 else None)
    report = world.machine.tick("news", world.now)

    assert sorted(parcel.to for parcel in relay(world).parcels) == [f"{name}@lead.example" for name in NAMES]
    assert (relay(world).batches, states(world)) == (2, {"sent": 2 * BATCH})
    assert sum(step.sent for step in report.steps) == 2 * BATCH


MOVES = "UPDATE lead SET email = 'new@home.example' WHERE id = :lead"
SILENT = "INSERT INTO suppression (kind, value, reason, at, source) VALUES ('address', :address, 'x', 1, 'test')"
#: What happens to a lead whose letter is made: to where it goes, and what becomes of the touch.
CHANGES: dict[str, tuple[list[str], str | None, str]] = {
    "a new address": ([MOVES], "new@home.example", "sent"),
    "a goodbye": ([SILENT], None, "suppressed"),
    "a goodbye of the old address": ([MOVES, SILENT], "new@home.example", "sent"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_letter_goes_to_whom_the_permit_was_given_for(make: Make, made: threading.Event, case: str) -> None:
    """Who changed while the letter waited is written to as they are now, in the same tick, or not at all."""
    changes, to, state = CHANGES[case]
    found: list[Any] = []

    def change(batch: int) -> None:
        if batch == 1:
            come(made)
            touch = waiting_in(world)
            old = world.who(world.names()[touch.lead_id]).email
            found.extend((touch.id, old))
            for statement in changes:
                values = {"lead": touch.lead_id, "address": old}
                world.sql(statement, **{name: value for name, value in values.items() if f":{name}" in statement})

    world = flying(make, change)
    world.machine.tick("news", world.now)
    number, old = found
    (touch,) = world.rows(Touch, col(Touch.id) == number)
    went = [parcel.to for parcel in relay(world).parcels]

    assert old not in went
    assert (touch.state, touch.address) == (state, to)
    assert went.count("new@home.example") == (to is not None)
    assert len(went) == 2 * BATCH - (to is None)


#: What ends the making of the second batch, while one letter of the first has left: how many of it leave in all.
ENDS: dict[type[BaseException], int] = {ValueError: BATCH, SegmentBusy: 1, KeyboardInterrupt: 1}


@pytest.mark.parametrize("ends", ENDS)
def test_what_is_on_the_wire_is_recorded_whatever_ends_the_run(
    make: Make, monkeypatch: pytest.MonkeyPatch, made: threading.Event, landing: threading.Event, ends: type[Exception]
) -> None:
    """A fault of the second batch is none of the first; after an interrupt, or without the lease, nothing begins."""
    real, one_left = Maker.make, threading.Event()
    bodies: list[str] = []

    def fails(*told: Any) -> Made:
        letters = real(*told)
        if made.is_set():
            come(one_left)
            raise ends("the second")
        return letters

    monkeypatch.setattr(Maker, "make", fails)

    def before(parcel: Parcel) -> None:
        bodies.append(parcel.to)
        if len(bodies) == 2:
            one_left.set()
            come(landing)

    world = flying(make, lambda _: None, before)
    with pytest.raises(ends, match="the second"):
        world.machine.tick("news", world.now)

    assert len(relay(world).parcels) == ENDS[ends]
    assert states(world) == Counter(sent=ENDS[ends], planned=BATCH - ENDS[ends], claimed=BATCH)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_postgres_records_a_batch_while_the_next_asks_for_its_permit(
    make: Make, made: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second batch's permit waits here until the first is being recorded, which waits for no permit."""
    permit, record, asked = Courier._permit, Courier._record, Counter[str]()
    begun = threading.Event()

    def permitting(*told: Any) -> Any:
        asked["permit"] += 1
        if asked["permit"] == 2:
            come(begun)
        return permit(*told)

    def recording(*told: Any) -> int:
        begun.set()
        return record(*told)

    monkeypatch.setattr(Courier, "_permit", permitting)
    monkeypatch.setattr(Courier, "_record", recording)
    world = flying(make, lambda batch: come(made))
    world.machine.tick("news", world.now)

    assert states(world) == {"sent": 2 * BATCH}


@pytest.mark.usefixtures("made")
def test_an_interrupt_of_the_record_loses_neither_batch(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is being recorded and the second is on the wire: all that left is recorded, nothing stays in hand.

    It comes while this thread records, or while it waits for the one that does.
    """
    interrupted = threading.Event()
    world = flying(make, lambda batch: come(interrupted) if batch == 2 else None)
    whose, name = (Courier, "_record") if world.machine.db.is_sqlite else (Flight, "recorded")
    real = getattr(whose, name)

    def record(*told: Any) -> Any:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return real(*told)

    monkeypatch.setattr(whose, name, record)
    with pytest.raises(KeyboardInterrupt):
        world.machine.tick("news", world.now)

    left = len(relay(world).parcels)
    assert left >= BATCH
    assert states(world) == +Counter(sent=left, planned=2 * BATCH - left)


@pytest.mark.usefixtures("made")
def test_a_fault_of_the_record_is_none_of_the_other_batch(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the first batch's record is told, and is none of the second's, which is recorded."""
    real, failed = Courier._record, threading.Event()

    def record(*told: Any) -> int:
        if not failed.is_set():
            failed.set()
            raise ValueError("the first")
        return real(*told)

    monkeypatch.setattr(Courier, "_record", record)
    world = flying(make, lambda batch: come(failed) if batch == 2 else None)
    with pytest.raises(ValueError, match="the first"):
        world.machine.tick("news", world.now)

    assert states(world) == {"sending": BATCH, "sent": len(relay(world).parcels) - BATCH}


def test_a_channel_that_goes_down_gives_the_second_back(make: Make, made: threading.Event) -> None:
    """It is planned as before, in nobody's name, and the run says why."""

    def break_down(batch: int) -> None:
        assert batch == 1
        come(made)
        relay(world).down = "the relay is away"

    world = flying(make, break_down)
    report = world.machine.tick("news", world.now)

    assert [step.channel_down for step in report.steps] == ["the relay is away"]
    assert states(world) == {"sent": BATCH, "planned": BATCH}
    assert {row.lease_owner for row in world.rows(Touch)} == {None}


def test_a_batch_that_waits_keeps_its_claim(make: Make, monkeypatch: pytest.MonkeyPatch, made: threading.Event) -> None:
    """However long the one before is on the wire."""
    monkeypatch.setattr(delivery, "_BEATS", 6_000)

    def run_out(batch: int) -> None:
        if batch == 1:
            come(made)
            world.sql("UPDATE touch SET lease_until = 1 WHERE state = 'claimed'")
            patience = clock.monotonic() + PATIENCE
            while waiting_in(world).lease_until <= world.start.replace(year=1971):
                assert clock.monotonic() < patience
                clock.pause(0.01)

    world = flying(make, run_out)
    world.machine.tick("news", world.now)
    assert states(world) == {"sent": 2 * BATCH}


RATE = Throttle({"": 50.0})


@pytest.mark.parametrize(("throttle", "said"), [(RATE, None), (None, [])], ids=["a rate", "none"])
def test_who_helps_leaves_where_nobody_is_invited(
    make: Make, monkeypatch: pytest.MonkeyPatch, throttle: Throttle | None, said: list[Any] | None
) -> None:
    """And where mail has a rate, which every process keeps for itself, nobody comes."""
    monkeypatch.setattr(helping, "_QUIET", 0.0)
    monkeypatch.setattr(helping, "ALONE", 0)
    monkeypatch.setattr(helping, "_LOOK", 0.001)
    world = flying(make, lambda _: None)
    world.machine.settle(world.now)
    other = second_machine(world)
    world.machine.email = SmtpChannel("smtp://127.0.0.1:9", throttle=throttle)
    with other.machine.lease("news", "carrier"):
        assert helping.lend_a_hand(world.machine, "news", "helper") == said
    other.close()


def test_free_segments_come_before_helping(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The busy one has the higher priority, and its run may take hours."""
    world = make(program(OFF, big=sequence(STEPS, when="{did: a}", priority="90"), small=sequence(STEPS)))
    world.lead("ana")
    world.event("ana", "signed_up")
    other = second_machine(world)
    seen: list[int] = []
    monkeypatch.setattr(helping, "lend_a_hand", lambda *_: seen.append(len(world.sent)))
    ticking = Ticking(world.machine, world.machine.segments(), quiet=True)
    assert ticking.segments == ["big", "small"]
    with other.machine.lease("big", "carrier"):
        ticking.run(None)
    other.close()

    assert seen == [1]
    assert list(ticking.busy) == ["big"]
