"""docs/faults.md, row by row, through the command line: the message as printed, and what is left behind."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import LEADS, Desk, Said
from tests.postgres import server

TABLE = Path(__file__).parents[2] / "docs" / "faults.md"
NOON = "2026-03-02T10:00:00Z"
Row = tuple[str, str, str]


def rows() -> list[Row]:
    """(fault, message, state) of the table."""
    found = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return [row for row in found if row[0] not in ("fault", "---")]


def as_printed(message: str) -> re.Pattern[str]:
    """A message of the table as a pattern: `…` is anything, a row may hold several in turn."""
    parts = [part.replace("\\|", "|") for part in re.findall(r"`([^`]+)`", message)]
    patterns = [r"(?:.|\n)*?".join(re.escape(piece) for piece in part.split("…")) for part in parts]
    return re.compile(r"(?:.|\n)*".join(patterns))


class Books:
    """What stands in the database, looked at from outside."""

    def __init__(self, desk: Desk) -> None:
        self.path = desk.folder / ".nurture" / "nurture.db"

    def count(self, table: str, where: str = "1") -> int:
        if not self.path.exists():
            return 0
        with closing(sqlite3.connect(self.path)) as link:
            return int(link.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0])


def leads(desk: Desk, text: str | bytes, *words: str) -> Said:
    desk.write("people.csv", text)
    return desk.nurture("import", "leads", "people.csv", *words)


def events(desk: Desk, text: str) -> Said:
    desk.write("people.csv", LEADS)
    assert desk.nurture("import", "leads", "people.csv").code == 0
    desk.write("happened.csv", text)
    return desk.nurture("import", "events", "happened.csv")


def letter(desk: Desk, body: str) -> None:
    top = '{% extends "_shared/letter.j2" %}{% block subject %}Hello{% endblock %}\n'
    desk.write("templates/evaluators/welcome.j2", f"{top}{{% block body %}}{body}{{% endblock %}}\n")


def refused_file(desk: Desk, lines: int) -> None:
    assert len((desk.folder / "people.refused.csv").read_text(encoding="utf-8").splitlines()) == lines + 1


# Each answers with what was said, and has looked at what was left behind.


def unsaid_encoding(desk: Desk, _: Any) -> Said:
    told = leads(desk, "email,first_name,consent\nana@acme.example,Ștefan,yes\n".encode("iso8859-16"))
    assert Books(desk).count("lead") == 0
    assert (
        leads(
            desk,
            "email,first_name,consent\nana@acme.example,Zoë,yes\n".encode("cp1252"),
            "--encoding",
            "cp1252",
        ).code
        == 0
    )
    return told


def unknown_encoding(desk: Desk, _: Any) -> Said:
    return leads(desk, LEADS, "--encoding", "latin-99")


def wrong_encoding(desk: Desk, _: Any) -> Said:
    return leads(desk, "email,first_name,consent\nana@acme.example,Zoë,yes\n".encode("cp1252"), "--encoding", "ascii")


def spreadsheet(desk: Desk, _: Any) -> Said:
    return leads(desk, b"PK\x03\x04rest of a workbook")


def no_such_file(desk: Desk, _: Any) -> Said:
    return desk.nurture("import", "leads", "nobody.csv")


def no_address_column(desk: Desk, _: Any) -> Said:
    told = leads(desk, "name,town\nAna,Cluj\n")
    assert Books(desk).count("lead") == 0
    return told


def no_time_column(desk: Desk, _: Any) -> Said:
    return events(desk, "email,event\nana@acme.example,page_viewed\n")


def no_consent(desk: Desk, _: Any) -> Said:
    told = leads(desk, "email\nana@acme.example\n")
    assert Books(desk).count("lead") == 0
    return told


def one_bad_row(desk: Desk, cell: str) -> Said:
    told = leads(desk, f'email,consent\nana@acme.example,yes\n"{cell}",yes\n')
    assert Books(desk).count("lead") == 1
    refused_file(desk, 2 if "\n" in cell else 1)
    return told


def two_addresses(desk: Desk, _: Any) -> Said:
    return one_bad_row(desk, "ben@acme.example, eve@acme.example")


def no_address(desk: Desk, _: Any) -> Said:
    return one_bad_row(desk, "ben at acme")


def control_character(desk: Desk, _: Any) -> Said:
    return one_bad_row(desk, "ben\x07@acme.example")


def header_injection(desk: Desk, _: Any) -> Said:
    told = one_bad_row(desk, "ben@acme.example\nBcc: eve@acme.example")
    assert Books(desk).count("lead", "email LIKE '%eve%'") == 0
    return told


def duplicate_rows(desk: Desk, _: Any) -> Said:
    told = leads(desk, LEADS + "ANA@acme.example,Anna,saas,11,yes\n")
    assert Books(desk).count("lead") == 2
    return told


def wrong_number(desk: Desk, _: Any) -> Said:
    told = leads(desk, LEADS + "eve@acme.example,Eve,saas,many,yes\n")
    assert Books(desk).count("lead") == 2
    return told


def future_event(desk: Desk, _: Any) -> Said:
    told = events(desk, "email,event,occurred_at\nana@acme.example,page_viewed,2126-01-01T00:00:00Z\n")
    assert Books(desk).count("event") == 0
    return told


def event_without_zone(desk: Desk, _: Any) -> Said:
    told = events(desk, "email,event,occurred_at\nana@acme.example,page_viewed,2026-03-01 09:00:00\n")
    assert Books(desk).count("event") == 0
    return told


def two_way_date(desk: Desk, _: Any) -> Said:
    told = events(desk, "email,event,occurred_at\nana@acme.example,page_viewed,01/02/2026 09:00\n")
    assert Books(desk).count("event") == 0
    return told


def stranger(desk: Desk, _: Any) -> Said:
    return events(desk, "email,event,occurred_at\nzoe@acme.example,page_viewed,2026-03-01T09:00:00Z\n")


def no_templates(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("NURTURE_TEMPLATES", "nowhere")
    return desk.nurture("check")


def template_error(desk: Desk, _: Any) -> Said:
    letter(desk, "<p>{{ sendr.name }}</p>")
    told = desk.nurture("publish")
    assert Books(desk).count("program_version") == 0
    return told


def letter_for_one(desk: Desk, _: Any) -> Said:
    letter(desk, "<p>{% if lead.employees is not none %}{{ 100 // lead.employees }}{% endif %}</p>")
    desk.open_for_business()
    told = desk.nurture("tick", "--now", NOON)
    assert Books(desk).count("touch", "state = 'sent'") == 1
    assert Books(desk).count("touch", "state = 'failed'") == 1
    return told


def unknown_segment(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    return desk.nurture("tick", "evaluater")


def nothing_published(desk: Desk, _: Any) -> Said:
    return desk.nurture("tick")


def unknown_lead(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    return desk.nurture("explain", "zoe@acme.example")


def unknown_handoff(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    return desk.nurture("accept", "7")


def another_run(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    with closing(sqlite3.connect(Books(desk).path)) as link, link:
        link.execute("INSERT INTO lease VALUES ('segment:evaluators', 'elsewhere', 1, 9e15)")
    told = desk.nurture("tick", "--now", NOON)
    assert Books(desk).count("touch") == 0
    return told


def relay_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    desk.open_for_business()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("NURTURE_SMTP_URL", f"smtp://127.0.0.1:{port}")
    told = desk.nurture("tick", "--now", NOON)
    assert Books(desk).count("touch", "state IN ('planned', 'retry_wait')") == 2
    monkeypatch.delenv("NURTURE_SMTP_URL")
    again = desk.nurture("tick", "--now", "2026-03-02T12:00:00Z", "--json")
    assert sum(step["sent"] for step in json.loads(again.out)["steps"]) == 2
    return told


def database_locked(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    with closing(sqlite3.connect(Books(desk).path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        told = desk.nurture("pause", "all")
        other.execute("ROLLBACK")
    assert Books(desk).count("control") == 0
    return told


def folder_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("NURTURE_DATABASE_URL", f"sqlite:///{desk.folder}/gone/nurture.db")
    return desk.nurture("tick")


def server_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    with server() as running:
        url = running.url(running.create()).replace("postgresql+psycopg", "postgresql")
        monkeypatch.setenv("NURTURE_DATABASE_URL", url)
        desk.open_for_business()
    return desk.nurture("tick")


def no_such_database(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    with server() as running:
        monkeypatch.setenv("NURTURE_DATABASE_URL", f"postgresql://nurture@/nowhere?host={running.folder}")
        return desk.nurture("tick")


def schema_of(desk: Desk, revision: str) -> Said:
    desk.open_for_business()
    with closing(sqlite3.connect(Books(desk).path)) as link, link:
        link.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    return desk.nurture("tick")


def schema_newer(desk: Desk, _: Any) -> Said:
    return schema_of(desk, "9999")


def schema_older(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    """A later version is made up."""
    from alembic.script import ScriptDirectory

    desk.open_for_business()
    monkeypatch.setattr(ScriptDirectory, "get_current_head", lambda _: "9998")
    return desk.nurture("tick")


def journal_blocked(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    (desk.folder / ".nurture" / "journal").rmdir()
    desk.write(".nurture/journal", "a file where the folder should be")
    told = desk.nurture("tick", "--now", NOON)
    assert not Books(desk).count("touch")
    return told


def not_uncertain(desk: Desk, _: Any) -> Said:
    desk.open_for_business()
    return desk.nurture("uncertain", "resend", "77")


def bad_rate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("NURTURE_MAIL_RATE", "50/day")
    return relayed(desk, monkeypatch)


def bad_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("NURTURE_DKIM_SELECTOR", "s1")
    monkeypatch.setenv("NURTURE_DKIM_KEY_FILE", str(desk.write("key.pem", "sesame-open")))
    told = relayed(desk, monkeypatch)
    assert "sesame" not in told.err
    return told


def half_of_dkim(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("NURTURE_DKIM_SELECTOR", "s1")
    return relayed(desk, monkeypatch)


def relayed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    monkeypatch.setenv("NURTURE_SMTP_URL", "smtp://127.0.0.1:9")
    return desk.nurture("tick")


def copied_database(desk: Desk, _: Any) -> Said:
    """A copied database is another file."""
    desk.open_for_business()
    file = desk.folder / ".nurture" / "nurture.db"
    with closing(sqlite3.connect(file)) as link:
        link.execute("VACUUM INTO ?", (str(file.with_name("copy.db")),))
    file.with_name("copy.db").replace(file)
    told = desk.nurture("tick", "--now", NOON)
    assert Books(desk).count("touch") == 2
    assert not list((desk.folder / ".nurture").glob("mail/*.eml"))
    return told


def setting(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Said:
    monkeypatch.setenv(name, value)
    return desk.nurture("tick")


def bad_database_url(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    return setting(desk, monkeypatch, "NURTURE_DATABASE_URL", "mysql://localhost/nurture")


def bad_number(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    return setting(desk, monkeypatch, "NURTURE_SMTP_CONNECTIONS", "many")


def bad_public_url(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    return setting(desk, monkeypatch, "NURTURE_PUBLIC_URL", "www.acme.example")


def short_secret(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    return setting(desk, monkeypatch, "NURTURE_SECRET_KEY", "sesame")


def bad_smtp_url(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Said:
    return setting(desk, monkeypatch, "NURTURE_SMTP_URL", "mail.acme.example:25")


def bad_instant(desk: Desk, _: Any) -> Said:
    return desk.nurture("tick", "--now", "2026-03-02T09:00:00")


def wrong_word(desk: Desk, _: Any) -> Said:
    return desk.nurture("chek")


FAULTS: dict[str, Callable[[Desk, Any], Said]] = {
    "encoding that a file cannot say": unsaid_encoding,
    "unknown encoding": unknown_encoding,
    "wrong encoding": wrong_encoding,
    "a spreadsheet": spreadsheet,
    "no such file": no_such_file,
    "no column says who it is": no_address_column,
    "no column says when it happened": no_time_column,
    "no word on consent": no_consent,
    "two addresses in one cell": two_addresses,
    "invalid address": no_address,
    "control character in an address": control_character,
    "header injection in an address": header_injection,
    "value that its field cannot hold": wrong_number,
    "duplicate rows": duplicate_rows,
    "event in the future": future_event,
    "event without a zone": event_without_zone,
    "dates that read two ways": two_way_date,
    "event of a stranger": stranger,
    "no program": no_templates,
    "template error": template_error,
    "a letter that one lead's data breaks": letter_for_one,
    "unknown segment": unknown_segment,
    "nothing published": nothing_published,
    "unknown lead": unknown_lead,
    "unknown hand-off": unknown_handoff,
    "another run carries the segment": another_run,
    "journal that cannot be written": journal_blocked,
    "a message that is not uncertain": not_uncertain,
    "SMTP server down": relay_down,
    "database locked": database_locked,
    "folder of the database gone": folder_gone,
    "database server gone": server_gone,
    "no such database": no_such_database,
    "tables too old": schema_older,
    "tables too new": schema_newer,
    "a copy of the database, or an old backup of it": copied_database,
    "database of another make": bad_database_url,
    "setting that is no number": bad_number,
    "public address that is none": bad_public_url,
    "relay that is no address": bad_smtp_url,
    "rate that is none": bad_rate,
    "DKIM key that is none": bad_key,
    "half of the DKIM settings": half_of_dkim,
    "short secret": short_secret,
    "instant without a zone": bad_instant,
    "unknown command": wrong_word,
}
#: Rows in which everything else is done all the same.
DONE = ("duplicate rows", "a letter that one lead's data breaks")


def test_every_row_is_tested() -> None:
    """A new row needs its test, and a test its row."""
    assert [fault for fault, _, _ in rows()] == list(FAULTS)


@pytest.mark.parametrize(("fault", "message"), [(fault, message) for fault, message, _ in rows()])
def test_a_fault_is_told_as_the_table_says(
    fault: str, message: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the table's, word for word; nobody sees a traceback."""
    told = FAULTS[fault](desk, monkeypatch)

    assert told.code == (2 if fault == "unknown command" else 0 if fault in DONE else 1)
    assert as_printed(message).search(told.out + told.err), told.out + told.err
    assert "Traceback" not in told.err


def test_a_secret_in_a_setting_is_not_printed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not parse may hold a password all the same."""
    monkeypatch.setenv("NURTURE_SMTP_URL", "smtp//ana:sesame-open@mail.acme.example")
    told = desk.nurture("tick")

    assert told.code == 1
    assert "sesame" not in told.out + told.err
