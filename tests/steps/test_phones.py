"""Phones as people write them: the rule in Python and the rule in SQL are one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import SQLModel, col

from nurture.db import Database, migrate
from nurture.records import Lead
from nurture.steps.sms import e164, has_phone, plain_phone
from tests.engine.world import MONDAY

#: As it is written, and as it is called.
WRITTEN = {
    "+40721123456": "+40721123456",
    "+40 721 123-456": "+40721123456",
    "+1 (500) 555.0006": "+15005550006",
    " +44 20/7946 0958 ": "+442079460958",
    "+40\N{NO-BREAK SPACE}721123456": "+40721123456",
    "0721123456": None,
    "0040721123456": None,
    "+0721123456": None,
    "+40 721": None,
    "+1234567": "+1234567",
    "+123456789012345": "+123456789012345",
    "+1234567890123456": None,
    "+40 721 123 45x": None,
    "++40721123456": None,
    "+٤٠٧٢١١٢٣٤٥٦": None,
    "": None,
    "+": None,
}


@pytest.mark.parametrize("written", WRITTEN)
def test_what_is_called(written: str) -> None:
    """With a country code, seven to fifteen digits (ITU-T E.164); nothing is guessed."""
    assert e164(written) == WRITTEN[written]


@pytest.fixture(scope="module")
def memory() -> Database:
    made = Database("sqlite://")
    migrate(made)
    return made


_LEAD = SQLModel.metadata.tables["lead"]
PHONE = st.text(st.sampled_from("+0123456789 -()./\N{NO-BREAK SPACE}x٤\t"), max_size=24)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PHONE, min_size=1, max_size=20))
def test_sql_agrees(memory: Database, phones: list[str]) -> None:
    """Whether there is a number, and which."""
    rows = [
        {"draw": 1, "stage": "lead", "status": "new", "fields": {}, "folded": {}, "fit_points": 0, "phone": phone,
         "source": "s", "source_id": str(number), "created_at": MONDAY, "changed_at": MONDAY}
        for number, phone in enumerate(phones)
    ]  # fmt: skip

    def look(link):
        link.execute(_LEAD.delete())
        link.execute(_LEAD.insert(), rows)
        query = select(col(Lead.phone), has_phone(), plain_phone()).order_by(col(Lead.id))
        return [(phone, plain if known else None) for phone, known, plain in link.execute(query)]

    assert memory.transact(look) == [(phone, e164(phone)) for phone in phones]
