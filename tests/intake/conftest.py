"""An importer on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nurture.db import Database
from tests.intake.importing import Imports


@pytest.fixture
def imports(database: Database, tmp_path: Path) -> Imports:
    """On both databases: for what is written."""
    return Imports(database, tmp_path)


@pytest.fixture
def reading(sqlite_url: str, tmp_path: Path) -> Iterator[Imports]:
    """On SQLite alone: for what is decided before any database is asked."""
    database = Database(sqlite_url)
    yield Imports(database, tmp_path)
    database.dispose()
