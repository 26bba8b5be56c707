"""Marketing, sales and the lead at once, in threads: one hand-off, one answer, one reminder, and no deadlock."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.engine import answers, doors, passing, terms
from nurture.errors import Refused
from nurture.records import Event, Handoff, Milestone, Outbox, Touch
from tests.engine.world import DAY, HOUR, World, new_database, program, second_machine, sequence, world

HOUSE = """
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
sales: [{name: A, email: a@acme.example}, {name: B, email: b@acme.example}, {name: C, email: c@acme.example}]
"""
LIFECYCLE = """
milestones: {demo: {when: {did: demo}, handoff: true, entrance: ready}, prices: {when: {did: prices}, handoff: true}}
sla: {accept_within: 4 business hours, escalate_to: lead@acme.example}
"""
DRIP = sequence("  - {id: hello, email: hello.j2}\n  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}")
FILES = program({"program.yaml": HOUSE, "lifecycle.yaml": LIFECYCLE}, drip=DRIP)
#: Leads of each race, or as many as `TRIES` says.
LEADS = int(os.environ.get("TRIES", "4"))
MOMENT = timedelta(microseconds=1)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    """One world for races whose leads do not meet."""
    with world(new_database(request), FILES) as made:
        yield made


def crowd(here: World, race: str, day: int) -> dict[str, int]:
    """The leads of a race, each of another company, on its day; their numbers by name."""
    here.at(day * DAY)
    for n in range(LEADS):
        here.lead(f"{race}{n}", email=f"me@{race}{n}.example")
    here.machine.settle(here.now)
    return {f"{race}{n}": here.ids[f"{race}{n}"] for n in range(LEADS)}


def ask(here: World, lead: int, event: str) -> None:
    """What a form's door does."""

    def one(link: Any) -> None:
        doors.lock_lead(link, lead, here.now)
        doors.add_event(link, lead, event, here.now, source="form", key=f"{event}-{lead}")
        doors.settle_one(link, here.machine.library.live(link), lead, here.now)

    here.do(one)


def race(*sides: Callable[[], object]) -> None:
    """Each in a thread of its own, begun together; all end within a minute, and what one of them raises is raised."""
    begin, broken = threading.Barrier(len(sides)), []

    def run(side: Callable[[], object]) -> None:
        begin.wait()
        try:
            side()
        except BaseException as problem:
            broken.append(problem)

    threads = [threading.Thread(target=run, args=(side,), daemon=True) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert broken == []


def each(leads: dict[str, int], work: Callable[[int], object]) -> Callable[[], None]:
    """The same of each lead, one after the other."""

    def all_of_them() -> None:
        for lead in leads.values():
            work(lead)

    return all_of_them


def test_two_milestones_at_once_open_one_handoff(here: World) -> None:
    """Whichever door is first opens it; what the other brings is its evidence."""
    leads = crowd(here, "twice", 0)
    race(each(leads, lambda lead: ask(here, lead, "demo")), each(leads, lambda lead: ask(here, lead, "prices")))

    for name in leads:
        (handoff,) = here.handoffs(name)
        reached = here.rows(Milestone, col(Milestone.lead_id) == leads[name])
        assert {row.handoff_id for row in reached} == {handoff.id}
        assert sorted((row.outcome, row.name == handoff.milestone) for row in reached) == [
            ("evidence", False),
            ("handed_off", True),
        ]
    assert len(here.rows(Outbox, col(Outbox.kind) == "handoff_notice")) == LEADS


def test_a_goodbye_against_a_request(here: World) -> None:
    """Who says no to letters and asks for us is handed over, once; nothing begins after the goodbye."""
    leads = crowd(here, "bye", 1)
    here.event_of(leads, "signed_up")
    begun: dict[int, bool] = {}

    def leave(link: Any, lead: int) -> None:
        doors.unsubscribe_lead(link, here.machine.library.live(link), lead, here.now, source="test")

    def goodbye(lead: int) -> None:
        here.do(partial(leave, lead=lead))
        begun[lead] = bool(here.rows(Touch, col(Touch.lead_id) == lead, col(Touch.sending_at).is_not(None)))

    race(each(leads, goodbye), each(leads, lambda lead: ask(here, lead, "demo")), here.tick)
    here.at(DAY + HOUR).tick()

    rows = here.rows(Touch, col(Touch.lead_id).in_(leads.values()))
    assert {lead: False for lead in leads.values()} | {
        row.lead_id: True for row in rows if row.sending_at is not None
    } == begun
    assert {row.state for row in rows} <= {"sent", "cancelled", "suppressed"}
    asked = here.rows(Handoff, col(Handoff.lead_id).in_(leads.values()))
    assert Counter(row.lead_id for row in asked) == dict.fromkeys(leads.values(), 1)
    assert {row.state for row in asked} == {"open"}
    assert {here.stands()[name] for name in leads if name in here.stands()} <= {"unsubscribed", "suppressed"}


def test_given_away_while_it_is_accepted(here: World) -> None:
    """Either it is accepted and stays, or it is another's and the answer is refused with the way out."""
    leads = crowd(here, "give", 2)
    for lead in leads.values():
        ask(here, lead, "demo")
    numbers = {name: here.handoffs(name)[0] for name in leads}
    refused: dict[str, list[str]] = {"give": [], "accept": []}

    def give(link: Any, row: Any) -> None:
        passing.reassign(link, here.machine.library.live(link), row.id, None, "boss@acme.example", here.now)

    def accept(link: Any, row: Any) -> None:
        live, key = here.machine.library.live(link), f"accept-{row.id}"
        answers.answer(link, live, row.id, "accepted", by=row.owner, now=here.now, source="test", key=key)

    def all_of_them(side: str, work: Callable[..., None], names: list[str]) -> None:
        for name in names:
            try:
                here.do(partial(work, row=numbers[name]))
            except Refused:
                refused[side].append(name)

    names = list(leads)
    race(partial(all_of_them, "give", give, names), partial(all_of_them, "accept", accept, names[::-1]))

    assert set(refused["give"]) | set(refused["accept"]) == set(leads)
    assert set(refused["give"]) & set(refused["accept"]) == set()
    for name in leads:
        states = [row.state for row in here.handoffs(name)]
        assert states == (["accepted"] if name in refused["give"] else ["reassigned", "open"])
    said = here.rows(Event, col(Event.name) == "handoff_accepted", col(Event.lead_id).in_(leads.values()))
    assert len(said) == len(refused["give"])


def test_two_workers_keep_the_terms(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reminder at half time, one new owner at the deadline, one word that it is late, however many look."""
    monkeypatch.setattr(terms, "BATCH", 5)
    leads = crowd(here, "terms", 3)
    for lead in leads.values():
        ask(here, lead, "demo")
    first = {name: here.handoffs(name)[0] for name in leads}
    other = second_machine(here)

    def keep(which: World) -> None:
        terms.keep_all(which.machine.db, which.machine.library, here.now)

    for at in (3 * DAY + 2 * HOUR, 3 * DAY + 4 * HOUR + MOMENT):
        here.at(at)
        race(partial(keep, here), partial(keep, other), partial(keep, here))
    other.machine.close()

    told = Counter((row.row_id, row.kind.partition(":")[0]) for row in here.rows(Outbox))
    for name, before in first.items():
        was, now_is = here.handoffs(name)
        assert (was.id, was.state, now_is.state, now_is.instead_of) == (before.id, "reassigned", "open", before.id)
        assert now_is.owner != was.owner
        kinds = ("handoff_notice", "handoff_reminder", "handoff_escalation")
        assert [told[was.id, kind] for kind in kinds] == [1, 1, 1]
        assert [told[now_is.id, kind] for kind in kinds] == [1, 0, 0]
