"""A file of what sales has said: whose answer it is, when it was given, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col

from nurture.errors import FileFault
from nurture.intake import ImportReport, read_mapping
from nurture.intake.answers import import_answers
from nurture.records import Handoff, HandoffAnswer, Lead
from tests.engine.conftest import Make, make
from tests.engine.test_answers import files
from tests.engine.world import DAY, World

__all__ = ["make"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def take(world: World, folder: Path, content: str, mapping: str = "", **more: Any) -> ImportReport:
    path = folder / "said.csv"
    path.write_text(content)
    if mapping:
        (folder / "map.yaml").write_text(mapping)
        more["mapping"] = read_mapping(folder / "map.yaml")
    machine = world.machine
    zone = "Europe/Bucharest"
    return import_answers(machine.db, path, now=world.now, zone=zone, library=machine.library, **more)


@pytest.fixture
def world(make: Make) -> World:
    """Four leads handed over on Monday at ten; it is a month later."""
    made = make(files())
    for name in ("ana", "ben", "cyn", "dan"):
        made.lead(name)
        made.event(name, "demo")
    made.lead("new")
    made.tick()
    return made.at(30 * DAY)


SAID = """handoff,email,answer,reason,value,currency,note,at,by,id
,ana@lead.example,won,,"12,000",EUR,Signed,2026-03-20,,a3
,ana@lead.example,met,,,,,2026-03-05T10:00:00+02:00,,a2
,ana@lead.example,accepted,,,,,2026-03-02T11:00:00+02:00,lena@acme.example,a1
2,,rejected,premature,,,No budget before June,2026-03-02,,b1
,cyn@lead.example,lost,Price,,,,2026-03-09 12:00,,c1
4,,agreed,,,,,2026-03-09,,d1
4,,rejected,,,,,2026-03-09,,d2
4,,won,,many,,,2026-03-09,,d3
4,,accepted,,,,,2026-04-09,,d4
99,,accepted,,,,,2026-03-09,,d5
,new@lead.example,accepted,,,,,2026-03-09,,d6
,who@lead.example,accepted,,,,,2026-03-09,,d7
,,accepted,,,,,2026-03-09,,d8
2,,met,,,,,2026-03-10,,b2
"""
REFUSED = {
    7: "is no answer to a hand-off", 8: "no reason is said for 'rejected'", 9: "is not a number", 10: "lies in the future",
    11: "there is no hand-off 99", 12: "had no hand-off by then", 13: "names no lead that is known here",
    14: "nobody knows which hand-off", 15: "was rejected (premature)",
}  # fmt: skip


def test_each_answer_is_taken_at_its_own_instant_and_once(world: World, tmp_path: Path) -> None:
    """A lead's answers in the order in which they were given, however the file has them; a day alone is its end."""
    first = take(world, tmp_path, SAID)
    before = world.rows(Handoff), world.rows(HandoffAnswer)
    second = take(world, tmp_path, SAID)

    told = {refusal.line: refusal.said for refusal in first.refused}
    assert {line for line, why in REFUSED.items() if why not in told[line]} == set()
    assert (first.created, len(first.refused), first.rows) == (5, 9, 14)
    assert (second.created, second.unchanged, len(second.refused)) == (0, 5, 9)
    assert (world.rows(Handoff), world.rows(HandoffAnswer)) == before
    said = [
        (row.answer, f"{row.at:%d %H:%M}", row.by)
        for row in world.rows(HandoffAnswer, col(HandoffAnswer.lead_id) == world.ids["ana"])
    ]
    mihai = "mihai@acme.example"
    assert said == [
        ("accepted", "02 09:00", "lena@acme.example"),
        ("met", "05 08:00", mihai),
        ("won", "20 21:59", mihai),
    ]
    ana, ben, cyn, dan = world.rows(Handoff)
    assert (ana.progress, ana.value, ana.currency, ana.note) == ("won", 12000.0, "EUR", "Signed")
    assert (ben.reason, ben.note, cyn.lost_reason, dan.state) == ("premature", "No budget before June", "price", "open")
    world.tick()
    stages = {world.names()[row.id]: row.stage for row in world.rows(Lead)}
    assert (stages["ana"], stages["ben"], stages["cyn"]) == ("customer", "recycled", "recycled")


def test_an_answer_is_to_the_hand_off_that_there_was_then(world: World, tmp_path: Path) -> None:
    """The first was rejected before the second was opened."""
    take(world, tmp_path, "email,answer,reason,at\nana@lead.example,rejected,inaccurate_data,2026-03-03\n")
    world.event("ana", "demo", settle=True)
    world.at(31 * DAY)
    report = take(
        world, tmp_path, "email,answer,reason,at\n"
        "ana@lead.example,rejected,inaccurate_data,2026-03-03\nana@lead.example,accepted,,2026-04-01T20:00Z\n",
    )  # fmt: skip

    assert (report.created, report.unchanged) == (1, 1)
    assert [row.state for row in world.handoffs("ana")] == ["rejected", "accepted"]


def test_a_deals_id_stands_in_all_that_is_said_of_it(world: World, tmp_path: Path) -> None:
    """Another answer, or another amount, is another one under the same id; so is none for a number of no hand-off."""
    head = "handoff,Email,Deal ID,Stage,Amount,Currency,Close Date\n"
    deal = ",ana@lead.example,4711,{},{},EUR,2026-03-{}\n"
    said = [("opportunity", 9000, "05"), ("opportunity", 9500, "05"), ("Closed Won", 9500, 20)] * 2
    told = [take(world, tmp_path, head + deal.format(*one), source="crm") for one in said]
    strange = take(world, tmp_path, head + f"{'9' * 20},,1,accepted,,,\n2,,2,accepted,,,\n")

    assert [(one.created, one.unchanged) for one in told] == [(1, 0)] * 3 + [(0, 1)] * 3
    assert (world.rows(Handoff)[0].progress, world.rows(Handoff)[0].value) == ("won", 9500.0)
    assert (strange.created, len(strange.refused)) == (1, 1)
    assert "is no number of a hand-off" in strange.refused[0].said


def test_another_systems_words_and_columns(world: World, tmp_path: Path) -> None:
    """A mapping file names both; what it does not name is passed over, and a second deal has another id."""
    exported = (
        "Contact,Deal Stage,Amount,Closed,Deal\nana@lead.example,Gewonnen,900,05/03/2026 10:00,1\n"
        "ben@lead.example,In Arbeit,,05/03/2026 10:00,2\n"
    )
    mapping = (
        "source: crm\nzone: Europe/Berlin\ndates: '%d/%m/%Y %H:%M'\nlead: {email: Contact}\nid: Deal\nat: Closed\n"
        "event: {column: Deal Stage, names: {Gewonnen: won}}\n"
    )
    report = take(world, tmp_path, exported, mapping)

    assert (report.created, report.passed_over, report.refused_count) == (1, 1, 0)
    (won,) = world.rows(HandoffAnswer, col(HandoffAnswer.answer) == "won")
    assert (won.value, won.key.rpartition(":")[0], f"{won.at:%d %H:%M}") == (900.0, "crm:1", "05 09:00")


NOT_READ = {
    "whose": ("answer,at\naccepted,2026-03-09\n", "no column says whose answer it is"),
    "what": ("email,at\nana@lead.example,2026-03-09\n", "no column says what sales answered"),
    "whose ids": ("contact id,answer\n7,accepted\n", "say whose with --source NAME"),
}


def test_a_file_that_does_not_say_enough(world: World, tmp_path: Path) -> None:
    """Nothing of it is taken."""
    for content, why in NOT_READ.values():
        with pytest.raises(FileFault, match=why):
            take(world, tmp_path, content)
    assert world.rows(HandoffAnswer) == []
