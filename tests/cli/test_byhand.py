"""Leads in and out of a sequence by hand, what explain says of it, and of those for whom nothing is left."""

from __future__ import annotations

import getpass

import pytest

from tests.cli.conftest import SEQUENCE, Desk

OFFERS = """\
offers:
  - {key: guide, title: Guide, stage: awareness, topics: [saas], url: "https://brightdesk.example/guide"}
"""
OFFERING = SEQUENCE.replace(
    "  - {id: bye, email: bye.j2}", "  - {id: piece, offer: {topic: {field: industry}}}\n  - {id: bye, email: bye.j2}"
)


def test_a_lead_goes_in_and_out_by_hand(desk: Desk) -> None:
    """The rule is skipped; who did it stands in the audit; the passage ends as unenrolled."""
    desk.open_for_business()
    desk.write("more.csv", "email,first_name,industry,consent\nzoe@acme.example,Zoe,saas,yes\n")
    desk.nurture("import", "leads", "more.csv")
    entered = desk.nurture("enrol", "evaluators", "zoe@acme.example", "--by", "Lena")
    desk.nurture("tick")
    inside = desk.nurture("explain", "zoe@acme.example").out
    left = desk.nurture("unenrol", "evaluators", "zoe@acme.example")
    outside = desk.nurture("explain", "zoe@acme.example").out

    assert (entered.code, entered.out) == (
        0,
        "zoe@acme.example is in 'evaluators' from now on; the next tick carries it on.\n",
    )
    assert "email evaluators/welcome: sent" in inside
    assert (left.code, left.out) == (0, "zoe@acme.example is out of 'evaluators'.\n")
    assert ": unenrolled" in outside


REFUSED = {
    "twice": (["enrol"], "it is inside already, and nobody is in one sequence twice at once"),
    "suppressed": (["unsubscribe"], "it is on the suppression list, which is stronger than everything"),
    "asked for a demo": (["demo"], "it has reached the objective already"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hand_is_not_stronger_than(desk: Desk, name: str) -> None:
    """The suppression list, an objective that is reached, and being inside already."""
    before, reason = REFUSED[name]
    desk.open_for_business()
    desk.write("more.csv", "email,first_name,industry,consent\nzoe@acme.example,Zoe,saas,yes\n")
    desk.nurture("import", "leads", "more.csv")
    if before == ["enrol"]:
        desk.nurture("enrol", "evaluators", "zoe@acme.example")
    elif before == ["unsubscribe"]:
        desk.nurture("unsubscribe", "zoe@acme.example")
    else:
        desk.write("more.csv", "email,event,occurred_at\nzoe@acme.example,demo_requested,2026-03-02T07:00:00Z\n")
        desk.nurture("import", "events", "more.csv")
        desk.nurture("tick")
    told = desk.nurture("enrol", "evaluators", "zoe@acme.example")

    assert (told.code, told.out) == (1, "")
    assert told.err == f"zoe@acme.example is not enrolled in 'evaluators': {reason}\n"


def test_who_is_not_inside_cannot_be_taken_out(desk: Desk) -> None:
    desk.open_for_business()
    told = desk.nurture("unenrol", "evaluators", "ana@acme.example")

    assert (told.code, "is not inside 'evaluators'" in told.err) == (1, True)


def test_the_audit_names_who_did_it(desk: Desk) -> None:
    """Without `--by` whoever is logged in."""
    desk.open_for_business()
    desk.nurture("enrol", "evaluators", "ana@acme.example")
    assert desk.rows("SELECT act, by, detail FROM audit WHERE act = 'enrolled'") == [
        ("enrolled", getpass.getuser(), '{"sequence": "evaluators"}')
    ]


def test_an_exhausted_library_shows_and_new_content_wakes(desk: Desk) -> None:
    """Marketer and operator see who idles; another field, or a new piece, carries them on."""
    desk.write("templates/offers.yaml", OFFERS)
    desk.write("templates/evaluators/sequence.yaml", OFFERING.replace("  - {id: settle, wait: 2 days}\n", ""))
    desk.open_for_business()
    desk.write("more.csv", "email,industry\nben@acme.example,saas\n")
    desk.write("templates/offers.yaml", OFFERS.replace("[saas]", "[retail]"))
    desk.nurture("publish")
    desk.nurture("tick")
    cohorts, told = desk.nurture("cohorts", "evaluators").out, desk.nurture("explain", "ana@acme.example").out
    desk.write("templates/offers.yaml", OFFERS)
    desk.nurture("publish")
    desk.nurture("tick")
    after = desk.nurture("explain", "ana@acme.example").out

    assert "exhausted" in cohorts
    assert "exhausted, the library has nothing left for it; it waits until content is added" in told
    assert "offer evaluators/piece: sent" in after
