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
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, create_engine

from tests.postgres import Server, server

if TYPE_CHECKING:
    from nurture.db import Database

KINDS = ["sqlite", "postgres"]
MIGRATED = "migrated"
#: Programs whose statements are kept for the next test with the same one.
PROGRAMS_KEPT = 24

# As the command line does: what is imported stays, and need not be looked through again and again.
gc.set_threshold(50_000)

# Properties look at the same examples on every run; HYPOTHESIS_PROFILE=search looks further.
_UNHURRIED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=40, suppress_health_check=_UNHURRIED)
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


#: Where files live in memory: SQLite waits for the disk at every commit, some milliseconds of each.
MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before anything of ours or Prefect's is imported: forget the owner's settings and stay silent."""
    if config.option.basetemp is None and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        config.option.basetemp = tempfile.mkdtemp(prefix="nurture-tests-", dir=MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
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
def statements_compiled_once() -> Iterator[None]:
    """Engines of one kind share their compiled statements: compiling them anew for each test took a fifth of all."""
    import nurture.db

    first: dict[str, Engine] = {}

    def create(*args: Any, **options: Any) -> Engine:
        engine = create_engine(*args, **options)
        kept = first.get(engine.dialect.name)
        if kept is None or kept.dialect.server_version_info is None:  # it has not met its database
            first[engine.dialect.name] = engine
        else:
            engine.dialect, engine._compiled_cache = kept.dialect, kept._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as here:
        here.setattr(nurture.db, "create_engine", create)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_built_once() -> Iterator[None]:
    """Machines with the same published bytes under the same ids share their statements: they depend on nothing else."""
    from nurture.engine.live import Library
    from nurture.engine.running import Run
    from nurture.program.load import content_hash

    alike: OrderedDict[Any, dict[tuple[Any, ...], Any]] = OrderedDict()
    digest = lru_cache(maxsize=256)(lambda files: content_hash(dict(files)))

    def bytes_of(library: Library) -> Any:
        """Which bytes stand under which id."""
        known = library.houses.values(), library.segments.values()
        return tuple(
            tuple(sorted((one.id, digest(tuple(one.files.items()))) for one in versions)) for versions in known
        )

    def plan(run: Run, name: tuple[Any, ...], build: Callable[[], Any]) -> Any:
        plans = run.live.library.plans
        key = (run.live.house.id, *name)
        if key not in plans:
            shared = alike.setdefault(bytes_of(run.live.library), {})
            alike.move_to_end(bytes_of(run.live.library))
            if len(alike) > PROGRAMS_KEPT:
                alike.popitem(last=False)
            plans[key] = shared[key] if key in shared else shared.setdefault(key, build())
        return plans[key]

    with pytest.MonkeyPatch.context() as here:
        here.setattr(Run, "plan", plan)
        yield


@pytest.fixture(scope="session", autouse=True)
def letters_compiled_once() -> Iterator[None]:
    """The same letters are compiled once, however many programs of the tests hold them."""
    from nurture.mail.templates import Templates
    from nurture.program.load import content_hash

    alike: OrderedDict[tuple[str, bool], Templates] = OrderedDict()
    begin = Templates.__init__

    def init(templates: Templates, files: Mapping[str, str], *, escaped: bool = True) -> None:
        begin(templates, files, escaped=escaped)
        which = content_hash(templates.files), escaped
        first = alike.setdefault(which, templates)
        alike.move_to_end(which)
        if len(alike) > PROGRAMS_KEPT:
            alike.popitem(last=False)
        templates.sandbox, templates._compiled, templates._lock = first.sandbox, first._compiled, first._lock

    with pytest.MonkeyPatch.context() as here:
        here.setattr(Templates, "__init__", init)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this worker's own, started when the first test asks for it."""
    with server() as running:
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
