"""Published versions: the very bytes the marketer wrote."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from nurture.records.types import BigKey, Document, Instant


class SequenceVersion(SQLModel, table=True):
    """`sequence.yaml` of one segment with all it includes; immutable."""

    __tablename__ = "sequence_version"
    __table_args__ = (UniqueConstraint("sequence", "number"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    #: The segment's folder name.
    sequence: str
    number: int
    #: SHA-256 over names and bytes.
    content_hash: str
    #: File name to text.
    files: dict[str, str] = Field(sa_type=Document)
    published_at: datetime = Field(sa_type=Instant)
    #: Newcomers enter the live one; NULL or the instant at which it was replaced.
    closed_at: datetime | None = Field(default=None, sa_type=Instant)


class ProgramVersion(SQLModel, table=True):
    """program, lifecycle, scoring, offers and `_shared`; immutable."""

    __tablename__ = "program_version"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigKey)
    number: int = Field(unique=True)
    content_hash: str
    files: dict[str, str] = Field(sa_type=Document)
    published_at: datetime = Field(sa_type=Instant)
