"""The erasure log beside the database: a backup that is restored has everybody in it, and must forget them again.

A line is written before the database is asked to forget, so that whatever ends us in between is finished later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nurture.errors import SettingsError

FILE = "erasures.ndjson"


@dataclass(frozen=True)
class Entry:
    """A digest that was forgotten at an instant, and by whom."""

    digest: str
    at: datetime
    by: str

    def line(self) -> str:
        at = self.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return json.dumps({"digest": self.digest, "at": at, "by": self.by}) + "\n"


def append(home: Path, entries: Iterable[Entry]) -> None:
    """Write `entries` behind what is there, on the disk when we return. Raises SettingsError."""
    text = "".join(entry.line() for entry in entries)
    file = home / FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as problem:
        raise SettingsError(
            f"{file}: cannot be written ({problem.strerror}); nobody was forgotten; check the folder's rights and space"
        ) from None


def read(home: Path) -> dict[str, Entry]:
    """The latest entry of each digest; a line that was torn at a crash says nothing. Raises SettingsError."""
    file = home / FILE
    found: dict[str, Entry] = {}
    try:
        lines = file.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found
    except OSError as problem:
        raise SettingsError(
            f"{file}: cannot be read ({problem.strerror}); it says who was forgotten, so give it back its rights"
        ) from None
    for line in lines:
        try:
            said = json.loads(line)
            entry = Entry(str(said["digest"]), datetime.fromisoformat(said["at"]), str(said["by"]))
        except (ValueError, KeyError, TypeError):
            continue
        if entry.digest not in found or found[entry.digest].at < entry.at:
            found[entry.digest] = entry
    return found


def stamp(home: Path) -> tuple[int, int]:
    """Changes whenever the log does; (0, 0): there is none."""
    try:
        known = (home / FILE).stat()
    except OSError:
        return 0, 0
    return known.st_size, known.st_mtime_ns
