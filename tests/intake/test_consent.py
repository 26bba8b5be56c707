"""Nobody is written to whom nothing allows us to write to."""

from __future__ import annotations

import pytest

from nurture.errors import FileFault
from tests.intake.importing import NOW, Imports


def test_a_file_that_does_not_say_is_refused(reading: Imports) -> None:
    for name, content in (
        ("a.csv", "Email\nana@acme.example\n"),
        ("a.ndjson", '{"email": "ana@acme.example"}\n'),
    ):
        with pytest.raises(FileFault, match="nothing says that they may be written to") as refused:
            reading.leads(content, name=name, consent=None)
        assert "--consent consent | contract | legitimate_interest | soft_opt_in" in str(refused.value)
    assert reading.count("lead") == 0


def test_without_a_basis_the_report_says_how_many_will_not_be_written_to(imports: Imports) -> None:
    report = imports.leads("Email\nana@acme.example\nbo@acme.example\n", consent="none")

    assert imports.count("consent") == 0
    assert "2 leads have no basis for mail: their messages will be suppressed(no_consent)" in report.text()


def test_a_column_says_it_for_each(imports: Imports) -> None:
    words = ["yes", "no", "", "contract", "Legitimate Interest", "TRUE", "0"]
    rows = "".join(f"p{i}@acme.example,{word},{'yes' if i == 0 else ''}\n" for i, word in enumerate(words))

    report = imports.leads("Email,Consent,Tracking Consent\n" + rows, consent=None)

    assert [basis for purpose, basis in imports.rows("consent", "purpose", "basis") if purpose == "mail"] == [
        "consent",
        "consent",
        "contract",
        "legitimate_interest",
    ]
    assert [purpose for purpose in imports.rows("consent", "purpose")].count("tracking") == 1
    assert "3 leads have no basis for mail" in report.text()


def test_a_column_of_refusals_is_turned_by_the_mapping(imports: Imports) -> None:
    mapping = "consent: {column: Do Not Email, no: [Yes], basis: soft_opt_in}"

    imports.leads("Email,Do Not Email\nana@b.example,No\nbo@b.example,Yes\n", consent=None, mapping=mapping)

    assert imports.rows("consent", "basis") == ["soft_opt_in"]


def test_a_no_withdraws_and_a_later_yes_does_not_bring_it_back(imports: Imports) -> None:
    """The file may be older than the person's last word."""
    imports.leads("Email,Consent\nana@acme.example,yes\n", consent=None)

    no = imports.leads("Email,Consent\nana@acme.example,no\n", consent=None)
    yes = imports.leads("Email,Consent\nana@acme.example,yes\n", consent=None)

    assert (no.changed, yes.unchanged) == (1, 1)
    assert imports.rows("consent", "withdrawn_at") == [NOW]
    assert "consent was withdrawn earlier; a file does not bring it back" in yes.text()
    assert "1 lead has no basis for mail" in yes.text()


def test_a_second_basis_is_added(imports: Imports) -> None:
    imports.leads("Email\nana@acme.example\n", consent="consent")
    report = imports.leads("Email\nana@acme.example\n", consent="contract")

    assert report.changed == 1
    assert imports.rows("consent", "basis") == ["consent", "contract"]


def test_an_unknown_basis_is_refused(reading: Imports) -> None:
    with pytest.raises(FileFault, match="--consent 'gdpr' is not known"):
        reading.leads("Email\nana@acme.example\n", consent="gdpr")
