"""Two leads that are one person: nothing is lost, nothing is doubled, the stricter wish stands, and it can be told."""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert
from sqlmodel import SQLModel

from nurture.channels.base import Receipt
from nurture.engine import consents, doors, merging, scoring
from nurture.engine.merging import merge
from nurture.engine.movement import move
from nurture.engine.recording import record
from nurture.engine.renaming import first_address, present
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.intake import write
from nurture.reading.explain import explain
from nurture.reading.verify import verify
from nurture.records import (
    AudienceMember,
    Consent,
    Control,
    Enrolment,
    Event,
    Lead,
    LeadAlias,
    LeadMerge,
    LeadTag,
    Objection,
    Preference,
    ScoreEntry,
    ScoreSum,
    Suppression,
    Touch,
    Visitor,
)
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, MONDAY, PROGRAM, World, program, sequence, world

STEPS = """  - {id: hello, email: hello.j2}
  - {id: pause, wait: 3 days}
  - {id: more, email: more.j2}"""
SCORING = """half_life: 30 days
engagement:
  - {rule: viewed a page, when: {did: page_viewed}, points: 4, cap: 2 per day}
  - {rule: signed up, when: {did: signed_up}, points: 10}
  - {rule: was written to, when: {did: email_sent}, points: 1}
"""
LIFECYCLE = """mql: {when: {score: {at_least: 30}}}
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
  warm: {when: {score: {at_least: 20}}}
"""
FILES = program(
    {"scoring.yaml": SCORING, "lifecycle.yaml": LIFECYCLE},
    drip=sequence(STEPS),
    news=sequence(STEPS.replace(".j2", "_news.j2"), when="{did: subscribed}"),
)


@pytest.fixture
def alone(sqlite_url: str) -> Iterator[Make]:
    """Worlds on SQLite alone: for what both databases do by the same statements as other tests here."""
    made: list[World] = []

    def one(files: Mapping[str, str] | None = None, start: datetime = MONDAY) -> World:
        made.append(World(sqlite_url, files, start))
        return made[-1]

    yield one
    for each_one in made:
        each_one.close()


def join(world: World, keep: str, gone: str, cause: str = "same person") -> dict[str, Any]:
    """Merge two leads by name; `gone` is known by the number of `keep` from then on."""
    done: dict[str, Any] = world.do(
        lambda link: merge(
            link,
            world.machine.library.live(link),
            world.ids[keep],
            world.ids[gone],
            now=world.now,
            by="ana",
            cause=cause,
        )
    )
    return done


def clean(world: World) -> str:
    """What `nurture verify` finds."""
    with world.machine.db.read() as link:
        found = verify(link, world.machine.library, world.now)
    return "" if not found.broken else str(found)


def ledger(world: World) -> tuple[list[Any], list[Any]]:
    entries = [(row.lead_id, row.rule, row.event_id, row.points, row.counted, row.at) for row in world.rows(ScoreEntry)]
    sums = [(row.lead_id, row.half_life_hours, round(row.total, 6)) for row in world.rows(ScoreSum)]
    return sorted(entries), sorted(sums)


def test_every_table_that_names_a_lead_is_dealt_with() -> None:
    """A table that comes later cannot be forgotten."""
    tables = SQLModel.metadata.tables
    naming = {name for name, table in tables.items() if "lead_id" in table.c}
    dealt = {*merging.MOVED, *merging.UNITED, *merging.DERIVED, *merging.JOINED}

    assert naming == dealt


def test_both_histories_stay(make: Make) -> None:
    """One lead afterwards, with all that both did and got; the old names mean it."""
    world = make(FILES)
    world.lead("ana", first_name="Ana", tags=["vip"])
    world.lead("old", company="Acme", phone="+40721000000", tags=["fair"], lists=["guests"], industry="saas")
    world.event("ana", "signed_up")
    world.tick()
    world.at(HOUR)
    world.event("old", "subscribed")
    world.tick()
    world.at(2 * HOUR)
    done = join(world, "ana", "old")
    kept = world.who("ana")

    assert (done["events"], done["touches"], done["ended"]) == (2, 1, [])
    assert [row.id for row in world.rows(Lead)] == [kept.id]
    assert (kept.first_name, kept.company, kept.phone, kept.fields, kept.email) == (
        "Ana", "Acme", "+40721000000", {"industry": "saas"}, "ana@lead.example",
    )  # fmt: skip
    assert kept.folded["company"] == "acme"
    assert {row.tag for row in world.rows(LeadTag)} == {"vip", "fair"}
    assert [(row.sequence, row.lead_id, row.ended_at) for row in world.rows(Enrolment)] == [
        ("drip", kept.id, None), ("news", kept.id, None),
    ]  # fmt: skip
    assert [(row.kind, row.value, row.cause) for row in world.rows(LeadAlias)] == [
        ("email", "old@lead.example", "merged")
    ]
    assert clean(world) == ""


def test_it_is_told_by_any_of_its_names(alone: Make) -> None:
    """`explain` by the old address, by the old number, by the present address: one story."""
    world = alone(FILES)
    world.lead("ana")
    world.lead("old")
    join(world, "ana", "old", "she said so")
    told = [
        explain(world.machine, who).text() for who in ("old@lead.example", str(world.ids["old"]), "ana@lead.example")
    ]

    assert len(set(told)) == 1
    assert (
        f"Merged with lead {world.ids['old']} (old@lead.example) on 2026-03-02 08:00Z by ana, because she said so"
        in told[0]
    )


def test_again_changes_nothing(alone: Make) -> None:
    world = alone(FILES)
    world.lead("ana")
    world.lead("old")
    first, again = join(world, "ana", "old"), join(world, "ana", "old")

    assert (first["events"], again) == (0, {})
    assert len(world.rows(LeadMerge)) == 1


def test_chains_lead_to_the_last(alone: Make) -> None:
    """a into b, b into c: whoever names a means c."""
    world = alone(FILES)
    for name in "abc":
        world.lead(name)
    join(world, "b", "a")
    join(world, "c", "b")

    told = explain(world.machine, "a@lead.example").story.lead_id
    assert (told, explain(world.machine, str(world.ids["a"])).story.lead_id) == (world.ids["c"], world.ids["c"])
    assert clean(world) == ""


def test_what_cannot_be_merged(alone: Make) -> None:
    world = alone(FILES)
    world.lead("ana")
    world.ids["nobody"] = 99
    with pytest.raises(Refused, match="not merged with itself"):
        join(world, "ana", "ana")
    with pytest.raises(NotFound, match="there is no lead 99"):
        join(world, "ana", "nobody")
    assert len(world.rows(Lead)) == 1


def test_one_passage_of_a_sequence_stays(make: Make) -> None:
    """The earlier begun goes on with its message, the other ends as merged and its planned message is called off."""
    world = make(FILES)
    for name in ("ana", "old"):
        world.lead(name)
    world.event("ana", "signed_up")
    world.tick()
    world.at(DAY)
    world.event("old", "signed_up")
    world.machine.settle(world.now)
    done = join(world, "old", "ana")
    world.run(5 * DAY)

    rows = {row.id: (row.rotation, row.step or row.outcome) for row in world.rows(Enrolment)}
    assert done["ended"] == ["drip"]
    assert sorted(rows.values()) == [(1, "completed"), (2, "merged")]
    assert [to for to, _ in world.sent] == ["ana@lead.example", "old@lead.example"]  # hello before, more after
    assert clean(world) == ""


def test_the_stricter_wish_stands(make: Make) -> None:
    """Unsubscribed as one of them: as both. Withdrawn, objected, paused, rarer: likewise."""
    world = make(FILES)
    world.lead("ana", sms="consent")
    old = world.lead("old", sms="consent")
    live = world.machine.live()
    world.event("ana", "signed_up")
    world.tick()
    world.do(lambda link: doors.unsubscribe_lead(link, live, old, world.now, source="test"))
    world.do(lambda link: link.execute(insert(Preference).values(lead_id=old, every_days=14, changed_at=world.now)))
    world.do(
        lambda link: link.execute(
            insert(Preference).values(lead_id=world.ids["ana"], every_days=7, changed_at=world.now)
        )
    )
    world.do(
        lambda link: link.execute(insert(Control).values(scope=f"lead:{old}", state="paused", at=world.now, by="ana"))
    )
    done = join(world, "ana", "old")
    world.run(5 * DAY)

    assert (done["suppressed"], done["withdrawn"]) == (True, ["mail", "sms", "tracking"])
    assert world.stands("drip") == {"ana": "suppressed"}
    assert {row.withdrawn_by for row in world.rows(Consent) if row.withdrawn_at} >= {"merge"}
    assert [row for row in world.rows(Consent) if row.withdrawn_at is None] == []
    assert {(row.kind, row.value) for row in world.rows(Suppression)} == {
        ("lead", str(world.ids["ana"])), ("address", "old@lead.example"),
    }  # fmt: skip
    assert [(row.lead_id, row.every_days) for row in world.rows(Preference)] == [(world.ids["ana"], 14)]
    assert [row.scope for row in world.rows(Control)] == [f"lead:{world.ids['ana']}"]
    assert [to for to, _ in world.sent] == ["ana@lead.example"]
    assert clean(world) == ""


def _object(world: World, who: str, kind: str, link: Connection) -> None:
    link.execute(insert(Objection).values(lead_id=world.ids[who], kind=kind, at=world.now, source=who))


@pytest.mark.parametrize("kept_first", [True, False])
def test_the_later_objection_stands(alone: Make, kept_first: bool) -> None:
    """So that a yes which one of them confirmed in between does not outweigh it."""
    world = alone(FILES)
    world.lead("ana")
    world.lead("old")
    for day, who in enumerate(("ana", "old") if kept_first else ("old", "ana")):
        world.at(day * DAY)
        world.do(partial(_object, world, who, "profiling"))
    world.do(partial(_object, world, "old", "sharing"))
    join(world, "ana", "old")

    assert {(row.lead_id, row.kind, row.at, row.source) for row in world.rows(Objection)} == {
        (world.ids["ana"], "profiling", world.start + DAY, "old" if kept_first else "ana"),
        (world.ids["ana"], "sharing", world.start + DAY, "old"),
    }


ADS = program(
    {"program.yaml": PROGRAM + "audiences: {ads: {url: 'https://ads.example/a'}}\n",
     "scoring.yaml": SCORING + "fit: [{rule: trade, when: {industry: trade}, thirds: 2, points: 10}]\n"},
    drip=sequence("  - {id: ads, audience: {add: ads}}\n" + STEPS),
)  # fmt: skip
#: What the lead that goes said: whether ads may go on, where the sequence stands, and whether there is a score.
SAID = {
    "nothing": (True, "pause", True),
    "sharing": (False, "pause", True),
    "withdrew": (False, "pause", True),
    "profiling": (False, "objected", False),
    "profiling, before a yes": (False, "pause", False),
}


@pytest.mark.parametrize("said", SAID)
def test_a_wish_that_comes_with_the_other_takes_effect(alone: Make, said: str) -> None:
    """As if the lead that stays had said it: out of audiences at once; of profiling no score and no sequence either."""
    world = alone(ADS)
    world.lead("old")
    world.lead("ana", industry="trade")
    world.event("ana", "signed_up")
    world.tick()
    live = world.machine.live()
    if said == "withdrew":
        world.do(lambda link: consents.withdraw(link, live, world.ids["old"], "mail", world.now, "test"))
    elif said != "nothing":
        world.do(partial(_object, world, "old", said.split(",")[0]))
    world.at(HOUR)
    if said.endswith("a yes"):
        world.do(
            lambda link: consents.give(
                link, world.ids["ana"], "mail", "consent", source="test", now=world.now, confirmed_at=world.now
            )
        )
    wanted, stands, scored = SAID[said]
    join(world, "ana", "old")

    assert [row.wanted for row in world.rows(AudienceMember)] == [wanted]
    assert world.stands("drip") == {"ana": stands}
    assert (world.who("ana").fit is not None, bool(world.rows(ScoreEntry)), bool(world.rows(ScoreSum))) == (scored,) * 3
    assert clean(world) == ""


def test_a_bounced_address_does_not_bar_the_other(alone: Make) -> None:
    """Mail came back from the old mailbox; the person is written to at the one that works."""
    world = alone(FILES)
    world.lead("ana")
    world.lead("old")
    row = {"kind": "address", "value": "old@lead.example", "reason": "bounced", "source": "mailbox", "at": world.now}
    world.do(lambda link: link.execute(insert(Suppression).values(**row)))
    done = join(world, "ana", "old")
    world.event("ana", "signed_up")
    world.tick()

    assert not done["suppressed"]
    assert [to for to, _ in world.sent] == ["ana@lead.example"]


def test_one_open_hand_off_stays(make: Make) -> None:
    """Both asked for a demo: the older stays open, the other is answered as a duplicate, and nobody is told of it."""
    world = make(FILES)
    world.lead("ana")
    world.lead("old")
    for name in ("old", "ana"):
        world.event(name, "demo_requested", settle=True)
        world.at(world.now + HOUR)
    join(world, "ana", "old")

    assert [(row.cycle, row.state, row.reason) for row in world.handoffs("ana")] == [
        (1, "open", None), (2, "rejected", "duplicate"),
    ]  # fmt: skip
    assert clean(world) == ""


def test_what_is_being_sent_is_left_to_end(make: Make) -> None:
    """The passage in which a letter is on the wire stays, though it began later; its receipt is recorded of one lead."""
    world = make(FILES)
    for name in ("ana", "old"):
        world.lead(name)
        world.event(name, "signed_up")
        world.machine.settle(world.now)
        world.at(world.now + HOUR)
    live = world.machine.live()
    segment = live.segment("drip")
    world.do(lambda link: move(Run(link, live, world.now, "m"), segment, segment.spec.step("hello")))
    planned = world.touches("drip")
    touch = world.touch("old", "hello").id
    for state in ("claimed", "sending"):
        lease = "lease_owner = 'w', lease_until = 9000000000000000, sending_at = due_at"
        world.sql(f"UPDATE touch SET state = '{state}', {lease} WHERE id = {touch}")
    world.sql(f"UPDATE touch SET state = 'claimed', lease_owner = 'v' WHERE id <> {touch}")
    join(world, "ana", "old")
    said = {row.id: (row.state, row.lead_id, row.reason) for row in world.rows(Touch)}
    world.do(lambda link: record(link, [Receipt(touch, "accepted", "250")], world.now, "w"))

    assert planned == {"ana": [("hello", "planned", None)], "old": [("hello", "planned", None)]}
    assert said.pop(touch) == ("sending", world.ids["ana"], None)
    assert list(said.values()) == [("cancelled", world.ids["ana"], "merged")]
    assert [(row.rotation, row.step, row.outcome) for row in world.rows(Enrolment)] == [
        (1, None, "merged"), (2, "hello", None),
    ]  # fmt: skip
    assert {row.state for row in world.rows(Touch)} == {"cancelled", "sent"}


def test_who_named_the_other_meanwhile_is_heard(postgres_url: str) -> None:
    """A click of the lead that goes waits for the merge and is recorded of the one that stays."""
    with world(postgres_url, FILES) as made:
        ana, old = made.lead("ana"), made.lead("old")
        inside, done = threading.Event(), threading.Event()

        def merging_slowly(link: Connection) -> None:
            merge(link, made.machine.library.live(link), ana, old, now=made.now, by="ana", cause="x")
            inside.set()
            done.wait(0.3)

        def telling(link: Connection) -> None:
            lead = present(link, old)
            write.put_event(link, lead, "page_viewed", made.now, made.now, made.now, {}, "test", "late")

        slow = threading.Thread(target=made.machine.db.transact, args=(merging_slowly,))
        slow.start()
        inside.wait()
        made.machine.db.transact(telling)
        slow.join()

        assert [row.lead_id for row in made.rows(Event)] == [ana]


ADDRESSES = {
    "nobody has it": ("new@lead.example", True),
    "another lead has it": ("ben@lead.example", False),
    "another lead had it": ("gone@lead.example", False),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_lead_known_by_an_id_gets_its_first_address(alone: Make, name: str) -> None:
    """From a form in a browser that is known to be its; letters that could not be sent stay unsent, the next one goes."""
    address, given = ADDRESSES[name]
    files = program(drip=sequence(STEPS, segment="{industry: saas}"))
    world = alone(files)
    world.lead("ana", email=None, industry="saas")
    for other in ("ben", "gone"):
        world.lead(other)
    join(world, "ben", "gone")
    row = {"key": "ab" * 16, "lead_id": world.ids["ana"], "first_seen_at": world.now, "last_seen_at": world.now}
    world.do(lambda link: link.execute(insert(Visitor).values(opted_out=False, **row)))
    world.event("ana", "signed_up")
    world.tick()
    world.at(HOUR)
    did = world.do(lambda link: first_address(link, "ab" * 16, address, world.now))
    world.run(4 * DAY)

    assert (did, world.who("ana").email) == (given, address if given else None)
    assert [state for _, state, _ in world.touches()["ana"]] == ["suppressed", "sent" if given else "suppressed"]


STAGES = {
    "sales works on it": ("sal", "mql", "sal"),
    "the other is further": ("lead", "customer", "customer"),
    "sales said no": ("mql", "disqualified", "disqualified"),
    "sales said no, and has it now": ("disqualified", "sql", "sql"),
    "the same": ("mql", "mql", "mql"),
}


@pytest.mark.parametrize("name", STAGES)
def test_the_further_stage_counts(alone: Make, name: str) -> None:
    kept, gone, wanted = STAGES[name]
    world = alone(FILES)
    world.lead("ana", stage=kept)
    world.at(HOUR)
    world.lead("old", stage=gone)
    done = join(world, "ana", "old")

    assert (world.who("ana").stage, done["stage"]) == (wanted, wanted)
    assert clean(world) == ""


deed = st.tuples(
    st.sampled_from(["ana", "old"]),
    st.sampled_from(["page_viewed", "signed_up", "subscribed", "demo_requested"]),
    st.integers(0, 80),
)


@settings(
    max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(deeds=st.lists(deed, max_size=12), hour=st.integers(0, 100), turned=st.booleans())
def test_nothing_is_lost_or_doubled(
    tmp_path: Path, migrated_sqlite: Path, deeds: list[tuple[str, str, int]], hour: int, turned: bool
) -> None:
    """The ledger is what the joined events give from nothing; what was sent adds up; verify finds nothing, ever."""
    with world(f"sqlite:///{shutil.copyfile(migrated_sqlite, tmp_path / 'nurture.db')}", FILES) as made:
        made.lead("ana")
        made.lead("old", timezone="Asia/Tokyo")
        due: dict[datetime, list[Callable[[], None]]] = defaultdict(list)
        for who, name, at in sorted(deeds, key=lambda one: one[2]):
            if at < hour:
                due[made.start + at * HOUR].append(partial(made.event, who, name))
        made.run(timedelta(hours=hour), {at: partial(each, acts) for at, acts in due.items()})
        sent, events = letters(made), len(made.rows(Event))
        join(made, *(("old", "ana") if turned else ("ana", "old")))
        merged, told, moved = ledger(made), clean(made), len(made.rows(Event))
        made.do(lambda link: scoring.rescore_everybody(Run(link, made.machine.library.live(link), made.now)))
        anew = ledger(made)
        after = letters(made)
        made.run(timedelta(hours=hour) + 4 * DAY)

        assert (told, moved, after) == ("", events, sent)
        assert merged == anew
        assert clean(made) == ""


def letters(made: World) -> int:
    return [row.state for row in made.rows(Touch)].count("sent")


def each(acts: list[Callable[[], None]]) -> None:
    for act in acts:
        act()
