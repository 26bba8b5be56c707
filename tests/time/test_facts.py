"""What an import says of clocks and lists, and what `explain` makes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nurture.program.check import check
from tests.cli.conftest import Desk
from tests.engine.conftest import Make
from tests.engine.world import DAY, HOUR, program, sequence

LEADS = """email,timezone,consent
ana@acme.example,Asia/Kolkata,yes
bob@acme.example,Mars/Olympus,yes
cyd@acme.example,,yes
dan@acme.example,asia/tokyo,yes
"""
CLOCKS = {
    "ana@acme.example": "Asia/Kolkata, the lead's own",
    "bob@acme.example": "Europe/Bucharest, the program's: 'Mars/Olympus' is not a time zone",
    "cyd@acme.example": "Europe/Bucharest, the program's: the lead's own is not known",
    "dan@acme.example": "Asia/Tokyo, the lead's own",
}


def test_whose_clock_is_said(desk: Desk) -> None:
    """A zone that is none is told with its line, the lead is kept, and `explain` says which clock counts and why."""
    assert desk.nurture("publish").code == 0
    desk.write("leads.csv", LEADS)
    said = desk.nurture("import", "leads", "leads.csv")

    assert said.code == 0
    assert "line 3: timezone: 'Mars/Olympus' is not a time zone" in said.out
    assert "the program's, Europe/Bucharest, counts" in said.out
    for who, clock in CLOCKS.items():
        assert f"Clock: {clock}\n" in desk.nurture("explain", who).out


def test_a_zone_that_is_none_any_more_is_the_programs(desk: Desk) -> None:
    """Who moved to where nobody knows has no longer the clock of where it was."""
    assert desk.nurture("publish").code == 0
    for zone in ("Asia/Kolkata", "Asia/Atlantis"):
        desk.write("leads.csv", f"email,timezone,consent\nana@acme.example,{zone},yes\n")
        assert desk.nurture("import", "leads", "leads.csv").code == 0

    assert desk.rows("SELECT timezone, zone FROM lead") == [("Asia/Atlantis", None)]
    assert "'Asia/Atlantis' is not a time zone" in desk.nurture("explain", "ana@acme.example").out


def test_a_file_is_put_on_a_list(desk: Desk) -> None:
    """All leads of the file are on it, created, changed or unchanged; a second time nothing changes."""
    assert desk.nurture("publish").code == 0
    desk.write("first.csv", "email,first_name,consent\nana@acme.example,Ana,yes\nbob@acme.example,Bob,yes\n")
    desk.write("second.csv", "email,first_name,consent\nana@acme.example,Ana,yes\ncyd@acme.example,Cyd,yes\n")
    assert desk.nurture("import", "leads", "first.csv").code == 0
    first = desk.nurture("import", "leads", "second.csv", "--list", "Newsletter  2026")
    again = desk.nurture("import", "leads", "second.csv", "--list", "newsletter 2026")

    listed = "SELECT email, list FROM lead_list JOIN lead ON lead.id = lead_id ORDER BY email"
    assert desk.rows(listed) == [("ana@acme.example", "newsletter 2026"), ("cyd@acme.example", "newsletter 2026")]
    assert [line.split() for line in first.out.splitlines()[1:4]] == [
        ["created", "1"],
        ["changed", "1"],
        ["unchanged", "0"],
    ]
    assert [line.split() for line in again.out.splitlines()[1:3]] == [["created", "0"], ["unchanged", "2"]]
    assert desk.nurture("import", "leads", "first.csv", "--list", " ").code != 0


def test_a_list_brings_leads_in(make: Make) -> None:
    """`listed:` is a condition like any other: it enrols, branches and ends."""
    steps = "  - {id: fork, branch: [{if: {listed: [vips, guests]}, then: good}], else: bad}\n" + (
        "  - {id: good, wait: 9 days, next: over}\n  - {id: bad, wait: 9 days}\n  - {id: over, exit: done}"
    )
    it = make(program(drip=sequence(steps, when="{listed: Newsletter-2026}", leave="{listed: gone}")))
    it.lead("ana", lists=["newsletter-2026", "Guests"])
    it.lead("bob", lists=["NEWSLETTER-2026"])
    it.lead("cyd", lists=["newsletter-2025"])
    it.tick()
    assert it.stands() == {"ana": "good", "bob": "bad"}

    it.at(DAY).lead("bob", lists=["gone"])
    it.tick()
    assert it.stands() == {"ana": "good", "bob": "left"}


LEVELS = """
awareness:
  - {level: knows_us, when: {did: visited, at_least: 3}}
  - {level: new, when: {did: visited}}
buying_stage:
  - {stage: decision, when: {did: asked_price}}
"""
WRONG = {
    # scoring.yaml, a condition of the sequence: what check says
    "an unknown level": (LEVELS, "{awareness: knows_as}", "makes 'knows_as'; did you mean 'knows_us'?"),
    "one of them": (LEVELS, "{buying_stage: [decision, consideration]}", "makes 'consideration'"),
    "no rules": ("{}", "{awareness: new}", "no rule under awareness: in scoring.yaml makes 'new'"),
    "a number": (LEVELS, "{awareness: {at_least: 3}}", "'3' is not a level"),
    "an operator": (LEVELS, "{awareness: {contains: new}}", "'contains' cannot be asked of it"),
    "a list that is none": (LEVELS, "{listed: []}", "'[]' are not listed"),
    "of itself": (LEVELS.replace("{did: asked_price}", "{buying_stage: decision}"), "{tags: x}", "these very rules"),
    "of one another": (LEVELS.replace("{did: asked_price}", "{awareness: new}"), "{tags: x}", "these very rules"),
    "fit by a level": (
        LEVELS + "fit: [{rule: a, when: {awareness: new}, thirds: 1}]", "{tags: x}", "'awareness' is made of",
    ),
    "twice": (LEVELS + "  - {stage: decision, when: {did: paid}}\n", "{tags: x}", "stands on line"),
    "all is well": (LEVELS, "{awareness: {at_least: new}, buying_stage: decision, listed: guests}", None),
    "by the score": (LEVELS.replace("{did: asked_price}", "{score: {at_least: 9}, fit: B}"), "{tags: x}", None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_levels_that_check_refuses(name: str) -> None:
    """Levels are names of scoring.yaml, and their rules may not go round in a circle."""
    scoring, condition, expected = WRONG[name]
    files = program({"scoring.yaml": scoring}, drip=sequence("  - {id: rest, wait: 1 day}", when=condition))
    plainly = {str(p) for p in check(program(None, drip=sequence("  - {id: rest, wait: 1 day}")))}
    said = [str(problem) for problem in check(files) if str(problem) not in plainly]

    if expected is None:
        assert said == []
    else:
        assert any(expected in line for line in said), said


INTERRUPTS = {
    # what happens: the outcome, and whether it is heard of through a door
    "the objective": ("asked", "objective"),
    "unsubscribing": ("unsubscribed", "suppressed"),
    "the leave rule": ("left_us", "left"),
    "a milestone that hands it to sales": ("called", "left"),
}


#: Where a lead stands when it happens: on a wait, on a wait for an event, on a letter that waits for its window.
STANDS = {
    "wait": "  - {id: rest, wait: 30 days}\n  - {id: late, email: late.j2}",
    "until": "  - {id: rest, wait_until: {did: nothing}, at_most: 30 days, then: late, else: late}\n"
    "  - {id: late, email: late.j2}",
    "letter": "  - {id: rest, email: rest.j2}",
}


def test_what_ends_a_wait_at_once(make: Make) -> None:
    """A lead for each event and each place where it may stand: its passage is over at the very event."""
    lifecycle = (
        "milestones: {demo: {when: {did: asked}}, called: {when: {did: called}, handoff: true}}\n"
        "mql: {when: {did: never}}"
    )
    written = {
        stands: sequence(
            steps, when=f"{{tags: {stands}}}", objective="demo", send='{hours: "06:00-07:00"}',
            leave="{any: [{did: left_us}, {stage: sal}]}",
        )
        for stands, steps in STANDS.items()
    }  # fmt: skip
    cases = {f"{name} {stands}": (stands, *INTERRUPTS[name]) for name in INTERRUPTS for stands in STANDS}
    it = make(program({"lifecycle.yaml": lifecycle}, **written))
    for case, (stands, _, _) in cases.items():
        it.lead(case, phone="1", country="RO", tags=[stands])
    it.tick().at(3 * HOUR)
    stood = it.stands()
    for case, (_, event, _) in cases.items():
        it.event(case, event, settle=True)

    ended = {who: (row.sequence, row.outcome, row.ended_at) for who, row in it.passages().items()}
    assert set(stood.values()) == {"rest"}
    assert ended == {case: (stands, outcome, it.now) for case, (stands, _, outcome) in cases.items()}
    it.run(40 * DAY)
    assert not {to for to, _ in it.sent if to.endswith("@lead.example")}  # sales is told, and reminded


@pytest.mark.parametrize("name", ["the objective", "unsubscribing", "the leave rule"])
def test_the_permit_looks_again(make: Make, name: str) -> None:
    """What nobody has settled yet is seen by the transaction that allows the letter."""
    event, _ = INTERRUPTS[name]
    it = make(
        program(
            {"lifecycle.yaml": "milestones: {demo: {when: {did: asked}}}"},
            drip=sequence(
                "  - {id: hello, email: hello.j2}", when="{email: {known: true}}", objective="demo",
                leave="{did: left_us}", send='{hours: "12:00-13:00"}',
            ),
        )
    )  # fmt: skip
    it.lead("ana")
    it.tick().at(2 * HOUR)  # noon in Bucharest
    it.event("ana", event)
    it.sql("DELETE FROM work")  # as if the settler had not come to this lead yet
    it.tick()

    assert it.sent == []
    assert it.touches()["ana"][0][1] in ("cancelled", "suppressed")


def test_a_lead_that_moves_while_its_letter_waits(make: Make) -> None:
    """The window is the one of where the lead is now: east it opens sooner, though the letter was planned for later."""
    it = make(
        program(
            drip=sequence(
                "  - {id: hello, email: hello.j2}", when="{email: {known: true}}", send='{hours: "17:00-18:00"}'
            )
        )
    )
    it.lead("ana", timezone="Europe/Bucharest")
    it.lead("bob", timezone="Europe/Bucharest")
    it.tick().at(timedelta(minutes=30))
    it.lead("ana", timezone="Europe/London")
    it.run(2 * DAY)

    sent = {name: it.touch(name, "hello").sending_at - it.start for name in ("ana", "bob")}
    assert sent == {"ana": 9 * HOUR, "bob": 7 * HOUR}
