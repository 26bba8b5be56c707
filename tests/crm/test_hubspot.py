"""HubSpot: what is told, what is heard, and which side each field belongs to."""

from __future__ import annotations

import math
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from nurture.crm import hubspot as ours
from nurture.crm.base import Turn
from nurture.crm.secrets import CrmSecrets
from nurture.crm.sync import the_crm, vendor
from nurture.crm.telling import Report, key_of, push
from nurture.engine.merging import merge
from nurture.failpoints import Failpoint
from nurture.records import CrmLink
from tests.crm.hubspot import KEY, HubSpot
from tests.crm.office import OAUTH, Office
from tests.crm.peer import Fault

UPSERT, UPDATE, SEARCH = "/batch/upsert", "/batch/update", "/contacts/search"


def test_a_lead_that_is_with_sales_is_told_once(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """With its stage in their word, and again when it changes; what it told comes back and changes nothing."""
    beside_hubspot.sold("ana")
    beside_hubspot.world.lead("idle", email="idle@one.example")
    done = beside_hubspot.round()
    lead = beside_hubspot.world.who("ana")

    assert (done.told.told, done.down) == (1, None)
    contact = hubspot.of("ana@one.example")
    assert {name: contact.get(name) for name in ("firstname", "company", "lifecyclestage", "nurture_score", KEY)} == {
        "firstname": "Ana", "company": "Acme", "lifecyclestage": "marketingqualifiedlead", "nurture_score": "0",
        KEY: key_of(lead.id, lead.draw),
    }  # fmt: skip
    assert contact.keys().isdisjoint({"hubspot_owner_id", "phone"})
    before = beside_hubspot.world.who("ana")
    calls = beside_hubspot.told(UPSERT)
    for _ in range(3):
        again = beside_hubspot.round()
    assert (again.told.told, again.heard.changed, beside_hubspot.told(UPSERT)) == (0, 0, calls)
    assert beside_hubspot.world.who("ana") == before
    beside_hubspot.renamed("ana")
    assert beside_hubspot.round().told.told == 1
    assert hubspot.of("ana@one.example")["company"] == "Acme Group"


def test_a_contact_that_is_there_already_is_taken_up(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """By its address, which belongs to one contact; from then on our own key names it."""
    number = hubspot.contact(email="ana@one.example", firstname="Anne", phone="+40 1")
    beside_hubspot.sold("ana")
    beside_hubspot.round()

    assert list(hubspot.contacts) == [number]
    assert (hubspot.contacts[number]["firstname"], hubspot.contacts[number]["phone"]) == ("Ana", "+40 1")
    assert beside_hubspot.link("ana").their_id == number


def test_a_contact_that_was_removed_is_not_made_anew(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """Whoever sales has deleted stays so; the link is closed, and `crm status` says why."""
    beside_hubspot.sold("ana", "ben")
    beside_hubspot.round()
    del hubspot.contacts[beside_hubspot.link("ana").their_id]
    beside_hubspot.renamed("ana")
    beside_hubspot.renamed("ben")
    assert dict(beside_hubspot.round().told.refused) == {"OBJECT_NOT_FOUND": 1}
    assert beside_hubspot.round().told.told == 0
    assert [row["company"] for row in hubspot.contacts.values()] == ["Acme Group"]


#: What sales changes over there: what becomes of the lead, and what the contact says after the next round.
FIELDS: dict[str, tuple[dict[str, str], dict[str, Any], dict[str, str]]] = {
    "an owner of sales is theirs to name": ({"hubspot_owner_id": "71"}, {"owner": "mihai@acme.example"}, {}),
    "an owner who is none of sales is not taken": (
        {"hubspot_owner_id": "72"}, {"owner": "mihai@acme.example"}, {"hubspot_owner_id": "72"},
    ),
    "a phone is theirs": ({"phone": "+40 721 123 456"}, {"phone": "+40 721 123 456"}, {}),
    "a status is theirs, however it is spelled": ({"hs_lead_status": "IN_PROGRESS"}, {"status": "in_progress"}, {}),
    "a status that nobody knows is left": ({"hs_lead_status": "PARKED"}, {"status": "new"}, {"hs_lead_status": "PARKED"}),
    "a first name is ours, and not fought over": (
        {"firstname": "Annie"}, {"first_name": "Ana"}, {"firstname": "Annie"},
    ),
    "a stage is ours": ({"lifecyclestage": "customer"}, {"stage": "sal"}, {"lifecyclestage": "customer"}),
}  # fmt: skip


def test_each_field_belongs_to_one_side(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """A field that is ours is told and never heard, one that is theirs heard and never told; the rest is noted."""
    beside_hubspot.sold(*FIELDS)
    beside_hubspot.round()
    for place, (changes, _, _) in enumerate(FIELDS.values()):
        number = beside_hubspot.link(list(FIELDS)[place]).their_id
        hubspot.change(number, **changes)
    for _ in range(2):
        beside_hubspot.round()
    found = {name: beside_hubspot.world.who(name)._mapping for name in FIELDS}

    assert {name: {key: found[name][key] for key in wanted} for name, (_, wanted, _) in FIELDS.items()} == {
        name: wanted for name, (_, wanted, _) in FIELDS.items()
    }
    for place, (_, _, kept) in enumerate(FIELDS.values()):
        contact = hubspot.contacts[beside_hubspot.link(list(FIELDS)[place]).their_id]
        assert {name: contact[name] for name in kept} == kept
    assert "none of sales" in beside_hubspot.link("an owner who is none of sales is not taken").note
    assert "first_name" in beside_hubspot.link("a first name is ours, and not fought over").note
    assert "'PARKED'" in beside_hubspot.link("a status that nobody knows is left").note


def test_a_deal_that_is_won_comes_back_to_its_hand_off(on_both: Office, hubspot: HubSpot) -> None:
    """Accepted by a status, an opportunity by its deal, won with its value: each once, however often it is read."""
    on_both.sold("ana")
    on_both.round()
    contact = on_both.link("ana").their_id
    hubspot.change(contact, hs_lead_status="WORKING", hubspot_owner_id="71")
    on_both.round()
    hubspot.deal("9001", contact, dealstage="contractsent", amount="11000", hs_is_closed="false")
    on_both.round()
    won = {"dealstage": "closedwon", "amount": "12000", "deal_currency_code": "EUR"}
    hubspot.deal("9001", contact, hs_is_closed="true", hs_is_closed_won="true", **won)
    for _ in range(3):
        on_both.round()

    assert on_both.answers("ana") == [
        ("accepted", None, None, "crm"), ("sql", None, None, "crm"), ("won", None, 12000.0, "crm"),
    ]  # fmt: skip
    (handoff,) = on_both.world.handoffs("ana")
    assert (handoff.state, handoff.progress, handoff.value, handoff.currency) == ("accepted", "won", 12000.0, "EUR")
    assert handoff.answered_by == "mihai@acme.example"
    assert on_both.world.who("ana").stage == "customer"
    assert hubspot.contacts[contact]["lifecyclestage"] == "customer"


#: What they say: what it means for the hand-off, and why if it means nothing.
ANSWERS: dict[str, tuple[dict[str, str], list[tuple[str, str | None]], str | None]] = {
    "a word of answers": ({"status": "working"}, [("accepted", None)], None),
    "a rejection with its reason": ({"status": "BAD_FIT"}, [("rejected", "not_persona")], None),
    "a lost deal with a known reason": (
        {"deal": "lost", "why": "Too expensive"}, [("accepted", None), ("lost", "price")], None
    ),
    "a lost deal without one": ({"deal": "lost", "why": ""}, [("accepted", None), ("lost", "no_decision")], None),
    "an open deal": ({"deal": "open"}, [("accepted", None), ("opportunity", None)], None),
    "what cannot follow": ({"status": "BAD_FIT", "deal": "won"}, [("rejected", "not_persona")], "'won' was not taken: hand-off"),
}  # fmt: skip


def test_what_they_say_answers_hand_offs(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """Statuses by the words of `answers:`, deals by themselves; a wrong order is noted and changes nothing."""
    hubspot.properties["closed_lost_reason"] = {"name": "closed_lost_reason"}
    beside_hubspot.sold(*ANSWERS)
    beside_hubspot.round()
    for place, (name, (said, _, _)) in enumerate(ANSWERS.items()):
        contact = beside_hubspot.link(name).their_id
        if "status" in said:
            hubspot.change(contact, hs_lead_status=said["status"])
        if "deal" in said:
            closed, won = str(said["deal"] != "open").lower(), str(said["deal"] == "won").lower()
            more = {"closed_lost_reason": said["why"]} if "why" in said else {}
            hubspot.deal(str(place), contact, dealstage="x", hs_is_closed=closed, hs_is_closed_won=won, **more)
    beside_hubspot.round()
    found = {name: [(one, why) for one, why, *_ in beside_hubspot.answers(name)] for name in ANSWERS}

    assert found == {name: wanted for name, (_, wanted, _) in ANSWERS.items()}
    for name, (_, _, note) in ANSWERS.items():
        assert (note or "") in (beside_hubspot.link(name).note or ""), name


def test_who_was_never_handed_over_is_only_noted(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """An answer needs a question; a status that stood there before we came is none; strangers are passed over."""
    beside_hubspot.world.lead("early", email="early@one.example", stage="mql", owner="mihai@acme.example")
    number = hubspot.contact(email="early@one.example", hs_lead_status="BAD_FIT")
    hubspot.contact(email="nobody@one.example", hs_lead_status="WORKING")
    done = beside_hubspot.round()
    assert (done.heard.read, done.heard.unknown) == (2, 1)
    assert beside_hubspot.link("early").note is None
    hubspot.change(number, hs_lead_status="WORKING")
    beside_hubspot.round()
    assert beside_hubspot.link("early").note == "'accepted' answers no hand-off: sales had not been asked"
    beside_hubspot.world.event("early", "demo")
    hubspot.change(number, phone="+40 721 000 111")
    beside_hubspot.round()
    assert beside_hubspot.answers("early") == []


@pytest.mark.parametrize("multi", [True, False], ids=["207", "the whole is refused"])
def test_one_that_is_refused_keeps_no_other_back(beside_hubspot: Office, hubspot: HubSpot, multi: bool) -> None:
    """Whether each has its own outcome or the whole batch is refused; it is tried again, later and later."""
    hubspot.multi = multi
    beside_hubspot.sold("ana", "ben", "cid")
    hubspot.odd = {"ben@one.example"}
    first = beside_hubspot.round()
    calls = beside_hubspot.told(UPSERT)
    second = beside_hubspot.round()

    assert (first.told.told, dict(first.told.refused)) == (2, {"VALIDATION_ERROR": 1})
    assert (second.told.told, beside_hubspot.told(UPSERT)) == (0, calls)
    link = beside_hubspot.link("ben")
    assert (link.told, link.attempt, link.last_error) == (None, 1, "VALIDATION_ERROR")
    hubspot.odd = set()
    beside_hubspot.world.at(link.next_at)
    assert beside_hubspot.round().told.told == 1
    assert beside_hubspot.link("ben").last_error is None


#: An answer that is none: for how long HubSpot is left alone.
DOWN: dict[str, tuple[Fault, timedelta]] = {
    "a burst, with Retry-After": (Fault(429, {"policyName": "TEN_SECONDLY_ROLLING"}, {"Retry-After": "7"}), timedelta(seconds=7)),
    "a burst": (Fault(429, {"policyName": "TEN_SECONDLY_ROLLING"}), timedelta(seconds=10)),
    "the day's calls are used": (Fault(429, {"policyName": "DAILY"}), timedelta(hours=1)),
    "locked": (Fault(423), timedelta(seconds=2)),
    "a fault of theirs": (Fault(502), timedelta(minutes=1)),
    "silence": (Fault(0), timedelta(minutes=1)),
    "a token that was revoked": (Fault(401), timedelta(minutes=1)),
}  # fmt: skip


@pytest.mark.parametrize("case", DOWN)
def test_a_crm_that_is_down_is_left_alone(beside_hubspot: Office, hubspot: HubSpot, case: str) -> None:
    """As long as it asks for, else longer each time; nobody is told twice, and nobody is forgotten."""
    fault, wait = DOWN[case]
    beside_hubspot.sold("ana")
    beside_hubspot.round()
    beside_hubspot.renamed("ana")
    hubspot.faults = [fault]
    down = beside_hubspot.round()
    waits = beside_hubspot.state("pull:contacts")

    assert down.down is not None
    assert down.told.told == 0
    assert (waits.next_at - beside_hubspot.world.now, waits.attempt, waits.last_error) == (wait, 1, down.down)
    assert "ana" not in down.down
    beside_hubspot.world.at(max(waits.next_at, beside_hubspot.world.now))
    beside_hubspot.round()
    assert hubspot.of("ana@one.example")["company"] == "Acme Group"
    assert beside_hubspot.state("pull:contacts").last_error is None


def test_a_call_whose_answer_is_lost_is_made_again(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """They have done it and we do not know: the same is told again, and there is still one contact."""
    beside_hubspot.sold("ana")
    hubspot.faults = [
        Fault(200, {"results": []}),
        Fault(200, {"results": []}),
        Fault(200, {"results": []}),
        Fault(0, after=True),
    ]
    assert beside_hubspot.round().down is not None
    assert len(hubspot.contacts) == 1
    beside_hubspot.world.at(beside_hubspot.state("push").next_at)
    assert beside_hubspot.round().told.told == 1
    assert len(hubspot.contacts) == 1


@pytest.mark.parametrize("point", ["crm_told", "crm_heard"])
def test_who_dies_between_call_and_commit_does_no_harm(
    beside_hubspot: Office, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """What was told is told again with the same key, what was read is read again from the same cursor."""
    beside_hubspot.sold("ana")
    beside_hubspot.round()
    hubspot.change(beside_hubspot.link("ana").their_id, hs_lead_status="WORKING")
    beside_hubspot.renamed("ana")

    def dies(name: str) -> None:
        if name == point:
            raise Failpoint(name)

    with monkeypatch.context() as here:
        here.setattr(f"nurture.crm.{'telling' if point == 'crm_told' else 'hearing'}.reach", dies)
        with pytest.raises(Failpoint):
            beside_hubspot.round()
    for _ in range(2):
        beside_hubspot.round()

    assert beside_hubspot.answers("ana") == [("accepted", None, None, "crm")]
    assert [row["company"] for row in hubspot.contacts.values()] == ["Acme Group"]


def test_pages_follow_one_another(beside_hubspot: Office, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins where the one before ended, also where more changed in one instant than a page holds; and a search
    that goes no further than so many records still reaches all of them."""
    monkeypatch.setattr(ours, "PAGE", 2)
    monkeypatch.setattr(ours, "_FAR", 4)
    names = [f"n{number}" for number in range(7)]
    beside_hubspot.sold(*names)
    beside_hubspot.round()
    for name in names:
        hubspot.change(beside_hubspot.link(name).their_id, phone="+40 721 000 111")
    stamp = hubspot.of("n0@one.example")["lastmodifieddate"]
    for name in names[:3]:  # in one instant
        hubspot.of(f"{name}@one.example")["lastmodifieddate"] = stamp
    beside_hubspot.round()

    assert {beside_hubspot.world.who(name).phone for name in names} == {"+40 721 000 111"}


def test_what_a_search_finds_late_is_not_missed(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """ "It may take a few moments for newly created or updated CRM objects to appear in search results"."""
    beside_hubspot.sold("ana", "ben")
    beside_hubspot.round()
    hubspot.now = beside_hubspot.world.now
    late = beside_hubspot.link("ana").their_id
    hubspot.change(late, phone="+40 721 000 111")
    hidden = hubspot.contacts.pop(late)
    hubspot.change(beside_hubspot.link("ben").their_id, phone="+40 721 000 222")
    beside_hubspot.round()
    hubspot.contacts[late] = hidden
    beside_hubspot.round()

    assert [beside_hubspot.world.who(name).phone for name in ("ana", "ben")] == ["+40 721 000 111", "+40 721 000 222"]


def test_a_full_page_moves_on_no_further_than_is_settled(
    beside_hubspot: Office, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes to light late behind a page and more is still found."""
    monkeypatch.setattr(ours, "PAGE", 2)
    names = [f"n{number}" for number in range(5)]
    beside_hubspot.sold("late", *names)
    beside_hubspot.round()
    hubspot.now = beside_hubspot.world.now
    late = beside_hubspot.link("late").their_id
    hubspot.change(late, phone="+40 721 000 111")
    hidden = hubspot.contacts.pop(late)
    for name in names:
        hubspot.change(beside_hubspot.link(name).their_id, phone="+40 721 000 222")
    beside_hubspot.round()
    hubspot.contacts[late] = hidden
    beside_hubspot.round()

    assert beside_hubspot.world.who("late").phone == "+40 721 000 111"


def test_both_records_of_leads_that_were_merged_are_heard(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """And one is told; a contact under the address that is gone is the lead's as well, however it is spelled."""
    world, names = beside_hubspot.world, ("ana", "ben", "cid")
    beside_hubspot.sold("ana", "ben")
    world.lead("cid", email="cid@one.example")
    beside_hubspot.round()
    numbers = {row.lead_id: row.their_id for row in world.rows(CrmLink)}
    live, (keep, *gone) = world.machine.live(), (world.ids[name] for name in names)
    for lead in gone:
        world.do(partial(merge, live=live, keep=keep, gone=lead, now=world.now, by="me", cause="same"))
    hubspot.deal("7", numbers[gone[0]], dealstage="closedwon", hs_is_closed="true", hs_is_closed_won="true")
    hubspot.contact(email="Cid@ONE.example", phone="+40 721 000 333")
    beside_hubspot.renamed("ana")
    done = beside_hubspot.round()
    beside_hubspot.round()

    assert (done.heard.unknown, done.told.refused) == (0, {})
    assert [one[0] for one in beside_hubspot.answers("ana")] == ["accepted", "won"]
    assert world.who("ana").phone == "+40 721 000 333"
    assert [row["company"] for row in hubspot.contacts.values() if "company" in row] == ["Acme Group", "Acme"]


def test_what_we_told_brings_nothing_back(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """A field of theirs is taken when it changes over there, not whenever its record does."""
    world = beside_hubspot.world
    beside_hubspot.sold("ana")
    beside_hubspot.round()
    contact = beside_hubspot.link("ana").their_id
    hubspot.change(contact, hs_lead_status="OPEN", phone="+40 721 000 111")
    beside_hubspot.round()
    world.answer("ana", "met")
    world.lead("ana", email="ana@one.example", company="Acme Group", phone="+40 721 000 222")
    for _ in range(2):
        beside_hubspot.round()
    hubspot.change(contact, lastname="Popescu")
    beside_hubspot.round()

    assert hubspot.contacts[contact]["company"] == "Acme Group"
    assert (world.who("ana").status, world.who("ana").phone) == ("connected", "+40 721 000 222")


#: An answer that no page of theirs promises: whether the CRM waits for it, or one row is passed over.
ODD: dict[str, tuple[Any, bool]] = {
    "a row without properties": ({"results": [{"id": "1"}]}, False),
    "a day that is none": ({"results": [{"id": "1", "properties": {"lastmodifieddate": "soon"}}]}, False),
    "no results": ({"results": None}, True),
    "a list": ([1], True),
}


def test_an_odd_answer_harms_no_tick(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """It is noted, and passed over or tried again."""
    beside_hubspot.sold("ana")
    for said, waits in ODD.values():
        hubspot.faults = [Fault(200, said)]
        done = beside_hubspot.round()
        assert (done.down is not None) is waits
        assert done.heard.noted["a record that cannot be read"] == (not waits)
        beside_hubspot.world.at(beside_hubspot.world.now + timedelta(hours=1))


def test_halves_of_a_batch_take_no_longer_than_our_turn(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """What was told until then is noted; whoever was not told is told with the next round."""
    hubspot.multi = False
    beside_hubspot.sold("ana", "ben", "cid", "dan")
    hubspot.odd = {"dan@one.example"}
    asked = iter([True, True, True, True])
    turn = Turn(math.inf)
    turn.goes_on = lambda: next(asked, False)  # type: ignore[method-assign]
    machine, done = beside_hubspot.world.machine, Report()
    crm = the_crm(machine)
    assert crm is not None
    with closing(vendor(machine, crm, beside_hubspot.secrets)) as way:
        push(machine.db, machine.library, way, beside_hubspot.world.now, turn, done)

    assert (beside_hubspot.told(UPSERT), done.told, done.left) == (3, 2, 2)
    assert beside_hubspot.round().told.told == 1


def test_a_contact_is_never_moved_back(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """The API moves `lifecyclestage` forward alone, so a recycled lead has no word there; nothing is cleared."""
    beside_hubspot.sold("ana")
    beside_hubspot.round()
    contact = beside_hubspot.link("ana").their_id
    hubspot.change(contact, hs_lead_status="too_early")
    for _ in range(2):
        beside_hubspot.round()

    assert beside_hubspot.world.who("ana").stage == "recycled"
    assert hubspot.contacts[contact]["lifecyclestage"] == "marketingqualifiedlead"
    assert all(
        one["properties"].get("lifecyclestage") != "" for body in hubspot.asked(UPSERT) for one in body["inputs"]
    )


def test_a_refresh_token_is_used_when_the_access_token_has_run_out(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """One call more, and the round goes on."""
    beside_hubspot.secrets = CrmSecrets(**OAUTH, refresh_token="again")  # type: ignore[arg-type]
    beside_hubspot.sold("ana")
    hubspot.faults = [Fault(200, {"access_token": "old"})]
    assert beside_hubspot.round().told.told == 1
    assert beside_hubspot.told("/oauth/v1/token") >= 2


def test_a_stop_of_everything_holds_here_too(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """Nothing is told and nothing asked until it ends."""
    from nurture.crm import sync
    from nurture.engine import control

    beside_hubspot.sold("ana")
    world = beside_hubspot.world
    world.do(lambda link: control.stop(link, "all", "me", world.now))
    assert sync.tick(world.machine, lambda: beside_hubspot.secrets) is None
    assert hubspot.calls == []


def test_a_hundred_are_told_in_one_call(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """And the hundred-and-first in another."""
    names = [f"n{number}" for number in range(101)]
    beside_hubspot.world.crowd(names, stage="mql", owner="mihai@acme.example")
    done = beside_hubspot.round()

    assert done.told.told == 101
    assert sorted(len(body["inputs"]) for body in hubspot.asked(UPSERT)) == [1, 100]
