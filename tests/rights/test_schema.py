"""One description says what is about a person: a table or column that it does not know fails the build."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table

from nurture.rights import schema


def test_every_table_and_column_has_its_place() -> None:
    """Somebody adds a table: it names a lead (and is found), is in OTHERWISE, or is known to speak of nobody.

    A table that stays when a person is forgotten says of each column whether it stays too.
    """
    assert schema.unclassified() == []


def test_what_is_planted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is worth something."""
    diary = Table("diary", MetaData(), Column("id", BigInteger, primary_key=True), Column("text", String))
    monkeypatch.setattr(schema, "TABLES", {**schema.TABLES, "diary": diary})
    touch = schema.FATES["touch"]
    monkeypatch.setitem(schema.FATES, "touch", schema.Fate(touch.kept - {"arm"}, touch.emptied))

    assert schema.unclassified() == ["table diary", "column touch.arm"]


def test_what_is_removed_goes_before_what_it_names() -> None:
    """Rows that name others by a foreign key are removed first."""
    order = schema.removed()
    for name in order:
        named = {key.column.table.name for column in schema.TABLES[name].columns for key in column.foreign_keys}
        assert all(order.index(name) < order.index(other) for other in named & set(order) - {name})
