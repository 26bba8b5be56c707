"""Cells that need a word: dates of another form, numbers with marks, and how a refusal shows them."""

from __future__ import annotations

import pytest

from nurture.errors import FileFault
from tests.intake.importing import Imports

FORMS = {
    "20.11.2026 10:00": "%d.%m.%Y %H:%M",
    "11/20/2026": "%m/%d/%Y",
    "20-11-26, 10:00:30": "%d-%m-%y, %H:%M:%S",
    "11/20/2026 9:05 PM": "%m/%d/%Y %I:%M %p",
}


@pytest.mark.parametrize(("cell", "form"), FORMS.items(), ids=FORMS.keys())
def test_a_date_of_another_form_is_told_the_form_that_reads_it(reading: Imports, cell: str, form: str) -> None:
    content = f'Email,Renewal\nana@acme.example,"{cell}"\n'

    with pytest.raises(FileFault) as refused:
        reading.leads(content)
    report = reading.leads(content, mapping=f'dates: "{form}"')

    assert f'dates: "{form}"' in str(refused.value)
    assert f"Renewal: '{cell}' has the" in str(refused.value)
    assert (report.created, reading.lead("ana@acme.example")["fields"]) == (1, {"renewal": "2026-11-20"})


def test_numbers_with_marks_that_mean_one_thing(reading: Imports) -> None:
    """Commas every three digits, and a point that no thousand can have; JSON's own numbers are what they are."""
    reading.leads('Email,Seats\na@acme.example,"1,200"\nb@acme.example,0.125\nc@acme.example,1234.500\n')
    reading.leads('{"email": "d@acme.example", "seats": 1.234}\n', name="p.ndjson")

    assert [reading.lead(f"{who}@acme.example")["fields"]["seats"] for who in "abcd"] == [1200, 0.125, 1234.5, 1.234]


def test_refusals_name_the_cell_and_each_column(reading: Imports) -> None:
    report = reading.leads(
        "Email,Consent,Tracking Consent,Company\nana@acme.example,ja,nein," + "x" * 50 + "\x07\n", consent=None
    )

    (refusal,) = report.refused
    assert str(refusal).startswith(f"line 2, Company: '{'x' * 40}…' holds a control character")
    assert "Consent: 'ja' is neither yes nor no; Tracking Consent: 'nein' is neither yes nor no" in str(refusal)
