"""`nurture crm …`, and what tick and doctor say of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Desk
from tests.crm.hubspot import TOKEN, HubSpot
from tests.crm.peer import Fault

LEADS = "email,first_name,stage,owner,consent\nana@acme.example,Ana,mql,mihai@brightdesk.example,yes\n"
LIFECYCLE = "milestones: {demo_requested: {when: {did: demo_requested}, handoff: true}}\n"


@pytest.fixture
def house(desk: Desk, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch, migrated_sqlite: Path) -> Desk:
    """Published, with one lead at MQL."""
    crm = f"crm: {{kind: hubspot, url: '{hubspot.url}', owns: {{nurture: [first_name], crm: [owner, phone]}}}}\n"
    desk.write("templates/program.yaml", PROGRAM + crm)
    desk.write("templates/lifecycle.yaml", LIFECYCLE)
    monkeypatch.setenv("NURTURE_CRM_TOKEN", TOKEN)
    file = desk.folder / ".nurture" / "nurture.db"
    file.parent.mkdir()
    shutil.copyfile(migrated_sqlite, file)
    desk.write("leads.csv", LEADS)
    assert desk.nurture("publish").code == 0
    assert desk.nurture("import", "leads", "leads.csv").code == 0
    hubspot.now = desk.now
    return desk


def test_push_pull_and_status(house: Desk, hubspot: HubSpot) -> None:
    """A dry run tells nobody; what was told is told once; who is forgotten is no longer
    known, and the record is named that is left there."""
    assert house.nurture("crm", "push", "--dry-run").out == "1 lead looked at, 1 would be told.\n"
    assert hubspot.contacts == {}
    assert house.nurture("crm", "push").out == "1 lead looked at, 1 told.\n"
    assert json.loads(house.nurture("crm", "push", "--json").out) == {
        "looked at": 1,
        "told": 0,
        "left": 0,
        "refused": {},
    }
    (number,) = hubspot.contacts
    hubspot.change(number, phone="+40 721 000 111", hubspot_owner_id="72")
    pulled = house.nurture("crm", "pull")
    assert pulled.out == "1 lead changed by the CRM.\n1 lead: its owner is none of sales; add them to program.yaml.\n"
    assert house.rows("SELECT phone FROM lead") == [("+40 721 000 111",)]
    assert house.nurture("crm", "pull").out == "1 lead: its owner is none of sales; add them to program.yaml.\n"
    found = json.loads(house.nurture("crm", "--json").out)
    assert (found["kind"], found["linked"], found["refused"]) == ("hubspot", 1, {})
    assert [one["what"] for one in found["rounds"]] == ["heard: contacts", "heard: deals", "told"]
    assert house.nurture("crm", "pull", "--since", "2026-03-01T00:00Z").code == 0
    forgotten = house.nurture("forget", "ana@acme.example", "--yes")
    assert f"CRM, its record {number}" in forgotten.out
    assert house.rows("SELECT * FROM crm_link") == []
    assert house.nurture("crm", "push", "--all").out == "0 leads looked at, 0 told.\n"


def test_a_crm_that_is_down_delays_nothing_else(house: Desk, hubspot: HubSpot) -> None:
    """The tick goes on and ends well; status and doctor say why the CRM waits, and until when."""
    hubspot.faults = [Fault(429, {"policyName": "DAILY"})]
    ticked = house.nurture("tick")
    assert ticked.code == 0
    assert "The CRM waits: HubSpot wants to be left alone (429)." in ticked.out
    assert "ana" not in ticked.out + ticked.err
    why = "HubSpot wants to be left alone (429)"
    assert why in house.nurture("crm", "status").out
    checks = {one["name"]: one for one in json.loads(house.nurture("doctor", "--json").out)}
    assert checks["CRM"]["verdict"] == "wrong"
    assert checks["CRM"]["said"].startswith(f"{why}; tried 1 times, the next time at 2026-03-02 08:05Z")
    pulled = house.nurture("crm", "pull")
    assert pulled.code == 0
    ticked = house.nurture("tick")
    assert "1 lead told to the CRM." in ticked.out
    hubspot.faults = [Fault(500)]
    pulled = house.nurture("crm", "pull")
    assert (pulled.code, pulled.err) == (1, "HubSpot wants to be left alone (500)\n")


def test_check_asks_the_crm_itself(house: Desk, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it lets us in, and has every field; nothing is told."""
    assert house.nurture("crm", "check").code == 0
    del hubspot.properties["phone"]
    hubspot.properties["nurture_id"]["hasUniqueValue"] = False
    said = house.nurture("crm", "check")
    assert said.code == 1
    assert said.err.splitlines() == [
        "contacts have no property 'phone'; make it, or give 'fields:' its name",
        "the property 'nurture_id' is not unique; make it anew with unique values",
    ]
    monkeypatch.setenv("NURTURE_CRM_TOKEN", "another")
    assert "refuses our token" in house.nurture("crm", "check").err
    monkeypatch.delenv("NURTURE_CRM_TOKEN")
    assert "NURTURE_CRM_TOKEN" in house.nurture("crm", "check").err
    assert "The CRM waits: 'crm:' of program.yaml is hubspot" in house.nurture("tick").out
    assert "NURTURE_CRM_TOKEN" in str(house.rows("SELECT last_error FROM crm_state"))
    assert hubspot.contacts == {}


def test_changes_are_found_by_their_index(migrated_sqlite: Path) -> None:
    """However many leads there are, those that sales has not had are not looked at."""
    from datetime import UTC, datetime

    from sqlalchemy.dialects import sqlite

    from nurture.crm.telling import _changed
    from nurture.program.crm import Crm, Owns

    crm = Crm(kind="hubspot", owns=Owns(nurture=["title", "score"]))  # a score may have changed by what was done
    at = datetime(2026, 3, 2, tzinfo=UTC)
    statement = _changed(crm, at, at).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with sqlite3.connect(migrated_sqlite) as link:
        plan = " ".join(row[3] for row in link.execute(f"EXPLAIN QUERY PLAN {statement}"))
    assert "ix_lead_tellable" in plan
    assert "ix_event_occurred" in plan
    assert "SCAN lead" not in plan
    assert "SCAN event" not in plan
