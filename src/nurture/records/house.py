"""What the house keeps for itself: control, leases, time tables."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Instant


class Control(SQLModel, table=True):
    """`paused` or `stopped` for everything, a segment or a lead; no row: it runs."""

    #: `all`, `segment:<slug>` or `lead:<id>`.
    scope: str = Field(primary_key=True)
    state: str
    at: datetime = Field(sa_type=Instant)
    by: str


class Lease(SQLModel, table=True):
    """Who carries something alone for a while, by the database's clock."""

    name: str = Field(primary_key=True)
    owner: str
    token: int
    until: datetime = Field(sa_type=Instant)


class Meta(SQLModel, table=True):
    """Facts about this database: the tz database its time tables came from, and the like."""

    key: str = Field(primary_key=True)
    value: str


class ZoneSpan(SQLModel, table=True):
    """A stretch of time in which a zone keeps one offset; half-open, microseconds."""

    __tablename__ = "zone_span"

    zone: str = Field(primary_key=True)
    utc_from: int = Field(primary_key=True, sa_type=BigKey)
    utc_to: int = Field(sa_type=BigKey)
    #: Local microseconds, continuing the offset before: gaps and repeats both map to their first valid instant.
    local_from: int = Field(sa_type=BigKey)
    local_to: int = Field(sa_type=BigKey)
    offset: int = Field(sa_type=BigKey)


class Opening(SQLModel, table=True):
    """An instant span in which a send window is open in a zone and country."""

    __table_args__ = (Index("ix_opening_closes", "window", "zone", "country", "closes"),)

    #: Hash of the window's rule and the company's closed days.
    window: str = Field(primary_key=True)
    zone: str = Field(primary_key=True)
    #: Empty: unknown.
    country: str = Field(primary_key=True)
    opens: datetime = Field(primary_key=True, sa_type=Instant)
    closes: datetime = Field(sa_type=Instant)
