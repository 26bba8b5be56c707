"""`nurture object`, and what `explain` says of consents and objections."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.cli.conftest import Desk

WHO = "ana@acme.example"


def test_an_objection_is_noted_once_explained_and_taken_back(desk: Desk) -> None:
    desk.open_for_business()
    desk.nurture("tick")
    assert "inside then" not in desk.nurture("explain", WHO).out
    first, again = desk.nurture("object", WHO), desk.nurture("object", WHO)
    assert [(said.code, said.out) for said in (first, again)] == [
        (0, f"{WHO} objects to profiling.\n"),
        (0, f"{WHO} objected to profiling already.\n"),
    ]
    said = desk.nurture("explain", WHO).out
    assert "Score unknown: the lead objects to profiling, so none is made" in said
    assert "Objects to profiling since 2026-03-02 07:05Z (command line): no marketing, no score, no audience" in said
    assert "fit not known yet" in said
    assert "Mail: none, objected to profiling 2026-03-02 07:05Z (consent, given 2026-03-02 07:05Z (leads.csv))" in said
    assert ": objected" in said
    refused = desk.nurture("enrol", "evaluators", WHO)
    assert (refused.code, "it objects to profiling, which keeps it out of every sequence" in refused.err) == (1, True)
    back, twice = desk.nurture("object", WHO, "--take-back"), desk.nurture("object", WHO, "--take-back")
    assert (back.code, twice.code) == (0, 1)
    assert "Score 0 on" in desk.nurture("explain", WHO).out


def test_an_objection_to_sharing_leaves_mail_and_score(desk: Desk) -> None:
    desk.open_for_business()
    assert desk.nurture("object", WHO, "--kind", "sharing").code == 0
    said = desk.nurture("explain", WHO).out
    assert "Objects to sharing since 2026-03-02 07:05Z (command line): no audience" in said
    assert "Mail: consent, given 2026-03-02 07:05Z (leads.csv)" in said
    assert "Score 0 on" in said


def test_explain_tells_what_a_file_told_of_a_consent(desk: Desk) -> None:
    desk.open_for_business()
    desk.write(
        "more.csv",
        "email,consent,consent at,consent source,consent text,consent expires\n"
        "kim@acme.example,yes,2026-01-05T10:00:00Z,Trade fair,Terms of May,2028-01-05T10:00:00Z\n",
    )
    assert desk.nurture("import", "leads", "more.csv").code == 0
    given = "consent, given 2026-01-05 10:00Z (Trade fair), text “Terms of May”"
    assert f"Mail: {given}, until 2028-01-05" in desk.nurture("explain", "kim@acme.example").out
    desk.now = datetime(2026, 3, 3, 7, 5, tzinfo=UTC)
    desk.write("more.csv", "email,consent\nkim@acme.example,no\n")
    assert desk.nurture("import", "leads", "more.csv").code == 0
    none = f"Mail: none, withdrawn 2026-03-03 07:05Z by more.csv ({given})"
    assert none in desk.nurture("explain", "kim@acme.example").out
