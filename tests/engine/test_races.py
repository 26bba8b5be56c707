"""Several at once: a goodbye against a send, two machines on one segment, two settlers on one list."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlmodel import col

from nurture.engine import doors
from nurture.engine.renaming import first_address
from nurture.errors import SegmentBusy
from nurture.jsonsql import listed
from nurture.records import Enrolment, Handoff, Lead, Milestone, Touch, Visitor
from tests.engine.channels import Scripted
from tests.engine.conftest import Make
from tests.engine.world import HOUR, PROGRAM, World, program, second_machine, sequence, world

STEPS = "  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 9 days}\n  - {id: over, exit: done}"
#: Goodbyes in each database: five batches of messages, or as many as `TRIES` says.
GOODBYES = int(os.environ.get("TRIES", "1000"))


def crowd(world: World, number: int, event: str = "signed_up") -> World:
    """So many leads with an event each, brought in as an import would."""
    world.crowd(f"lead{n}" for n in range(number))
    world.event_of(world.ids, event)
    return world


def at_once(*actions: Callable[[], object]) -> None:
    """Each in a thread of its own, begun together; what one of them raises is raised here."""
    begin, broken = threading.Barrier(len(actions)), []

    def run(action: Callable[[], object]) -> None:
        begin.wait()
        try:
            action()
        except BaseException as problem:
            broken.append(problem)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


def test_no_message_begins_after_the_goodbye(make: Make) -> None:
    """Whoever's goodbye was committed before its message was promised is not written to; a thousand tries or more."""
    world = crowd(make(program(drip=sequence(STEPS))), GOODBYES)
    live = world.machine.live()
    leads = list(world.ids.values())
    doors_open = 1 if world.machine.db.is_sqlite else 3  # SQLite has one writer
    parts: list[Sequence[int]] = [leads[n::doors_open] for n in range(doors_open)]
    seen: dict[int, str] = {}
    world.machine.settle(world.now)

    def leave(part: Sequence[int]) -> Callable[[], None]:
        def one(link: Any, lead: int) -> str:
            doors.unsubscribe_lead(link, live, lead, world.now, source="test")
            state = select(col(Touch.state)).where(col(Touch.lead_id) == lead)
            return link.execute(state).scalar() or "none"

        def all_of_it() -> None:
            for lead in part:
                seen[lead] = world.do(partial(one, lead=lead))

        return all_of_it

    at_once(world.tick, *(leave(part) for part in parts))
    world.tick()

    went = {row.lead_id for row in world.rows(Touch, col(Touch.sending_at).is_not(None))}
    gone_first = {lead for lead, state in seen.items() if state not in ("sending", "sent")}
    assert len(seen) == GOODBYES
    assert went & gone_first == set()
    assert Counter(row.outcome for row in world.rows(Enrolment)) <= Counter(
        {"unsubscribed": GOODBYES, "suppressed": GOODBYES}
    )
    assert {"claimed", "sending"} & {row.state for row in world.rows(Touch)} == set()


def test_two_machines_tick_one_segment(make: Make) -> None:
    """One carries it and the other is told so, or they take turns: everything is sent, nothing twice."""
    world = crowd(make(program(drip=sequence(STEPS))), 300)
    other = second_machine(world)
    other.machine.email = Scripted()
    busy = []

    def tick(which: World) -> Callable[[], None]:
        def once() -> None:
            try:
                which.tick("drip")
            except SegmentBusy:
                busy.append(which)

        return once

    at_once(tick(world), tick(other))

    keys = [key for _, key in world.sent] + [parcel.key for parcel in other.machine.email.parcels]
    assert len(busy) <= 1
    assert len(keys) == len(set(keys)) == 300
    assert set(world.stands().values()) == {"rest"}
    other.close()


def test_two_workers_without_the_lease_send_nothing_twice(make: Make) -> None:
    """The lease keeps order; that nobody is written to twice does not depend on it."""
    world = crowd(make(program(drip=sequence(STEPS))), 600)
    other = second_machine(world)
    other.machine.email = Scripted()
    world.machine.settle(world.now)

    at_once(
        *(
            lambda which=which: which.machine.run_step("drip", "hello", world.now, f"run {id(which)}") and None
            for which in (world, other)
        )
    )
    world.tick()

    keys = [key for _, key in world.sent] + [parcel.key for parcel in other.machine.email.parcels]
    assert len(keys) == len(set(keys)) == 600
    assert {row.state for row in world.rows(Touch)} == {"sent"}
    assert set(world.stands().values()) == {"rest"}
    other.close()


FILES = {
    "program.yaml": PROGRAM.replace(
        "sales: [{name: Mihai, email: mihai@acme.example, country: RO}]",
        "sales: [{name: A, email: a@acme.example}, {name: B, email: b@acme.example, weight: 2}]",
    ),
    "lifecycle.yaml": "milestones: {demo: {when: {did: demo}, handoff: true}}",
    "scoring.yaml": "engagement: [{rule: asked, when: {did: demo}, points: 30}]",
}


@pytest.mark.parametrize("workers", [3])
def test_settlers_at_once_share_the_work(make: Make, workers: int) -> None:
    """Every lead is settled by one of them: one milestone, one hand-off, one enrolment, its points once."""
    world = crowd(make(program(FILES, drip=sequence(STEPS, when="{did: demo}"))), 600, "demo")
    others = [second_machine(world) for _ in range(workers - 1)]

    at_once(*(lambda which=which: which.machine.settle(world.now) and None for which in (world, *others)))

    for table in (Milestone, Handoff, Enrolment):
        assert Counter(Counter(row.lead_id for row in world.rows(table)).values()) == {1: 600}, table
    assert {world.story(name).score for name in ("lead0", "lead299", "lead599")} == {30}
    assert world.rows(Handoff)[0].deadline_at > world.now
    for other in others:
        other.close()


def test_doors_and_a_tick_share_a_lead(make: Make) -> None:
    """Demo requests through the door while their leads are ticked: each is handed over once, whoever was first."""
    world = crowd(make(program(FILES, drip=sequence(STEPS, objective="demo"))), 200)
    live = world.machine.live()

    def ask() -> None:
        for lead in world.ids.values():

            def one(link: Any, lead: int = lead) -> None:
                doors.lock_lead(link, lead, world.now)
                doors.add_event(link, lead, "demo", world.now, source="form", key=f"demo-{lead}")
                doors.settle_one(link, live, lead, world.now)

            world.machine.db.transact(one, door=True)

    at_once(ask, world.tick)
    world.at(HOUR).tick()

    assert Counter(Counter(row.lead_id for row in world.rows(Handoff)).values()) == {1: 200}
    assert {row.outcome for row in world.rows(Milestone)} == {"handed_off"}
    assert set(world.stands().values()) <= {"objective"}
    assert {row.state for row in world.rows(Touch)} <= {"sent", "cancelled"}


def test_two_who_give_one_address_at_once(postgres_url: str) -> None:
    """Both found it free; the one that comes second is done again, and finds it taken."""
    with world(postgres_url, program(drip=sequence(STEPS))) as made:
        browsers = {"ab" * 16: made.lead("ana", email=None), "cd" * 16: made.lead("ben", email=None)}
        rows = [
            {"key": key, "lead_id": lead, "first_seen_at": made.now, "last_seen_at": made.now, "opted_out": False}
            for key, lead in browsers.items()
        ]
        made.do(lambda link: link.execute(insert(Visitor), rows))
        inside, tries, given = threading.Event(), Counter[str](), {}

        def give(key: str, *, first: bool) -> Callable[[], None]:
            def work(link: Any) -> bool:
                tries[key] += 1
                done = first_address(link, key, "one@lead.example", made.now)
                if first:
                    inside.set()
                    threading.Event().wait(0.3)  # so that the other waits for what becomes of this
                return done

            def once() -> None:
                if not first:
                    inside.wait(20)
                given[key] = made.machine.db.transact(work, door=True)

            return once

        one, other = browsers
        at_once(give(one, first=True), give(other, first=False))

        assert (given, tries) == ({one: True, other: False}, {one: 1, other: 2})
        assert [row.id for row in made.rows(Lead) if row.email] == [browsers[one]]


def test_what_puts_a_letter_off_may_be_gone_the_moment_after(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the verdict and its instant the letter that was counted counts no more: the other is judged anew."""
    one = "  - {id: a, email: a.j2}\n  - {id: over, exit: done}"
    files = program(first=sequence(one), second=sequence(one, when="{did: came}"))
    files["program.yaml"] += "caps: {per_day: 1}\n"
    with world(postgres_url, files) as here:
        here.lead("ana")
        here.event("ana", "signed_up")
        here.tick("first")
        counted = here.touch("ana", "a").id
        asked = Counter[str]()

        def between(keys: Any) -> str:
            if not asked:
                asked["once"] += 1
                here.sql("UPDATE touch SET sending_at = 0 WHERE id = :id", id=counted)
            return listed(keys)

        monkeypatch.setattr("nurture.engine.permit.listed", between)
        here.event("ana", "came")
        here.tick("second")

        assert asked
        assert here.touches("second") == {"ana": [("a", "sent", None)]}
