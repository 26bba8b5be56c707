"""JSON in SQL: a list of keys or of rows as one parameter, and an object made of columns.

A list of parameters is another statement for each length, rendered and parsed anew; as JSON it is one that stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    String,
    bindparam,
    cast,
    literal,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from nurture.dialects import FEW
from nurture.records.types import Document

#: The parameter of a statement that is built once and given other keys each time, as `listed` writes them.
KEYS: BindParameter[str] = bindparam("keys", type_=String())
_ROWS: BindParameter[str] = bindparam("rows", type_=String())


class nurture_each(GenericFunction[Any]):
    """The entries of a JSON array, as rows of one column `value`."""

    inherit_cache = True


class nurture_item(GenericFunction[Any]):
    """An entry of an array among them, by its place."""

    inherit_cache = True


class nurture_object(GenericFunction[Any]):
    """A JSON object of names and values in turn."""

    inherit_cache = True


@compiles(nurture_each, "sqlite")
def _sqlite_each(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(nurture_each, "postgresql")
def _postgres_each(element: Any, compiler: Any, **kw: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **kw)} AS JSONB))"


@compiles(nurture_item, "sqlite")
def _sqlite_item(element: Any, compiler: Any, **kw: Any) -> str:
    value, place = (compiler.process(part, **kw) for part in element.clauses)
    return f"json_extract({value}, '$[{place}]')"


@compiles(nurture_item, "postgresql")
def _postgres_item(element: Any, compiler: Any, **kw: Any) -> str:
    value, place = (compiler.process(part, **kw) for part in element.clauses)
    return f"({value} ->> {place})"


@compiles(nurture_object, "sqlite")
def _sqlite_object(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_object({compiler.process(element.clauses, **kw)})"


@compiles(nurture_object, "postgresql")
def _postgres_object(element: Any, compiler: Any, **kw: Any) -> str:
    return f"jsonb_build_object({compiler.process(element.clauses, **kw)})"


def listed(keys: Iterable[Any]) -> str:
    """Keys for `KEYS`, or for `rows_of` rows, each a list of numbers and texts."""
    return json.dumps(list(keys))


def among(key: Any, keys: Iterable[int] | BindParameter[str]) -> ColumnElement[bool]:
    """Whether `key` is one of `keys`; many of them are one parameter."""
    said = keys if isinstance(keys, BindParameter) else literal(listed(keys), String())
    each = nurture_each(said).table_valued("value")
    found: ColumnElement[bool] = key.in_(select(cast(each.c.value, BigInteger)).prefix_with(FEW))
    return found


def rows_of(**columns: Any) -> Any:
    """The rows that the parameter `rows` lists, as a table of these columns, each of a type."""
    each = nurture_each(_ROWS).table_valued("value")
    places = enumerate(columns.items())
    found = [cast(nurture_item(each.c.value, literal_column(str(at))), kind).label(name) for at, (name, kind) in places]
    return select(*found).subquery("listed")


def object_of(**values: Any) -> ColumnElement[Any]:
    """A document with these columns."""
    parts: list[Any] = []
    for name, value in values.items():
        parts += [literal_column(f"'{name}'"), value]
    return nurture_object(*parts, type_=Document)
