"""Column types shared by all tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    ColumnElement,
    Dialect,
    Integer,
    String,
    TypeDecorator,
    bindparam,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: JSON in SQLite, JSONB in PostgreSQL.
Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
#: 64-bit keys; SQLite's rowid alias needs the plain word INTEGER.
BigKey = BigInteger().with_variant(Integer(), "sqlite")


#: The instant of a run, in microseconds. Statements of the engine are built once and run with it as a parameter.
NOW: BindParameter[int] = bindparam("at_now", type_=BigInteger)
#: The claim of a run: its rows of `work` or `touch`.
CLAIM: BindParameter[str] = bindparam("at_claim", type_=String)
#: The enrolments that a movement has locked: their ids as `jsonsql.listed` writes them.
CARRIED: BindParameter[str] = bindparam("at_carried", type_=String)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00Z; raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no zone; instants are aware")
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of `micros`."""
    return EPOCH + timedelta(microseconds=micros)


def span_micros(span: timedelta) -> int:
    """A length in microseconds."""
    return span // _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """UTC microseconds in the database, an aware datetime in Python, on both databases alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | int | None, dialect: Dialect) -> int | None:
        return to_micros(value) if isinstance(value, datetime) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(int(value))


def micros(instant: Any) -> ColumnElement[int]:
    """An instant expression as the integer it is, for arithmetic in SQL."""
    return type_coerce(instant, BigInteger)


def instant(number: ColumnElement[int]) -> ColumnElement[datetime]:
    """An integer expression as the instant it is."""
    return type_coerce(number, Instant)


#: The instant of a run, as an instant.
NOW_AT = instant(NOW)
