"""`stage`, `status`, `account`: a person's word about a lead, checked by the machines, and what follows from it."""

from __future__ import annotations

import json

from tests.cli.conftest import Desk

FORMS = """\
forms:
  news: {event: newsletter_joined, stage: subscriber, title: Our news, hidden: {status: opened}}
"""
RULES = """\
lead: {when: {status: conected}}
"""


def test_by_hand_with_cause_and_author(desk: Desk) -> None:
    """Each is done once, refused with the reason and exit code 1, and told by explain."""
    desk.open_for_business()
    said = desk.nurture("stage", "ana@acme.example", "mql", "--because", "met at the fair", "--by", "mihai@b.example")
    assert (said.code, said.out) == (0, "ana@acme.example was lead and is mql now.\n")
    assert desk.nurture("stage", "ana@acme.example", "mql").out.endswith("is mql already; nothing was changed.\n")
    said = desk.nurture("stage", "ana@acme.example", "opportunity")
    ways = "lead, sal, recycled, disqualified, customer"
    assert (said.code, said.out) == (1, "")
    assert f"an mql does not become an opportunity; from mql the ways lead to {ways}" in said.err
    assert "there is no stage 'boss'" in desk.nurture("stage", "ana@acme.example", "boss").err

    assert desk.nurture("status", "ben@acme.example", "Bad Timing", "--by", "mihai@b.example").code == 0
    assert desk.nurture("status", "ben@acme.example", "bad_timing").out.endswith("already; nothing was changed.\n")
    said = desk.nurture("status", "ben@acme.example", "conected")
    assert said.code == 1
    assert "there is no status 'conected'; did you mean 'connected'?" in said.err
    assert desk.nurture("stage", "nobody@acme.example", "mql").code == 1

    assert desk.rows("SELECT from_stage, to_stage, cause, author FROM stage_transition") == [
        ("lead", "mql", "met at the fair", "mihai@b.example")
    ]
    assert desk.rows("SELECT from_status, to_status, cause, author FROM status_change") == [
        ("new", "bad_timing", "by hand", "mihai@b.example")
    ]
    assert "met at the fair (by mihai@b.example)" in desk.nurture("explain", "ana@acme.example").out.replace("\n", " ")
    assert desk.nurture("verify").code == 0
    assert desk.nurture("tick").code == 0
    assert desk.nurture("stage", "ana@acme.example", "disqualified", "--because", "a rival").code == 0
    outcomes = "SELECT e.outcome FROM enrolment e JOIN lead l ON l.id = e.lead_id WHERE l.email = 'ana@acme.example'"
    assert desk.rows(outcomes) == [("disqualified",)]  # settled at once: what was planned is called off
    _account(desk)


def _account(desk: Desk) -> None:
    """Leads, score and owner of an account, by key or by a lead; JSON says the same."""
    said = desk.nurture("account", "ana@acme.example")
    assert said.code == 0
    assert said.out.startswith("acme.example\nOwner: nobody yet\nScore: 0\n")
    assert "ben@acme.example" in said.out

    assert desk.nurture("account", "acme.example", "--owner", "omar@b.example").code == 1
    given = desk.nurture("account", "acme.example", "--owner", "mihai@brightdesk.example", "--by", "lena", "--json")
    told = json.loads(given.out)
    assert (told["key"], told["owner"], told["cause"]) == ("acme.example", "mihai@brightdesk.example", "given by lena")
    assert [lead["who"] for lead in told["leads"]] == ["ana@acme.example", "ben@acme.example"]
    assert desk.nurture("account", "nobody.example").code == 1


def test_check_knows_statuses_and_domains(desk: Desk) -> None:
    """Wherever a status may stand it must be one of lifecycle.yaml; a domain is no address, and of a known kind."""
    program = (desk.folder / "templates/program.yaml").read_text()
    desk.write("templates/program.yaml", program + FORMS)
    lifecycle = (desk.folder / "templates/lifecycle.yaml").read_text()
    gate = "  - {reason: rival, refuse: {any: [{domain: '@rival.example'}, {domain_kind: freemail}]}}\n"
    desk.write("templates/lifecycle.yaml", lifecycle + gate + RULES)
    sequence = (desk.folder / "templates/evaluators/sequence.yaml").read_text()
    desk.write("templates/evaluators/sequence.yaml", sequence + "  - {id: mark, update: {status: Connected}}\n")

    told = desk.nurture("check").out
    for place, what in {
        "program.yaml:10:": "there is no status 'opened'; did you mean 'open'?",
        "lifecycle.yaml:5:": "there is no kind of domain 'freemail'",
        "lifecycle.yaml:6:": "there is no status 'conected'; did you mean 'connected'?",
        "evaluators/sequence.yaml:9:": "there is no status 'Connected'",
    }.items():
        assert any(place in line and what in line for line in told.splitlines()), (place, what, told)
    assert "'@rival.example' is not a domain; write rival.example" in told
