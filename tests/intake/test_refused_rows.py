"""Refused rows go to a file that can be mended and imported again; the report says it all."""

from __future__ import annotations

from typing import Any

import pytest

from nurture.errors import FileFault
from tests.intake.importing import Imports

CONTENT = 'Email;Company;Seats\nana@acme.example;"Acme; Inc";5\nbroken;"Say ""hi""";6\nbo@acme.example;Bo;many\nx;y\n'


def test_they_are_written_beside_the_file_each_with_its_problem(imports: Imports) -> None:
    report = imports.leads(CONTENT)

    assert imports.folder / "people.refused.csv" == report.refused_file
    assert report.refused_file.read_text("utf-8-sig").splitlines() == [
        "problem;Email;Company;Seats",
        'Email: \'broken\' is not an e-mail address: An email address must have an @-sign.;broken;"Say ""hi""";6',
        "\"Seats: 'many' is not a number; write 1234 or 1,234.50\";bo@acme.example;Bo;many",
        "has 2 cells where the header has 3;x;y",
    ]


def test_mended_they_are_imported_as_if_they_had_been_right(imports: Imports) -> None:
    refused = imports.leads(CONTENT).refused_file
    assert refused is not None
    mended = refused.read_text().replace(";broken;", ";cy@acme.example;").replace(";many", ";7")
    refused.write_text(mended)

    report = imports.leads(refused)

    assert (report.created, report.refused_count) == (2, 1)
    assert imports.folder / "people.refused-2.csv" == report.refused_file
    assert imports.lead("cy@acme.example")["company"] == 'Say "hi"'
    assert imports.lead("bo@acme.example")["fields"]["seats"] == 7
    assert report.refused_file.read_text().count("problem") == 1


def test_rows_of_another_encoding_come_back_by_the_same_command(imports: Imports) -> None:
    """The file says itself that it is UTF-8: --encoding cp1252 again does not spoil its letters."""
    content = "Email,Company\nbroken,Käse\n".encode("cp1252")
    refused = imports.leads(content, encoding="cp1252").refused_file
    assert refused is not None
    refused.write_bytes(refused.read_bytes().replace(b",broken,", b",ana@acme.example,"))

    report = imports.leads(refused, encoding="cp1252")

    assert imports.lead("ana@acme.example")["company"] == "Käse"
    assert "UTF-8, so it was read as that and not as cp1252" in report.text()


def test_reasons_are_told_once_however_the_cells_differ(reading: Imports) -> None:
    report = reading.leads("Email,Seats\na@acme.example,many\nb@acme.example,few\n")

    assert "lines 2, 3, Seats: 'many' (or the like) is not a number" in report.text()
    assert [refusal.value for refusal in report.refused] == ["'many'", "'few'"]


def test_json_rows_stay_json(imports: Imports) -> None:
    report = imports.leads('{"email": "a@b.example"}\n{"email": "x", "n": {"a": 1}}\n', name="p.ndjson")

    assert report.refused_file is not None
    assert report.refused_file.read_text().endswith('"email": "x", "n": {"a": 1}}\n')
    assert imports.folder / "p.refused.ndjson" == report.refused_file


def test_none_refused_no_file(imports: Imports) -> None:
    report = imports.leads("Email\nana@acme.example\n")

    assert (None, [imports.folder / "people.csv"]) == (
        report.refused_file,
        [*imports.folder.glob("*.csv")],
    )


def test_without_a_place_for_them_nothing_is_applied(reading: Imports, monkeypatch: Any) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    with pytest.raises(FileFault, match=r"1 row must be refused.*--refused-to FILE"):
        reading.leads("Email\nana@acme.example\nbroken\n")
    assert reading.count("lead") == 0


def test_reports_read_well(reading: Imports) -> None:
    """What a person sees: counts, reasons with lines, what to know, what to do."""
    rows = "".join(f"p{i}@acme.example,{i if i % 50 else 'many'}\n" for i in range(1, 1201))

    report = reading.leads("Email,Seats,Shoe Size\n" + rows.replace("\n", ",\n") + "x,1,\n", consent="none")

    path, refused = reading.folder / "people.csv", reading.folder / "people.refused.csv"
    assert f"""\
{path}: 1,201 rows (UTF-8, comma)
  created          1,176
  unchanged            0
  refused             25
    lines 51, 101, 151, 201 and 20 more, Seats: 'many' is not a number; write 1234 or 1,234.50
    line 1202, Email: 'x' is not an e-mail address: An email address must have an @-sign.
  Refused rows are in {refused} (UTF-8, whatever the file was); mend them and import that file the same way.
  Note: 1,176 leads have no basis for mail: their messages will be suppressed(no_consent)
  Note: 1 column not used: 'Shoe Size'""" == report.text()
    assert {"created": 1176, "refused": 25, "rows": 1201}.items() <= report.as_dict().items()


def test_progress_counts_bytes_up_to_the_size(reading: Imports) -> None:
    content = "Email\n" + "".join(f"p{i}@acme.example\n" for i in range(9000))
    seen: list[tuple[int, int | None]] = []

    reading.leads(content, progress=lambda done, total: seen.append((done, total)))

    assert sorted(seen) == seen
    assert (len(content), len(content)) == seen[-1]
