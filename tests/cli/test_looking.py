"""What is said to somebody who looks: nothing hidden, nothing broken in the middle of a word."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import LEADS, Desk

NOON = "2026-03-02T10:00:00Z"


def asked_for_a_demo(desk: Desk) -> None:
    """Two requests for sales, one of them of somebody whom the gate refuses."""
    desk.write("leads.csv", LEADS + "cyn@campus.example,Cyn,saas,3,yes\n")
    desk.write(
        "templates/lifecycle.yaml",
        """\
milestones:
  demo_requested: {when: {did: demo_requested}, handoff: true}
gate:
  - {reason: student, refuse: {first_name: Cyn}}
""",
    )
    assert desk.nurture("publish").code == 0
    assert desk.nurture("import", "leads", "leads.csv").code == 0
    told = "".join(f"{who},demo_requested,2026-03-02T07:00:00Z\n" for who in ("ana@acme.example", "cyn@campus.example"))
    desk.write("asked.csv", f"email,event,occurred_at\n{told}")
    assert desk.nurture("import", "events", "asked.csv").code == 0
    assert desk.nurture("tick", "--now", NOON).code == 0


def test_the_report_has_what_sales_said(desk: Desk) -> None:
    """By milestone: handed over, given back with the reason, waiting and overdue; and what the gate refused."""
    asked_for_a_demo(desk)
    desk.now = datetime(2026, 3, 9, tzinfo=UTC)
    (waiting,) = json.loads(desk.nurture("report", "--json").out)["handoffs"]
    assert (waiting["handed over"], waiting["waiting"], waiting["overdue"]) == (1, 1, 1)
    assert "overdue" in desk.nurture("handoffs").out

    assert desk.nurture("reject", "1", "--reason", "premature").code == 0

    report = json.loads(desk.nurture("report", "--json").out)
    (row,) = report["handoffs"]
    assert (row["milestone"], row["given back"], row["waiting"], row["overdue"]) == (
        "demo_requested",
        {"premature": 1},
        0,
        0,
    )
    assert report["refused"] == [{"reason": "student", "times": 1}]
    text = desk.nurture("report").out
    assert "premature 1" in text
    assert "Refused at the gate, by reason: student 1." in text


def test_hand_offs_fit_a_narrow_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner without the domain, the deadline on the owner's clock, no word broken."""
    asked_for_a_demo(desk)
    monkeypatch.setenv("COLUMNS", "60")

    lines = desk.nurture("handoffs").out.splitlines()

    (row,) = [line for line in lines if "Ana" in line]
    assert "demo requested" in row
    assert " mihai " in row
    assert "03 Mar 11:00\N{NO-BREAK SPACE}EET" in row
    assert max(map(len, lines)) <= 60


def test_a_rejection_needs_its_reason(desk: Desk) -> None:
    """Who leaves it out is told the four there are."""
    told = desk.nurture("reject", "31")

    assert told.code == 2
    assert "inaccurate_data, not_persona, premature, duplicate" in told.err


def test_a_hold_is_seen(desk: Desk) -> None:
    """Cohorts, ticks and the lead's own story say what is on hold, since when, and what waits for it."""
    desk.open_for_business()
    assert desk.nurture("pause", "evaluators").code == 0
    held = "Paused: segment evaluators, since 2026-03-02 07:05Z"

    assert held in desk.nurture("tick", "--now", NOON).out
    again = desk.nurture("tick", "--now", NOON).out
    assert held in again
    assert "2 touches wait for the end of a pause or stop." in again
    assert held in desk.nurture("cohorts", "evaluators").out
    desk.now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert held in desk.nurture("explain", "ana@acme.example").out


def test_explain_speaks_of_consent(desk: Desk) -> None:
    """What we may do, and on what basis, and what became of it; why a lead left, by the rule's words."""
    written = (desk.folder / "templates/evaluators/sequence.yaml").read_text()
    desk.write("templates/evaluators/sequence.yaml", written.replace("steps:", "leave: segment_left\nsteps:"))
    desk.open_for_business()
    desk.nurture("tick", "--now", NOON)
    before = desk.nurture("explain", "ana@acme.example").out
    assert "Mail: consent, given 2026-03-02" in before
    assert "Tracking: no basis was ever given" in before
    assert "Not on the suppression list" in before

    desk.write("moved.csv", LEADS.replace("Ana,saas", "Ana,farming"))
    desk.now = datetime(2026, 3, 3, tzinfo=UTC)
    assert desk.nurture("import", "leads", "moved.csv").code == 0
    desk.nurture("tick")
    desk.nurture("unsubscribe", "ana@acme.example")
    after = desk.nurture("explain", "ana@acme.example").out
    assert "Mail: none, withdrawn 2026-03-03 00:00Z by command line (consent, given" in after
    assert "the leave rule held: no longer belongs to the segment" in after
