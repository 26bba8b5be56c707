"""What holds of any file: twice is once, and the order of people does not matter."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from nurture.db import Database
from nurture.folding import canonical_email
from nurture.intake import import_leads, values
from tests.intake.importing import NOW, Program

LOCAL = st.text("abAB.-_+'é0", min_size=1, max_size=12)
DOMAIN = st.sampled_from(
    ["acme.example", "ACME.example", "xn--mnchen-3ya.de", "a_b.example", "münchen.de", "b", "x..y", "test"]
)


@settings(max_examples=100)
@given(local=LOCAL, domain=DOMAIN, space=st.sampled_from(["", " "]))
def test_the_quick_reading_of_addresses_is_the_slow_one(local: str, domain: str, space: str) -> None:
    text = f"{local}@{domain}{space}".strip()

    assert _outcome(canonical_email, text) == _outcome(values.email, text)


def _outcome(function: Any, text: str) -> str | None:
    try:
        return str(function(text))
    except ValueError:
        return None


PEOPLE = st.lists(
    st.tuples(
        st.sampled_from(["ana@a.example", "bo@b.example", "Cy@c.example", "cy@c.example", ""]),
        st.sampled_from(["", "1", "2", "3"]),
        st.sampled_from(["", "Acme", "Äcme"]),
        st.sampled_from(["", "1", "1,000", "x"]),
        st.sampled_from(["", "yes", "no", "contract"]),
    ),
    max_size=8,
)


def _imported(rows: Sequence[tuple[str, ...]], tmp: Any, times: int = 1) -> tuple[Any, Any]:
    """The leads after importing `rows` so often into a new database, but for what is drawn; the report."""
    path = tmp / "rows.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([("Email", "id", "Company", "Seats", "Consent"), *rows])
    database = Database("sqlite://")
    database.require_schema()
    for _ in range(times):
        report = import_leads(
            database, path, known=Program(), now=NOW, source="crm", refused_to=tmp / "refused.csv"
        )  # fmt: skip
    tables = SQLModel.metadata.tables
    with database.read() as link:
        leads = [
            {k: v for k, v in row.items() if k not in ("draw", "id")}
            for row in link.execute(tables["lead"].select()).mappings()
        ]
        consents = [tuple(row) for row in link.execute(tables["consent"].select())]
    database.dispose()
    return (sorted(leads, key=str), len(consents)), report


@settings(max_examples=40)
@given(rows=PEOPLE)
def test_importing_twice_is_importing_once(
    rows: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp = tmp_path_factory.mktemp("twice")

    once, first = _imported(rows, tmp)
    twice, second = _imported(rows, tmp, times=2)

    assert once == twice
    assert (second.created, second.changed) == (0, 0)
    assert first.rows == first.created + first.changed + first.unchanged + first.repeated + first.refused_count


@settings(max_examples=40)
@given(data=st.data())
def test_the_order_of_distinct_people_does_not_matter(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = [(f"p{i}@a.example", str(i), "Acme", "5", "yes") for i in range(6)] + [("", "77", "No address", "1", "")]
    tmp = tmp_path_factory.mktemp("order")

    assert _imported(people, tmp)[0] == _imported(data.draw(st.permutations(people)), tmp)[0]
