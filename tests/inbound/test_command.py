"""The whole way on the command line: a letter goes out, something comes back through the pipe, the next one does not go."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from nurture.mail.verp import bounce_address
from nurture.tokens import keys
from tests.cli.conftest import Desk, Said
from tests.inbound.mails import US, arf, dsn, letter

SECRET = "a secret of at least thirty-two characters"


@pytest.fixture
def house(desk: Desk, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The small program on a database of either kind, and its first letter sent to two leads."""
    monkeypatch.setenv("NURTURE_DATABASE_URL", database_url)
    monkeypatch.setenv("NURTURE_SECRET_KEY", SECRET)
    desk.open_for_business()
    assert desk.nurture("tick").code == 0
    assert len(sent(desk)) == 2
    return desk


def sent(desk: Desk) -> dict[str, str]:
    """The Message-ID of the last letter to each address."""
    found = {}
    for path in sorted(desk.folder.glob(".nurture/mail/**/*.eml"), key=lambda path: path.stat().st_mtime_ns):
        text = path.read_text()
        to, message_id = (re.search(rf"^{name}: (.*)$", text, re.M | re.I) for name in ("To", "Message-ID"))
        assert to is not None
        assert message_id is not None
        found[to[1].strip("<> ")] = message_id[1].strip()
    return found


def letters(desk: Desk) -> list[str]:
    return sorted(path.read_text() for path in desk.folder.glob(".nurture/mail/**/*.eml"))


def piped(desk: Desk, monkeypatch: pytest.MonkeyPatch, message: bytes, *words: str) -> Said:
    """`nurture inbound take` with the message on its standard input."""
    stdin = io.TextIOWrapper(io.BytesIO(message))
    monkeypatch.setattr(sys, "stdin", stdin)
    return desk.nurture("inbound", "take", *words)


def test_a_bounce_through_the_pipe_stops_the_next_letter(house: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred times the same bounce is one; Ben, who did nothing, receives his second letter."""
    bounce = dsn(sent(house)["ana@acme.example"])
    first = piped(house, monkeypatch, bounce, "--json")
    for _ in range(3):
        assert piped(house, monkeypatch, bounce).code == 0
    house.write("again.eml", bounce)
    assert house.nurture("inbound", "take", *["again.eml"] * 100).code == 0

    (told,) = json.loads(first.out)
    assert (first.code, told["kind"], told["severity"], told["outcome"]) == (0, "bounce", "hard", "suppressed")
    (listed,) = json.loads(house.nurture("inbound", "list", "--json").out)
    assert (listed["kind"], listed["status"], listed["outcome"]) == ("bounce", "5.1.1", "suppressed")
    assert listed["lead"] == told["lead"]
    house.now += timedelta(days=3)
    assert house.nurture("tick").code == 0
    assert [text.count("To: ana@acme.example") for text in letters(house)].count(1) == 1
    assert [text.count("To: ben@acme.example") for text in letters(house)].count(1) == 2
    assert "address suppressed (bounced, by mailbox" in house.nurture("explain", "ana@acme.example").out


def test_the_envelope_of_the_mail_server_says_which(house: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounce that quotes nothing is known by the address that it was sent to."""
    report = json.loads(house.nurture("explain", "ana@acme.example", "--json").out)
    assert report["lead"]["email"] == "ana@acme.example"
    address = bounce_address(US, keys(SECRET), 1)
    silent = b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\n550 5.1.1 user unknown\n"

    parked = json.loads(piped(house, monkeypatch, silent, "--json").out)
    known = json.loads(piped(house, monkeypatch, silent + b"\n", "--to", address, "--json").out)

    assert parked[0]["outcome"] == "parked"
    assert (known[0]["outcome"], known[0]["touch"]) == ("suppressed", 1)


def test_the_list_shows_the_newest_first(house: Desk) -> None:
    ids = sent(house)
    messages = {
        "1.eml": dsn(status="5.7.1", said="smtp; 550 5.7.1 blocked", original=ids["ana@acme.example"]),
        "2.eml": letter(ids["ana@acme.example"]),
        "3.eml": arf(ids["ben@acme.example"]),
        "4.eml": letter(),
    }
    for name, message in messages.items():
        house.write(name, message)

    took = house.nurture("inbound", "take", *messages)

    assert took.out.splitlines() == [
        "4 messages taken in.", "  bounce, alarm: 1", "  complaint, suppressed: 1", "  reply, recorded: 1",
        "  unclear, parked: 1",
    ]  # fmt: skip
    rows = json.loads(house.nurture("inbound", "list", "--json").out)
    assert [row["outcome"] for row in rows] == ["parked", "suppressed", "recorded", "alarm"]
    assert "blocked" in house.nurture("inbound", "list").out
    assert len(json.loads(house.nurture("inbound", "list", "--last", "1", "--json").out)) == 1


def test_an_empty_list_says_so(desk: Desk) -> None:
    assert desk.nurture("inbound", "list").out == "Nothing has come back yet.\n"


def test_a_file_that_is_not_there_is_named(desk: Desk) -> None:
    said = desk.nurture("inbound", "take", "gone.eml")

    assert (said.code, "gone.eml: cannot be read" in said.err) == (1, True)


AWAY = {
    "the database is away": {"NURTURE_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/none"},
    "the settings are wrong": {"NURTURE_PUBLIC_URL": "nowhere"},
}


@pytest.mark.parametrize("name", AWAY)
def test_the_mail_server_keeps_what_cannot_be_taken_in(name: str, tmp_path: Path) -> None:
    """EX_TEMPFAIL of sysexits.h, as a real process in a real pipe; the same from a file is a plain no."""
    (tmp_path / "one.eml").write_bytes(dsn())
    command = [sys.executable, "-c", "from nurture.cli import main; raise SystemExit(main())", "inbound", "take"]
    path = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": path, **AWAY[name]}

    def run(*words: str) -> int:
        asked = subprocess.run(
            [*command, *words], input=dsn(), cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert b"Traceback" not in asked.stderr
        return asked.returncode

    assert run() == os.EX_TEMPFAIL
    assert run("one.eml") == 1
