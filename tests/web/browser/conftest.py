"""One Chromium and one house for all tests of this package; without Chromium they are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.web.browser.house import House, open_house

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep these tests on one worker, with one browser; the marks alone do not yet (pytest-dev/pytest-xdist#1386)."""
    for item in items if getattr(config.option, "loadgroup", False) else ():
        if item.path.is_relative_to(HERE) and not item.nodeid.endswith("@browser"):
            item._id = item._id.parse(f"{item.nodeid}@browser")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium. It goes with the package: its event loop is in the way of others."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium here")
    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="package")
def house(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The house, and nobody else in it."""
    folder = tmp_path_factory.mktemp("house")
    database = Path(shutil.copyfile(migrated_sqlite, folder / "nurture.db"))
    pages = folder / "pages"
    pages.mkdir()
    with open_house(database, pages) as house:
        yield house
