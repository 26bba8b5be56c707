"""Who is away is noted and seen, and what they have open goes to others, from a terminal."""

from __future__ import annotations

import json

from tests.cli.conftest import LEADS, PROGRAM, Desk

TEAM = "sales:\n" + "".join(
    f"  - {{name: {name}, email: {name.split()[0].lower()}@acme.example{more}}}\n"
    for name, more in {"Ann Pop": ", capacity: 9", "Bob Lee": "", "Cid Roy": ", countries: [DE]"}.items()
)


def test_somebody_goes_away_and_comes_back(desk: Desk) -> None:
    """Noted by name or address; their leads go to whoever is there; the table, the audit and the refusals say so."""
    house = "".join(f"{line}\n" for line in PROGRAM.splitlines() if not line.startswith(("sales:", "  - {name:")))
    desk.write("templates/program.yaml", house + TEAM)
    desk.write("templates/lifecycle.yaml", "milestones: {demo_requested: {when: {did: asked}, handoff: true}}\n")
    desk.write("leads.csv", LEADS)
    desk.write("events.csv", "email,event,occurred_at\nana@acme.example,asked,2026-03-02T07:00:00Z\n")
    for words in ("publish", "import leads leads.csv", "import events events.csv", "tick --now 2026-03-02T07:05:00Z"):
        assert desk.nurture(*words.split()).code == 0
    first = json.loads(desk.nurture("handoffs", "--json").out)[0]["owner"]
    other = ({"ann@acme.example", "bob@acme.example"} - {first}).pop()

    noted = desk.nurture("away", {"a": "Ann Pop", "b": "bob lee"}[first[0]], "--until", "2026-03-06")
    assert noted.code == 0
    assert "is away from 2026-03-02 to 2026-03-06; new leads go to others." in noted.out
    assert "until their deadlines; --hand-over gives them to others now." in noted.out
    table = {row["e-mail"]: row for row in json.loads(desk.nurture("away", "--json").out)}
    assert (table[first]["away"], table[first]["open"], table[other]["open"]) == ("2026-03-02 to 2026-03-06", 1, 0)
    assert (
        desk.nurture("away", first, "--hand-over", "--by", "boss")
        .out.splitlines()[0]
        .endswith(f"went to {other}, as hand-off 2.")
    )
    listed = desk.nurture("handoffs", "--all").out
    assert "instead of" in listed
    assert "reassigned" in listed
    given = desk.nurture("reassign", "2", "--to", "Cid Roy", "--by", "boss")
    assert given.out == "Hand-off 2 went to cid@acme.example, as hand-off 3: given by boss.\n"
    assert desk.rows("SELECT act, subject, by FROM audit WHERE act LIKE 'handoff%' ORDER BY id") == [
        ("handoff_reassigned", "handoff:1", "boss"), ("handoff_reassigned", "handoff:2", "boss"),
    ]  # fmt: skip

    assert desk.nurture("away", first, "--back").out.endswith("is there again.\n")
    assert not any(row["away"] for row in json.loads(desk.nurture("away", "--json").out))
    refused = {
        ("away", "nobody", "--back"): (1, "nobody of the sales team"),
        ("away", first, "--back"): (1, "was not away"),
        ("away", first): (2, "--until says the last day away"),
        ("away", first, "--until", "1 May"): (1, "is not a day; write it as 2026-03-02"),
        ("away", first, "--from", "2026-04-02", "--until", "2026-04-01"): (1, "is before --from"),
        ("away", first, "--until", "2026-03-01"): (1, "is over already"),
        ("away", "--back"): (2, "PERSON is missing"),
        ("reassign", "1"): (1, "hand-off 1 is reassigned; only an open one"),
        ("reassign", "9"): (1, "there is no hand-off 9"),
    }
    for command, (code, why) in refused.items():
        told = desk.nurture(*command)
        assert (told.code, why in told.out + told.err) == (code, True), (command, told)
