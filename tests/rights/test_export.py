"""Exports: no cell is a formula, and what is imported again is what was exported."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from nurture.db import Database
from nurture.engine.merging import merge
from nurture.folding import fold
from nurture.intake import import_events, import_leads
from nurture.intake.person import Person
from nurture.intake.write import put_event, put_people
from nurture.rights import forget, views
from nurture.rights.export import PAGE, pages, table_of, words, write_csv, write_ndjson
from nurture.rights.marks import marked, unmarked
from nurture.rights.schema import TABLES
from tests.intake.importing import NOW, Program
from tests.rights.conftest import House
from tests.web.factories import MONDAY, make_lead, opened

KNOWN = Program({"note": "text", "seats": "number", "trial": "flag", "renewal": "date"})
#: What cells begin with that a spreadsheet would run, and what looks like our mark.
BEGINNINGS = ["", "=", "+", "-", "@", "'", "''=", "'-", '"', "[", "{", ";"]
_LETTERS = st.text(
    st.one_of(
        st.sampled_from("abcXYZ 09,;|\"'=+-@\\/()"),
        st.sampled_from("éßøłاحمدمریم漢字😀👩🏽\u200f\u202e"),
    ),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip() == text)
TEXT = st.builds(lambda start, rest: f"{start}{rest}".strip(), st.sampled_from(BEGINNINGS), _LETTERS)
LINES = st.builds(lambda a, b, mark: f"{a}{mark}{b}", TEXT, TEXT, st.sampled_from(["\n", "\r\n", "\t", " "]))
LOCAL = st.text(st.sampled_from("abc+-='09"), min_size=1, max_size=8)
VALUES: dict[str, Any] = {
    "note": st.one_of(TEXT, LINES),
    "seats": st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_nan=False)),
    "trial": st.booleans(),
    "renewal": st.dates().map(lambda day: day.isoformat()),
}


@st.composite
def people(draw: Any) -> Person:
    """A lead as some door may have left it."""
    fields = {name: draw(kind) for name, kind in VALUES.items() if draw(st.booleans())}
    tidy = TEXT.map(lambda text: " ".join(text.split()))
    columns = {name: draw(tidy) for name in ("first_name", "company", "title", "phone") if draw(st.booleans())}
    if draw(st.booleans()):
        columns |= {"country": "RO", "language": "ar", "timezone": "Europe/Bucharest", "zone": "Europe/Bucharest"}
    folded = st.lists(TEXT.map(fold).filter(bool), max_size=2, unique=True)
    basis = st.sampled_from([None, "consent", "contract"])
    email = f"{draw(LOCAL)}@lead.example" if draw(st.booleans()) else None
    named = email is None or draw(st.booleans())
    return Person(
        email, draw(st.sampled_from(["crm", "=cmd"])) if named else None, draw(tidy) if named else None, columns,
        fields, draw(folded), draw(folded), draw(basis), draw(basis), draw(basis),
    )  # fmt: skip


@contextmanager
def database(empty: Path) -> Iterator[Database]:
    """A database of its own, empty."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{shutil.copyfile(empty, Path(folder) / 'it.db')}")
        yield db
        db.dispose()


def everything(db: Database) -> list[dict[str, Any]]:
    """All that makes a lead, as an export tells it, without what follows from the rest."""
    rows = views.leads(db, list(KNOWN.fields), NOW).rows
    return sorted(
        ({k: v for k, v in row.items() if k not in ("number", "created_at", "changed_at")} for row in rows),
        key=lambda row: json.dumps(row, sort_keys=True),
    )


def stored(db: Database) -> list[Any]:
    """Fields as they stand, with their types and their folded shadows."""
    columns = [TABLES["lead"].c[name] for name in ("email", "source_id", "fields", "folded", "zone")]
    with db.read() as link:
        return sorted(repr(tuple(row)) for row in link.execute(select(*columns)))


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_comes_back_is_what_went_out(form: str, migrated_sqlite: Path) -> None:
    """Any text: formulas, our own mark, quotes, line ends, both directions of writing, pictures; numbers exactly."""
    write = {"csv": write_csv, "ndjson": write_ndjson}[form]

    @settings(max_examples=8)
    @given(st.lists(people(), min_size=1, max_size=8))
    def law(some: list[Person]) -> None:
        with database(migrated_sqlite) as here, database(migrated_sqlite) as there, tempfile.TemporaryDirectory() as at:
            for person in some:
                here.transact(lambda link, person=person: put_people(link, [person], now=NOW, origin="x"))  # type: ignore[misc]
            file = Path(at) / f"leads.{form}"
            with file.open("w", encoding="utf-8", newline="") as out:
                count = write(views.leads(here, list(KNOWN.fields), NOW), out)
            report = import_leads(there, file, known=KNOWN, now=NOW)
            assert (report.refused_count, report.created) == (0, count), report.text()
            assert everything(there) == everything(here)
            assert stored(there) == stored(here)
            if form == "csv":
                cells = [cell for row in csv.reader(io.StringIO(file.read_text("utf-8"), newline="")) for cell in row]
                assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]
                assert all(_is_number(cell) for cell in cells if cell.startswith("-"))
            again = import_leads(there, file, known=KNOWN, now=NOW)
            assert again.unchanged == count

    law()


def _is_number(cell: str) -> bool:
    return isinstance(json.loads(cell), int | float)


@given(st.text())
def test_the_mark_is_undone_exactly(text: str) -> None:
    """For any text, and what is marked is no formula."""
    assert unmarked(marked(text)) == text
    assert marked(text)[:1] not in set("=+-@\t\r\0")


def test_events_come_back_once(migrated_sqlite: Path) -> None:
    """With their names, instants, keys and data; those of the house itself are left where they belong."""
    data = {"path": "=cmd|' /C calc'!A0", "deep": {"list": [1, 2.5, None, "é"]}, "amount": -5}
    with database(migrated_sqlite) as here, database(migrated_sqlite) as there, tempfile.TemporaryDirectory() as at:
        for db in (here, there):
            rows = [Person("ana@lead.example"), Person(None, "crm", "7")]
            db.transact(lambda link, rows=rows: put_people(link, rows, now=NOW, origin="x"))  # type: ignore[misc]

        def happen(link: Any) -> None:
            for number, (name, actor) in enumerate(
                (("page_viewed", "person"), ("email_clicked", "machine"), ("email_sent", "system"))
            ):
                for lead in (1, 2):
                    put_event(link, lead, name, NOW, NOW, NOW, data, "site", f"{name}-{lead}-{number}", actor=actor)

        here.transact(happen)
        for form, write in (("csv", write_csv), ("ndjson", write_ndjson)):
            file = Path(at) / f"events.{form}"
            with file.open("w", encoding="utf-8", newline="") as out:
                write(views.events(here), out)
            report = import_events(there, file, now=NOW, click_rest=NOW - NOW)
            assert (report.refused_count, report.passed_over) == (0, 2), report.text()
            assert report.created == (4 if form == "csv" else 0)
        wanted = ("lead_id", "name", "occurred_at", "actor", "data", "source", "key")

        def told(db: Database) -> list[Any]:
            rows = [row for row in views.events(db).rows if row["actor"] != "system"]
            return sorted(repr([row[name] for name in wanted]) for row in rows)

        assert told(there) == told(here)


def test_events_of_who_is_merged_or_forgotten(
    sqlite_url: str, migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lead that is merged at that moment still has its events in the export; whoever was forgotten has none to tell
    of; and two unsubscriptions of one lead come back as two.
    """
    with opened(sqlite_url) as machine:
        ann, bob, cleo = (make_lead(machine, f"{name}@lead.example") for name in ("ann", "bob", "cleo"))

        def happen(link: Any) -> None:
            for number, lead in enumerate((bob, bob, cleo)):
                at = MONDAY - timedelta(days=number)
                put_event(link, lead, "unsubscribed", at, at, at, {}, "unsubscribe", f"{lead}-{number}")

        def merging(*args: Any, **more: Any) -> Iterator[Any]:
            for page in pages(*args, **more):
                machine.db.transact(lambda link: merge(link, machine.live(), ann, bob, now=MONDAY, by="x", cause="it"))
                yield page

        machine.db.transact(happen)
        forget.forget(machine, tmp_path, "cleo@lead.example", by="x", now=MONDAY)
        with monkeypatch.context() as patch:
            patch.setattr(views, "pages", merging)
            assert [row["email"] for row in views.events(machine.db).rows] == ["bob@lead.example"] * 2
        assert [row["email"] for row in views.events(machine.db).rows] == ["ann@lead.example"] * 2
        file = tmp_path / "events.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            write_csv(views.events(machine.db), out)
    with database(migrated_sqlite) as there:
        there.transact(lambda link: put_people(link, [Person("ann@lead.example")], now=MONDAY, origin="x"))
        said = [import_events(there, file, now=MONDAY, click_rest=NOW - NOW) for _ in range(2)]
        assert [report.created for report in said] == [2, 0], said[0].text()


def test_every_table_is_exported_page_by_page(database: Database) -> None:
    """More rows than a page holds, on both databases, in the order of the key, each once; keys of several columns too."""
    some = [Person(f"lead{number}@lead.example", tags=["b", "a"]) for number in range(PAGE + 20)]
    database.transact(lambda link: put_people(link, some, now=NOW, origin="x"))
    for word, count in (("leads", len(some)), ("tags", 2 * len(some)), ("lead_tag", 2 * len(some))):
        out = io.StringIO()
        sheet = views.sheet(database, table_of(word), [], NOW)
        assert write_ndjson(sheet, out) == count
        assert len(set(out.getvalue().splitlines())) == count
    for word, table in words().items():
        out = io.StringIO()
        write_csv(views.sheet(database, table_of(word), [], NOW), out)
        header = out.getvalue().splitlines()[0]
        assert header, table


def test_the_command_writes_a_file_or_the_standard_output(small: House) -> None:
    """CSV with the mark of UTF-8 for Excel in files; NDJSON; the list of tables; and a table that is none."""
    small.leads('email,first_name,company,consent\nana@lead.example,=1+1,"Büro, Söhne",yes\n')
    told = small.well("export", "leads")
    assert ",'=1+1," in told
    assert '"Büro, Söhne"' in told
    assert small.well("export", "leads", "--out", "out.csv") == "out.csv: 1 row.\n"
    assert (small.folder / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfnumber,email,")
    assert (small.folder / "out.csv").stat().st_mode & 0o777 == 0o600
    row = json.loads(small.well("export", "leads", "--format", "ndjson"))
    assert (row["first_name"], row["consent"], row["created_at"]) == ("=1+1", "consent", "2026-03-02T08:00:00Z")
    listed = small.well("export", "--list")
    assert "transitions" in listed
    assert "stage_transition" in listed
    wrong = small.nurture("export", "sandwiches")
    assert (wrong.code, wrong.err) == (1, "there is no table 'sandwiches'; 'nurture export --list' names them all\n")


def test_a_goodbye_that_is_known_is_no_second_one(migrated_sqlite: Path) -> None:
    """Its key is a number of the database that it left, so its lead and its instant say which one it is."""
    with database(migrated_sqlite) as here, tempfile.TemporaryDirectory() as at:
        here.transact(lambda link: put_people(link, [Person("ana@lead.example")], now=NOW, origin="x"))
        here.transact(lambda link: put_event(link, 1, "unsubscribed", NOW, NOW, NOW, {}, "unsubscribe", "lead:1"))
        file = Path(at) / "events.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            write_csv(views.events(here), out)
        known = import_events(here, file, now=NOW, click_rest=NOW - NOW)
        later = file.read_text("utf-8").replace("2026-", "2025-")
        file.write_text(later, "utf-8")
        other = import_events(here, file, now=NOW, click_rest=NOW - NOW)

    assert (known.created, known.unchanged) == (0, 1)
    assert other.created == 1
