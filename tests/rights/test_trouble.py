"""What may happen while somebody is forgotten: merges, restored backups, files that cannot be written, shared numbers."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from nurture.doctor import house
from nurture.engine import suppressing
from nurture.engine.machine import Machine
from nurture.engine.merging import merge
from nurture.intake.people import put_people
from nurture.intake.person import Outcome, Person
from nurture.rights import copies, forget
from nurture.rights.chores import Chores
from nurture.rights.finding import find
from nurture.rights.remembered import Remembered
from nurture.settings import Settings
from tests.rights.plans import listened, scans
from tests.web.factories import MONDAY, later, make_lead, opened

RAE, OTHER, PHONE = "rae@acme.example", "other@acme.example", "+40799123123"


def _said(machine: Machine, query: str) -> list[Any]:
    with machine.db.read() as link:
        return list(link.execute(text(query)).scalars())


def test_who_was_forgotten_twice_is_forgotten_again_after_a_restore(sqlite_url: str, tmp_path: Path) -> None:
    """A backup from between the two lists the digest already, but with the first time."""
    file, home = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "home"
    with opened(sqlite_url) as machine:
        for _ in range(2):
            make_lead(machine, RAE)
            later(machine)
            machine.db.flush()
            shutil.copyfile(file, tmp_path / "backup.db")
            forget.forget(machine, home, RAE, by="x", now=machine.now())
            later(machine)
    for name in (f"{file.name}-wal", f"{file.name}-shm"):
        (file.parent / name).unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "backup.db", file)

    with opened(sqlite_url, files=None, minutes=300) as machine:
        assert _said(machine, "SELECT email FROM lead WHERE email IS NOT NULL") == [RAE]
        assert Chores(machine, home).catch_up() == 1
        assert _said(machine, "SELECT email FROM lead WHERE email IS NOT NULL") == []
        assert Chores(machine, home).catch_up() == 0


@pytest.mark.parametrize("keeps", ["the other", "this one"])
def test_a_merge_in_the_middle_does_not_lose_the_forgetting(
    database_url: str, keeps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are one person: whoever is left of the two is forgotten, with all their letters."""
    carry_out = forget._carry_out
    with opened(database_url) as machine:
        rae, other = make_lead(machine, RAE), make_lead(machine, OTHER)
        keep, gone = (other, rae) if keeps == "the other" else (rae, other)

        def merged(link: Any) -> None:
            merge(link, machine.live(), keep, gone, now=machine.now(), by="x", cause="said so")

        def late(*args: Any) -> forget.Forgotten:
            machine.db.transact(merged)
            return carry_out(*args)

        monkeypatch.setattr(forget, "_carry_out", late)
        forget.forget(machine, tmp_path, RAE, by="x", now=machine.now())

        assert _said(machine, "SELECT email FROM lead WHERE email IS NOT NULL") == []
        assert _said(machine, "SELECT id FROM lead WHERE forgotten_at IS NOT NULL") == [keep]
        assert _said(machine, "SELECT value FROM lead_alias") == []
        with machine.db.read() as link:
            assert Remembered(machine.keys).since(link, [RAE, OTHER]).keys() == {RAE, OTHER}
        assert list((tmp_path / forget.INTENTS).iterdir()) == []


def test_a_file_that_cannot_be_written_stops_nobody_else(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The intent of one waits until the file is mended; another's is carried out; starts and ticks go on."""
    rows = tmp_path / "rows.csv"
    rows.write_text(f"email\n{RAE}\n")
    copies.note_refused(tmp_path, rows, MONDAY)
    with (tmp_path / copies.REFUSED).open("a") as out:
        out.write('{"file": "/x", "at"')
    (tmp_path / "rows.csv.part").mkdir()  # where the draft belongs
    with opened(sqlite_url) as machine:
        make_lead(machine, RAE)
        make_lead(machine, OTHER)
        with pytest.raises(IsADirectoryError):
            forget.forget(machine, tmp_path, RAE, by="x", now=machine.now())
        with machine.db.read() as link:
            intent = forget._intent(link, find(link, OTHER), "x", machine.now())
        forget._write(tmp_path, intent)
        torn = tmp_path / forget.INTENTS / "0.json"
        torn.write_text("{")
        chores = Chores(machine, tmp_path)

        chores(machine.now())

        assert _said(machine, "SELECT email FROM lead WHERE email IS NOT NULL") == []
        assert len(forget.waiting(tmp_path)) == 2, "the torn one and hers"
        assert "rows.csv.part" in caplog.text
        told = house.forgetting(Settings(home=tmp_path))
        assert [check.verdict for check in told] == ["wrong"]
        (tmp_path / "rows.csv.part").rmdir()
        torn.unlink()
        chores(machine.now())
        assert rows.read_text() == "email\n"
        assert forget.waiting(tmp_path) == []
        assert house.forgetting(Settings(home=tmp_path)) == []


def test_a_draft_that_nobody_writes_any_more_goes(sqlite_url: str, tmp_path: Path) -> None:
    """It holds addresses; one that is being written at this moment stays."""
    folder = tmp_path / forget.INTENTS
    folder.mkdir()
    with opened(sqlite_url, files=None) as machine:
        for name, age in (("left.part", timedelta(hours=2)), ("now.part", timedelta(0))):
            (folder / name).write_text(RAE)
            os.utime(folder / name, times=((machine.now() - age).timestamp(),) * 2)
        Chores(machine, tmp_path).catch_up()
    assert [path.name for path in folder.iterdir()] == ["now.part"]


def test_files_that_others_remove_are_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes keep house at once."""
    gone = tmp_path / "mail" / "gone.eml"
    monkeypatch.setattr(copies, "_messages", lambda _: iter([gone]))
    assert copies.aged(tmp_path, MONDAY) == []
    assert copies.remove([gone]) == 0


def test_a_number_of_two_people_stays_stopped(database_url: str, tmp_path: Path) -> None:
    """STOP was said by whoever holds the phone: forgetting one of them does not let messages to the other go."""
    with opened(database_url) as machine:
        make_lead(machine, RAE, phone="+40 799 123 123")
        make_lead(machine, OTHER, phone=PHONE)
        stop = {"kind": "phone", "value": PHONE, "reason": "unsubscribed", "source": "STOP", "at": machine.now()}
        machine.db.transact(lambda link: suppressing.suppress(link, [stop]))
        phones = "SELECT value FROM suppression WHERE kind = 'phone'"

        forget.forget(machine, tmp_path, RAE, by="x", now=machine.now())
        assert _said(machine, phones) == [PHONE]
        forget.forget(machine, tmp_path, OTHER, by="x", now=machine.now())
        assert _said(machine, phones) == []
        with machine.db.read() as link:
            assert set(Remembered(machine.keys).since(link, [f"tel:{PHONE}"])) == {f"tel:{PHONE}"}


def test_a_forgotten_name_is_looked_up_and_not_searched_for(sqlite_url: str, tmp_path: Path) -> None:
    """However many leads there are: a row with a forgotten id or phone reads no table of leads from end to end.

    Who was forgotten is refused by the id alone; who has come back since is known by it.
    """
    with opened(sqlite_url) as machine:

        def put(*people: Person, remembered: Remembered | None = None) -> list[Outcome]:
            return machine.db.transact(
                lambda link: put_people(link, people, now=machine.now(), origin="crm", remembered=remembered)
            )

        put(Person(RAE, "crm", "7", {"phone": PHONE}), Person(None, "crm", "8"))
        stop = {"kind": "phone", "value": PHONE, "reason": "unsubscribed", "source": "STOP", "at": machine.now()}
        machine.db.transact(lambda link: suppressing.suppress(link, [stop]))
        for who in (RAE, "crm:8"):
            forget.forget(machine, tmp_path, who, by="x", now=machine.now())
        put(Person(None, "crm", "8"))
        asked = listened(machine.db)

        phoned = Person(OTHER, columns={"phone": PHONE})
        done = put(Person(None, "crm", "7"), Person(None, "crm", "8"), phoned, remembered=Remembered(machine.keys))

        assert [bool(one.problem) for one in done] == [True, False, False]
        assert scans(machine.db, asked, "lead", "lead_alias") == []
