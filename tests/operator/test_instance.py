"""A copy or an old state of the database sends nothing, until a person has adopted it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from nurture.channels.recording import RecordingChannel
from nurture.cli import main
from nurture.clock import VirtualClock
from nurture.db import Database
from nurture.engine.machine import Machine
from nurture.errors import DatabaseFault
from nurture.opening import open_machine
from nurture.settings import Settings
from tests.engine.world import DAY, MONDAY, World, program, sequence
from tests.postgres import Server

FILES = program(a=sequence("  - {id: one, email: one.j2}\n  - {id: rest, wait: 1 day}\n  - {id: two, email: two.j2}"))
SECRET = "the secret of an installation that exists in tests alone"


@dataclass
class Installation:
    """A home folder and a database, opened anew for each thing that is done."""

    home: Path
    url: str
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(MONDAY))

    def machine(self) -> Machine:
        settings = Settings(home=self.home, database_url=self.url, secret_key=SECRET)  # type: ignore[arg-type]
        machine = open_machine(settings, self.clock)
        machine.email = RecordingChannel("email")
        return machine

    def tick(self, later: object = None) -> int:
        """One tick; how many messages left."""
        machine = self.machine()
        try:
            machine.tick("a", machine.now())
            assert isinstance(machine.email, RecordingChannel)
            return len(machine.email.parcels)
        finally:
            machine.close()

    def reason(self) -> str:
        """Why nothing is sent; empty: it is sent."""
        machine = self.machine()
        try:
            assert machine.instance is not None
            return machine.instance.cloned or ""
        finally:
            machine.close()

    def mark(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.home / "instance.json").read_text())
        return found


@pytest.fixture
def sqlite_home(sqlite_url: str, tmp_path: Path) -> Installation:
    return Installation(tmp_path / "home", sqlite_url)


@pytest.fixture
def two_leads() -> Callable[[str], None]:
    """Writes a published program and two leads whose first letter is due."""

    def write(url: str) -> None:
        world = World(url, FILES)
        for name in ("ana", "ben"):
            world.lead(name)
            world.event(name, "signed_up")
        world.close()

    return write


@pytest.fixture(params=["sqlite", "postgres"])
def installed(request: pytest.FixtureRequest, tmp_path: Path, two_leads: Callable[[str], None]) -> Installation:
    """An installation of either kind that has sent both first letters."""
    made = Installation(tmp_path / "home", request.getfixturevalue(f"{request.param}_url"))
    two_leads(made.url)
    assert made.tick() == 2
    return made


@pytest.fixture
def copied(installed: Installation, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Copies the database as it stands now; the copy's URL."""
    names: list[str] = []

    def copy() -> str:
        if installed.url.startswith("sqlite"):
            target = tmp_path / f"copy{len(names)}.db"
            names.append(str(target))
            with closing(sqlite3.connect(installed.url.removeprefix("sqlite:///"))) as source:
                source.execute("VACUUM INTO ?", (str(target),))
            return f"sqlite:///{target}"
        server: Server = request.getfixturevalue("postgres")
        names.append(server.create(template=make_url(installed.url).database))
        return server.url(names[-1])

    yield copy
    if not installed.url.startswith("sqlite"):
        for name in names:
            request.getfixturevalue("postgres").drop(name)


def test_a_database_of_ones_own_sends(installed: Installation) -> None:
    """First start makes both marks, and every later one that sends moves them on together."""
    before = installed.mark()
    installed.clock.advance(DAY)

    assert installed.tick() == 2
    assert installed.reason() == ""
    assert installed.mark()["id"] == before["id"]
    assert int(str(installed.mark()["epoch"])) > int(str(before["epoch"]))


def test_a_copy_next_to_another_home_sends_nothing(
    installed: Installation, copied: Callable[[], str], tmp_path: Path
) -> None:
    """The clone moves its leads and sends nothing; the original goes on."""
    installed.clock.advance(DAY)
    clone = Installation(tmp_path / "other", copied(), installed.clock)

    assert clone.tick() == 0
    assert "copied or moved" in clone.reason()
    assert installed.tick() == 2


def test_a_copy_with_its_home_sends_nothing(installed: Installation, copied: Callable[[], str], tmp_path: Path) -> None:
    """Everything copied, as one copies a folder or a machine's disk."""
    installed.clock.advance(DAY)
    url = copied()
    shutil.copytree(installed.home, tmp_path / "other")

    assert Installation(tmp_path / "other", url, installed.clock).tick() == 0
    assert Installation(installed.home, url, installed.clock).tick() == 0
    assert installed.tick() == 2


def test_an_older_snapshot_sends_nothing(sqlite_home: Installation, two_leads: Callable[[str], None], tmp_path: Path) -> None:  # fmt: skip
    """Restored in its own place, file for file: what went out since would go out again."""
    two_leads(sqlite_home.url)
    assert sqlite_home.reason() == ""
    file, snapshot = Path(sqlite_home.url.removeprefix("sqlite:///")), tmp_path / "snapshot.db"
    with closing(sqlite3.connect(file)) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    snapshot.write_bytes(file.read_bytes())
    assert sqlite_home.tick() == 2
    for trace in (f"{file}-wal", f"{file}-shm"):
        Path(trace).unlink(missing_ok=True)
    file.write_bytes(snapshot.read_bytes())  # the same inode, as `cp` leaves it

    assert sqlite_home.tick() == 0
    assert "a backup was restored" in sqlite_home.reason()


def test_an_older_state_on_postgres_sends_nothing(postgres_url: str, two_leads: Callable[[str], None], tmp_path: Path) -> None:  # fmt: skip
    """The same database wound back below what the home folder knows; also under a machine that is running."""
    here = Installation(tmp_path / "home", postgres_url)
    two_leads(here.url)
    assert here.tick() == 2
    here.clock.advance(DAY)
    running = here.machine()
    _wind_back(postgres_url)

    assert here.tick() == 0
    assert "a backup was restored" in here.reason()
    running.tick("a", running.now())
    assert isinstance(running.email, RecordingChannel)
    assert running.email.parcels == []
    running.close()


def _wind_back(url: str) -> None:
    db = Database(url)
    row = "UPDATE meta SET value = jsonb_set(value::jsonb, '{epoch}', '1')::text WHERE key = 'instance'"
    db.transact(lambda link: link.execute(text(row)))
    db.dispose()


class Shell:
    """The command line on an installation."""

    def __init__(self, at: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("NURTURE_HOME", str(at.home))
        monkeypatch.setenv("NURTURE_DATABASE_URL", at.url)
        monkeypatch.setenv("NURTURE_SECRET_KEY", SECRET)
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = main(list(words))
        told = self._capsys.readouterr()
        return code, told.out + told.err


def test_adopting_takes_the_number_of_what_is_due(
    installed: Installation, copied: Callable[[], str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Said by each command that would send; adopted by the right number alone; a row of the audit."""
    installed.clock.advance(DAY)
    clone = Installation(tmp_path / "other", copied(), installed.clock)
    assert clone.tick() == 0
    nurture = Shell(clone, monkeypatch, capsys)

    code, said = nurture("tick", "--now", clone.clock.now().isoformat())
    assert (code, "Nothing is sent" in said, "nurture adopt" in said) == (1, True, True)
    code, said = nurture("adopt")
    assert (code, "2 messages are due" in said, "--count 2" in said) == (1, True, True)
    code, said = nurture("adopt", "--count", "3")
    assert (code, "Nothing was changed: 2 are due" in said) == (1, True)
    assert clone.tick() == 0
    code, said = nurture("adopt", "--count", "2", "--by", "ana@acme.example")
    assert (code, "installation's own" in said) == (0, True)
    assert nurture("adopt")[0] == 0

    assert clone.tick() == 2
    assert _audit(clone.url) == [("ana@acme.example", "adopted", "database")]


def test_another_host_joins_by_itself(installed: Installation, copied: Callable[[], str], tmp_path: Path) -> None:
    """A second home on the database in its place sends, and so does the first; a copy stays a copy."""
    installed.clock.advance(DAY)
    second = Installation(tmp_path / "second", installed.url, installed.clock)
    assert second.tick() == 2
    assert (installed.reason(), second.reason()) == ("", "")

    clone = Installation(tmp_path / "third", copied(), installed.clock)
    assert "copied or moved" in clone.reason()


def test_a_restored_database_is_adopted_without_a_question(
    sqlite_home: Installation, two_leads: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """`--yes`; and its epoch is beyond all that the home folder knew."""
    two_leads(sqlite_home.url)
    sqlite_home.tick()
    known = int(str(sqlite_home.mark()["epoch"]))
    db = Database(sqlite_home.url)
    row = "UPDATE meta SET value = json_set(value, '$.epoch', 1) WHERE key = 'instance'"
    db.transact(lambda link: link.execute(text(row)))
    db.dispose()
    assert sqlite_home.reason() != ""

    assert Shell(sqlite_home, monkeypatch, capsys)("adopt", "--yes")[0] == 0
    assert sqlite_home.reason() == ""
    assert int(str(sqlite_home.mark()["epoch"])) > known


def _audit(url: str) -> list[tuple[str, str, str]]:
    db = Database(url)
    with db.read() as link:
        rows = [(row.by, row.act, row.subject) for row in link.execute(text("SELECT * FROM audit ORDER BY id"))]
    db.dispose()
    return rows


@pytest.mark.parametrize("seconds", [-7, 7])
def test_clocks_apart_stop_a_tick_and_nothing_else(
    postgres_url: str, two_leads: Callable[[str], None], tmp_path: Path, seconds: int
) -> None:
    """A database seven seconds off: no lease is taken, nothing leaves; a hold can still be put on."""
    two_leads(postgres_url)
    _shift_clock(postgres_url, seconds)
    settings = Settings(home=tmp_path / "home", database_url=postgres_url, secret_key=SECRET)  # type: ignore[arg-type]
    machine = open_machine(settings)
    try:
        with pytest.raises(DatabaseFault, match=r"this host's clock is 7 s (ahead of|behind) the database's"):
            machine.tick("a", machine.now())
        assert machine.segments() == ["a"]
    finally:
        machine.close()


def _shift_clock(url: str, seconds: int) -> None:
    """The database's own clock, made to go wrong: a function of the same name that is found first."""
    db = Database(url)
    shifted = f"SELECT pg_catalog.clock_timestamp() + interval '{seconds} s'"
    for statement in (
        "CREATE SCHEMA wrong",
        f"CREATE FUNCTION wrong.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS $$ {shifted} $$",
        f"ALTER DATABASE {db.url.database} SET search_path = wrong, pg_catalog, public",
    ):
        db.transact(lambda link, statement=statement: link.execute(text(statement)))  # type: ignore[misc]
    db.dispose()
