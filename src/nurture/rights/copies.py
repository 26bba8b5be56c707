"""Files that speak of people: kept messages, refused rows of imports, journals. Found, emptied, and left no longer than
their time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlmodel import col

from nurture.db import Database
from nurture.records import Erasure, Lead, Outbox, Touch
from nurture.rights.naming import naming
from nurture.rights.schema import TABLES

#: Folders of the home in which messages are kept, where no relay or account is set.
FOLDERS = ("mail", "sms", "chat")
#: The imports' files of refused rows, wherever they lie.
REFUSED = "refused.ndjson"
_ROWS = 500


def kept(home: Path, touches: Iterable[int], notices: Iterable[int]) -> list[Path]:
    """The kept messages of these touches, and of these rows of the outbox."""
    patterns = [f"{touch:08d}-*" for touch in touches] + [f"notice-{notice:06d}-*" for notice in notices]
    return sorted(path for folder in FOLDERS for pattern in patterns for path in (home / folder).glob(pattern))


def of_the_forgotten(db: Database, home: Path) -> list[Path]:
    """The kept messages of whoever has been forgotten: what a crash, or another home's command, has left here."""
    with db.read() as link:
        if link.execute(select(col(Erasure.id)).limit(1)).first() is None:
            return []
    files: dict[tuple[bool, int], list[Path]] = {}
    for path in _messages(home):
        if (owner := _owner(path)) is not None:
            files.setdefault(owner, []).append(path)
    return [path for owner in _forgotten(db, sorted(files)) for path in files[owner]]


def _messages(home: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        if (home / folder).is_dir():
            yield from (path for path in (home / folder).iterdir() if path.is_file())


def _owner(path: Path) -> tuple[bool, int] | None:
    """(whether it is a notice, the number of its touch or of its row in the outbox), by the file's name."""
    words = path.name.split("-")
    notice = words[0] == "notice"
    number = words[1] if notice and len(words) > 1 else words[0]
    return (notice, int(number)) if number.isdigit() else None


def _forgotten(db: Database, owners: list[tuple[bool, int]]) -> Iterator[tuple[bool, int]]:
    touches, notices = ([number for notice, number in owners if notice is which] for which in (False, True))
    gone = col(Lead.forgotten_at).is_not(None)
    sent = select(col(Touch.id)).join(Lead, col(Lead.id) == col(Touch.lead_id)).where(gone)
    told = [
        select(col(Outbox.id))
        .join(rows, rows.c.id == col(Outbox.row_id))
        .join(Lead, col(Lead.id) == rows.c.lead_id)
        .where(col(Outbox.kind).startswith(kind, autoescape=True), gone)
        for kind, rows in (
            ("handoff_", TABLES["handoff"]),
            ("meeting_", TABLES["handoff"]),
            ("task_notice", TABLES["task"]),
        )
    ]
    for notice, numbers, queries, column in (
        (False, touches, [sent], col(Touch.id)), (True, notices, told, col(Outbox.id))
    ):  # fmt: skip
        for start in range(0, len(numbers), _ROWS):
            for query in queries:
                with db.read() as link:
                    found = link.execute(query.where(column.in_(numbers[start : start + _ROWS]))).scalars().all()
                yield from ((notice, int(number or 0)) for number in found)


def remove(paths: Iterable[Path]) -> int:
    """Delete these files; how many were there. Raises OSError."""
    count = 0
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:  # somebody else was faster
            continue
        count += 1
    return count


def aged(home: Path, before: datetime) -> list[Path]:
    """The kept messages that were written before then."""
    return [path for path in _messages(home) if older(path, before)]


def older(path: Path, before: datetime) -> bool:
    """Whether a file is there and was last written before then."""
    try:
        return path.stat().st_mtime < before.timestamp()
    except FileNotFoundError:
        return False


def note_refused(home: Path, file: Path, now: datetime) -> None:
    """Remember where an import has put its refused rows."""
    line = json.dumps({"file": str(file.resolve()), "at": now.isoformat()}, ensure_ascii=False)
    home.mkdir(parents=True, exist_ok=True)
    with (home / REFUSED).open("a", encoding="utf-8") as out:
        out.write(line + "\n")


def refused(home: Path) -> dict[Path, datetime]:
    """The files of refused rows that are still there, and since when; a line torn at a crash says nothing."""
    file = home / REFUSED
    found: dict[Path, datetime] = {}
    for line in file.read_text("utf-8", errors="replace").splitlines() if file.exists() else []:
        try:
            said = json.loads(line)
            path, at = Path(said["file"]), datetime.fromisoformat(said["at"])
        except (ValueError, KeyError, TypeError):
            continue
        if path.is_file():
            found[path] = at
    return found


def holding(file: Path, names: Iterable[str]) -> list[str]:
    """The rows of a file that hold one of `names`, in whatever case."""
    return [row.strip() for row in _split(file, names)[1]]


def cut_out(file: Path, names: Iterable[str]) -> int:
    """Take those rows out of the file; how many."""
    stay, gone = _split(file, names)
    if gone:
        draft = file.with_name(f"{file.name}.part")
        draft.write_bytes("".join(stay).encode("utf-8", "surrogateescape"))
        draft.replace(file)
    return len(gone)


def _split(file: Path, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(rows that hold none of `names`, rows that do)."""
    told = naming(names)
    rows = _rows(file.read_bytes().decode("utf-8", "surrogateescape"))
    held = [told is not None and told.search(row) is not None for row in rows]
    return [row for row, it in zip(rows, held, strict=True) if not it], [
        row for row, it in zip(rows, held, strict=True) if it
    ]


def _rows(text: str) -> list[str]:
    """The rows of a CSV or NDJSON text with their line ends; a line end within quotes does not end a row."""
    found, row = [], ""
    for line in text.splitlines(keepends=True):
        row += line
        if row.count('"') % 2 == 0 or row.lstrip("\ufeff").startswith("{"):
            found.append(row)
            row = ""
    return [*found, row] if row or not found else found


def blot_out(file: Path, names: Iterable[str]) -> int:
    """Write an x over each letter of `names` in a journal, which may be written to at this moment; how many places."""
    told = naming(names)
    if told is None:
        return 0
    places = 0
    with file.open("r+b") as out:
        text = out.read().decode("utf-8", "surrogateescape")
        for hit in told.finditer(text):
            out.seek(len(text[: hit.start()].encode("utf-8", "surrogateescape")))
            out.write(b"x" * len(hit[0].encode("utf-8", "surrogateescape")))
            places += 1
    return places
