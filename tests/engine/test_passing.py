"""Hand-offs that go to somebody else: their owner has left the team, or one gives away what was accepted."""

from __future__ import annotations

import pytest
from sqlmodel import col

from nurture.engine import passing
from nurture.errors import Refused
from nurture.reading.verify import verify
from nurture.records import Milestone
from tests.engine.test_terms import ask, files
from tests.engine.world import DAY, world


def test_who_leaves_the_team_leaves_no_lead_waiting(sqlite_url: str) -> None:
    """A publication gives what they had, open or accepted, to others; they are told nothing more of any lead."""
    sla = "{accept_within: 4 business hours, meet_within: 4 business hours}"
    with world(sqlite_url, files(sla, "ann")) as it:
        ask(it, "open", "accepted", "won")
        it.answer("accepted", "accepted")
        it.answer("won", "won")
        it.publish(files(sla, "bob"))
        it.machine.drain(it.now)
        found = {name: [(row.owner.partition("@")[0], row.state) for row in it.handoffs(name)] for name in it.ids}
        whose = {name: str(it.who(name).owner).partition("@")[0] for name in it.ids}
        told = {to for to, _ in it.sent}
        line = it.handoffs("accepted")[1].routed_by
        it.event("accepted", "demo", settle=True)
        evidence = it.rows(Milestone, col(Milestone.lead_id) == it.ids["accepted"])
        with it.machine.db.read() as link:
            assert verify(link, it.machine.library, it.now).broken == []
        said = [one.what for one in it.story("accepted").happenings if one.kind == "handoff"]

    gone = [("ann", "reassigned"), ("bob", "open")]
    assert found == {"open": gone, "accepted": gone, "won": [("ann", "accepted")]}
    assert whose == {"open": "bob", "accepted": "bob", "won": "ann"}
    assert told == {"bob@acme.example"}
    assert line == "takes any lead; instead of ann@acme.example, who has left the team"
    assert {row.handoff_id for row in evidence} == {5}
    assert "hand-off 2 was taken from ann@acme.example" in said


def test_what_nobody_of_the_team_has_is_asked_for_anew(sqlite_url: str) -> None:
    """An accepted hand-off whose owner is not of the team, as an older program left it, swallows no request.

    And one from before hand-offs had terms may be one that nobody is reminded of.
    """
    with world(sqlite_url, files()) as it:
        ask(it, "lea")
        it.answer("lea", "accepted")
        it.sql("UPDATE handoff SET owner = 'gone@acme.example'")
        it.at(DAY)
        it.event("lea", "demo", settle=True)

        assert [row.state for row in it.handoffs("lea")] == ["accepted", "open"]
        it.sql("UPDATE handoff SET next_at = NULL, routed_by = NULL WHERE state = 'open'")
        with it.machine.db.read() as link:
            assert verify(link, it.machine.library, it.now).broken == []


def test_an_accepted_hand_off_is_given_to_somebody_else(sqlite_url: str) -> None:
    """By hand, until it has come to its end; the new owner is asked, and the lead goes with it."""
    with world(sqlite_url, files("{accept_within: 4 business hours}", "ann", "bob")) as it:
        ask(it, "lea")
        it.answer("lea", "accepted")
        it.answer("lea", "met")
        live, mine = it.machine.live(), it.handoffs("lea")[0]

        def give(number: int, to: str | None) -> int:
            number, _ = it.do(lambda link: passing.reassign(link, live, number, to, "boss@acme.example", it.now))
            return number

        with pytest.raises(Refused, match=r"hand-off 1 is accepted by .*; say with --to"):
            give(mine.id, None)
        other = give(mine.id, ({"ann@acme.example", "bob@acme.example"} - {mine.owner}).pop())
        old, new = it.handoffs("lea")
        it.answer("lea", "won")
        with pytest.raises(Refused, match=r"hand-off 2 is won; only an open one, or one that was accepted"):
            give(other, mine.owner)

    assert (old.state, new.state, new.owner != old.owner) == ("reassigned", "open", True)
    assert (new.instead_of, new.id) == (old.id, other)
