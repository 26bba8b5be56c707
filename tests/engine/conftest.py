"""Worlds for tests of the engine: `make(files)` gives one on a new database of either kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import pytest

from tests.engine.world import MONDAY, World

Make = Callable[..., World]


@pytest.fixture
def make(database_url: str) -> Iterator[Make]:
    """Makes the test's world; it is closed at the end."""
    made: list[World] = []

    def world(files: Mapping[str, str] | None = None, start: datetime = MONDAY) -> World:
        made.append(World(database_url, files, start))
        return made[-1]

    yield world
    for one in made:
        one.close()
