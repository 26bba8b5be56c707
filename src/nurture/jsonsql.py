"""JSON in SQL: a list of keys as one parameter, and an object made of columns.

A list of parameters is another statement for each length, rendered and parsed anew; as JSON it is one that stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, cast, literal, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from nurture.dialects import FEW
from nurture.records.types import Document


class nurture_each(GenericFunction[Any]):
    """The entries of a JSON array, as rows of one column `value`."""

    inherit_cache = True


class nurture_object(GenericFunction[Any]):
    """A JSON object of names and values in turn."""

    inherit_cache = True


@compiles(nurture_each, "sqlite")
def _sqlite_each(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(nurture_each, "postgresql")
def _postgres_each(element: Any, compiler: Any, **kw: Any) -> str:
    return f"jsonb_array_elements_text(CAST({compiler.process(element.clauses, **kw)} AS JSONB))"


@compiles(nurture_object, "sqlite")
def _sqlite_object(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_object({compiler.process(element.clauses, **kw)})"


@compiles(nurture_object, "postgresql")
def _postgres_object(element: Any, compiler: Any, **kw: Any) -> str:
    return f"jsonb_build_object({compiler.process(element.clauses, **kw)})"


def among(key: Any, keys: Iterable[int]) -> ColumnElement[bool]:
    """Whether `key` is one of `keys`; many of them are one parameter."""
    each = nurture_each(literal(json.dumps(list(keys)), String())).table_valued("value")
    found: ColumnElement[bool] = key.in_(select(cast(each.c.value, BigInteger)).prefix_with(FEW))
    return found


def object_of(**values: Any) -> ColumnElement[Any]:
    """A document with these columns."""
    parts: list[Any] = []
    for name, value in values.items():
        parts += [literal_column(f"'{name}'"), value]
    return nurture_object(*parts, type_=Document)
