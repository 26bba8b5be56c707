"""Prepared installations of either database: `lay(kind)` gives one with leads about to take that way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.faults.ground import Ground, copied, prepare
from tests.faults.sink import AdsSink, MailSink
from tests.faults.warm import Warm

Lay = Callable[..., Ground]


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """The parent of all children."""
    with Warm(tmp_path_factory.mktemp("children")) as started:
        yield started


@pytest.fixture(scope="session")
def platform() -> Iterator[AdsSink]:
    """The endpoint that the prepared programs name."""
    with AdsSink() as sink:
        yield sink


@pytest.fixture
def ads(platform: AdsSink) -> AdsSink:
    """The same, as if nobody had called yet."""
    platform.calls.clear()
    platform.script.clear()
    return platform


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailSink]:
    """A relay that takes everything unless an address asks otherwise."""
    with MailSink(tmp_path / "mail.log") as sink:
        yield sink


@pytest.fixture(scope="session")
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, warm: Warm
) -> Callable[[str, str], str]:
    """(database, kind) to what is copied for each test: a file, or the name of a database. The parent has seen one."""
    known: dict[tuple[str, str], str] = {}

    def made(database: str, kind: str) -> str:
        if (database, kind) not in known:
            ads_url = request.getfixturevalue("platform").url
            if database == "sqlite":
                file = tmp_path_factory.mktemp(kind) / "prepared.db"
                prepare(copied(request.getfixturevalue("migrated_sqlite"), file), kind, ads_url)
                known[database, kind] = str(file)
                url = copied(file, file.with_name("seen.db"))
            else:
                server = request.getfixturevalue("postgres")
                name = server.create(template=request.getfixturevalue("migrated_postgres"), name=f"prepared_{kind}")
                prepare(server.url(name), kind, ads_url)
                known[database, kind] = name
                url = server.url(server.create(template=name))
            seen = Ground(warm, url, tmp_path_factory.mktemp("seen"))
            with request.getfixturevalue("platform").aside():
                for at in (timedelta(), timedelta(minutes=20)):
                    warm.learn(seen.words(at, "ads" if kind == "ads" else "mail"), seen.env)
        return known[database, kind]

    return made


@pytest.fixture
def lay(
    request: pytest.FixtureRequest, prepared: Callable[[str, str], str], warm: Warm, tmp_path: Path
) -> Iterator[Lay]:
    """`lay(database, kind, **env)`: an installation of its own."""
    names, serial = [], count(1)

    def ground(database: str, kind: str, **env: str) -> Ground:
        folder = tmp_path / f"ground-{next(serial)}"
        folder.mkdir()
        if database == "sqlite":
            url = copied(Path(prepared(database, kind)), folder / "nurture.db")
        else:
            server = request.getfixturevalue("postgres")
            names.append(server.create(template=prepared(database, kind)))
            url = server.url(names[-1])
        return Ground(warm, url, folder, env)

    yield ground
    for name in names:
        request.getfixturevalue("postgres").drop(name)
