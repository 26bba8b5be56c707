"""JSON in SQL: a list of keys as one parameter, and an object made of columns.

A list of parameters is another statement for each length, rendered and parsed anew; as JSON it is one that stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from nurture.records.types import Document


class nurture_among(GenericFunction[Any]):
    """Whether a key is in a JSON array of whole numbers."""

    inherit_cache = True


class nurture_object(GenericFunction[Any]):
    """A JSON object of names and values in turn."""

    inherit_cache = True


@compiles(nurture_among, "sqlite")
def _sqlite_among(element: Any, compiler: Any, **kw: Any) -> str:
    key, keys = (compiler.process(part, **kw) for part in element.clauses)
    return f"{key} IN (SELECT value FROM json_each({keys}))"


@compiles(nurture_among, "postgresql")
def _postgres_among(element: Any, compiler: Any, **kw: Any) -> str:
    key, keys = (compiler.process(part, **kw) for part in element.clauses)
    return f"{key} = ANY (ARRAY(SELECT CAST(jsonb_array_elements_text(CAST({keys} AS JSONB)) AS BIGINT)))"


@compiles(nurture_object, "sqlite")
def _sqlite_object(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_object({compiler.process(element.clauses, **kw)})"


@compiles(nurture_object, "postgresql")
def _postgres_object(element: Any, compiler: Any, **kw: Any) -> str:
    return f"jsonb_build_object({compiler.process(element.clauses, **kw)})"


def among(key: Any, keys: Iterable[int]) -> ColumnElement[bool]:
    """Whether `key` is one of `keys`; many of them are one parameter."""
    return nurture_among(key, literal(json.dumps(list(keys)), String()), type_=Boolean())


def object_of(**values: Any) -> ColumnElement[Any]:
    """A document with these columns."""
    parts: list[Any] = []
    for name, value in values.items():
        parts += [literal_column(f"'{name}'"), value]
    return nurture_object(*parts, type_=Document)
