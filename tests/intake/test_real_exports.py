"""Exports of real systems, as they came: X Education, Zoho, Marketo, HubSpot, and a folder of encodings."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from nurture.errors import FileFault
from nurture.intake.reader import Table
from tests.intake.importing import MAPPINGS, Imports, needs_shared_data, shared_data

pytestmark = needs_shared_data


def test_x_education_people_without_addresses(imports: Imports) -> None:
    """Known by their id alone; `Select` is no answer; rows that are equal but for the id stay apart."""
    path, mapping = shared_data() / "xeducation" / "leads_dev70.csv", MAPPINGS / "xeducation.yaml"

    report = imports.leads(path, mapping=mapping, consent=None)
    again = imports.leads(path, mapping=mapping, consent=None)

    assert (report.rows, report.created, report.refused_count) == (6468, 6468, 0)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 6468)
    assert {"xeducation"} == set(imports.rows("lead", "source"))
    assert not any("Select" in map(str, fields.values()) for fields in imports.rows("lead", "fields"))
    folded = Counter(fields.get("lead_source") for fields in imports.rows("lead", "folded"))
    assert "Google" not in folded
    assert folded["google"] > 2000
    assert "line 4208 and 3 others: Country: 'unknown' is not a country" in report.text()


def test_zoho_leads_with_their_dates(imports: Imports) -> None:
    path, mapping = shared_data() / "zoho_demo_crm" / "Leads.csv", MAPPINGS / "zoho_leads.yaml"

    with pytest.raises(FileFault, match="nothing says that they may be written to"):
        imports.leads(path, mapping=mapping, consent=None)
    report = imports.leads(path, mapping=mapping, consent="legitimate_interest")
    again = imports.leads(path, mapping=mapping, consent="legitimate_interest")

    assert (report.created, again.unchanged) == (3900, 3900)
    assert imports.lead("garyldenson@cuvox.de")["fields"] == {
        "lead_source": "Employee Referral",
        "industry": "Education",
        "created": "2021-04-15",
    }


MARKETO = [
    ("click_email", "marketo_click.yaml", "email_clicked"),
    ("open_email", "marketo_open.yaml", "email_opened"),
    ("unsubscribe_email", "marketo_unsubscribe.yaml", "unsubscribed"),
]


@pytest.mark.parametrize(("activity", "mapping", "name"), MARKETO, ids=[row[0] for row in MARKETO])
def test_marketo_activities_find_the_leads_by_id(imports: Imports, activity: str, mapping: str, name: str) -> None:
    """The export's leads are others than its activities': those that the activities name are made up here."""
    path = shared_data() / "vendor_exports" / "marketo" / f"marketo_activity_{activity}_data.csv"
    rows = _read(path)
    people = "id,email\n" + "".join(f"{i},p{i}@acme.example\n" for i in sorted({row["lead_id"] for row in rows}))
    imports.leads(people, mapping=MAPPINGS / "marketo_leads.yaml")

    report = imports.events(path, mapping=MAPPINGS / mapping)
    again = imports.events(path, mapping=MAPPINGS / mapping)

    distinct = len({row["id"] for row in rows})
    assert (len(rows), distinct, 0) == (report.rows, report.created, report.refused_count)
    assert (0, len(rows)) == (again.created, again.unchanged)
    assert {name} == set(imports.rows("event", "name"))
    assert (name == "unsubscribed") == (imports.count("suppression") > 0)


def test_marketo_leads(imports: Imports) -> None:
    path = shared_data() / "vendor_exports" / "marketo" / "marketo_lead_data.csv"

    report = imports.leads(path, mapping=MAPPINGS / "marketo_leads.yaml", consent="none")

    assert (report.created, imports.lead("first_last_001@email.com")["first_name"]) == (100, "first_001")


def test_hubspot_contacts_events_and_forms(imports: Imports) -> None:
    """Its publisher hashed the addresses: contacts are known by id, recipients by hash."""
    folder = shared_data() / "vendor_exports" / "hubspot"
    contacts = imports.leads(folder / "contact_data.csv", mapping=MAPPINGS / "hubspot_contacts.yaml")
    recipients = {row["recipient"] for row in _read(folder / "email_event_data.csv")}
    imports.leads("id\n" + "\n".join([*sorted(recipients), "001", "002"]) + "\n", source="hubspot")

    events = imports.events(folder / "email_event_data.csv", mapping=MAPPINGS / "hubspot_email_events.yaml")
    forms = imports.events(
        folder / "contact_form_submission_data.csv", mapping=MAPPINGS / "hubspot_forms.yaml",
        refused_to=imports.folder / "refused.csv",
    )  # fmt: skip

    assert (contacts.created, contacts.refused_count) == (22, 0)
    assert (events.created, events.passed_over, events.refused_count) == (90, 10, 0)
    assert (forms.created, forms.refused_count) == (2, 3)


def test_a_folder_of_encodings(reading: Imports) -> None:
    """Unicode is read; everything of one byte is asked for, and read when it is said."""
    folder = shared_data() / "encodings"
    said = {
        "latin1_semicolon_german_quotes.csv": "cp1252",
        "latin1_spanish.csv": "cp1252",
        "tis620_thai.csv": "tis-620",
    }
    for name, encoding in said.items():
        with pytest.raises(FileFault, match="is not UTF-8, and a file cannot say what else it is"):
            Table(folder / name, None, "leads")
        assert "Ã" not in "".join(record.text for record in Table(folder / name, encoding, "leads").records())
    forms = {path.name: Table(path, said.get(path.name), "leads") for path in sorted(folder.iterdir())}

    assert forms["utf16le_bom_nhs.csv"].form == "UTF-16, comma"
    assert forms["pipe_separated.psv"].form == "UTF-8, pipe"
    assert "กาญจนบุรี" in next(forms["tis620_thai.csv"].records()).text
    assert next(forms["latin1_semicolon_german_quotes.csv"].records()).row[2] == 'Ministerium "Pestalozzi"'
    assert len([*forms["latin1_spanish.csv"].records()]) == 115


def test_cells_that_begin_with_spaces(reading: Imports) -> None:
    report = reading.leads(shared_data() / "import_fixtures" / "mautic_10contacts_leading_spaces.csv")

    assert report.created == 10
    assert {"CH", "SE", "DE", "IN", "RU", "JP"} <= set(reading.rows("lead", "country"))


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
