"""What an import of leads writes, leaves, refuses and says."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import SQLModel

from nurture.errors import FileFault
from nurture.records.types import from_micros
from tests.intake.importing import NOW, Imports

HEADER = (
    "E-mail Address,First Name,last_name,Company Name,Job Title,Country,Preferred Language,Time Zone,"
    "Industry,Seats,Trial,Renewal,Tags\n"
)
ANA = (
    "Ana@ACME.example,Ana,Pop,Acme,Head of  Ops,Romania,pt_br,europe/bucharest,"
    'SaaS,"1,200",yes,2027-03-01,Webinar; partner\n'
)


def test_a_row_becomes_a_lead_with_typed_fields(imports: Imports) -> None:
    """Columns are matched whatever their case, spaces and marks; values take the declared types."""
    report = imports.leads(HEADER + ANA)

    lead = imports.lead("ana@acme.example")
    assert report.created == 1
    assert tuple(
        lead[name] for name in ("first_name", "last_name", "company", "title", "country", "language", "zone")
    ) == ("Ana", "Pop", "Acme", "Head of Ops", "RO", "pt-BR", "Europe/Bucharest")
    assert lead["fields"] == {"industry": "SaaS", "seats": 1200, "trial": True, "renewal": "2027-03-01"}
    assert tuple(lead[n] for n in ("stage", "status", "created_at", "changed_at")) == (
        "lead",
        "new",
        NOW,
        NOW,
    )
    assert {
        "first_name": "ana",
        "title": "head of ops",
        "industry": "saas",
        "email": "ana@acme.example",
    }.items() <= lead["folded"].items()
    assert not {"seats", "trial"} & lead["folded"].keys()
    assert imports.rows("lead_tag", "tag") == ["partner", "webinar"]
    assert [(lead["id"], NOW)] == imports.rows("work", "lead_id", "due_at")
    assert imports.rows("consent", "purpose", "basis", "source") == [("mail", "consent", "people.csv")]


def test_the_same_file_again_changes_nothing(imports: Imports) -> None:
    """Neither leads nor the work list: nobody is looked at for it."""
    imports.leads(HEADER + ANA)
    before = imports.lead("ana@acme.example")
    imports.clear("work")

    report = imports.leads(HEADER + ANA, now=NOW.replace(year=2027))

    assert (report.created, report.changed, report.unchanged) == (0, 0, 1)
    assert before == imports.lead("ana@acme.example")
    assert (imports.count("work"), imports.count("consent")) == (0, 1)


def test_an_empty_cell_erases_nothing_and_a_new_one_completes(imports: Imports) -> None:
    imports.leads("Email,Company,Phone,Industry,Seats\nana@acme.example,Acme,,SaaS,5\n")
    imports.clear("work")

    report = imports.leads("Email,Company,Phone,Industry,Seats\nANA@acme.example,,123,,6\n")

    lead = imports.lead("ana@acme.example")
    assert report.changed == 1
    assert (
        lead["company"],
        lead["phone"],
        lead["fields"],
    ) == ("Acme", "123", {"industry": "SaaS", "seats": 6})
    assert lead["folded"]["company"] == "acme"
    assert imports.count("work") == 1


def test_a_person_twice_in_a_file_is_one_lead_with_the_later_row_on_top(imports: Imports) -> None:
    rows = "ana@acme.example,Ana,Old,a\nbo@acme.example,Bo,,\nANA@acme.example,,New,b\n"
    content = "Email,First Name,Company,Tags\n" + rows

    first, again = imports.leads(content), imports.leads(content)

    assert (first.created, first.repeated) == (2, 1)
    assert "line 4: names a person whom an earlier row names" in first.text()
    assert tuple(imports.lead("ana@acme.example")[n] for n in ("first_name", "company")) == ("Ana", "New")
    assert (again.changed, again.unchanged) == (0, 2)


def test_a_lead_without_address_is_known_by_its_source(imports: Imports) -> None:
    """Ids of two sources are two people; an address that comes later belongs to the one it is said of."""
    imports.leads("id,Company\n7,Acme\n", source="crm")
    imports.leads("id,Company\n7,Other\n", source="shop")
    report = imports.leads("id,Email,Company\n7,ana@acme.example,Acme\n", source="crm")

    assert report.changed == 1
    assert {(None, "shop", "7"), ("ana@acme.example", "crm", "7")} == {
        *imports.rows("lead", "email", "source", "source_id")
    }


def test_an_id_tied_to_an_address_in_the_same_file_is_one_person(imports: Imports) -> None:
    report = imports.leads("id,Email,Company\n7,,Early\n7,ana@acme.example,Late\n", source="crm")

    assert (report.created, report.repeated) == (1, 1)
    assert imports.lead("ana@acme.example")["company"] == "Late"


def test_an_id_of_one_lead_and_the_address_of_another_are_refused(imports: Imports) -> None:
    imports.leads("id,Email\n7,ana@acme.example\n8,bo@acme.example\n", source="crm")

    report = imports.leads("id,Email,Company\n7,bo@acme.example,X\n9,cy@acme.example,Y\n", source="crm")

    said = (
        "belongs to another lead than the e-mail address; if they are one person, 'nurture merge EMAIL crm:ID'; "
        "else correct one, or leave the id empty"
    )
    assert report.created == 1
    assert [str(refusal) for refusal in report.refused] == [f"line 2, id: {said}"]


def test_a_known_lead_keeps_its_first_id(imports: Imports) -> None:
    imports.leads("id,Email\n7,ana@acme.example\n", source="crm")

    report = imports.leads("id,Email\n70,ana@acme.example\n", source="crm")

    assert report.unchanged == 1
    assert "line 2: the lead is known under another id already and keeps it" in report.text()


def test_ids_without_a_source_are_not_used(imports: Imports) -> None:
    """Two systems may give the same number to two people."""
    report = imports.leads("LEADID,Email\n7,ana@acme.example\n")

    assert imports.rows("lead", "source_id") == [None]
    assert "1 column not used: 'LEADID'" in report.text()
    with pytest.raises(FileFault, match="known by 'LEADID' alone; say whose ids these are with --source NAME"):
        imports.leads("LEADID,Company\n7,Acme\n")


BAD_CELLS = [
    ("two addresses", "Email", "a@x.example; b@x.example", "more than one address"),
    ("an address with a comment", "Email", "a@x.example (Ana)", "is not an e-mail address"),
    ("a new line in an address", "Email", "a@x.example\r\nBcc: b@x.example", "control character"),
    ("no address at all", "Email", "", "is empty, and no other column says who this is"),
    ("money", "Seats", "$1,117.10K", "is not a number"),
    ("a decimal comma", "Seats", "1,5", "is not a number"),
    ("thousands, or three decimals", "Seats", "1.200", "'1.200' may mean 1200 or 1.2; write the one"),
    ("German millions", "Seats", "1.200.000", "is not a number; write 1200000"),
    ("infinity", "Seats", "1e999", "too large"),
    ("maybe", "Trial", "maybe", "neither yes nor no"),
    ("a date by name", "Renewal", "15 Apr, 2021", "say its form in a mapping file"),
    ("30 February", "Renewal", "2026-02-30", "not a date of the calendar"),
    ("an unknown stage", "Stage", "prospect", "is not a stage; stages are subscriber, lead, mql"),
    ("a control character", "Company", "Ac\x1bme", r"'Ac\x1bme' holds a control character"),
    ("an unknown consent", "Consent", "perhaps", "neither yes nor no"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cell", "said"), [bad[1:] for bad in BAD_CELLS], ids=[bad[0] for bad in BAD_CELLS])
def test_a_bad_cell_refuses_its_row_whole(reading: Imports, column: str, cell: str, said: str) -> None:
    """The row names the column; the rows around it are applied."""
    columns = ["Email", "First Name", *([column] if column != "Email" else [])]
    rows = [
        {"Email": "ana@acme.example"},
        {"Email": "bad@acme.example", column: cell},
        {"Email": "zoe@acme.example"},
    ]
    path = reading.folder / "people.csv"
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows({"First Name": "X", **row} for row in rows)

    report = reading.leads(path)

    assert reading.rows("lead", "email") == ["ana@acme.example", "zoe@acme.example"]
    assert [(3, column)] == [(refusal.line, refusal.column) for refusal in report.refused]
    assert said in report.refused[0].said


LENIENT = [
    ("Country", "Atlantis", "Country: 'Atlantis' is not a country", "country"),
    ("Time Zone", "Mars/Base", "Time Zone: 'Mars/Base' is not a time zone", "zone"),
    ("Language", "klingonish", "Language: 'klingonish' is not a language", "language"),
    ("Lead Owner", "David Love", "Lead Owner: 'David Love' is not the e-mail address of a salesperson", "owner"),
]


@pytest.mark.parametrize(("column", "cell", "said", "field"), LENIENT, ids=[row[0] for row in LENIENT])
def test_what_is_only_a_help_is_left_empty_with_a_note(
    reading: Imports, column: str, cell: str, said: str, field: str
) -> None:
    report = reading.leads(f"Email,{column}\nana@acme.example,{cell}\nbo@acme.example,{cell}\n")

    assert report.created == 2
    assert f"line 2 and 1 other: {said}" in report.text()
    assert reading.rows("lead", field) == [None] * 2


def test_what_no_index_can_hold_is_refused(imports: Imports) -> None:
    """An id, its source, a tag, a list of more than 200 characters; the rows around it are applied."""
    long = "x" * 201
    report = imports.leads(f"Email,Tags\na@x.example,fair\nb@x.example,{long}\n")
    assert (report.created, report.refused_count) == (1, 1)
    assert "its tag has more than 200 characters; shorten it" in report.text()
    assert imports.leads("Email\nc@x.example\n", onto=long).refused_count == 1
    assert imports.leads("Email\nc@x.example\n", source=long).refused_count == 1
    assert imports.leads("Email\nc@x.example\n", onto=long[1:], source=long[1:]).created == 1


def test_a_date_that_reads_two_ways_refuses_the_file(imports: Imports) -> None:
    """Twelve days of each month would be wrong, and nobody would see it."""
    content = "Email,Renewal\nana@acme.example,2027-03-01\nbo@acme.example,03/04/2027\n"

    with pytest.raises(FileFault, match="line 3, Renewal: '03/04/2027' may be day or month first"):
        imports.leads(content)
    report = imports.leads(content.replace("2027-03-01", "01/03/2027"), mapping='dates: "%d/%m/%Y"')

    assert report.created == 2
    assert imports.lead("bo@acme.example")["fields"]["renewal"] == "2027-04-03"


def test_a_stage_is_taken_forward_and_leaves_its_trace(imports: Imports) -> None:
    """An old export does not turn a customer into a lead; a word that is no status is not taken, and the report says so."""
    imports.leads("Email,Lifecycle Stage,Lead Status\nana@acme.example,Sales Qualified Lead,Open\n")
    report = imports.leads("Email,Stage,Status\nana@acme.example,lead,Closed\n")

    lead = imports.lead("ana@acme.example")
    assert (lead["stage"], lead["status"]) == ("sql", "open")
    assert "its stage was not taken: the lead has come further, to sql" in report.text()
    assert "Status: 'Closed' is not a status; statuses are new, open" in report.text()
    assert "(statuses: of lifecycle.yaml); left as it is" in report.text()
    imports.leads("Email,Stage,Status\nana@acme.example,customer,Bad Timing\n")
    again = imports.leads("Email,Stage,Status\nana@acme.example,customer,Bad Timing\n")

    lead = imports.lead("ana@acme.example")
    assert (lead["stage"], lead["status"], again.unchanged) == ("customer", "bad_timing", 1)
    assert imports.rows("stage_transition", "from_stage", "to_stage", "author") == [
        ("sql", "customer", "import"), ("visitor", "sql", "import"),
    ]  # fmt: skip
    assert imports.rows("status_change", "from_status", "to_status", "author") == [
        ("new", "open", "import"), ("open", "bad_timing", "import"),
    ]  # fmt: skip


def test_leads_that_somebody_else_creates_meanwhile_are_completed(imports: Imports, monkeypatch: Any) -> None:
    """A form may bring the same person between our look and our insert: one lead, both facts."""
    from nurture.intake import newborn, people

    original = newborn.insert
    done: list[bool] = []

    def interrupted(link: Any, *rest: Any) -> set[int]:
        if not done:
            done.append(True)
            lead = SQLModel.metadata.tables["lead"]
            other = {"draw": 1, "email": "ana@acme.example", "phone": "123", "fields": {}, "folded": {}}
            born = {"stage": "lead", "status": "new", "fit_points": 0, "created_at": NOW, "changed_at": NOW}
            link.execute(lead.insert(), [other | born])
        return original(link, *rest)

    monkeypatch.setattr(people, "insert", interrupted)

    report = imports.leads("Email,Company\nana@acme.example,Acme\nbo@acme.example,Acme\n")

    lead = imports.lead("ana@acme.example")
    assert (report.created, report.changed) == (1, 1)
    assert (lead["phone"], lead["company"]) == ("123", "Acme")


def test_a_lead_due_earlier_stays_due_earlier(imports: Imports) -> None:
    imports.leads("Email\nana@acme.example\n")
    work = SQLModel.metadata.tables["work"]
    earlier = from_micros(0)
    imports.db.transact(lambda link: link.execute(update(work).values(due_at=earlier)))

    imports.leads("Email,Company\nana@acme.example,Acme\n")

    assert [earlier] == imports.rows("work", "due_at")
