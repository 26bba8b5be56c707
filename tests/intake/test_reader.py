"""How files are read: encodings, delimiters, lines, and what is refused before anything is applied."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from nurture.errors import FileFault
from nurture.intake.reader import MAX_CELL, Table
from tests.intake.importing import Imports

PLAIN = "Email,First Name\nana@acme.example,Ana\nbo@acme.example,Bö\n"


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (PLAIN.encode(), "UTF-8, comma"),
        (PLAIN.encode("utf-8-sig"), "UTF-8, comma"),
        (PLAIN.encode("utf-16"), "UTF-16, comma"),
        (PLAIN.encode("utf-16-le"), "UTF-16-LE, comma"),
        (PLAIN.encode("utf-16-be"), "UTF-16-BE, comma"),
        (PLAIN.encode("utf-32"), "UTF-32, comma"),
        (PLAIN.replace(",", ";").encode(), "UTF-8, semicolon"),
        (PLAIN.replace(",", "\t").encode(), "UTF-8, tab"),
        (PLAIN.replace(",", "|").encode(), "UTF-8, pipe"),
        (b"sep=;\r\n" + PLAIN.replace(",", ";").encode(), "UTF-8, semicolon"),
        (PLAIN.replace("\n", "\r\n").encode(), "UTF-8, comma"),
        (PLAIN.replace("\n", "\r").encode(), "UTF-8, comma"),
        (("\n\n" + PLAIN).encode(), "UTF-8, comma"),
        (PLAIN.replace(",", ", ").encode(), "UTF-8, comma"),
    ],
    ids=[
        *("utf-8", "utf-8 marked", "utf-16 marked", "utf-16-le plain", "utf-16-be plain", "utf-32"),
        *(
            "semicolon",
            "tab",
            "pipe",
            "sep line",
            "crlf",
            "old mac",
            "empty lines first",
            "spaces after commas",
        ),
    ],
)
def test_a_usual_file_is_read_without_being_asked(reading: Imports, content: bytes, form: str) -> None:
    report = reading.leads(content)

    assert (2, form) == (report.created, report.form)
    assert reading.lead("bo@acme.example")["first_name"] == "Bö"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("cp1252", "Straße"), ("iso8859-2", "Łódź"), ("cp1256", "سلام"), ("cp874", "กาญจน"), ("gbk", "公司")],
)
def test_a_single_byte_encoding_is_asked_for_and_then_taken(reading: Imports, encoding: str, name: str) -> None:
    """It is refused with a sample of each reading and the command; named, it is read."""
    path = reading.file(f"Email,Company\nbo@acme.example,Plain\nana@acme.example,{name}\n".encode(encoding))

    with pytest.raises(FileFault) as refused:
        reading.leads(path)
    report = reading.leads(path, encoding=encoding)

    assert "line 3 is not UTF-8" in str(refused.value)
    assert f"nurture import leads {path} --encoding" in str(refused.value)
    if encoding != "gbk":
        assert any(line.split()[0] == encoding and name in line for line in str(refused.value).splitlines()[1:-2])
    assert report.created == 2
    assert name == reading.lead("ana@acme.example")["company"]


def test_a_line_that_is_not_utf8_among_those_that_are_is_found(reading: Imports) -> None:
    """A mixture is no encoding at all: the line is named, far behind the first block too."""
    rows = "".join(f"p{i}@acme.example,Zoë\n" for i in range(60_000)).encode()
    content = b"Email,First Name\n" + rows + "late@acme.example,Zoë\n".encode("cp1252")

    with pytest.raises(FileFault, match=r"line 60002 is not UTF-8(?s:.)*late@acme.example,Zoë(?s:.)*mixture"):
        reading.leads(content)
    assert reading.count("lead") == 0


FAULTS = [
    ("empty", b"", "is empty"),
    ("blank", b"\xef\xbb\xbf \r\n", "is empty"),
    ("spreadsheet", b"PK\x03\x04rest", "save it as CSV"),
    ("json array", b'[{"email": "ana@acme.example"}]', "one object per line"),
    ("no header", b"ana@acme.example,Ana\nbo@acme.example,Bo\n", "its first line is a lead, not a header"),
    (
        "no key column",
        b"Name,Town\nAna,Cluj\n",
        "no column is an e-mail address or an id; its columns are 'Name', 'Town'",
    ),
    (
        "a column twice",
        b"Email,Notes,notes\na@b.example,,\n",
        "line 1: columns 'Notes' and 'notes' mean the same",
    ),
    ("mail twice", b"Email,e-mail\na@b.example,b@b.example\n", "columns 'Email' and 'e-mail' mean the same"),
    (
        "open quote",
        b'Email,Notes\nana@b.example,ok\nbo@b.example,"never\ncy@b.example,x\n',
        "line 3: a quote that opens",
    ),
    ("truncated", "Email,Notes\nana@b.example,Zoë".encode()[:-1], "line 2 is not UTF-8"),
]


@pytest.mark.parametrize(("content", "said"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_file_that_cannot_be_trusted_changes_nothing(reading: Imports, content: bytes, said: str) -> None:
    with pytest.raises(FileFault) as refused:
        reading.leads(content)

    assert said in str(refused.value)
    assert str(reading.folder) in str(refused.value)
    assert reading.count("lead") == 0


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (PLAIN.encode(), "latin-seven", "there is no encoding 'latin-seven'"),
        (PLAIN.encode(), "base64", "there is no encoding 'base64'"),
        (PLAIN.encode(), "ascii", "line 3 cannot be read as ascii"),
    ],
)
def test_an_encoding_that_was_said_wrongly_is_refused(
    reading: Imports, content: bytes, encoding: str, said: str
) -> None:
    with pytest.raises(FileFault, match=said):
        reading.leads(content, encoding=encoding)


def test_a_mark_is_believed_rather_than_what_was_said(reading: Imports) -> None:
    """Nobody's cp1252 begins with the mark of UTF-8; the report says what the file was taken for."""
    report = reading.leads(PLAIN.encode("utf-8-sig"), encoding="cp1252")

    assert "read as that and not as cp1252" in report.text()
    assert "Bö" in reading.rows("lead", "first_name")


def test_a_missing_file_is_named(reading: Imports) -> None:
    with pytest.raises(FileFault, match=r"nowhere.csv: there is no such file"):
        reading.leads(reading.folder / "nowhere.csv")


BAD_ROWS = [
    ("too many cells", b"ana@acme.example,Ana,more\n", "has 3 cells where the header has 2"),
    ("too few cells", b"ana@acme.example\n", "has 1 cell where the header has 2"),
    ("NUL", b"ana@acme.example,A\0na\n", "holds a NUL byte"),
    ("text after a quote", b'ana@acme.example,"A"na\n', "text after a closing quote"),
    ("a cell of more than 1 MB", b"ana@acme.example," + b"x" * (MAX_CELL + 1) + b"\n", "more than 1 MB"),
    ("a line of more than 8 MB", b"ana@acme.example" + b",x" * (5 << 20) + b"\n", "longer than 8 MB"),
]


@pytest.mark.parametrize(("row", "said"), [row[1:] for row in BAD_ROWS], ids=[row[0] for row in BAD_ROWS])
def test_a_bad_row_is_refused_with_its_line_and_the_others_are_applied(reading: Imports, row: bytes, said: str) -> None:
    content = b'Email,First Name\nzoe@acme.example,"Zoe\nof two lines"\n' + row + b"bo@acme.example,Bo\n"

    report = reading.leads(content)

    assert [refusal.line for refusal in report.refused] == [4]
    assert said in report.refused[0].problem
    assert reading.rows("lead", "email") == ["bo@acme.example", "zoe@acme.example"]


def test_empty_cells_at_the_end_and_empty_rows_are_no_fault(reading: Imports) -> None:
    """Spreadsheets write both; a column without a name may come with them."""
    report = reading.leads("Email,First Name,\nana@acme.example,Ana,,,\n,,\n\nbo@acme.example,Bo,\n")

    assert (report.rows, report.created, report.refused_count) == (2, 2, 0)


def test_lines_are_counted_through_cells_of_several_lines(reading: Imports) -> None:
    content = 'Email,Notes\r\nana@acme.example,"one\r\ntwo\r\nthree"\r\nbroken,x\r\n'

    report = reading.leads(content)

    assert "line 5, Email: 'broken' is not an e-mail address" in report.text()


def test_json_rows_are_read_with_nested_values(reading: Imports) -> None:
    rows = [
        {"properties": {"email": "ana@acme.example", "firstname": "Ana"}, "seats": 12, "trial": True},
        {"email": "bo@acme.example", "tags": ["webinar", "partner"], "first_name": None},
    ]
    report = reading.leads("".join(json.dumps(row) + "\n" for row in rows), name="people.ndjson")

    assert (report.created, report.form) == (2, "UTF-8, one JSON object per line")
    assert reading.lead("ana@acme.example")["fields"] == {"seats": 12, "trial": True}
    assert reading.rows("lead_tag", "tag") == ["partner", "webinar"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{not json}", "is not a JSON object"),
        ('"text"', "not an object"),
        ('{"email": "a@b.example", "seats": NaN}', "NaN"),
        ('{"email": "a@b.example", "company": "x\\u0000"}', "NUL"),
        ('{"email": "a@b.example", "company": "\\ud800"}', "half of a character"),
        ('{"email":' + "[" * 100_000 + "}", "is not a JSON object"),
    ],
    ids=["no json", "no object", "NaN", "NUL", "surrogate", "deep"],
)
def test_a_bad_json_row_is_refused_with_its_line(reading: Imports, line: str, said: str) -> None:
    report = reading.leads('{"email": "ana@acme.example"}\n' + line + "\n", name="people.jsonl")

    assert report.created == 1
    assert [refusal.line for refusal in report.refused] == [2]
    assert said in report.refused[0].problem


def test_reading_takes_the_same_memory_for_any_size(tmp_path: Path) -> None:
    """A hundred thousand rows pass through; never more than a few of them are held."""
    path = tmp_path / "many.csv"
    with path.open("w") as out:
        out.write("Email,Notes\n")
        out.writelines(f"p{i}@acme.example,{'x' * 100}\n" for i in range(100_000))
    tracemalloc.start()

    rows = sum(1 for _ in Table(path, None, "leads").records())

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 100_000
    assert peak < 6 << 20
