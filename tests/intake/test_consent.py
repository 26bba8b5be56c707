"""Nobody is written to whom nothing allows us to write to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nurture.errors import FileFault
from nurture.program.consents import Consents
from tests.intake.importing import NOW, Imports, Program


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
    assert "consent was withdrawn earlier, and stays so; the person alone can give it again" in yes.text()
    assert "1 lead has no basis for mail" in yes.text()


def test_a_second_basis_is_added(imports: Imports) -> None:
    imports.leads("Email\nana@acme.example\n", consent="consent")
    report = imports.leads("Email\nana@acme.example\n", consent="contract")

    assert report.changed == 1
    assert imports.rows("consent", "basis") == ["consent", "contract"]


def test_an_unknown_basis_is_refused(reading: Imports) -> None:
    with pytest.raises(FileFault, match="--consent 'gdpr' is not known"):
        reading.leads("Email\nana@acme.example\n", consent="gdpr")


def test_a_row_may_say_when_where_to_what_and_how_long(imports: Imports) -> None:
    head = "Email,Consent,Consent At,Consent Source,Consent Text,Consent Expires\n"
    first = head + "ana@acme.example,yes,2025-06-01T10:00:00Z,Trade fair,Terms of May,2027-06-01T10:00:00Z\n"
    imports.leads(first, consent=None, name="crm.csv")
    said = ("basis", "source", "wording", "given_at", "expires_at")
    row = (
        "consent", "Trade fair", "Terms of May", datetime(2025, 6, 1, 10, tzinfo=UTC), datetime(2027, 6, 1, 10, tzinfo=UTC),
    )  # fmt: skip
    assert imports.rows("consent", *said) == [row]
    assert imports.leads(first, consent=None, name="crm.csv").unchanged == 1

    later = first.replace("2025-06-01", "2026-02-01").replace("2027-06-01", "2028-02-01")
    assert imports.leads(later, consent=None, name="crm.csv").changed == 1
    assert imports.leads(first, consent=None, name="crm.csv").unchanged == 1  # an older day than the one we know
    assert imports.count("consent") == 2


#: consent_at, what `expires` of program.yaml says, when it runs out, whether the lead may be written to.
LASTING = {
    "from the day it was given": ("2025-12-01T00:00:00Z", "6 months", datetime(2026, 6, 1, tzinfo=UTC), True),
    "over already": ("2025-06-01T00:00:00Z", "6 months", datetime(2025, 12, 1, tzinfo=UTC), False),
    "from today, if no day is said": ("", "6 months", datetime(2026, 9, 2, 9, 0, tzinfo=UTC), True),
}


@pytest.mark.parametrize("case", LASTING)
def test_a_basis_lasts_as_long_as_the_program_says(imports: Imports, case: str) -> None:
    at, lasts, ends, mailed = LASTING[case]
    known = Program(consents=Consents.model_validate({"expires": {"soft_opt_in": lasts}}))
    content = f"Email,Consent,Tracking Consent,Consent Date\nana@acme.example,soft opt in,yes,{at}\n"
    report = imports.leads(content, consent=None, known=known)
    assert imports.rows("consent", "purpose", "expires_at") == [("mail", ends), ("tracking", None)]
    assert ("1 lead has no basis for mail" in report.text()) is not mailed
    assert imports.leads(content, consent=None, known=known).unchanged == 1
