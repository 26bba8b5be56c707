"""Salesforce: leads in collections, their opportunities, and what its answers mean."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from nurture.crm import salesforce as ours
from tests.crm.office import Office
from tests.crm.peer import Fault
from tests.crm.salesforce import KEY, Salesforce

UPSERT = f"/composite/sobjects/Lead/{KEY}"


def test_told_heard_converted_and_won(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """A lead with what Salesforce requires; its status accepts, its opportunity says the rest; then it is left alone."""
    beside_salesforce.sold("ana")
    assert beside_salesforce.round().told.told == 1
    lead = salesforce.of("ana@one.example")
    assert (lead["LastName"], lead["Company"], lead["Nurture_Score__c"]) == ("Pop", "Acme", 0)
    salesforce.change(lead["Id"], Status="Working - Contacted", OwnerId="005A", Phone="+40 721 000 111")
    beside_salesforce.round()
    salesforce.convert(lead["Id"], "006A")
    beside_salesforce.round()
    salesforce.opportunity("006A", StageName="Qualification", Amount=9000.0)
    beside_salesforce.round()
    salesforce.opportunity("006A", StageName="Closed Won", IsClosed=True, IsWon=True, Amount=12000.0)
    for _ in range(2):
        beside_salesforce.round()

    assert beside_salesforce.answers("ana") == [
        ("accepted", None, None, "crm"), ("opportunity", None, None, "crm"), ("won", None, 12000.0, "crm"),
    ]  # fmt: skip
    row = beside_salesforce.world.who("ana")
    assert (row.stage, row.phone) == ("customer", "+40 721 000 111")
    assert "cannot follow" in str(beside_salesforce.link("ana").note or "cannot follow")
    beside_salesforce.renamed("ana")
    assert dict(beside_salesforce.round().told.refused) == {"CANNOT_UPDATE_CONVERTED_LEAD": 1}
    assert beside_salesforce.round().told.refused == {}
    assert beside_salesforce.link("ana").closed_at is not None


def test_a_lost_opportunity_says_why(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """By the field and the words that `deals:` names."""
    beside_salesforce.sold("ana")
    beside_salesforce.round()
    number = salesforce.of("ana@one.example")["Id"]
    salesforce.convert(number, "006A")
    salesforce.opportunity("006A", StageName="Closed Lost", IsClosed=True, Loss_Reason__c="Budget")
    beside_salesforce.round()

    assert beside_salesforce.answers("ana")[-1] == ("lost", "price", None, "crm")


#: What is in a record's way: its refusal, whether it is told a minute later once that is away.
REFUSED: dict[str, tuple[str, bool]] = {
    "another transaction holds it": ("UNABLE_TO_LOCK_ROW", True),
    "a duplicate rule": ("DUPLICATES_DETECTED", False),
    "it was deleted": ("ENTITY_IS_DELETED", False),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_that_is_refused_keeps_no_other_back(beside_salesforce: Office, salesforce: Salesforce, case: str) -> None:
    """allOrNone is false: each has its own outcome, in the order of the records."""
    code, soon = REFUSED[case]
    if code == "DUPLICATES_DETECTED":
        salesforce.barred = {"ben@one.example"}
        beside_salesforce.sold("ana", "ben")
    else:
        beside_salesforce.sold("ana", "ben")
        beside_salesforce.round()
        number = salesforce.of("ben@one.example")["Id"]
        salesforce.locked = {number}
        if code == "ENTITY_IS_DELETED":
            del salesforce.leads[number]
        beside_salesforce.renamed("ana")
        beside_salesforce.renamed("ben")
    done = beside_salesforce.round()
    salesforce.locked, salesforce.barred = set(), set()

    assert (done.told.told, dict(done.told.refused)) == (1, {code: 1})
    assert "ben" not in beside_salesforce.link("ben").last_error
    again = beside_salesforce.round().told
    assert again.told == (1 if soon else 0)


def test_a_lead_without_a_name_has_what_salesforce_requires(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """LastName and Company; once it is there, what we do not know is left as it is."""
    world = beside_salesforce.world
    world.lead("anon", email="anon@one.example", stage="mql", owner="mihai@acme.example")
    beside_salesforce.round()
    lead = salesforce.of("anon@one.example")
    assert (lead["LastName"], lead["Company"]) == ("[not provided]", "[not provided]")
    salesforce.change(lead["Id"], LastName="Popescu")
    world.lead("anon", email="anon@one.example", first_name="Ana")
    beside_salesforce.round()
    assert (lead["FirstName"], lead["LastName"]) == ("Ana", "Popescu")


def test_a_lead_that_is_there_already_is_taken_up(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """By its address, an apostrophe in it and all."""
    number = salesforce.lead(Email="o'neil@one.example", LastName="O'Neil", Company="Acme")
    salesforce.now -= timedelta(days=1)
    salesforce.change(number)  # long before we listened
    beside_salesforce.world.lead("one", email="o'neil@one.example", first_name="Ana", stage="mql")
    beside_salesforce.round()

    assert list(salesforce.leads) == [number]
    assert salesforce.leads[number]["FirstName"] == "Ana"
    assert beside_salesforce.told(UPSERT) == 0


def test_pages_follow_one_another(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """By nextRecordsUrl; where that has run out, from the last instant that was taken in."""
    names = [f"n{number}" for number in range(5)]
    beside_salesforce.sold(*names)
    beside_salesforce.round()
    for name in names:
        salesforce.change(beside_salesforce.link(name).their_id, Phone="+40 721 000 111")
    salesforce.page = 2
    real, seen = salesforce.rules, 0

    def forgets(call: Any) -> Any:
        nonlocal seen
        seen += "/query/01g" in call.path
        if seen == 2:
            salesforce.forget_locators()
        return real(call)

    salesforce.rules = forgets  # type: ignore[method-assign]
    try:
        beside_salesforce.round()
    finally:
        del salesforce.rules
    assert seen >= 2
    assert {beside_salesforce.world.who(name).phone for name in names} == {"+40 721 000 111"}


def test_what_is_committed_late_is_not_missed(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """SystemModstamp is set before a transaction ends: others that end earlier are read before it."""
    beside_salesforce.sold("ana", "ben")
    beside_salesforce.round()
    salesforce.now = beside_salesforce.world.now
    late = beside_salesforce.link("ana").their_id
    salesforce.change(late, Phone="+40 721 000 111")
    hidden = salesforce.leads.pop(late)
    salesforce.change(beside_salesforce.link("ben").their_id, Phone="+40 721 000 222")
    beside_salesforce.round()
    salesforce.leads[late] = hidden
    beside_salesforce.round()

    assert beside_salesforce.world.who("ana").phone == "+40 721 000 111"


#: What Salesforce says: for how long it is left alone.
DOWN: dict[str, tuple[Fault, timedelta]] = {
    "the day's calls are used": (Fault(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}]), timedelta(hours=1)),
    "down for maintenance": (Fault(503, headers={"Retry-After": "300"}), timedelta(minutes=5)),
}


@pytest.mark.parametrize("case", DOWN)
def test_a_crm_that_is_down_is_left_alone(beside_salesforce: Office, salesforce: Salesforce, case: str) -> None:
    """As long as it asks for; the token that it gives first is asked for once."""
    fault, wait = DOWN[case]
    beside_salesforce.sold("ana")
    salesforce.faults = [Fault(200, {"access_token": salesforce.token}), fault]
    assert beside_salesforce.round().down is not None
    waits = beside_salesforce.state("pull:leads")
    assert waits.next_at - beside_salesforce.world.now == wait
    calls = len(salesforce.calls)
    beside_salesforce.round()
    assert beside_salesforce.told("/services/oauth2/token") == 1 + (len(salesforce.calls) > calls)
    beside_salesforce.world.at(waits.next_at)
    beside_salesforce.round()
    assert beside_salesforce.link("ana").told is not None


def test_a_session_that_has_run_out_is_renewed(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """INVALID_SESSION_ID in the middle of a round costs one call, and no lead."""
    beside_salesforce.sold("ana")
    salesforce.faults = [Fault(200, {"access_token": "old"})]
    assert beside_salesforce.round().told.told == 1


def test_the_last_calls_of_a_day_are_left_to_others(beside_salesforce: Office, salesforce: Salesforce) -> None:
    """Sforce-Limit-Info says how many are used; we stop before the organisation's other integrations must."""
    beside_salesforce.sold("ana")
    salesforce.used, salesforce.allowed = 96, 100
    done = beside_salesforce.round()
    assert done.down is not None
    assert "97/100" in done.down
    assert salesforce.used == 97


def test_two_hundred_are_told_in_one_call(
    beside_salesforce: Office, salesforce: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than a collection may hold."""
    monkeypatch.setattr(ours.Salesforce, "most", 3)
    assert ours.MOST == 200
    beside_salesforce.sold("a", "b", "c", "d")
    assert beside_salesforce.round().told.told == 4
    assert sorted(len(body["records"]) for body in salesforce.asked(UPSERT)) == [1, 3]
