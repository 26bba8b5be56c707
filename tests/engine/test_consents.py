"""Consents and objections: what each does to mail, scores, audiences and sequences, in the transaction that says it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete
from sqlmodel import col

from nurture.channels.recording import RecordingChannel
from nurture.engine import consents, doors
from nurture.engine.leaving import leave
from nurture.engine.suppressing import suppress
from nurture.reading.explain import explain
from nurture.records import (
    AudienceMember,
    Confirmation,
    Consent,
    Event,
    Objection,
    Outbox,
    ScoreEntry,
    Suppression,
    Touch,
)
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


def ask(
    world: World, purposes: tuple[str, ...] = ("mail",), who: str = "ana", form: str = "form:demo", by: str = "0a"
) -> int | None:
    number: int | None = act(
        world, "ask_to_confirm", who=who, purposes=purposes, address=f"{who}@lead.example", source=form,
        wording=dict.fromkeys(purposes, TEXT), evidence={"ip": by}, language="en", now=world.now,
    )  # fmt: skip
    return number


def confirm(world: World, number: int | None, shown: list[str] | None = None) -> bool:
    assert number is not None

    def work(link: Any) -> bool:
        return consents.confirm(link, world.machine.library.live(link), number, world.now, {"ip": "0b"}, shown)

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


def test_an_objection_after_a_confirmed_yes_counts_anew(make: Make) -> None:
    """It ends what the yes had opened, once; and from then on only a still later yes opens mail."""
    world = begun(make(FILES))
    act(world, "object_to", "profiling", world.now, "letter")
    world.at(HOUR)
    assert confirm(world, ask(world))
    world.at(2 * DAY).event("ana", "signed_up", settle=True)
    world.run(2 * DAY + HOUR)
    sent = world.touches()["ana"]
    assert world.stands() == {"ana": "rest"}
    assert act(world, "object_to", "profiling", world.now, "phone")
    said = world.now
    assert world.stands() == {"ana": "objected"}
    world.at(3 * DAY)
    assert not act(world, "object_to", "profiling", world.now, "fax")
    world.event("ana", "signed_up", settle=True)
    world.run(9 * DAY)
    assert world.touches()["ana"] == sent
    assert [(row.at, row.source) for row in world.rows(Objection)] == [(said, "phone")]
    assert len(world.rows(Event, col(Event.name) == "objected")) == 2


def test_a_box_that_is_ticked_within_the_day_joins_what_the_letters_link_asks(plain: World) -> None:
    """No second letter; each consent names the form in which it was ticked, and the page must have spoken of both."""
    plain.lead("ben", consent=None)
    number = ask(plain, ("mail",), "ben")
    plain.at(HOUR)
    assert ask(plain, ("mail", "tracking"), "ben", form="form:news", by="0c") == number
    assert ask(plain, ("tracking",), "ben", form="form:late", by="0d") is None
    assert len(plain.rows(Outbox)) == len(plain.rows(Confirmation)) == 1
    assert not confirm(plain, number, ["mail"])
    assert confirm(plain, number, ["tracking", "mail"])
    assert {row.purpose: (row.source, row.evidence) for row in plain.rows(Consent)} == {
        "mail": ("form:demo", {"ip": "0a", "asked_at": plain.start.isoformat(), "confirmed_ip": "0b"}),
        "tracking": ("form:news", {"ip": "0c", "asked_at": plain.now.isoformat(), "confirmed_ip": "0b"}),
    }
    assert ask(plain, ("sms",), "ben") is None  # answered: a letter a day


#: A no that comes after the second yes was asked for.
NOES: dict[str, Any] = {
    "unsubscribed": lambda world, lead, live, link: doors.unsubscribe_lead(link, live, lead, world.now, source="t"),
    "the address alone": lambda world, lead, live, link: suppress(
        link,
        [{"kind": "address", "value": "ben@lead.example", "reason": "unsubscribed", "source": "t", "at": world.now}],
    ),
    "objected": lambda world, lead, live, link: consents.object_to(link, live, lead, "profiling", world.now, "t"),
}


@pytest.mark.parametrize("case", NOES)
def test_a_yes_that_was_asked_for_before_a_no_lifts_nothing(plain: World, case: str) -> None:
    """Asked again within the day the link works again, without a second letter."""
    lead = plain.lead("ben", consent=None)
    number = ask(plain, ("mail", "tracking"), "ben")
    plain.at(HOUR)
    plain.do(partial(NOES[case], plain, lead, plain.machine.live()))
    before = suppressed(plain, "ben")
    plain.at(2 * HOUR)
    assert not confirm(plain, number)
    assert (suppressed(plain, "ben"), plain.rows(Consent)) == (before, [])
    assert ask(plain, ("mail",), "ben") == number
    assert len(plain.rows(Outbox)) == 1
    assert confirm(plain, number)
    assert [row.purpose for row in plain.rows(Consent)] == ["mail"]
    assert suppressed(plain, "ben") == []


@pytest.mark.parametrize("way", ["link", "list"])
def test_each_goodbye_after_a_return_is_told(plain: World, way: str) -> None:
    """Also once older events were deleted: a goodbye is known by the yes before it, and not by how many there were."""
    live = plain.machine.live()
    lead = plain.lead("ana", consent="consent")
    row = {"kind": "address", "value": "ana@lead.example", "reason": "unsubscribed", "source": "x", "at": plain.now}

    def goodbye(link: Any) -> None:
        if way == "link":
            doors.unsubscribe_lead(link, live, lead, plain.now, source="test")
        else:
            leave(link, live, [{**row, "at": plain.now}], plain.now)

    for day in range(3):
        plain.at(day * 2 * DAY)
        plain.do(goodbye)
        plain.do(goodbye)
        plain.at(day * 2 * DAY + DAY)
        assert confirm(plain, ask(plain))
        plain.do(lambda link: link.execute(delete(Event).where(col(Event.name) == "consent_confirmed")))

    assert len(plain.rows(Event, col(Event.name) == "unsubscribed")) == 3


def test_explain_tells_of_a_bounce_and_of_the_part_of_the_rule_that_holds(sqlite_url: str) -> None:
    files = program(care=sequence("  - {id: one, email: one.j2}", leave="{any: [{stage: customer}, {tags: gone}]}"))
    with world_over(sqlite_url, files) as world:
        world.lead("ana")
        world.lead("ben", tags=["gone"])
        world.event("ana", "signed_up")
        world.event("ben", "signed_up")
        world.tick()
        (touch,) = world.rows(Touch)
        said: dict[str, Any] = {"key": "b", "data": {"status": "5.1.1"}, "suppress": True}
        world.do(lambda link: doors.bounced(link, world.machine.library.live(link), touch.id, world.now, **said))
        told, why = (
            explain(world.machine, "ana@lead.example").text(),
            explain(world.machine, "ben@lead.example").why_not,
        )

    assert "event: email bounced" in told
    assert why == {"care": "it would leave at once: tagged gone"}


@pytest.mark.parametrize(
    ("purposes", "then", "sent"),
    [
        (("mail",), None, [("ads", "suppressed", "no_consent"), ("one", "suppressed", "no_consent")]),
        (("mail",), 2 * DAY, [("ads", "sent", None), ("one", "sent", None)]),
        (("tracking",), None, [("ads", "suppressed", "no_consent"), ("one", "suppressed", "no_consent")]),
    ],
    ids=["never", "after two days", "of something else"],
)
def test_what_a_form_begins_waits_for_the_second_yes(
    make: Make, purposes: tuple[str, ...], then: timedelta | None, sent: list[tuple[str, str, str | None]]
) -> None:
    """The letters that it would have had meanwhile are neither lost nor late; without a yes they end with the link."""
    world = make(FILES)
    world.lead("ben", consent=None)
    number = ask(world, purposes, who="ben")
    world.event("ben", "signed_up")
    world.tick()
    waits = "mail" in purposes
    assert world.touches()["ben"] == ([("ads", "planned", "confirmation")] if waits else sent)
    if then is not None:
        world.run(then)
        assert confirm(world, number)
        world.run(then + HOUR)
    else:
        world.run(7 * DAY - HOUR)
        assert world.touches()["ben"][0][1] == ("planned" if waits else "suppressed")
        world.run(7 * DAY + HOUR)
    assert world.touches()["ben"][:2] == sent
