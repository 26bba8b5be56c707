"""Whose a text is: a person's whole address or number, and nobody else's who is called nearly so."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, text

from nurture.records import Inbound
from nurture.rights import copies
from nurture.rights.dossier import dossier
from nurture.rights.forget import forget
from nurture.rights.naming import naming
from tests.web.factories import MONDAY, make_lead, opened

AN, PHONE = "an@x.co", "+40799123123"
#: A text, and whether it names `AN` or `PHONE`.
TEXTS = {
    "alone": (AN, True),
    "in a row": ("1,AN@X.co,An", True),
    "as mail writes it": ("550 <an@x.co>: no such user", True),
    "at the end of a sentence": ("write to an@x.co.", True),
    "behind a line end in JSON": (r'{"note": "hello\nan@x.co"}', True),
    "in Arabic": ("البريد:an@x.co،", True),
    "a longer name": ("jan@x.co", False),
    "a tag": ("jo+an@x.co", False),
    "a longer country": ("an@x.com", False),
    "a longer domain": ("an@x.co.uk", False),
    "a number": ("1,+40799123123", True),
    "a number with spaces": ("+40 (799) 123-123;x", True),
    "a number as dialled": ("0040 799 123 123", True),
    "a longer number": ("+407991231234", False),
    "the end of a longer number": ("+140799123123", False),
    "within a key": ("a40799123123f", False),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_whole_name_is_meant(case: str) -> None:
    said, meant = TEXTS[case]
    told = naming([AN, PHONE])
    assert told is not None
    assert (told.search(said) is not None) is meant


def test_nobody_is_shown_or_lost_whose_address_is_nearly_the_same(sqlite_url: str, tmp_path: Path) -> None:
    """In refused rows, in a journal, and in what came back and was parked."""
    rows = tmp_path / "r.csv"
    rows.write_text("email,first_name\njan@x.co,Jan\nan@x.co,An\nan@x.com,Third\n")
    copies.note_refused(tmp_path, rows, MONDAY)
    journal = tmp_path / "journal" / "day"
    journal.parent.mkdir()
    journal.write_text("é jan@x.co an@x.co an@x.com\n", "utf-8")
    with opened(sqlite_url) as machine:
        make_lead(machine, AN)

        def parked(link: object) -> None:
            for number, address in enumerate((AN, "jan@x.co")):
                row = {"digest": str(number), "received_at": MONDAY, "kind": "unclear", "outcome": "parked"}
                link.execute(insert(Inbound).values(**row, detail=f"unknown: <{address}>"))  # type: ignore[attr-defined]

        machine.db.transact(parked)
        told = dossier(machine, tmp_path, AN, machine.now(), MONDAY.date())
        assert [one["row"] for one in told["refused_rows"]] == ["an@x.co,An"]
        assert [one["detail"] for one in told["inbound"]] == ["unknown: <an@x.co>"]

        forget(machine, tmp_path, AN, by="x", now=machine.now())

        with machine.db.read() as link:
            left = list(link.execute(text("SELECT detail FROM inbound ORDER BY id")).scalars())
    assert left == [None, "unknown: <jan@x.co>"]
    assert rows.read_text() == "email,first_name\njan@x.co,Jan\nan@x.com,Third\n"
    assert journal.read_text("utf-8") == "é jan@x.co xxxxxxx an@x.com\n"
