"""The doors over a machine that has sent its letters: made once of each kind, and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nurture.channels.base import Parcel
from nurture.channels.recording import RecordingChannel
from nurture.engine.machine import Machine
from tests.postgres import Server
from tests.web.factories import Visitor, make_lead, opened, send

LETTERED = "lettered"


def write_letters(url: str) -> list[Parcel]:
    """Publish the sample program; Rae and Noura (who reads Arabic) get their first two letters."""
    with opened(url) as machine:
        make_lead(machine)
        make_lead(machine, "noura@acme.example", first_name="نورة", language="ar")
        send(machine)
        send(machine)
        assert isinstance(machine.email, RecordingChannel)
        return machine.email.parcels


@pytest.fixture(scope="session")
def lettered_sqlite(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Parcel]]:
    """An SQLite file to be copied, and what was sent."""
    path = tmp_path_factory.mktemp("web") / "lettered.db"
    shutil.copyfile(migrated_sqlite, path)
    return path, write_letters(f"sqlite:///{path}")


@pytest.fixture(scope="session")
def lettered_postgres(postgres: Server, migrated_postgres: str) -> list[Parcel]:
    """What was sent; the database to be copied is called LETTERED."""
    return write_letters(postgres.url(postgres.create(template=migrated_postgres, name=LETTERED)))


@pytest.fixture(params=["sqlite", "postgres"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """The sample program is published; Rae and Noura have two letters each, twenty minutes old."""
    mail = RecordingChannel("email")
    if request.param == "sqlite":
        path, parcels = request.getfixturevalue("lettered_sqlite")
        url = f"sqlite:///{shutil.copyfile(path, tmp_path / 'nurture.db')}"
    else:
        parcels = request.getfixturevalue("lettered_postgres")
        server: Server = request.getfixturevalue("postgres")
        name = server.create(template=LETTERED)
        url = server.url(name)
    mail.parcels = list(parcels)
    with opened(url, files=None, mail=mail, minutes=40) as machine:
        yield machine
    if request.param == "postgres":
        server.drop(name)


@pytest.fixture
def visit(machine: Machine) -> Visitor:
    """Somebody with a browser."""
    return Visitor(machine)
