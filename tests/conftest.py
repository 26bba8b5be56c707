"""What every test may ask for: a fresh database of either kind, and surroundings without an owner.

`database_url`        runs the test twice, on SQLite and on PostgreSQL: all tables, no rows
`sqlite_url`, `postgres_url`    the same, for a test that concerns one of them
`blank_database_url`  both again, without tables: for the migrations themselves
`database`            `nurture.db.Database(database_url)`, disposed of after the test
"""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Server, server
from tests.reuse import reusing

if TYPE_CHECKING:
    from nurture.db import Database

KINDS = ["sqlite", "postgres"]
MIGRATED = "migrated"

# As the command line does: what is imported stays, and need not be looked through again and again.
gc.set_threshold(50_000)

# Properties look at the same examples on every run; HYPOTHESIS_PROFILE=search looks further.
_UNHURRIED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=40, suppress_health_check=_UNHURRIED)
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


#: Where files live in memory: SQLite waits for the disk at every commit, some milliseconds of each; PostgreSQL makes
#: and removes some hundreds of files for each test, a tenth of a second on a disk.
MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30


def in_memory() -> bool:
    """Whether there is room in memory for what the tests write."""
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before anything of ours or Prefect's is imported: forget the owner's settings and stay silent."""
    if config.option.basetemp is None and in_memory():
        config.option.basetemp = tempfile.mkdtemp(prefix="nurture-tests-", dir=MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
    sys.dont_write_bytecode = False  # dozens of processes import the same modules
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in [name for name in os.environ if name.startswith(("NURTURE_", "PREFECT_", "COLUMNS"))]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="nurture-tests-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ |= {
        "PREFECT_HOME": home,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: a test waits for a server, a lease or another process nearly as often as it works."""
    return max(2, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.fixture(scope="session", autouse=True)
def reused() -> Iterator[None]:
    """What comes out alike is built and compiled once."""
    with reusing():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this worker's own, started when the first test asks for it."""
    with server(MEMORY if in_memory() else None) as running:
        yield running


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Server) -> str:
    """The name of a database with all tables, to be copied."""
    from nurture.db import migrate

    name = postgres.create(name=MIGRATED)
    migrate(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, to be copied."""
    from nurture.db import migrate

    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the one file is all of it
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A new SQLite database with all tables and no rows."""
    return f"sqlite:///{shutil.copyfile(migrated_sqlite, tmp_path / 'nurture.db')}"


@pytest.fixture
def postgres_url(postgres: Server, migrated_postgres: str) -> Iterator[str]:
    """A new PostgreSQL database with all tables and no rows."""
    name = postgres.create(template=migrated_postgres)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """A new database with all tables and no rows, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=KINDS)
def blank_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new database without tables, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'blank.db'}"
        return
    running: Server = request.getfixturevalue("postgres")
    name = running.create()
    yield running.url(name)
    running.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The engine's own way into `database_url`."""
    from nurture.db import Database

    opened = Database(database_url)
    yield opened
    opened.dispose()
