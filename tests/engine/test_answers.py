"""What sales says of a hand-off: the order in which it may, what follows for the lead, and that it is taken once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pytest
from sqlmodel import col

from nurture.errors import Refused
from nurture.records import Enrolment, Event, Handoff, HandoffAnswer, Lead, StageTransition, StatusChange
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, PROGRAM, World, program, sequence

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", leave="{stage: [sal, disqualified]}")
LIFECYCLE = """
milestones:
  demo: {when: {did: demo}, handoff: true}
  more: {when: {did: more}, handoff: true, entrance: service}
recycle: {premature: 30 days, lost: 90 days}
sla: {accept_within: 4 business hours}
"""


def files(**more: str) -> dict[str, str]:
    return program({"lifecycle.yaml": LIFECYCLE} | more, drip=CALM)


def handed(make: Make, *names: str, files_: dict[str, str] | None = None, did: str = "demo", **lead: Any) -> World:
    """Leads with an open hand-off each."""
    world = make(files_ or files())
    for name in names:
        world.lead(name, email=f"{len(world.ids)}@lead.example", **lead)
        world.event(name, did)
    world.machine.settle(world.now)
    return world.at(HOUR)


def say(world: World, name: str, words: list[Any]) -> str | None:
    """Say each: a word, or a word with what goes with it; why the last was refused."""
    for word in words:
        said, more = (word, {}) if isinstance(word, str) else word
        try:
            world.answer(name, said, **more)
        except Refused as why:
            return str(why)
    return None


PREMATURE = ("rejected", {"reason": "premature"})
PRICE = ("lost", {"reason": "price"})
WON = ("won", {"value": 12000.0, "currency": "eur"})
WAYS: dict[str, tuple[list[Any], str, str | None, str, str]] = {
    # what sales says: state, progress, and the lead's stage and status
    "accepted": (["accepted"], "accepted", None, "sal", "open"),
    "inaccurate": ([("rejected", {"reason": "inaccurate_data"})], "rejected", None, "lead", "needs_repair"),
    "not the persona": ([("rejected", {"reason": "not_persona"})], "rejected", None, "disqualified", "unqualified"),
    "premature": ([PREMATURE], "rejected", None, "recycled", "bad_timing"),
    "a duplicate": ([("rejected", {"reason": "duplicate"})], "rejected", None, "disqualified", "unqualified"),
    "taken by mistake": (["accepted", PREMATURE], "rejected", None, "recycled", "bad_timing"),
    "met": (["accepted", "met"], "accepted", "met", "sal", "connected"),
    "met, not accepted before": (["met"], "accepted", "met", "sal", "connected"),
    "met twice": (["accepted", "met", "met"], "accepted", "met", "sal", "connected"),
    "qualified": (["accepted", "met", "sql"], "accepted", "sql", "sql", "connected"),
    "met again afterwards": (["accepted", "sql", "met"], "accepted", "sql", "sql", "open"),
    "an opportunity": (["accepted", "met", "sql", "opportunity"], "accepted", "opportunity", "opportunity", "open_deal"),
    "won, every step": (["accepted", "met", "sql", "opportunity", WON], "accepted", "won", "customer", "connected"),
    "won at once": ([WON], "accepted", "won", "customer", "connected"),
    "lost for the price": (["accepted", PRICE], "accepted", "lost", "recycled", "bad_timing"),
    "lost, no need": (["opportunity", ("lost", {"reason": "no_need"})], "accepted", "lost", "disqualified", "unqualified"),
    "back to nurture": (["accepted", "met", "recycled"], "accepted", "recycled", "recycled", "bad_timing"),
}  # fmt: skip
WRONG: dict[str, tuple[list[Any], str]] = {
    "rejected twice, otherwise": ([PREMATURE, ("rejected", {"reason": "duplicate"})], "next milestone opens another"),
    "accepted after all": ([PREMATURE, "accepted"], "was rejected (premature) by mihai@acme.example on 2026-03-02"),
    "rejected when met": (["met", PREMATURE], "say that it is lost, or recycled"),
    "qualified after the deal": (["opportunity", "sql"], "what may follow is won, lost, recycled"),
    "won when lost": ([PRICE, WON], "is 'lost' since 2026-03-02, which ends it"),
    "met when won": ([WON, "met"], "which ends it"),
    "back to nurture, open": (["recycled"], "is rejected, as premature"),
    "no such answer": (["agreed"], "say one of accepted, rejected, met"),
    "no reason": (["rejected"], "no reason is said for 'rejected'; say one of inaccurate_data"),
    "no such reason": ([("lost", {"reason": "weather"})], "'weather' is no reason for 'lost'; say one of price"),
    "a reason for nothing": ([("met", {"reason": "price"})], "write it as a note"),
    "a value of nothing": ([("met", {"value": 1.0})], "say it of an opportunity"),
    "no amount": ([("won", {"value": -1.0})], "is no amount"),
    "no amount on earth": ([("won", {"value": 1e300})], "up to 1,000,000,000,000"),
    "no currency": ([("won", {"value": 1.0, "currency": "euro"})], "write its ISO 4217 code"),
    "a rest that is over": ([("rejected", {"reason": "premature", "until": date(2026, 3, 2)})], "say a later one"),
    "a rest of who is gone": ([("rejected", {"reason": "duplicate", "until": date(2026, 5, 1)})], "none such"),
    "a long note": ([("accepted", {"note": "x" * 2001})], "2,000 are kept"),
}


def test_each_answer_sends_the_lead_where_it_belongs(make: Make, database_url: str) -> None:
    """State, progress, stage and status are the same whichever agreement makes a lead SAL; each change is signed."""
    by_sales = database_url.startswith("sqlite")
    told = LIFECYCLE + ("acceptance: by_sales\n" if by_sales else "")
    world = handed(make, *WAYS, files_=files(**{"lifecycle.yaml": told}))
    before = {row.stage for row in world.rows(Lead)}
    refused = {name: say(world, name, words) for name, (words, *_) in WAYS.items()}

    assert before == {"lead" if by_sales else "sal"}
    assert set(refused.values()) == {None}
    leads = {row.id: (row.stage, row.status) for row in world.rows(Lead)}
    found = {world.names()[row.lead_id]: (row.state, row.progress, *leads[row.lead_id]) for row in world.rows(Handoff)}
    assert found == {name: tuple(expected) for name, (_, *expected) in WAYS.items()}
    moves = world.rows(StageTransition, col(StageTransition.cause) != "handed to sales")
    assert {row.author for row in moves if row.from_stage != "visitor"} == {"mihai@acme.example"}
    for row in world.rows(Lead):  # a chain that ends where the lead stands
        mine = world.rows(StageTransition, col(StageTransition.lead_id) == row.id)
        assert all(one.to_stage == two.from_stage for one, two in pairwise(mine))
        assert [one.to_stage for one in mine[-1:]] in ([], [row.stage])
        said = world.rows(StatusChange, col(StatusChange.lead_id) == row.id)
        assert said[-1].to_status == row.status


@SQLITE
def test_a_wrong_order_is_refused_with_the_way_out(make: Make) -> None:
    """Nothing is changed by what is refused."""
    world = handed(make, *WRONG)
    refused = {name: say(world, name, words[:-1]) for name, (words, _) in WRONG.items()}
    before = world.rows(Lead), world.rows(Handoff), world.rows(HandoffAnswer), world.rows(Event)
    why = {name: say(world, name, words[-1:]) for name, (words, _) in WRONG.items()}

    assert set(refused.values()) == {None}
    assert {name: part for name, (_, part) in WRONG.items() if part not in str(why[name])} == {}
    assert (world.rows(Lead), world.rows(Handoff), world.rows(HandoffAnswer), world.rows(Event)) == before


def test_the_same_answer_twice_is_one(make: Make) -> None:
    """By source and key, or by what it says; another value of a deal is noted, and is no second deal."""
    world = handed(make, "ana")
    twice = {"source": "crm", "key": "7", "by": "crm"}
    news = [world.answer("ana", "accepted", **twice).news for _ in range(2)]
    news.append(world.answer("ana", "accepted").news)
    news += [world.answer("ana", "opportunity", value=value).news for value in (9000.0, 9000.0, 12000.0)]
    outcome = world.answer("ana", "met")

    assert news == [True, False, False, True, False, True]
    assert (outcome.news, outcome.state, outcome.progress, outcome.by) == (False, "accepted", "opportunity", "crm")
    answers = [(row.answer, row.value) for row in world.rows(HandoffAnswer)]
    assert answers == [("accepted", None), ("opportunity", 9000.0), ("opportunity", 12000.0)]
    (row,) = world.rows(Handoff)
    assert (row.value, row.currency, row.next_at) == (12000.0, None, None)
    events = world.rows(Event, col(Event.source) == "sales")
    assert [row.name for row in events] == ["handoff_accepted", "handoff_opportunity"]


@SQLITE
def test_a_customer_who_asked_for_more_stays_one(make: Make) -> None:
    """Whatever sales says, short of a deal: it is neither recycled nor disqualified, and does not rest."""
    world = handed(make, "rejected", "lost", "back", did="more", stage="customer")
    say(world, "rejected", [("rejected", {"reason": "not_persona"})])
    say(world, "lost", ["sql", PRICE])
    say(world, "back", ["opportunity", "recycled"])

    assert {(row.stage, row.rests_until) for row in world.rows(Lead)} == {("customer", None)}


@SQLITE
def test_an_answer_keeps_the_instant_at_which_it_was_given(make: Make) -> None:
    """Heard of a week later: the hand-off, its event and the rest are of then, and history stays in its order."""
    world = handed(make, "ana", "ben")
    met = world.now + 2 * HOUR
    world.at(7 * DAY)
    world.answer("ana", "met", at=met)
    world.answer("ben", "rejected", "premature", at=met)

    (row, other) = world.rows(Handoff)
    assert (row.answered_at, row.progress_at, other.answered_at) == (met, met, met)
    events = world.rows(Event, col(Event.name).in_(("handoff_met", "handoff_rejected")))
    assert {(one.occurred_at, one.recorded_at) for one in events} == {(met, world.now)}
    assert world.who("ben").rests_until == datetime(2026, 4, 1, 10, 0, tzinfo=UTC)  # 13:00 in Bucharest, as on 2 March


RECYCLING = {
    "again": sequence("  - {id: one, wait: 5 days}\n  - {id: end, exit: done}", when="{did: asked}",
                      enrol="again: {after: 20 days}", leave="{stage: sal}"),
    "back": sequence("  - {id: one, wait: 60 days}\n  - {id: end, exit: done}",
                     when="{did: handoff_rejected, where: {reason: premature}}"),
    "once": sequence("  - {id: one, wait: 5 days}\n  - {id: end, exit: done}", when="{did: asked}", leave="{stage: sal}"),
}  # fmt: skip


@SQLITE
def test_who_was_too_early_is_nurtured_again_when_its_rest_is_over(make: Make) -> None:
    """On the instant: by what sales said of it, and by a rule that has held all the time, if it lets in again."""
    world = make(program({"lifecycle.yaml": LIFECYCLE}, **RECYCLING))
    for name in ("ana", "ben"):
        world.lead(name)
        world.event(name, "asked", settle=True)
    world.run(DAY)
    for name in ("ana", "ben"):
        world.event(name, "demo", settle=True)
    world.at(3 * DAY)
    world.answer("ana", "rejected", "premature", note="No budget before April.")
    world.answer("ben", "rejected", "premature", until=date(2026, 5, 1))
    for when in (32, 60):
        world.run(when * DAY)

    started = {(world.names()[row.lead_id], row.sequence): row.started_at for row in world.rows(Enrolment)}
    rests = {name: world.who(name).rests_until for name in world.ids}
    assert rests == {
        "ana": datetime(2026, 4, 4, 7, 0, tzinfo=UTC),  # 30 days on the lead's clock, which went forward between
        "ben": datetime(2026, 4, 30, 21, 0, tzinfo=UTC),  # when 1 May begins in Bucharest
    }
    assert started == {(name, slug): rests[name] for name in rests for slug in ("again", "back")} | {
        (name, "once"): world.start for name in rests
    }
    assert world.rows(HandoffAnswer)[0].note == "No budget before April."


@SQLITE
def test_a_meeting_is_promised_in_the_owners_hours(make: Make) -> None:
    """`meet_within` gives the instant at which somebody looks whether the lead was met; then nobody need."""
    told = LIFECYCLE.replace("4 business hours", "4 business hours, meet_within: 8 business hours")
    world = handed(make, "ana", files_=files(**{"lifecycle.yaml": told, "program.yaml": PROGRAM}))
    world.answer("ana", "accepted")
    (row,) = world.rows(Handoff)
    first = row.next_at
    world.answer("ana", "met")

    assert first == datetime(2026, 3, 3, 9, 0, tzinfo=UTC)  # Tuesday 11:00, from Monday 11:00 with hours 9 to 17
    assert world.rows(Handoff)[0].next_at is None


@SQLITE
def test_what_sales_said_stands_in_the_leads_story(make: Make) -> None:
    """In its order, with the reason, or with what the deal is worth."""
    world = handed(make, "ana")
    say(world, "ana", ["met", WON])

    told = [one.what for one in world.story("ana").happenings if one.kind == "handoff" and " by " in one.what]
    by = "by mihai@acme.example"
    assert told == [f"hand-off 1 accepted {by}", f"hand-off 1 met {by}", f"hand-off 1 won (12000 EUR) {by}"]
