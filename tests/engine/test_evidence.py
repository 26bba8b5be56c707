"""What a lead does while sales has it, or rests from sales: evidence, a letter to its owner, another hand-off."""

from __future__ import annotations

from sqlmodel import col

from nurture.records import Milestone, Outbox
from tests.engine.world import DAY, HOUR, program, sequence
from tests.engine.world import world as new_world

CALM = sequence("  - {id: rest, wait: 90 days}\n  - {id: over, exit: done}", leave="{stage: [sal, disqualified]}")
ASKING = """
mql: {levels: {warm: {did: seen}}}
milestones:
  prices: {when: {did: seen, at_least: 3, within: 14 days}, handoff: true}
  demo: {when: {did: demo}, handoff: true, entrance: ready}
  quote: {when: {did: quote_requested}, handoff: true}
recycle: {premature: 30 days}
"""


def test_what_sales_gave_back_rests_from_sales_too(sqlite_url: str) -> None:
    """A further look at prices opens no other hand-off until the rest is over; who asks for a demo is heard."""
    with new_world(sqlite_url, program({"lifecycle.yaml": ASKING}, drip=CALM)) as world:
        for name in ("ana", "ben"):
            world.lead(name)
            for _ in range(3):
                world.event(name, "seen", settle=True)
            world.answer(name, "rejected", "premature")
        world.at(HOUR)
        for name in ("ana", "ben"):
            world.event(name, "seen", settle=True)
        world.event("ben", "demo", settle=True)
        early = {name: world.milestones(name)[1:] for name in world.ids}
        world.at(31 * DAY)
        for _ in range(3):
            world.event("ana", "seen", settle=True)
        (first, later), (_, asked) = world.handoffs("ana"), world.handoffs("ben")

    refused = ("prices", "refused", "resting")
    assert early == {"ana": [refused], "ben": [refused, ("demo", "handed_off", None)]}
    assert (first.state, later.state, asked.entrance) == ("rejected", "open", "ready")
    assert (first.level, asked.level) == ("warm", "warm")


def test_who_has_accepted_a_lead_hears_that_it_asks_again(sqlite_url: str) -> None:
    """Each request is a letter to the owner, a page looked at is none; nor is what comes while nobody has answered."""
    with new_world(sqlite_url, program({"lifecycle.yaml": ASKING}, drip=CALM)) as world:
        for name in ("ana", "ben"):
            world.lead(name)
            world.event(name, "demo", settle=True)
        world.answer("ana", "accepted")
        world.at(DAY)
        for name in ("ana", "ben"):
            for event in ("quote_requested", "demo", "seen", "seen", "seen"):
                world.event(name, event, settle=True)
        world.machine.drain(world.now)
        (mine,), letters = world.handoffs("ana"), world.rows(Outbox, col(Outbox.kind).startswith("handoff_evidence"))
        again = [row.id for row in world.rows(Milestone, col(Milestone.name).in_(["demo", "quote"])) if row.id > 2]
        told = [parcel.payload.decode() for parcel in world.machine.email.parcels]

    wanted = {f"handoff_evidence:{number}" for number in again[:2]}
    assert {(row.kind, row.row_id) for row in letters} == {(kind, mine.id) for kind in wanted}
    assert len([one for one in told if "Subject: Asks again" in one]) == 2
