"""A file of rows, opened: CSV or NDJSON, streamed, with the line at which each row begins."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nurture.errors import FileFault
from nurture.intake.encodings import decide_encoding, overruled
from nurture.intake.report import counted
from nurture.intake.shapes import flat, squeeze
from nurture.rights.marks import EXPORTED, unmarked

#: Characters of one cell, and of one line.
MAX_CELL = 1 << 20
MAX_LINE = 8 << 20
#: The column that a file of refused rows has more; passed over when that file comes back.
PROBLEM = "problem"
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """One row: `cells` by column, text in CSV and typed in NDJSON; `problem` says why it cannot be used."""

    line: int
    cells: dict[str, Any]
    row: list[str] = field(default_factory=list)
    text: str = ""
    problem: str | None = None


class _LongLine(Exception):
    """A line of more than MAX_LINE characters; it was passed over."""


class _Lines:
    """The file's lines, counted; never more than MAX_LINE characters of one in memory."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self.stream = stream
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.stream.readline(MAX_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_LINE and line[-1] not in "\r\n":
            while line and line[-1] not in "\r\n":
                line = self.stream.readline(MAX_LINE)
            raise _LongLine
        self.taken.append(line)
        return line


class Table:
    """A readable file of rows. `header` is None for NDJSON, where each row names its own columns."""

    def __init__(self, path: Path, encoding: str | None, command: str) -> None:
        """Raises FileFault if the file cannot be read; `command` is `leads` or `events`, for messages."""
        self.path = path
        self.position = 0
        try:
            if not path.is_file():
                raise FileFault(f"{path}: {'is not a plain file' if path.exists() else 'there is no such file'}")
            self.size = path.stat().st_size
            self.encoding = decide_encoding(path, encoding, command)
            #: What to say of an encoding that was named and not used.
            self.overruled = overruled(encoding, self.encoding)
            with self._lines() as lines:
                self._look(lines.stream.read(_SAMPLE))
        except OSError as problem:
            raise FileFault(f"{path}: cannot be read ({problem.strerror}); check its name and rights") from None
        self.header: list[str] | None = None
        if self.delimiter is not None:
            self.header = self._header()

    @property
    def form(self) -> str:
        """What the file was taken for, in words."""
        name = self.encoding.removesuffix("-sig").upper()
        return f"{name}, {_DELIMITERS[self.delimiter] if self.delimiter else 'one JSON object per line'}"

    def records(self) -> Iterator[Record]:
        """All rows in order; may be called again. Empty rows are passed over."""
        with self._lines() as lines:
            try:
                yield from self._json(lines) if self.delimiter is None else self._csv(lines)
            except UnicodeDecodeError:
                raise FileFault(f"{self.path}: changed while it was read; import it again") from None

    @contextmanager
    def _lines(self) -> Iterator[_Lines]:
        raw = self.path.open("rb", buffering=0)
        with io.TextIOWrapper(io.BufferedReader(raw, _SAMPLE), encoding=self.encoding, newline="") as stream:
            self._raw = raw
            yield _Lines(stream)

    def _look(self, sample: str) -> None:
        """Tell NDJSON from CSV, and CSV's delimiter, by the beginning of the file."""
        text = sample.lstrip("\ufeff \t\r\n")
        if not text:
            raise FileFault(f"{self.path}: is empty; nothing was imported")
        if text.startswith("["):
            raise FileFault(f"{self.path}: is one JSON array; write one object per line, for example with jq -c '.[]'")
        self.delimiter = None if text.startswith("{") else _sniff(sample.lstrip("\ufeff\r\n"), len(sample) == _SAMPLE)

    def _header(self) -> list[str]:
        with self._lines() as lines:
            first = next(self._rows(lines), None)
        if first is None or first.problem is not None:
            raise FileFault(
                f"{self.path}: its first row cannot be read ({first.problem if first else 'empty'}); mend it"
            )
        header = [cell.strip().lstrip("\ufeff") for cell in first.row]
        twice = [
            name for name, times in Counter(squeeze(name) or name for name in header).items() if name and times > 1
        ]
        if twice:
            same = [f"'{name}'" for name in header if (squeeze(name) or name) == twice[0]]
            raise FileFault(
                f"{self.path}: line {first.line}: columns {' and '.join(same)} mean the same; rename or remove one"
            )
        return header

    def _csv(self, lines: _Lines) -> Iterator[Record]:
        header = self.header or []
        rows = self._rows(lines)
        next(rows, None)
        ours = [index for index, name in enumerate(header) if squeeze(name) != PROBLEM]
        ours_marked = EXPORTED in header
        for record in rows:
            row = record.row
            if record.problem is not None:
                yield record
                continue
            while len(row) > len(header) and not row[-1].strip():
                row.pop()  # spreadsheets end rows with empty cells
            if not any(row[index].strip() for index in ours if index < len(row)) and len(row) <= len(header):
                continue
            if ours_marked:
                row = [unmarked(one) for one in row]
            if len(row) != len(header):
                said = f"has {counted(len(row), 'cell')} where the header has {len(header)}"
                yield Record(record.line, {}, row, record.text, said)
            else:
                yield Record(record.line, dict(zip(header, row, strict=True)), row, record.text)

    def _rows(self, lines: _Lines) -> Iterator[Record]:
        """Every row of a CSV, header included, with the line it begins at."""
        csv.field_size_limit(MAX_CELL)
        rows = csv.reader(lines, delimiter=self.delimiter or ",", strict=True, skipinitialspace=True)
        begun = False
        while True:
            first = lines.number + 1
            lines.taken.clear()
            problem = None
            row: list[str] = []
            try:
                row = next(rows)
            except StopIteration:
                return
            except _LongLine:
                problem = f"is longer than {MAX_LINE // MAX_CELL} MB"
            except csv.Error as fault:
                problem = self._broken(str(fault), first, lines.number)
            self.position = self._raw.tell()
            text = "".join(lines.taken)
            if "\0" in text:
                problem = "holds a NUL byte; remove it"
            if not row and problem is None:
                continue
            if not begun and len(row) <= 2 and text.lower().startswith("sep="):
                continue  # a spreadsheet's note on its delimiter
            begun = True
            yield Record(first, {}, row, text, problem)

    def _broken(self, fault: str, first: int, last: int) -> str:
        if "unexpected end" in fault or ("field limit" in fault and last > first):
            raise FileFault(
                f"{self.path}: line {first}: a quote that opens in this row is not closed by line {last}; "
                "close it, or double it if it belongs to the text; nothing was imported"
            )
        if "field limit" in fault:
            return "holds a cell of more than 1 MB"
        return "has text after a closing quote; double the quotes that belong to the text"

    def _json(self, lines: _Lines) -> Iterator[Record]:
        while True:
            lines.taken.clear()
            text = ""
            try:
                text = next(lines)
                cells = flat(text) if text.strip() else None
            except StopIteration:
                return
            except _LongLine:
                yield Record(lines.number, {}, problem=f"is longer than {MAX_LINE // MAX_CELL} MB")
                continue
            except (ValueError, RecursionError) as problem:
                said = str(problem) if type(problem) is ValueError else "is not a JSON object on one line"
                yield Record(lines.number, {}, text=text, problem=said)
                continue
            self.position = self._raw.tell()
            if cells is None or not any(key != PROBLEM for key in cells):
                continue
            big = next((key for key, cell in cells.items() if isinstance(cell, str) and len(cell) > MAX_CELL), None)
            yield Record(lines.number, cells, text=text, problem=big and f"{big} holds more than 1 MB")


def _sniff(sample: str, cut: bool) -> str:
    """The delimiter that gives the most rows the header's number of cells, and the most cells."""
    if sample.lower().startswith("sep=") and sample[4:5] in _DELIMITERS:
        return sample[4]
    best, found = (0.0, 0), ","
    for delimiter in _DELIMITERS:
        widths = _widths(sample, delimiter, cut)
        if widths and widths[0] > 1:
            score = (round(widths.count(widths[0]) / len(widths), 1), widths[0])
            if score > best:
                best, found = score, delimiter
    return found


def _widths(sample: str, delimiter: str, cut: bool) -> Sequence[int]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True):
            if row:
                rows.append(len(row))
            if len(rows) == 50:
                return rows
    except csv.Error:
        pass
    return rows[:-1] if cut and len(rows) > 1 else rows


def as_json(record: Record, problem: str) -> str:
    """The line of an NDJSON row with its problem added; the line itself when it is no object."""
    try:
        whole = json.loads(record.text)
    except (ValueError, RecursionError):
        whole = None
    if not isinstance(whole, dict):
        return json.dumps({PROBLEM: problem, "line": record.text.rstrip("\r\n")}, ensure_ascii=False)
    return json.dumps({PROBLEM: problem, **{k: v for k, v in whole.items() if k != PROBLEM}}, ensure_ascii=False)
