"""Where the two databases speak differently: functions that compile to the words of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Connection, Float, String, literal, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.selectable import ScalarSelect, SelectStatementGrouping

from nurture.records.types import Document, Instant, micros


class database_clock(GenericFunction[Any]):
    """The database's own clock as an Instant: for leases alone."""

    type = Instant()
    inherit_cache = True


@compiles(database_clock, "sqlite")
def _sqlite_clock(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


@compiles(database_clock, "postgresql")
def _postgres_clock(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


class nurture_least(GenericFunction[Any]):
    """The smallest of its arguments, none of which is NULL (the databases differ there)."""

    inherit_cache = True


class nurture_greatest(GenericFunction[Any]):
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


def apart(column: Any) -> ColumnElement[str]:
    """A text column as no index knows it: a lookup by lead must not be planned by sequence, whatever statistics say."""
    return column.concat("")  # type: ignore[no-any-return]


def unset(number: Any) -> ColumnElement[bool]:
    """Whether a column of numbers or instants is NULL, as no partial index knows it: of rows found by lead or by key.

    As long as PostgreSQL's statistics know of no such row it takes the index of them for empty, and would read all of
    it for each lead, however many there are by now.
    """
    return (micros(number) + 0).is_(None)


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


class nurture_merge(GenericFunction[Any]):
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


class nurture_text(GenericFunction[str]):
    """What a JSON document says under a key, as text; numbers and flags as JSON spells them, lists and such as NULL."""

    type = String()
    inherit_cache = True


class nurture_day(GenericFunction[int]):
    """When a day, written as 2026-03-02, begins on a clock at UTC, in microseconds since 1970; NULL for other text."""

    type = BigInteger()
    inherit_cache = True


@compiles(nurture_day, "sqlite")
def _sqlite_day(element: Any, compiler: Any, **kw: Any) -> str:
    day = compiler.process(element.clauses, **kw)
    digits = "[1-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"  # strftime would take 'now', and 31 February
    real = f"{day} GLOB '{digits}' AND date({day}, '+0 days') = {day}"
    return f"(CASE WHEN {real} THEN CAST(strftime('%s', {day}) AS INTEGER) * 1000000 END)"


@compiles(nurture_day, "postgresql")
def _postgres_day(element: Any, compiler: Any, **kw: Any) -> str:
    day = compiler.process(element.clauses, **kw)
    form = f"{day} ~ '^[1-9][0-9]{{3}}-(0[1-9]|1[0-2])-[0-3][0-9]$'"  # the cast would raise for 31 February
    last = f"(CAST(substr({day}, 1, 7) || '-01' AS DATE) + INTERVAL '1 month' - INTERVAL '1 day')"
    real = f"CAST(substr({day}, 9) AS INTEGER) BETWEEN 1 AND extract(day FROM {last})"
    since = f"(CAST({day} AS DATE) - DATE '1970-01-01') * CAST(86400000000 AS BIGINT)"
    return f"(CASE WHEN {form} THEN CASE WHEN {real} THEN {since} END END)"


class nurture_number(GenericFunction[float]):
    """The number under a key of a JSON document; NULL where something else stands there."""

    type = Float()
    inherit_cache = True


class nurture_flag(GenericFunction[bool]):
    """The flag under a key of a JSON document; NULL where something else stands there."""

    type = Boolean()
    inherit_cache = True


def _sqlite_json(chosen: str) -> Callable[..., str]:
    """`chosen` of the entry under a key: json_each knows every key, where a path knows no quotes and no escapes."""

    def render(element: Any, compiler: Any, **kw: Any) -> str:
        document, key = (compiler.process(clause, **kw) for clause in element.clauses)
        return f"(SELECT {chosen} FROM json_each({document}) AS entry WHERE entry.key = {key})"

    return render


def _postgres_json(kinds: str, cast: str) -> Callable[..., str]:
    def render(element: Any, compiler: Any, **kw: Any) -> str:
        document, key = (compiler.process(clause, **kw) for clause in element.clauses)
        value = f"{document} ->> {key}"
        return f"(CASE WHEN jsonb_typeof({document} -> {key}) IN ({kinds}) THEN CAST({value} AS {cast}) END)"

    return render


_WORDED = "CASE entry.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(entry.atom AS TEXT) END"
_FLAGGED = "CASE entry.type WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
_NUMBERED = "CASE WHEN entry.type IN ('integer', 'real') THEN entry.atom END"
compiles(nurture_text, "sqlite")(_sqlite_json(_WORDED))
compiles(nurture_text, "postgresql")(_postgres_json("'string', 'number', 'boolean'", "TEXT"))
compiles(nurture_number, "sqlite")(_sqlite_json(_NUMBERED))
compiles(nurture_number, "postgresql")(_postgres_json("'number'", "DOUBLE PRECISION"))
compiles(nurture_flag, "sqlite")(_sqlite_json(_FLAGGED))
compiles(nurture_flag, "postgresql")(_postgres_json("'boolean'", "BOOLEAN"))


def text_in(document: Any, key: str) -> ColumnElement[str]:
    """The text under `key`; never an error, whatever stands there."""
    return nurture_text(document, literal(key, String()))


def day_in(document: Any, key: str) -> ColumnElement[int]:
    """When the day under `key` begins, in microseconds of a clock at UTC; NULL where no day stands there."""
    return nurture_day(text_in(document, key))


class nurture_amount(GenericFunction[float]):
    """The number that a text is, digits with or without a point; NULL for any other text."""

    type = Float()
    inherit_cache = True


@compiles(nurture_amount, "sqlite")
def _sqlite_amount(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(element.clauses, **kw)
    digits = f"{text} GLOB '*[0-9]*' AND {text} NOT GLOB '*[^0-9.]*' AND {text} NOT GLOB '*.*.*'"
    return f"(CASE WHEN {digits} THEN CAST({text} AS REAL) END)"


@compiles(nurture_amount, "postgresql")
def _postgres_amount(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(element.clauses, **kw)
    return f"CAST(substring({text} FROM '^(?:[0-9]+[.]?[0-9]*|[.][0-9]+)$') AS DOUBLE PRECISION)"


def amount_in(document: Any, key: str) -> ColumnElement[float]:
    """The number under `key`, written as a number or as its digits; NULL where something else stands there."""
    return nurture_amount(text_in(document, key))


def number_in(document: Any, key: str) -> ColumnElement[float]:
    """The number under `key`; NULL where something else stands there."""
    return nurture_number(document, literal(key, String()))


def flag_in(document: Any, key: str) -> ColumnElement[bool]:
    """The flag under `key`; NULL where something else stands there."""
    return nurture_flag(document, literal(key, String()))


class nurture_domain(GenericFunction[str]):
    """What stands behind the @ of a canonical address; NULL where there is none."""

    type = String()
    inherit_cache = True


@compiles(nurture_domain, "sqlite")
def _sqlite_domain(element: Any, compiler: Any, **kw: Any) -> str:
    address = compiler.process(element.clauses, **kw)
    return f"substr({address}, instr({address}, '@') + 1)"


@compiles(nurture_domain, "postgresql")
def _postgres_domain(element: Any, compiler: Any, **kw: Any) -> str:
    return f"split_part({compiler.process(element.clauses, **kw)}, '@', 2)"


def domain_of(address: Any) -> ColumnElement[str]:
    """The domain of a canonical address, in the letters in which it is kept."""
    return nurture_domain(address)


#: Begins a SELECT of keys that are few, though PostgreSQL cannot know it: claims and marks come and go between two
#: ANALYZEs, so it expects one row, and joins row by row. `x IN (SELECT …)` then compiles so that each is looked up.
FEW = "/* few */"


class LooksUpFew(PGCompiler_psycopg):
    """PostgreSQL's compiler, which asks an index for each of few keys: `= ANY (ARRAY(SELECT …))`."""

    def visit_in_op_binary(self, binary: Any, _operator: Any, **kw: Any) -> str:
        """`IN`, as ever unless its right side begins with FEW."""
        if not isinstance(binary.right, (ScalarSelect, SelectStatementGrouping)):
            return str(self._generate_generic_binary(binary, " IN ", **kw))
        left = binary.left._compiler_dispatch(self, **kw)
        right = binary.right._compiler_dispatch(self, **kw)
        return f"{left} = ANY (ARRAY{right})" if right.startswith(f"(SELECT {FEW}") else f"{left} IN {right}"


#: Numbers of the PostgreSQL advisory locks; SQLite's one writer needs none.
RULES, CONTROL, TURNS = 7215332, 7215333, 7215334


def hold_still(link: Connection, what: int) -> None:
    """Until this transaction ends, nobody changes the rules (RULES) or a hold (CONTROL): a shared lock."""
    _advise(link, "pg_advisory_xact_lock_shared", what)


def change(link: Connection, what: int) -> None:
    """Wait until nobody relies on the rules or the holds as they are, and keep others from relying on them."""
    _advise(link, "pg_advisory_xact_lock", what)


def _advise(link: Connection, function: str, what: int) -> None:
    if link.dialect.name == "postgresql":
        link.exec_driver_sql(f"SELECT {function}({what})")
