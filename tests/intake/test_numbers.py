"""Leads that were written with numbers of somebody else's choosing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from nurture.db import Database
from nurture.errors import DatabaseFault
from nurture.intake.write import put_lead
from tests.web.factories import MONDAY


def test_numbers_that_are_taken_are_told(postgres_url: str) -> None:
    """The sequence lags behind the rows: an error that says the way out, instead of a try for each number."""
    db = Database(postgres_url)

    def put(name: str) -> int:
        return db.transact(lambda link: put_lead(link, {"email": f"{name}@acme.example"}, now=MONDAY, source="crm"))[0]

    try:
        for number in range(30):
            put(f"lead{number}")
        db.transact(lambda link: link.execute(text("SELECT setval(pg_get_serial_sequence('lead', 'id'), 1)")))

        with pytest.raises(DatabaseFault, match="set the sequence"):
            put("ana")
    finally:
        db.dispose()
