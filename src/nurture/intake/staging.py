"""Rows on their way from file to database, on disk: a file that turns out unreadable at its end changes
nothing, rows of one person meet however far apart they stand, and memory stays the same for any size."""

from __future__ import annotations

import csv
import marshal
import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from nurture.intake.reader import PROBLEM, Record, Table, as_json
from nurture.intake.report import ImportReport, Refusal
from nurture.intake.shapes import quoted, squeeze

T = TypeVar("T")
_TOGETHER = 2000
Progress = Callable[[int, int | None], None] | None


class Staging:
    """One import's rows, in a nameless file of SQLite that the system forgets when we end, however we end."""

    def __init__(self, table: Table, report: ImportReport, progress: Progress) -> None:
        self.table, self.report, self._progress = table, report, progress
        self._link = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-16384", "temp_store=FILE"):
            self._link.execute(f"PRAGMA {pragma}")
        self._link.execute("CREATE TABLE row (line INTEGER PRIMARY KEY, person TEXT, id TEXT, body BLOB)")
        self._link.execute("CREATE TABLE refused (line INTEGER PRIMARY KEY, problem_in TEXT, problem TEXT)")
        self._link.execute("BEGIN")
        self._kept: list[tuple[int, str, str | None, bytes]] = []
        self.rows = 0
        #: Refused rows that go into the file of refused rows.
        self.copied = 0

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def keep(self, line: int, email: str | None, source_id: str | None, body: list[Any]) -> None:
        """A good row: whose it is, by address or else by id, and what it says."""
        person = f"@{email}" if email else f"#{source_id}"
        self._kept.append((line, person, source_id, marshal.dumps(body)))
        self.rows += 1
        if len(self._kept) == _TOGETHER:
            self._flush()

    def refuse(self, line: int, column: str, problem: str, value: str = "", *, copied: bool = True) -> None:
        """A row that is not applied, and why; `value`: what its cell holds. Not `copied`: it is kept nowhere."""
        refusal = Refusal(line, column, problem, quoted(value) if value else "")
        self.report.refuse(refusal)
        if not copied:
            return
        self.copied += 1
        self._link.execute("INSERT INTO refused VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (line, column, refusal.said))

    def _flush(self) -> None:
        self._link.executemany("INSERT INTO row VALUES (?, ?, ?, ?)", self._kept)
        self._kept.clear()
        if self._progress:  # reading is counted as half of the way, writing as the other
            self._progress(self.table.position // 2, self.table.size)

    def in_order(self, chunk: int) -> Iterator[list[tuple[int, Any]]]:
        """The rows as they stood in the file: line and body, `chunk` at a time."""
        self._flush()
        rows = self._link.execute("SELECT line, body FROM row ORDER BY line")
        done = 0
        while some := rows.fetchmany(chunk):
            yield [(line, marshal.loads(body)) for line, body in some]
            done += len(some)
            self._written(done)

    def by_person(self, chunk: int, join: Callable[[Iterator[tuple[int, Any]]], T]) -> Iterator[list[T]]:
        """`join` of the rows (line, body) of each person, in the order of their lines; `chunk` at a time."""
        self._flush()
        self._link.execute("CREATE INDEX row_person ON row (person, line)")
        self._link.execute("CREATE INDEX row_id ON row (id, person) WHERE id IS NOT NULL")
        # A row known by its id alone is of the person to whose address another row ties that id.
        same = "SELECT r.person FROM row r WHERE r.id = row.id AND r.person >= '@' ORDER BY r.person LIMIT 1"
        self._link.execute(f"UPDATE row SET person = ({same}) WHERE person < '@' AND EXISTS ({same})")
        rows = self._link.execute("SELECT person, line, body FROM row ORDER BY person, line")
        people: list[T] = []
        for done, (_, mine) in enumerate(groupby(rows, key=lambda row: row[0]), 1):
            people.append(join((line, marshal.loads(body)) for _, line, body in mine))
            if len(people) == chunk:
                yield people
                people = []
                self._written(done)
        if people:
            yield people
        self._written(self.rows)

    def _written(self, done: int) -> None:
        if self._progress:
            half = self.table.size // 2
            self._progress(half + (self.table.size - half) * done // max(1, self.rows), self.table.size)

    def write_refused(self, path: Path) -> None:
        """Copy the refused rows, as they stand in the file and each with its problem before it, to `path`.

        The copy is UTF-8 and marked so, whatever the file was: the mark overrules --encoding when it comes back.
        Raises OSError if that cannot be written; the file is whole or not there.
        """
        part = path.with_name(path.name + ".part")
        cursor = self._link.execute("SELECT line, problem_in, problem FROM refused ORDER BY line")
        following = cursor.fetchone()
        try:
            # Half a character goes back as JSON spells it.
            plain = self.table.delimiter is None and self.table.encoding == "utf-8"  # JSON likes no mark
            codec = "utf-8" if plain else "utf-8-sig"
            with part.open("w", encoding=codec, errors="backslashreplace", newline="") as out:
                writer = _Writer(out, self.table)
                for record in self.table.records():
                    if following is None:
                        break
                    if record.line == following[0]:
                        writer.row(record, f"{following[1]}: {following[2]}" if following[1] else following[2])
                        following = cursor.fetchone()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


class _Writer:
    """Refused rows in the form of their file; `problem` comes first: crooked rows keep their shape."""

    def __init__(self, out: Any, table: Table) -> None:
        self.out, self.table = out, table
        header = table.header or []
        self.ours = [index for index, name in enumerate(header) if squeeze(name) != PROBLEM]
        self.had = len(self.ours) < len(header)
        if table.delimiter is not None:
            self.csv = csv.writer(out, delimiter=table.delimiter, lineterminator="\r\n")
            self.csv.writerow([PROBLEM, *(header[index] for index in self.ours)])

    def row(self, record: Record, problem: str) -> None:
        if self.table.delimiter is None:
            self.out.write(as_json(record, problem) + "\n")
        elif record.row and "\0" not in record.text:
            last = len(self.table.header or [])
            cells = [cell for index, cell in enumerate(record.row) if index in self.ours or index >= last]
            self.csv.writerow([problem, *cells])
        else:
            lead = "" if self.had else f'"{problem}"{self.table.delimiter}'
            self.out.write(lead + record.text.rstrip("\r\n") + "\r\n")
