"""The database goes away, or has no room: no message without a durable `sending`, and all goes on when it is back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture.db import migrate
from nurture.records import Enrolment, Touch
from tests.faults.conftest import Lay
from tests.faults.ground import LEADS, Ground, copied, prepare
from tests.faults.servers import durable, end_connections, restart, stubborn_server
from tests.faults.sink import MailSink
from tests.faults.warm import ROOT, Warm
from tests.postgres import Server

START = timedelta()
#: More than fit into the free pages of a small file.
MANY = 150


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that these tests may restart, with a prepared database."""
    with stubborn_server() as running:
        migrate(running.url(running.create(name="prepared")))
        prepare(running.url("prepared"), "mail", "https://ads.example/")
        yield running


def only_once(ground: Ground, mail: MailSink, number: int, doubt: int = 0) -> None:
    """Everybody was written to once, and the books say so."""
    ids = [came.message_id for came in mail.kept()]
    states = ground.states()
    assert len(ids) == len(set(ids)) == number
    assert set(ground.message_ids("sent")) <= set(ids) <= set(ground.message_ids("sent", "uncertain"))
    assert states["sent"] + states["uncertain"] == number == len(ground.rows(Touch))
    assert states["uncertain"] <= doubt
    assert {row.step for row in ground.rows(Enrolment)} == {"rest"}


ACCIDENTS: dict[str, Callable[[Server, str], Any]] = {
    "restarted at once": lambda running, _: restart(running),
    "connections ended": end_connections,
}


@pytest.mark.parametrize("asleep", ["claimed:stop:1", "permitted:stop:1", "dotted:stop:3", "recording:stop:1"])
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_postgres_goes_away_under_a_worker(
    own_server: Server, warm: Warm, mail: MailSink, tmp_path: Path, accident: str, asleep: str
) -> None:
    """At this point of a batch; the worker goes on or gives up, the next tick puts it right, nothing goes twice."""
    name = own_server.create(template="prepared")
    ground = Ground(warm, durable(own_server, name), tmp_path, {"NURTURE_SMTP_URL": mail.url})
    worker = warm.start(ground.words(START, "mail"), ground.armed(asleep), still=True)
    warm.until_stopped(worker)
    ACCIDENTS[accident](own_server, name)
    os.kill(worker, signal.SIGCONT)
    ended = warm.ended(worker)
    ground.until_quiet("mail")

    assert ended.code in (0, 1)
    assert "Traceback" not in ended.err
    only_once(ground, mail, LEADS)
    own_server.drop(name)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Path:
    """An SQLite file with many leads about to be written to."""
    file = tmp_path_factory.mktemp("many") / "prepared.db"
    prepare(copied(migrated_sqlite, file), "mail", "https://ads.example/", MANY)
    return file


def pages(file: Path) -> int:
    with closing(sqlite3.connect(file)) as link:
        return int(link.execute("PRAGMA page_count").fetchone()[0])


@pytest.mark.parametrize("spare", [0, 12, 20, 28, 36])
def test_sqlite_is_full(many: Path, warm: Warm, mail: MailSink, tmp_path: Path, spare: int) -> None:
    """With so many pages to spare; what left is known, the rest is not lost, and with room all goes on."""
    ground = Ground(warm, copied(many, tmp_path / "nurture.db"), tmp_path, {"NURTURE_SMTP_URL": mail.url})
    room = pages(many) + spare
    full = ground.tick(START, "mail", pages=room, hasty=True)
    begun = {row.message_id for row in ground.rows(Touch) if row.sending_at}
    left = {came.message_id for came in mail.kept()}
    ground.until_quiet("mail", begin=timedelta(minutes=20))

    assert full.code == 1
    assert "full" in full.out + full.err
    assert "Traceback" not in full.err
    assert left <= begun
    only_once(ground, mail, MANY)


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where an ordinary user may not mount a disk of his own."""
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs in a namespace of his own (unshare -rm)")


def on_a_full_disk(ground: Ground, folder: Path, size: int) -> list[dict[str, Any]]:
    """A tick while `folder` is full, and one with room."""
    command = ["unshare", "-rm", sys.executable, "-m", "tests.faults.full_disk", str(folder), str(size)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **ground.env}
    done = subprocess.run(
        [*command, *ground.words(START, "mail")], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_full_disk_under_the_database(
    namespaces: None, many: Path, warm: Warm, mail: MailSink, tmp_path: Path
) -> None:
    """Nothing leaves while nothing can be written; it says so, and goes on when there is room."""
    folder = tmp_path / "disk"
    url = copied(many, folder / "nurture.db")
    ground = Ground(warm, url, folder, {"NURTURE_SMTP_URL": mail.url})
    full, after = on_a_full_disk(ground, folder, 2**24)

    books = Ground(warm, f"sqlite:///{tmp_path}/disk-aside-after/nurture.db", folder)
    assert full["code"] == 1
    assert "check the folder's rights and space" in full["said"]
    assert "Traceback" not in full["said"]
    assert after["code"] == 0
    only_once(books, mail, MANY)


def test_a_full_disk_under_the_journal(
    namespaces: None, many: Path, warm: Warm, mail: MailSink, tmp_path: Path
) -> None:
    """A body whose beginning cannot be noted does not begin."""
    ground = Ground(warm, copied(many, tmp_path / "nurture.db"), tmp_path, {"NURTURE_SMTP_URL": mail.url})
    journal = tmp_path / "home" / "journal"
    journal.mkdir(parents=True)
    full, after = on_a_full_disk(ground, journal, 4096)
    at_first = len(mail.kept())
    ground.until_quiet("mail", begin=timedelta(minutes=20))

    assert full["code"] == 1
    assert "the journal cannot be written" in full["said"]
    assert after["code"] == 0
    assert at_first in (0, MANY)
    only_once(ground, mail, MANY)


def test_a_journal_that_cannot_be_made(lay: Lay, mail: MailSink) -> None:
    """Nothing is sent without one, and the message says where and what to do."""
    ground = lay("sqlite", "mail", NURTURE_SMTP_URL=mail.url)
    blocked = ground.folder / "home" / "journal"
    blocked.parent.mkdir()
    blocked.write_text("a file where the folder should be")
    refused = ground.tick(START, "mail")
    during = mail.kept(), ground.states()
    blocked.unlink()
    ground.until_quiet("mail")

    assert refused.code == 1
    assert "Traceback" not in refused.err
    assert str(blocked) in refused.err
    assert during == ([], Counter())
    only_once(ground, mail, LEADS)
