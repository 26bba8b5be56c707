"""Who was forgotten stays out: of imports, of restored backups, of a process that was killed in the middle."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys

import httpx
import pytest

from nurture.web.public import public_app
from tests.rights.conftest import House

ZOE = "zoe@lead.example"
HEAD = "email,id,first_name,consent\n"


def _emails(house: House) -> list[str]:
    return sorted(row["email"] for row in house.rows("lead") if row["email"])


def test_no_file_and_no_system_brings_a_person_back(house: House) -> None:
    """Refused as `forgotten`, by address in any spelling and by id; nothing of the row is kept, not even as refused."""
    assert house.leads(f"{HEAD}{ZOE},7,Zoe,yes\nben@lead.example,8,Ben,yes\n", "--source", "crm").code == 0
    house.well("forget", ZOE, "--yes")
    again = house.leads(
        f"{HEAD} ZOE@Lead.Example ,,Zoe,yes\n,7,Zoe,yes\nben@lead.example,8,Benny,yes\ncleo@lead.example,9,Cleo,yes\n",
        "--source", "crm", name="again.csv",
    )  # fmt: skip

    assert again.code == 1
    assert "2, 3: forgotten" in again.out
    assert "Zoe" not in again.out
    assert _emails(house) == ["ben@lead.example", "cleo@lead.example"]
    assert not (house.folder / "again.refused.csv").exists()
    told = house.events(f"email,event,at\n{ZOE},signed_up,2026-03-01T10:00:00Z\n")
    assert "forgotten" in told.out
    assert len(house.rows("event")) == 0

    async def ask() -> None:
        with house.machine() as opened:
            transport = httpx.ASGITransport(app=public_app(opened))
            async with httpx.AsyncClient(transport=transport, base_url="http://links.test") as browser:
                form = {"email": ZOE, "first_name": "Zoe", "company": "Z", "consent": "yes"}
                assert (await browser.post("/f/demo", json=form)).status_code == 202

    asyncio.run(ask())
    assert ZOE in _emails(house), "the person's own request makes a lead"
    assert house.leads(f"{HEAD}{ZOE},,Zoé,yes\n").code == 0, "and a known lead is completed as any other"


def test_who_is_not_known_can_be_kept_out(small: House) -> None:
    """Somebody objects before we have them; and an address that was only suppressed stays out by its digest alone."""
    said = small.well("forget", ZOE, "--yes")

    assert "Nothing was held" in said
    assert "forgotten" in small.leads(f"{HEAD}{ZOE},,Zoe,yes\n").out
    assert _emails(small) == []
    assert "zoe" not in str(small.rows("erasure"))
    refused = small.nurture("forget", "12", "--yes")
    assert (refused.code, refused.err) == (
        1, "'12' names nobody; write an e-mail address, source:id as imported, or our own number\n",
    )  # fmt: skip


def test_nothing_is_done_unless_a_person_says_so(small: House) -> None:
    """Without a terminal and without --yes the answer is no."""
    small.leads(f"{HEAD}{ZOE},,Zoe,yes\n")
    asked = small.nurture("forget", ZOE)

    assert asked.code == 1
    assert "--yes" in asked.err
    assert "consents" in asked.out
    assert _emails(small) == [ZOE]


def test_a_restored_backup_forgets_again(small: House) -> None:
    """The log in the home outlives the database: whoever it lists is forgotten at the next start, nobody else is."""
    small.leads(f"{HEAD}{ZOE},,Zoe,yes\nben@lead.example,,Ben,yes\n")
    file = small.folder / "nurture.db"
    with sqlite3.connect(file) as link:
        link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = shutil.copyfile(file, small.folder / "backup.db")
    small.given.add(backup)
    small.well("forget", ZOE, "--yes")
    for name in ("nurture.db-wal", "nurture.db-shm"):
        (small.folder / name).unlink(missing_ok=True)
    shutil.copyfile(backup, file)
    assert _emails(small) == ["ben@lead.example", ZOE]

    small.nurture("adopt")

    assert _emails(small) == ["ben@lead.example"]
    assert "forgotten" in small.leads(f"{HEAD}{ZOE},,Zoe,yes\n").out
    (small.home / "erasures.ndjson").unlink()
    small.nurture("adopt")
    assert (small.home / "erasures.ndjson").read_text().count("digest") == 1, "another home writes its own log"


@pytest.mark.parametrize("point", ["forgetting", "forgotten"])
def test_a_kill_in_the_middle_is_finished_by_the_next_start(small: House, point: str) -> None:
    """After the intent, or after the database: nothing is half forgotten for longer than until somebody starts."""
    small.leads(f"{HEAD}{ZOE},,Zoe,yes\n", name="first.csv")
    small.leads(f"{HEAD}not-an-address {ZOE},,Zoe,yes\n", name="second.csv")
    small.events(f"email,event,at\n{ZOE},signed_up,2026-03-02T07:00:00Z\n", "--source", "site")
    small.well("tick")
    assert {path.suffix for path in (small.home / "mail").iterdir()} == {".eml"}
    killed = subprocess.run(
        [sys.executable, "-m", "nurture", "forget", ZOE, "--yes"],
        env={**os.environ, "NURTURE_FAILPOINT": f"{point}:kill"}, capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -9

    small.well("report", "funnel")

    assert _emails(small) == []
    assert list((small.home / "mail").iterdir()) == []
    assert list((small.home / "forgetting").iterdir()) == []
    files = [path for path in small.folder.rglob("*") if path.is_file() and path not in small.given]
    assert [path.name for path in files if b"zoe@lead" in path.read_bytes().lower()] == []
