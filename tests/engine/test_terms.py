"""The terms of a hand-off: reminded at half time, passed on when nobody answers, escalated, met in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.engine import answers, control, passing, terms
from nurture.engine.absences import go_away
from nurture.errors import Refused
from nurture.reading.verify import verify
from nurture.records import Account, Event, Handoff, Milestone, Outbox
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, World, program, sequence, world

CALM = sequence("  - {id: rest, wait: 300 days}\n  - {id: over, exit: done}")
HOUSE = """
name: Acme
sender: {name: Ana, address: ana@acme.example}
address: Acme SRL, Strada Lungă 1, Brașov
zone: Europe/Bucharest
closed_days: [2026-12-24]
"""
MOMENT = timedelta(microseconds=1)


def files(sla: str = "{accept_within: 4 business hours}", *sales: str) -> dict[str, str]:
    """A program whose team is `sales`, each a name and what else is said of it."""
    people = [line.partition(",") for line in sales or ("ann", "bob", "cid")]
    team = "".join(f"  - {{name: {n.title()}, email: {n}@acme.example{c}{rest}}}\n" for n, c, rest in people)
    rules = f"milestones: {{demo: {{when: {{did: demo}}, handoff: true}}}}\nsla: {sla}\n"
    return program({"program.yaml": f"{HOUSE}sales:\n{team}", "lifecycle.yaml": rules}, drip=CALM)


def silent(world: World) -> World:
    """Everything is stopped: no letter is made, and terms are kept all the same."""
    world.do(lambda link: control.stop(link, "all", "test", world.now))
    return world


def ask(world: World, *names: str) -> None:
    """Each asks for a demo, now."""
    world.crowd(names)
    world.event_of(names, "demo")
    world.machine.settle(world.now)


def said(world: World) -> list[tuple[str, str, int]]:
    """(when, which, of which hand-off) of everything that sales was told, in order."""
    rows = sorted(world.rows(Outbox), key=lambda row: (row.created_at, row.id))
    return [(f"{row.created_at:%a %H:%M}", row.kind, row.row_id) for row in rows]


CLOCKED = "{accept_within: 4 business hours, reassign: 0, escalate_to: lead@acme.example}"
CLOCKS = {
    # the owner; when the lead asks; reminder, deadline
    "Friday evening in Bucharest": (
        ', country: RO, hours: "09:00-18:00"', "2026-03-06T17:50+02:00",
        "2026-03-09T10:50+02:00", "2026-03-09T12:50+02:00",
    ),
    "before the clocks change": (", country: RO", "2026-03-27T16:00+02:00", "2026-03-30T10:00+03:00", "2026-03-30T12:00+03:00"),
    "24 December is closed, and Christmas": (
        ", country: RO", "2026-12-23T16:00+02:00", "2026-12-28T10:00+02:00", "2026-12-28T12:00+02:00",
    ),
    "a weekend on the Gulf": (
        ", country: SA, zone: Asia/Riyadh", "2026-03-05T16:00+03:00", "2026-03-08T10:00+03:00", "2026-03-08T12:00+03:00",
    ),
    "Sunday is a workday in Riyadh": (
        ", country: SA, zone: Asia/Riyadh", "2026-03-08T08:00+03:00", "2026-03-08T11:00+03:00", "2026-03-08T13:00+03:00",
    ),
    "in New York, whose clocks change another day": (
        ", country: US, zone: America/New_York", "2026-10-30T16:30-04:00", "2026-11-02T10:30-05:00", "2026-11-02T12:30-05:00",
    ),
    "at night": (', hours: "22:00-06:00"', "2026-03-03T12:00+02:00", "2026-03-04T00:00+02:00", "2026-03-04T02:00+02:00"),
}  # fmt: skip


def test_reminder_and_deadline_are_on_the_owners_clock(sqlite_url: str) -> None:
    """Half of the promised hours, and all of them, in the owner's hours, days and holidays; nobody else is there."""
    cases = sorted(CLOCKS.items(), key=lambda case: datetime.fromisoformat(case[1][1]))
    team = [f"n{number}{owner}, countries: [FR]" for number, (_, (owner, *_)) in enumerate(cases)]
    found: dict[str, list[tuple[datetime, str]]] = {}
    with world(sqlite_url, files(CLOCKED, *team)) as it:
        silent(it)
        for number, (name, (_, asked, _, deadline)) in enumerate(cases):
            it.at(datetime.fromisoformat(asked).astimezone(UTC))
            it.lead(name, email=f"me@c{number}.example", owner=f"n{number}@acme.example")
            it.event(name, "demo", settle=True)
            it.run(datetime.fromisoformat(deadline) + HOUR)
            (row,) = it.handoffs(name)
            found[name] = [(o.created_at, o.kind) for o in it.rows(Outbox, col(Outbox.row_id) == row.id)]
            assert (row.state, row.deadline_at) == ("open", datetime.fromisoformat(deadline))
            it.answer(name, "accepted")

    assert found == {
        name: [
            (datetime.fromisoformat(asked), "handoff_notice"),
            (datetime.fromisoformat(reminder), "handoff_reminder"),
            (late := datetime.fromisoformat(deadline) + MOMENT, f"handoff_reminder:{deadline[:10]}"),
            (late, "handoff_escalation"),
        ]
        for name, (_, asked, reminder, deadline) in CLOCKS.items()
    }


def test_what_nobody_answers_is_passed_on_and_then_escalated(make: Make) -> None:
    """Reminded, given to the next, reminded, overdue, said each working day until an answer; the books stay in order."""
    it = silent(make(files("{accept_within: 4 business hours, reassign: 1, escalate_to: lead@acme.example}")))
    ask(it, "lea", "leo")
    it.answer("leo", "accepted")  # ann has had her turn: the next is bob, then cid
    it.run(5 * DAY)
    it.answer("lea", "accepted")
    it.run(9 * DAY)

    first, second = it.handoffs("lea")
    assert (first.owner, first.state, second.owner, second.state) == (
        "ann@acme.example", "reassigned", "bob@acme.example", "accepted",
    )  # fmt: skip
    assert (second.instead_of, second.cycle, second.milestone, second.opened_at) == (
        first.id, 2, "demo", first.deadline_at + MOMENT,
    )  # fmt: skip
    assert second.routed_by == "takes any lead, next in turn; instead of Ann, who did not answer in time"
    assert it.who("lea").owner == "bob@acme.example"
    assert [row.owner for row in it.rows(Account)] == ["bob@acme.example"]
    assert [one for one in said(it) if one[2] in (first.id, second.id)] == [
        ("Mon 08:00", "handoff_notice", first.id),
        ("Mon 10:00", "handoff_reminder", first.id),
        ("Mon 12:00", "handoff_notice", second.id),
        ("Mon 12:00", "handoff_escalation", first.id),
        ("Mon 14:00", "handoff_reminder", second.id),
        ("Tue 08:00", "handoff_reminder:2026-03-03", second.id),
        ("Tue 08:00", "handoff_escalation", second.id),
        *((f"{day} 07:00", f"{kind}:2026-03-0{n}", second.id)
          for n, day in ((4, "Wed"), (5, "Thu"), (6, "Fri")) for kind in ("handoff_reminder", "handoff_escalation")),
    ]  # fmt: skip
    (demo,) = it.rows(Milestone, col(Milestone.lead_id) == it.ids["lea"])
    assert (demo.outcome, demo.handoff_id) == ("handed_off", second.id)
    events = [row.name for row in it.rows(Event, col(Event.lead_id) == it.ids["lea"], col(Event.source) == "sales")]
    assert events == ["handoff_expired", "handoff_reassigned", "handoff_expired", "handoff_accepted"]
    with it.machine.db.read() as link:
        assert verify(link, it.machine.library, it.now).broken == []
    told = [one.what for one in it.story("lea").happenings if one.kind == "handoff"]
    assert told == [
        "hand-off 1 to ann@acme.example: demo",
        "hand-off 1: its owner was reminded",
        "hand-off 1 was not answered in time by ann@acme.example",
        "hand-off 3 to bob@acme.example: demo",
        "hand-off 3: its owner was reminded",
        "hand-off 3: overdue, its owner was reminded",
        "hand-off 3 accepted by bob@acme.example",
    ]


AREAS = (
    "ann, countries: [FR]", "bob, countries: [FR]", "cid, countries: [FR]", "dan, countries: [DE]", "eve, countries: [IT]",
    "fay, countries: [IT], away: [{first: 2026-03-01, last: 2026-03-30}]", "gus, countries: [IT]",
)  # fmt: skip
PASSING = {
    # sla: where the lead is, and the owners of its hand-offs in turn
    "{accept_within: 4 business hours}": {"FR": ["ann", "bob"], "DE": ["dan"], "IT": ["eve", "gus"]},
    "{accept_within: 4 business hours, reassign: 9, remind: false}": {"FR": ["ann", "bob", "cid"], "DE": ["dan"]},
}


@pytest.mark.parametrize("sla", PASSING)
def test_to_whom_it_goes(sqlite_url: str, sla: str) -> None:
    """As often as was agreed, to those of the territory who are there, never twice to one."""
    with world(sqlite_url, files(sla, *AREAS)) as it:
        silent(it)
        for country in PASSING[sla]:
            it.lead(country, email=f"me@{country}.example", country=country)
            it.event(country, "demo")
        it.run(2 * DAY)
        rows = {country: it.handoffs(country) for country in PASSING[sla]}
        kinds = {row.kind for row in it.rows(Outbox)}

    assert {name: [row.owner.partition("@")[0] for row in mine] for name, mine in rows.items()} == PASSING[sla]
    for mine in rows.values():
        assert [row.state for row in mine] == ["reassigned"] * (len(mine) - 1) + ["open"]
    assert ("handoff_reminder" in kinds) == ("remind: false" not in sla)
    assert "handoff_escalation" not in kinds  # nobody is named


def test_the_deadline_itself_is_in_time(make: Make) -> None:
    """An answer at that very instant counts, whatever a tick does first; a moment later it is somebody else's."""
    it = silent(make(files()))
    ask(it, "lea", "leo")
    deadline = it.handoffs("lea")[0].deadline_at
    it.at(deadline)
    it.tick()
    it.answer("lea", "accepted")
    it.at(deadline + MOMENT)
    it.tick()

    assert [row.state for row in it.handoffs("lea")] == ["accepted"]
    assert [row.state for row in it.handoffs("leo")] == ["reassigned", "open"]
    old, live = it.handoffs("leo")[0], it.machine.live()
    with pytest.raises(Refused, match=r"went to .*@acme.example, as hand-off 3"):
        it.do(lambda link: answers.answer(
            link, live, old.id, "accepted", by=old.owner, now=it.now, source="test", key="late",
        ))  # fmt: skip


def test_acceptance_against_expiry(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that accept, and two that let expire: each hand-off is either's, never both and never neither's."""
    monkeypatch.setattr(terms, "BATCH", 1)
    it = make(files("{accept_within: 4 business hours, remind: false}"))
    names = [f"l{n}" for n in range(40)]
    ask(it, *names)
    it.at(it.handoffs("l0")[0].deadline_at + MOMENT)
    live, numbers = it.machine.live(), [it.handoffs(name)[0].id for name in names]
    begin, refused, broken = threading.Barrier(4), [], []

    def accept(mine: list[int]) -> None:
        for number in mine:
            told: dict[str, Any] = {"by": "ann@acme.example", "now": it.now, "source": "test", "key": str(number)}
            try:
                it.do(partial(answers.answer, live=live, handoff=number, answer="accepted", **told))
            except Refused:
                refused.append(number)

    def run(work: Callable[[], object]) -> None:
        begin.wait()
        try:
            work()
        except BaseException as problem:
            broken.append(problem)

    works: list[Callable[[], object]] = [
        lambda: accept(numbers[::-2]), lambda: accept(numbers[-2::-2]),
        lambda: terms.keep_all(it.machine.db, it.machine.library, it.now),
        lambda: terms.keep_all(it.machine.db, it.machine.library, it.now),
    ]  # fmt: skip
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert broken == []
    ended = {row.id: row.state for row in it.rows(Handoff) if row.id in numbers}
    later = {row.instead_of: row.state for row in it.rows(Handoff) if row.id not in numbers}
    assert {number for number, state in ended.items() if state == "reassigned"} == set(refused) == set(later)
    assert set(ended.values()) <= {"accepted", "reassigned"}
    assert set(later.values()) <= {"open"}
    assert len(it.rows(Event, col(Event.name) == "handoff_accepted")) == len(numbers) - len(refused)


def test_a_meeting_that_did_not_come_about(sqlite_url: str) -> None:
    """Its owner hears of it at the deadline, the head of sales a working day later; who was met is left in peace."""
    it = silent(
        World(
            sqlite_url,
            files("{accept_within: 4 business hours, meet_within: 8 business hours, escalate_to: lead@acme.example}"),
        )
    )
    ask(it, "lea", "leo")
    it.at(HOUR)
    it.answer("lea", "accepted")
    it.answer("leo", "accepted")
    it.at(2 * HOUR)
    it.answer("leo", "met")
    it.run(9 * DAY)

    (row,) = it.handoffs("lea")
    assert [one for one in said(it) if not one[1].endswith("notice")] == [
        ("Tue 09:00", "meeting_reminder", row.id),
        ("Wed 07:00", "handoff_escalation:meeting", row.id),
    ]
    assert row.next_at is None
    it.close()


def test_by_hand(sqlite_url: str) -> None:
    """Given to whom one says, or to the next in turn; and all that somebody has, who goes away."""
    it = silent(World(sqlite_url, files("{accept_within: 4 business hours}", "ann", "bob, countries: [DE]", "cid")))
    ask(it, "lea", "leo", "lia")
    live = it.machine.live()

    def owners(name: str) -> list[str]:
        return [row.owner.partition("@")[0] for row in it.handoffs(name)]

    before = {name: owners(name)[0] for name in it.ids}
    its = it.handoffs("lea")[0].id

    def give(number: int, to: str | None) -> Any:
        return it.do(lambda link: passing.reassign(link, live, number, to, "boss@acme.example", it.now))

    number, routed = give(its, "bob@acme.example")
    refusals: dict[str, Callable[[], Any]] = {
        "is reassigned; only an open one": lambda: give(its, None),
        "nobody@acme.example is not in the sales team": lambda: give(number, "nobody@acme.example"),
        "bob@acme.example's already": lambda: give(number, "bob@acme.example"),
        "there is no hand-off 99": lambda: give(99, None),
    }
    for words, act in refusals.items():
        with pytest.raises(Exception, match=words):
            act()
    it.do(lambda link: go_away(
        link, "ann@acme.example", it.now.date(), it.now.date() + DAY, by="ann@acme.example", now=it.now,
    ))  # fmt: skip
    passed, left = it.do(lambda link: passing.hand_over(link, live, "ann@acme.example", "boss@acme.example", it.now))

    assert (routed.person.name, routed.why) == ("Bob", "given by boss@acme.example")
    assert owners("lea") == [before["lea"], "bob"]
    assert left == []
    assert len(passed) == list(before.values()).count("ann") - (before["lea"] == "ann")
    assert all(owners(name)[-1] == "cid" for name in ("leo", "lia"))
    late = [row.deadline_at for row in it.handoffs("lea")]
    it.run(late[-1] + HOUR)  # what a hand gave away is none of the times that were agreed
    assert len(it.handoffs("lea")) == 3
    it.close()
