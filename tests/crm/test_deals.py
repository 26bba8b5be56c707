"""Which deal answers which hand-off, and what is left out of one that says more than can be taken."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update
from sqlmodel import col

from nurture.records import Handoff
from tests.crm.hubspot import HubSpot
from tests.crm.office import Office

WON = {"dealstage": "closedwon", "hs_is_closed": "true", "hs_is_closed_won": "true"}
LOST = {"dealstage": "closedlost", "hs_is_closed": "true", "hs_is_closed_won": "false"}
OPEN = {"dealstage": "x", "hs_is_closed": "false"}
LONG_AGO = "2019-03-02T08:00:00Z"
#: The deals of one contact, in their order: what they answer, and what is noted of the last.
DEALS: dict[str, tuple[list[tuple[str, dict[str, str]]], list[str], str]] = {
    "a deal of years ago is touched": ([("1", WON | {"createdate": LONG_AGO})], [], "older than the hand-off"),
    "another one is lost meanwhile": ([("1", OPEN), ("2", LOST), ("1", WON)], ["accepted", "opportunity", "won"], ""),
    "an old one is touched meanwhile": (
        [("1", OPEN), ("2", LOST | {"createdate": LONG_AGO})], ["accepted", "opportunity"], "older than the hand-off",
    ),
    "another one is won": ([("1", OPEN), ("2", WON)], ["accepted", "opportunity", "won"], ""),
    "an amount below nothing": ([("1", WON | {"amount": "-5"})], ["accepted", "won"], "is no amount"),
    "an amount that is none": ([("1", WON | {"amount": "12,000"})], ["accepted", "won"], ""),
    "an amount without end": ([("1", WON | {"amount": "1e999"})], ["accepted", "won"], ""),
    "a currency that is none": (
        [("1", WON | {"amount": "5", "deal_currency_code": "€"})], ["accepted", "won"], "is no currency",
    ),
}  # fmt: skip


def test_which_deal_answers_and_what_is_left_out(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """The first that was opened since the hand-off is followed; what cannot be read of it costs no answer."""
    beside_hubspot.sold(*DEALS)
    beside_hubspot.round()
    for place, (name, (deals, _, _)) in enumerate(DEALS.items()):
        for number, said in deals:
            hubspot.deal(f"{place}00{number}", beside_hubspot.link(name).their_id, **said)
            if len(deals) > 1:
                beside_hubspot.round()
    for _ in range(2):
        beside_hubspot.round()

    found = {name: [answer for answer, *_ in beside_hubspot.answers(name)] for name in DEALS}
    assert found == {name: wanted for name, (_, wanted, _) in DEALS.items()}
    for name, (_, _, note) in DEALS.items():
        assert note in (beside_hubspot.link(name).note or ""), name
    assert beside_hubspot.answers("a currency that is none")[-1][2] == 5.0


def test_a_deal_answers_what_sales_had_been_asked_by_then(beside_hubspot: Office, hubspot: HubSpot) -> None:
    """Nothing that was said before; and where the hand-off went to somebody else meanwhile, theirs."""
    office, world = beside_hubspot, beside_hubspot.world
    office.sold("early", "passed on")
    office.round()
    hubspot.deal("1", office.link("early").their_id, **LOST)
    hubspot.deals["1"]["hs_lastmodifieddate"] = "2026-03-02T07:30:00Z"
    hubspot.deal("2", office.link("passed on").their_id, **OPEN)
    (first,) = world.handoffs("passed on")
    later = {"cycle": 2, "instead_of": first.id, "opened_at": first.opened_at + timedelta(minutes=1)}
    world.do(lambda link: link.execute(update(Handoff).where(col(Handoff.id) == first.id).values(state="expired")))
    row = {name: value for name, value in first._mapping.items() if name not in ("id", "account")} | later
    world.do(lambda link: link.execute(Handoff.__table__.insert().values(**row)))  # type: ignore[attr-defined]
    office.round()

    assert office.answers("early") == []
    assert "had not been asked" in office.link("early").note
    assert [one.progress for one in world.handoffs("passed on")] == [None, "opportunity"]
    hubspot.now = world.now
    hubspot.deal("2", office.link("passed on").their_id, **WON)  # which the first of both had opened
    office.round()
    assert [one.progress for one in world.handoffs("passed on")] == [None, "won"]
