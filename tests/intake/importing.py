"""Files to import, and what the database holds afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import SQLModel

from nurture.db import Database
from nurture.intake import ImportReport, Mapping, import_events, import_leads, read_mapping
from nurture.intake.columns import Kind
from nurture.program.consents import Consents

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MAPPINGS = Path(__file__).parent / "mappings"


@dataclass
class Program:
    """What a program.yaml would declare."""

    fields: dict[str, Kind] = field(
        default_factory=lambda: {
            "industry": "text", "seats": "number", "trial": "flag", "renewal": "date", "lead_source": "text",
            "role": "text", "visits": "number", "created": "date",
        }
    )  # fmt: skip
    zone: str = "Europe/Bucharest"
    country: str | None = None
    language: str = "en"
    consents: Consents = field(default_factory=Consents)


class Imports:
    """Writes a file and imports it; the defaults are a dull import of consenting leads."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.db, self.folder = database, folder

    def file(self, content: str | bytes, name: str = "people.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def leads(self, content: str | bytes | Path, *, name: str = "people.csv", **options: Any) -> ImportReport:
        path = content if isinstance(content, Path) else self.file(content, name)
        given: dict[str, Any] = {"known": Program(), "now": NOW, "consent": "consent", **options}
        return import_leads(self.db, path, **{**given, "mapping": self._mapping(given.get("mapping"))})

    def events(self, content: str | bytes | Path, *, name: str = "events.csv", **options: Any) -> ImportReport:
        path = content if isinstance(content, Path) else self.file(content, name)
        given: dict[str, Any] = {"now": NOW, "click_rest": timedelta(seconds=30), **options}
        return import_events(self.db, path, **{**given, "mapping": self._mapping(given.get("mapping"))})

    def _mapping(self, given: Any) -> Mapping | None:
        if isinstance(given, str):
            given = self.file(given, "mapping.yaml")
        return read_mapping(given) if isinstance(given, Path) else given

    def rows(self, table: str, *columns: str) -> list[Any]:
        """The rows of `table`: of one column its values, of several tuples, in order."""
        found = SQLModel.metadata.tables[table].c
        statement = select(*(found[name] for name in columns)).order_by(*(found[name] for name in columns))
        with self.db.read() as link:
            rows = [tuple(row) for row in link.execute(statement)]
        return [row[0] for row in rows] if len(columns) == 1 else rows

    def lead(self, email: str) -> dict[str, Any]:
        """Everything stored of one lead."""
        lead = SQLModel.metadata.tables["lead"]
        with self.db.read() as link:
            return dict(link.execute(select(lead).where(lead.c.email == email)).mappings().one())

    def count(self, table: str) -> int:
        with self.db.read() as link:
            return link.execute(select(func.count()).select_from(SQLModel.metadata.tables[table])).scalar_one()

    def clear(self, *tables: str) -> None:
        """Empty these tables, so that what a second import writes stands alone."""
        for table in tables:
            statement = SQLModel.metadata.tables[table].delete()
            self.db.transact(lambda link, statement=statement: link.execute(statement))  # type: ignore[misc]


def shared_data() -> Path:
    """Exports of real systems, beside the repository; the tests on them are skipped without."""
    return Path(__file__).resolve().parents[2].parent / "shared" / "data"


needs_shared_data = pytest.mark.skipif(not shared_data().is_dir(), reason="the exports of real systems are not here")
