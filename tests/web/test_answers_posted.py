"""POST /answers: another system says what came of a hand-off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nurture.engine.machine import Machine
from nurture.records import HandoffAnswer
from tests.web.factories import Visitor, events, handed_over, handoffs, lead_called
from tests.web.sited import System, key, signed
from tests.web.test_api import rows

NEW = "new@person.example"
pytestmark = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)


@pytest.fixture
def crm(machine: Machine, visit: Visitor) -> System:
    """A system with a server key, and one open hand-off."""
    handed_over(machine, visit)
    return System(visit, key(machine, "crm", "server"))


def test_from_accepted_to_won(machine: Machine, crm: System) -> None:
    """By the hand-off's number or its lead, in one request or several, each once; the lead is settled at once."""
    first = {"handoff": 1, "answer": "accepted", "by": "mia@acorn.example", "id": "d1"}
    more = [
        {"email": NEW, "answer": "met", "at": "2026-03-02T09:40:00Z"},
        {"email": NEW, "answer": "Closed Won", "value": "12,000", "currency": "eur", "note": "Two years"},
    ]

    assert crm.hears(first, "/answers") == ["accepted"]
    assert crm.hears({"answers": [first, *more]}, "/answers") == ["known", "accepted", "accepted"]
    assert crm.hears(more, "/answers") == ["known", "known"]
    (handoff,) = handoffs(machine)
    assert (handoff.progress, handoff.value, handoff.currency, handoff.note) == ("won", 12000.0, "EUR", "Two years")
    assert lead_called(machine, NEW).stage == "customer"
    assert [row.source for row in rows(machine, HandoffAnswer)] == ["webhook"] * 3
    assert len(events(machine, "handoff_accepted", "handoff_met", "deal_won")) == 3


def test_a_signed_delivery_is_taken_once(machine: Machine, crm: System) -> None:
    body = json.dumps({"handoff": 1, "answer": "rejected", "reason": "Not persona"}).encode()
    headers = signed(machine, "crm", body)
    told = [crm.visit.post("/answers?source=crm", headers=headers, content=body).json() for _ in range(2)]

    assert told == [{"status": "accepted", "answers": [{"status": word}]} for word in ("accepted", "known")]
    assert lead_called(machine, NEW).stage == "disqualified"


def test_a_deals_id_stands_in_all_that_is_said_of_it(machine: Machine, crm: System) -> None:
    deal = {"handoff": 1, "answer": "opportunity", "value": 9000, "currency": "EUR", "id": "deal-4711"}
    said = [deal, deal, {**deal, "answer": "won", "value": 12000}, {**deal, "answer": "lost", "value": None}]

    told = [crm.hears(one, "/answers")[0] for one in said]
    assert (told[:3], told[3][0]) == (["accepted", "known", "accepted"], "refused")
    (handoff,) = handoffs(machine)
    assert (handoff.progress, handoff.value) == ("won", 12000.0)


def test_many_answers_keep_no_other_writer_waiting(
    machine: Machine, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction for every few of them, then one that settles."""
    monkeypatch.setattr("nurture.web.api._ANSWERS", 2)
    begun, transact = list[Any](), machine.db.transact

    def counted(work: Any, **more: Any) -> Any:
        begun.append(work)
        return transact(work, **more)

    monkeypatch.setattr(machine.db, "transact", counted)
    said = [{"handoff": 1, "answer": word} for word in ("accepted", "met", "sql")]

    assert crm.hears(said, "/answers") == ["accepted"] * 3
    assert len(begun) == 3  # two, one, and what settles
    assert lead_called(machine, NEW).stage == "sql"


REFUSED: dict[str, tuple[Any, str]] = {
    "no object": (3, "is not an object"),
    "a slip": ({"handoff": 1, "anser": "met"}, "'anser' is not known here"),
    "nobody": ({"answer": "met"}, "names nobody"),
    "two": ({"handoff": 1, "email": NEW, "answer": "met"}, "names two"),
    "no number": ({"handoff": "one", "answer": "met"}, "no number of a hand-off"),
    "a long number": ({"handoff": "9" * 20, "answer": "met"}, "no number of a hand-off"),
    "no such hand-off": ({"handoff": 99, "answer": "met"}, "there is no hand-off 99"),
    "a stranger": ({"email": "who@acme.example", "answer": "met"}, "no lead that is known here"),
    "nothing said": ({"handoff": 1}, "answer: is missing"),
    "no answer": ({"handoff": 1, "answer": "perhaps"}, "is no answer to a hand-off"),
    "a list": ({"handoff": 1, "answer": ["met"]}, "answer: is not one word"),
    "no reason": ({"handoff": 1, "answer": "rejected"}, "no reason is said"),
    "no amount": ({"handoff": 1, "answer": "won", "value": "much"}, "value: 'much' is not a number"),
    "the future": ({"handoff": 1, "answer": "met", "at": "2027-01-01T00:00:00Z"}, "lies in the future"),
    "a wrong order": ({"handoff": 1, "answer": "recycled"}, "is rejected, as premature"),
    "NUL": ({"handoff": 1, "answer": "met", "note": "a\0b"}, "control character"),
}


def test_each_line_says_why_it_is_refused(machine: Machine, crm: System) -> None:
    """One wrong answer keeps no other from being taken."""
    before = handoffs(machine), rows(machine, HandoffAnswer)
    told = crm.hears([fact for fact, _ in REFUSED.values()], "/answers")

    assert [name for name, line in zip(REFUSED, told, strict=True) if REFUSED[name][1] not in line[1]] == []
    assert (handoffs(machine), rows(machine, HandoffAnswer)) == before
    assert crm.hears([3, {"handoff": 1, "answer": "met"}], "/answers")[1] == "accepted"


def test_a_pages_key_does_not_answer_for_sales(machine: Machine, crm: System) -> None:
    site = key(machine, "www", "site")
    answer = crm.visit.post(f"/answers?key={site}", content=json.dumps({"handoff": 1, "answer": "met"}))

    assert answer.status_code == 403
    assert [handoff.state for handoff in handoffs(machine)] == ["open"]
