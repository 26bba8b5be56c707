"""Consents and objections: what each does to mail, scores, audiences and sequences, in the transaction that says it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import col

from nurture.channels.recording import RecordingChannel
from nurture.engine import consents, doors
from nurture.engine.suppressing import suppress
from nurture.records import AudienceMember, Confirmation, Consent, Event, Objection, Outbox, ScoreEntry, Suppression
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, PROGRAM, World, program, sequence
from tests.engine.world import world as world_over

FILES = program(
    {
        "program.yaml": PROGRAM
        + "audiences: {ads: {url: 'https://ads.example/a'}}\nconsents: {expires: {consent: 2 years}}\n",
        "scoring.yaml": """
            engagement: [{rule: asked, when: {did: asked}, points: 40}]
            fit: [{rule: trade, when: {industry: trade}, thirds: 2, points: 10}]""",
        "lifecycle.yaml": """
            mql: {when: {score: {at_least: 30}}}
            milestones: {asked: {when: {did: asked}, handoff: true}}
            gate: [{reason: cold, refuse: {score: {under: 20}}}]""",
    },
    care=sequence(
        "  - {id: ads, audience: {add: ads}}\n  - {id: one, email: one.j2}\n  - {id: rest, wait: 3 days}\n"
        "  - {id: two, email: two.j2}",
        when="{did: signed_up, within: 1 hour}",
        enrol="again: {after: 1 day}",
    ),
)
TEXT = consents.worded("en", "You may write to me.")


@pytest.fixture
def plain(sqlite_url: str) -> Iterator[World]:
    """Nobody yet; where the two databases have nothing to differ in."""
    with world_over(sqlite_url, FILES) as made:
        yield made


@pytest.fixture
def world(plain: World) -> World:
    """Ana has begun."""
    return begun(plain)


def begun(world: World) -> World:
    """Ana is in an audience, has had one letter, and asked for something: she has a score and is with sales."""
    world.lead("ana", consent="consent", industry="trade")
    world.event("ana", "signed_up")
    world.event("ana", "asked")
    return world.tick()


def act(world: World, verb: str, *args: Any, who: str = "ana", **more: Any) -> Any:
    """One of the functions of `consents`, in a door's transaction, now."""

    def work(link: Any) -> Any:
        live = world.machine.library.live(link)
        return getattr(consents, verb)(link, live, world.ids[who], *args, **more)

    return world.do(work)


def ask(world: World, purposes: tuple[str, ...] = ("mail",), who: str = "ana") -> int | None:
    number: int | None = act(
        world, "ask_to_confirm", who=who, purposes=purposes, address=f"{who}@lead.example", source="form:demo",
        wording=dict.fromkeys(purposes, TEXT), evidence={"ip": "0a"}, language="en", now=world.now,
    )  # fmt: skip
    return number


def confirm(world: World, number: int | None) -> bool:
    assert number is not None

    def work(link: Any) -> bool:
        return consents.confirm(link, world.machine.library.live(link), number, world.now, {"ip": "0b"})

    said: bool = world.do(work)
    return said


def suppressed(world: World, who: str = "ana") -> list[str]:
    mine = (str(world.ids[who]), f"{who}@lead.example")
    return [row.reason for row in world.rows(Suppression, col(Suppression.value).in_(mine))]


def letters(world: World) -> int:
    return len(world.sent) - sum(row.done_at is not None for row in world.rows(Outbox))


def wanted(world: World) -> list[bool]:
    return [row.wanted for row in world.rows(AudienceMember)]


def test_an_objection_to_profiling_ends_everything_and_taking_it_back_brings_the_score(make: Make) -> None:
    world = begun(make(FILES))
    before = world.story("ana")
    assert (before.score, before.fit, wanted(world), world.stands()) == (50, "C-", [True], {"ana": "rest"})
    assert act(world, "object_to", "profiling", world.now, "test")
    assert not act(world, "object_to", "profiling", world.now, "test")
    story = world.story("ana")
    assert (story.score, story.fit, story.lines) == (None, None, [])
    assert (wanted(world), world.stands()) == ([False], {"ana": "objected"})
    assert not world.rows(ScoreEntry)
    removed = world.machine.audience
    assert isinstance(removed, RecordingChannel)
    world.tick()
    assert b'"add":[]' in removed.parcels[-1].payload
    world.run(2 * DAY).event("ana", "signed_up", settle=True)
    world.event("ana", "asked", settle=True)
    world.run(9 * DAY)
    assert world.story("ana").score is None
    assert (letters(world), world.refusals()) == (1, {"ana": "objected"})
    assert act(world, "take_back", "profiling", world.now, "test")
    assert not act(world, "take_back", "profiling", world.now, "test")
    after = world.story("ana")
    assert after.score == 77  # 40 faded by nine days, 40 by seven, and 10
    assert after.fit == "C-"
    assert [line.rule for line in after.lines][:2] == ["asked", "asked"]
    assert [row.name for row in world.rows(Event, col(Event.source) == "objection")] == [
        "objected", "objection_taken_back",
    ]  # fmt: skip


def test_who_objects_is_scored_no_more_but_heard_when_it_asks(plain: World) -> None:
    world = plain
    world.lead("ben", consent="consent")
    assert act(world, "object_to", "profiling", world.now, "test", who="ben")
    world.event("ben", "asked", settle=True)
    (handoff,) = world.handoffs("ben")
    assert (handoff.score, world.who("ben").stage) == (0, "sal")
    assert world.milestones("ben") == [("asked", "handed_off", None)]


def test_an_objection_to_sharing_takes_out_of_audiences_alone(world: World) -> None:
    assert act(world, "object_to", "sharing", world.now, "Sec-GPC")
    assert (wanted(world), world.story("ana").score) == ([False], 50)
    world.run(4 * DAY)
    assert letters(world) == 2
    world.event("ana", "signed_up", settle=True)
    world.run(20 * DAY)
    assert world.touches()["ana"][3] == ("ads", "suppressed", "objected")


def test_withdrawing_one_purpose_stops_that_alone(world: World) -> None:
    assert act(world, "withdraw", "tracking", world.now, "preference centre")
    assert wanted(world) == [True]
    assert act(world, "withdraw", "mail", world.now, "preference centre")
    assert not act(world, "withdraw", "mail", world.now, "preference centre")
    assert wanted(world) == [False]
    world.run(4 * DAY)
    assert world.touches()["ana"][-1] == ("two", "suppressed", "no_consent")
    said = {(row.purpose, row.withdrawn_by) for row in world.rows(Consent)}
    assert said == {("mail", "preference centre"), ("tracking", "preference centre")}
    world.do(lambda link: consents.give(link, world.ids["ana"], "mail", "consent", source="page", now=world.now))
    world.event("ana", "signed_up", settle=True)
    world.run(20 * DAY)
    assert "two" in [step for step, state, _ in world.touches()["ana"] if state == "sent"]


def test_an_equal_yes_is_kept_once_and_another_text_is_another_yes(world: World) -> None:
    lead = world.ids["ana"]

    def give(wording: str, **more: Any) -> bool:
        said: bool = world.do(
            lambda link: consents.give(
                link, lead, "mail", "consent", source="form:a", now=world.now, wording=wording, **more
            )
        )
        return said

    assert [give("en 1: a"), give("en 1: a"), give("en 2: b")] == [True, False, True]
    assert not give("en 1: a", expires_at=world.now + DAY)
    assert give("en 3: c", expires_at=world.now + DAY)
    assert [give("en 3: c", expires_at=world.now + DAY), give("en 3: c", expires_at=world.now + 2 * DAY)] == [
        False,
        True,
    ]


def test_a_second_yes_counts_once_and_says_what_proves_it(plain: World) -> None:
    plain.lead("ben", consent=None)
    number = ask(plain, ("mail", "tracking"), "ben")
    assert [(row.kind, row.row_id) for row in plain.rows(Outbox)] == [("confirmation", number)]
    assert not plain.rows(Consent)
    plain.at(HOUR)
    assert confirm(plain, number)
    assert not confirm(plain, number)
    rows = plain.rows(Consent)
    assert [(row.purpose, row.basis, row.source, row.wording) for row in rows] == [
        ("mail", "consent", "form:demo", TEXT), ("tracking", "consent", "form:demo", TEXT),
    ]  # fmt: skip
    assert {(row.given_at, row.confirmed_at, row.expires_at) for row in rows} == {
        (plain.now, plain.now, plain.now.replace(year=2028))
    }
    assert rows[0].evidence == {
        "ip": "0a", "confirmed_ip": "0b", "asked_at": (plain.now - HOUR).isoformat()
    }  # fmt: skip
    assert len(plain.rows(Event, col(Event.name) == "consent_confirmed")) == 1
    plain.at(2 * DAY)
    assert ask(plain, ("mail", "tracking"), "ben") is None  # said to this very text before


#: What happened before: whether the address is asked, and what its yes lifts.
BEFORE: dict[str, tuple[list[str], bool, bool]] = {
    "nothing": ([], True, True),
    "unsubscribed": (["unsubscribed"], True, True),
    "bounced": (["bounced"], False, False),
    "complained": (["complained"], False, False),
    "unsubscribed, then bounced": (["unsubscribed", "bounced"], False, False),
    "erased": (["erased"], False, False),
}


@pytest.mark.parametrize("case", BEFORE)
def test_who_unsubscribed_may_come_back_and_nobody_else(plain: World, case: str) -> None:
    reasons, asked, free = BEFORE[case]
    lead = plain.lead("ben", consent="consent")
    for reason in reasons:
        row = {"kind": "address", "value": "ben@lead.example", "reason": reason, "source": "test", "at": plain.now}
        plain.do(partial(suppress, rows=[row]))
    if "unsubscribed" in reasons:
        live = plain.machine.live()
        plain.do(lambda link: doors.unsubscribe_lead(link, live, lead, plain.now, source="test"))
    number = ask(plain, who="ben")
    assert (number is not None) is asked
    if number is not None:
        assert confirm(plain, number)
    assert (suppressed(plain, "ben") == []) is free


def test_after_a_new_yes_the_lead_may_say_goodbye_once_more(plain: World) -> None:
    lead = plain.lead("ben", consent="consent")
    live = plain.machine.live()
    for day in (0, 2):
        plain.at(day * DAY)
        assert plain.do(lambda link: doors.unsubscribe_lead(link, live, lead, plain.now, source="one click"))
        assert confirm(plain, ask(plain, who="ben"))
    assert len(plain.rows(Event, col(Event.name) == "unsubscribed")) == 2
    assert {row.withdrawn_by for row in plain.rows(Consent)} == {"one click", None}


def test_a_mailbox_is_asked_once_a_day_and_the_link_works_for_seven(plain: World) -> None:
    plain.lead("ben", consent=None)
    first = ask(plain, who="ben")
    plain.at(DAY - timedelta(microseconds=1))
    assert ask(plain, who="ben") is None
    plain.at(DAY)
    second = ask(plain, who="ben")
    plain.at(7 * DAY)
    assert not confirm(plain, first)
    assert confirm(plain, second)
    assert len(plain.rows(Confirmation)) == 2


def test_a_link_of_an_address_that_the_lead_has_left_confirms_nothing(plain: World) -> None:
    plain.lead("ben", consent=None)
    number = ask(plain, who="ben")
    plain.sql("UPDATE lead SET email = 'new@lead.example'")
    assert not confirm(plain, number)
    assert not plain.rows(Consent)


def test_a_yes_confirmed_after_an_objection_opens_mail_and_no_score(world: World) -> None:
    act(world, "object_to", "profiling", world.now, "test")
    world.at(HOUR)
    assert confirm(world, ask(world))
    world.at(2 * DAY).event("ana", "signed_up", settle=True)
    world.run(9 * DAY)
    assert ("ads", "suppressed", "objected") in world.touches()["ana"]
    assert ("two", "sent", None) in world.touches()["ana"]
    assert world.story("ana").score is None
    assert [row.kind for row in world.rows(Objection)] == ["profiling"]
