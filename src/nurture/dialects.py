"""Where the two databases speak differently: functions that compile to the words of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, literal, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from nurture.records.types import Document, Instant


class database_clock(GenericFunction[Any]):  # noqa: N801  (SQL spells functions in lower case)
    """The database's own clock as an Instant: for leases alone."""

    type = Instant()
    inherit_cache = True


@compiles(database_clock, "sqlite")
def _sqlite_clock(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


@compiles(database_clock, "postgresql")
def _postgres_clock(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


class nurture_least(GenericFunction[Any]):  # noqa: N801
    """The smallest of its arguments, none of which is NULL (the databases differ there)."""

    inherit_cache = True


class nurture_greatest(GenericFunction[Any]):  # noqa: N801
    """The largest of its arguments, none of which is NULL (the databases differ there)."""

    inherit_cache = True


def _called(name: str) -> Callable[..., str]:
    return lambda element, compiler, **kw: f"{name}({compiler.process(element.clauses, **kw)})"


compiles(nurture_least, "sqlite")(_called("min"))
compiles(nurture_least, "postgresql")(_called("least"))
compiles(nurture_greatest, "sqlite")(_called("max"))
compiles(nurture_greatest, "postgresql")(_called("greatest"))


def least(*parts: ColumnElement[Any]) -> ColumnElement[Any]:
    """The smallest of `parts`, all known."""
    return parts[0] if len(parts) == 1 else nurture_least(*parts, type_=parts[0].type)


def greatest(*parts: ColumnElement[Any]) -> ColumnElement[Any]:
    """The largest of `parts`, all known."""
    return parts[0] if len(parts) == 1 else nurture_greatest(*parts, type_=parts[0].type)


def upsert(link: Connection) -> Any:
    """The dialect's `insert`, which knows ON CONFLICT."""
    return sqlite.insert if link.dialect.name == "sqlite" else postgresql.insert


def new_rows(table: Any, columns: Sequence[str], rows: Any) -> Any:
    """Insert what `rows` selects, leaving out what is there already; for both databases alike."""
    # WHERE true: SQLite would read ON CONFLICT as a join condition without one
    return postgresql.insert(table).from_select(list(columns), rows.where(true())).on_conflict_do_nothing()


def newer_rows(
    table: Any, columns: Sequence[str], rows: Any, key: Sequence[str], changes: Callable[[Any], Mapping[str, Any]]
) -> Any:
    """Insert what `rows` selects; where `key` is there already, set what `changes(excluded)` says; on both alike."""
    insert = postgresql.insert(table).from_select(list(columns), rows.where(true()))
    return insert.on_conflict_do_update(index_elements=list(key), set_=dict(changes(insert.excluded)))


class nurture_merge(GenericFunction[Any]):  # noqa: N801
    """A JSON document with the keys of another laid over it."""

    inherit_cache = True


@compiles(nurture_merge, "sqlite")
def _sqlite_merge(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_patch({compiler.process(element.clauses, **kw)})"


@compiles(nurture_merge, "postgresql")
def _postgres_merge(element: Any, compiler: Any, **kw: Any) -> str:
    document, changes = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"jsonb_strip_nulls({document} || CAST({changes} AS JSONB))"


def merged(document: Any, changes: Mapping[str, Any]) -> ColumnElement[Any]:
    """`document` with `changes` laid over it; a None takes the key away."""
    return nurture_merge(document, literal(json.dumps(dict(changes))), type_=Document)
