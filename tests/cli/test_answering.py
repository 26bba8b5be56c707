"""What sales says at a terminal: from the hand-off to the deal, and what the lists and the report make of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import Desk
from tests.cli.test_looking import asked_for_a_demo

SAID = [
    (["accept", "1", "--note", "Called back at once"], 0, "Hand-off 1 is accepted by mihai@brightdesk.example."),
    (
        ["accept", "1"],
        1,
        "hand-off 1 is accepted by mihai@brightdesk.example on 2026-03-02 10:00Z; nothing was changed",
    ),
    (["met", "1", "--by", "lena@brightdesk.example"], 0, "Hand-off 1 is met by lena@brightdesk.example."),
    (["reject", "1", "--reason", "premature"], 1, "too late to reject it; say that it is lost, or recycled"),
    (["opportunity", "1", "--value", "9000", "--currency", "eur"], 0, "Hand-off 1 is an opportunity"),
    (["recycle", "1", "--until", "June"], 1, "'June' is not a day"),
    (["accept", "9" * 20], 2, f"'{'9' * 20}' is no number of a hand-off"),
    (["explain", "9" * 20], 1, "names no lead"),
    (["won", "1", "--value", "12000.50", "--currency", "EUR"], 0, "Hand-off 1 is won by mihai@brightdesk.example."),
    (["recycle", "1"], 1, "which ends it"),
]


def test_from_the_hand_off_to_the_deal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is one command; the list and the report show what came of it, on 100 columns."""
    asked_for_a_demo(desk)
    desk.now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    for words, code, said in SAID:
        told = desk.nurture(*words)
        assert (told.code, said in told.out + told.err) == (code, True), (words, told)
    monkeypatch.setenv("COLUMNS", "100")
    listed, report = desk.nurture("handoffs", "--all").out, desk.nurture("report", "handoffs").out

    assert "won" in listed
    assert "EUR\N{NO-BREAK SPACE}12,000.50" in listed
    assert max(map(len, (listed + report).splitlines())) <= 100
    (row,) = json.loads(desk.nurture("report", "handoffs", "--json").out)["owners"]
    expected = {
        "who": "mihai@brightdesk.example", "handed over": 1, "answered": 1, "in time": 1, "accepted share": 1.0,
        "median hours": 0.0, "met": 1, "sql": 1, "opportunity": 1, "won": 1, "lost": 0, "expired": 0,
        "value": {"EUR": 12000.5},
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected


def test_the_report_counts_rejections_by_reason(desk: Desk) -> None:
    asked_for_a_demo(desk)
    assert "Nobody" not in desk.nurture("report", "handoffs").out
    desk.now = datetime(2026, 3, 4, 10, tzinfo=UTC)
    assert desk.nurture("reject", "1", "--reason", "premature", "--until", "2026-05-01").code == 0

    report = desk.nurture("report", "handoffs")
    (row,) = json.loads(desk.nurture("report", "handoffs", "--json").out)["owners"]

    assert "Given back" in report.out
    assert (row["rejected"], row["late"], row["accepted share"], row["median hours"]) == (
        {"premature": 1},
        1,
        0.0,
        18.0,
    )
