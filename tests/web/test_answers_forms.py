"""The page of a hand-off that somebody has taken: what came of it, said in plain forms."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlmodel import col

from nurture.engine.machine import Machine
from nurture.records import Handoff, HandoffAnswer
from tests.web.factories import (
    FILES,
    FORM,
    Visitor,
    answers_in,
    events,
    everything,
    handed_over,
    handoffs,
    later,
    lead_called,
    put_live,
)
from tests.web.test_api import rows

pytestmark = pytest.mark.parametrize("machine", ["sqlite"], indirect=True)
NEW = "new@person.example"
ITEMS = {"met": 16, "sql": 17, "opportunity": 18, "won": 19, "lost": 20, "recycled": 21, "rejected": 22}


class Sales:
    """Whoever has the link of the page."""

    def __init__(self, machine: Machine, visit: Visitor) -> None:
        links = answers_in(handed_over(machine, visit))
        self.machine, self.visit, self.page, self.accept = machine, visit, links["page"], links["accept"]

    def way(self, word: str) -> str:
        return f"/h/{self.machine.keys.seal('handoff', 1, ITEMS[word])}"

    def says(self, word: str, **fields: str) -> Any:
        return self.visit.post(self.way(word), headers=FORM, data=fields)

    def offered(self) -> set[str]:
        """What the page's forms would say."""
        page = self.visit.get(self.page).text
        ways = {self.way(word).removeprefix("/h/"): word for word in ITEMS}
        return {ways.get(way, "accepted") for way in re.findall(r'<form method="post" action="([^"]+)"', page)}


@pytest.fixture
def sales(machine: Machine, visit: Visitor) -> Sales:
    return Sales(machine, visit)


ENDS = {"won", "lost", "recycled"}


def test_the_page_offers_what_may_follow(machine: Machine, sales: Sales) -> None:
    """From open to won: each answer by its form, with what goes with it; at the end there is nothing left to say."""
    offered = [sales.offered()]
    sales.visit.post(sales.accept)
    for word, fields in {
        "met": {}, "sql": {}, "opportunity": {"value": "9000", "currency": "eur"},
        "won": {"value": "12,000.50", "currency": "EUR", "note": "Two years."},
    }.items():  # fmt: skip
        offered.append(sales.offered())
        assert sales.says(word, **fields).status_code == 200
        assert sales.visit.get(sales.way(word)).status_code == 200

    assert offered == [
        {"accepted", "rejected"},
        {"met", "sql", "opportunity", "rejected"} | ENDS,
        {"sql", "opportunity"} | ENDS,
        {"opportunity"} | ENDS,
        ENDS,
    ]
    assert sales.offered() == set()
    (handoff,) = handoffs(machine)
    assert (handoff.progress, handoff.value, handoff.currency, handoff.note) == ("won", 12000.5, "EUR", "Two years.")
    assert lead_called(machine, NEW).stage == "customer"
    page = sales.visit.get(sales.page).text
    for shown in ("Sales qualified", "€9,000.00", "€12,000.50", "“Two years.”"):
        assert shown in page


def test_a_button_pressed_twice_is_one_answer(machine: Machine, sales: Sales) -> None:
    for _ in range(2):
        sales.visit.post(sales.accept)
        told = [sales.says("opportunity", value="9000", currency="EUR").text for _ in range(2)]

    assert "nothing was changed" in told[1]
    assert [row.answer for row in rows(machine, HandoffAnswer)] == ["accepted", "opportunity"]
    assert len(events(machine, "handoff_opportunity")) == 1


def test_taken_by_mistake(machine: Machine, sales: Sales) -> None:
    """Given back with a note and a day, until it is met."""
    sales.visit.post(sales.accept)
    sales.says("rejected", reason="premature", note="No budget\x00 before June.", until="2026-06-01")

    (handoff,) = handoffs(machine)
    assert (handoff.state, handoff.reason, handoff.note) == ("rejected", "premature", "No budget before June.")
    lead = lead_called(machine, NEW)
    assert (lead.stage, f"{lead.rests_until:%Y-%m-%d}") == ("recycled", "2026-05-31")  # when 1 June begins, in UTC
    assert "“No budget before June.”" in sales.visit.get(sales.page).text


WRONG = {
    "a word as value": ("won", {"value": "many"}, "value", "such as 12000"),
    "less than nothing": ("won", {"value": "-1"}, "value", "such as 12000"),
    "more than there is": ("won", {"value": "1e300"}, "value", "such as 12000"),
    "a word as currency": ("opportunity", {"value": "1", "currency": "eu"}, "currency", "three letters"),
    "a day that has come": ("lost", {"reason": "price", "until": "2026-03-02"}, "until", "still to come"),
    "no day": ("recycled", {"until": "soon"}, "until", "still to come"),
    "no reason": ("rejected", {}, "reason", "Choose a reason"),
    "a reason of nobody's": ("lost", {"reason": "weather"}, "reason", "Choose a reason"),
    "a book": ("lost", {"reason": "price", "note": "x" * 2001}, "note", "less than 2,000"),
}


def test_what_cannot_be_read_is_asked_for_again(machine: Machine, sales: Sales) -> None:
    """422, the field and what would do beside it, what was entered kept, and nothing changed."""
    sales.visit.post(sales.accept)
    before = everything(machine) | {"work": []}
    for name, (word, fields, field, why) in WRONG.items():
        answer = sales.says(word, **fields)

        assert answer.status_code == 422, name
        assert why in answer.text, name
        assert f'id="{word}-{field}-wrong"' in answer.text, name
        assert field in ("reason", "note") or f'value="{fields[field]}"' in answer.text, name
        assert "<details open>" in answer.text, name
    assert everything(machine) | {"work": []} == before


def test_what_the_page_offers_is_taken(machine: Machine, visit: Visitor) -> None:
    """The amount that stands in the form, and its first day, where the salesperson has another day than we in UTC."""
    program = re.sub(r"zone: \S+", "zone: America/Los_Angeles", FILES["program.yaml"], count=1)
    put_live(machine, {**FILES, "program.yaml": program})
    sales = Sales(machine, visit)
    later(machine, hours=16)
    sales.visit.post(sales.accept)
    sales.says("opportunity", value="12345678.90", currency="EUR")
    page = sales.visit.get(sales.page).text
    value, first = (re.search(rf'id="{name}"[^>]*?{key}="([^"]*)"', page) for name, key in
                    (("won-value", "value"), ("recycled-until", "min")))  # fmt: skip

    assert (value and value[1], machine.now().hour < 8) == ("12345678.9", True)
    assert sales.says("recycled", until=str(first and first[1])).status_code == 200
    assert handoffs(machine)[0].progress == "recycled"
    assert 'This was not noted:<br><bdi lang="en" dir="ltr">hand-off 1 is' in sales.says("won", value="1").text


def test_who_has_it_now(machine: Machine, sales: Sales) -> None:
    """A hand-off that went on takes no answer, and says where it is."""
    (row,) = handoffs(machine)
    told = {key: value for key, value in row._mapping.items() if key != "id"}
    gone = update(Handoff).where(col(Handoff.id) == row.id).values(state="reassigned", next_at=None)
    new = {**told, "cycle": 2, "instead_of": row.id, "owner": "omar@acorn.example"}
    machine.db.transact(lambda link: (link.execute(gone), link.execute(insert(Handoff).values(**new))))

    answers = [sales.visit.post(sales.accept), sales.says("won", value="1")]

    for answer in answers:
        assert answer.status_code == 200
        assert "It is with omar@acorn.example now." in answer.text
        assert sales.offered() == set()
    assert [handoff.state for handoff in handoffs(machine)] == ["reassigned", "open"]


def test_the_forms_speak_the_salespersons_language(machine: Machine, visit: Visitor) -> None:
    """In every state, nothing is left in English but what the house itself has written."""
    program = FILES["program.yaml"].replace("days: all}", "days: all, language: ar}")
    put_live(machine, {**FILES, "program.yaml": program})
    sales = Sales(machine, visit)
    pages = [visit.get(sales.page).text, visit.post(sales.accept).text]
    pages += [sales.says("met").text, sales.says("lost", reason="price", note="x").text]
    later(machine, days=1)

    for text in pages:
        assert '<html lang="ar" dir="rtl">' in text
    for word in ("السعر", "صفقة خاسرة", "تمّ اللقاء"):
        assert word in pages[-1]
