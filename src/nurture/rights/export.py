"""Any table as CSV (safe in spreadsheets) or NDJSON (exact), page by page: the memory does not grow with the table.

Pages are read one after the other, so that nobody waits for us: what changes meanwhile is in the export or is not.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from sqlalchemy import Select, Table, literal, select, tuple_

from nurture.db import Database
from nurture.errors import NotFound
from nurture.rights.marks import marked
from nurture.rights.schema import TABLES, called

#: Rows of one page.
PAGE = 500
Row = dict[str, Any]


@dataclass(frozen=True)
class Sheet:
    """What is exported under one word: its columns in order, and its rows."""

    columns: Sequence[str]
    rows: Iterable[Row]


def words() -> dict[str, str]:
    """The word of each table, in the order of the alphabet, to its name."""
    return dict(sorted((called(name), name) for name in TABLES))


def table_of(word: str) -> str:
    """The table that is meant, by its word or its own name. Raises NotFound."""
    found = words().get(word) or (word if word in TABLES else None)
    if found is None:
        raise NotFound(f"there is no table '{word}'; 'nurture export --list' names them all")
    return found


def plain(db: Database, name: str) -> Sheet:
    """The rows of a table as they stand in it."""
    table = TABLES[name]
    return Sheet([column.name for column in table.columns], _rows(db, table))


def _rows(db: Database, table: Table) -> Iterator[Row]:
    for page in pages(db, table):
        yield from page


def pages(db: Database, table: Table, *, most: int = PAGE, query: Select[Any] | None = None) -> Iterator[list[Row]]:
    """All rows of `table` in the order of its key, `most` at a time; no transaction stays open between two pages.

    `query`: which of them, and what else belongs to each; all columns of `table` unless it is given.
    """
    key = list(table.primary_key.columns)
    query = (select(table) if query is None else query).order_by(*key).limit(most)
    after = None
    while True:
        following = query if after is None else query.where(tuple_(*key) > tuple_(*after))
        with db.read() as link:
            page = [dict(row) for row in link.execute(following).mappings()]
        if page:
            yield page
        if len(page) < most:
            return
        after = [literal(page[-1][column.name], column.type) for column in key]


def write_csv(sheet: Sheet, out: IO[str]) -> int:
    """RFC 4180, with a header; how many rows. `out` must not translate line ends."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(sheet.columns)
    count = 0
    for row in sheet.rows:
        writer.writerow([cell(row.get(name)) for name in sheet.columns])
        count += 1
    return count


def write_ndjson(sheet: Sheet, out: IO[str]) -> int:
    """One JSON object per line, with every value in its own type; how many rows."""
    count = 0
    for row in sheet.rows:
        out.write(as_json(row) + "\n")
        count += 1
    return count


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON with instants as ISO 8601 in UTC."""
    return json.dumps(value, ensure_ascii=False, default=_said, indent=indent)


def cell(value: Any) -> str:
    """A value as a CSV holds it: text with its mark, documents as JSON, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return marked(value)
    if isinstance(value, datetime):
        return instant(value)
    return json.dumps(value, ensure_ascii=False, default=_said)


def instant(at: datetime) -> str:
    """ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return instant(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
