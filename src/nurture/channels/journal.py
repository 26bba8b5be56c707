"""What was about to leave and what was answered, in an append-only file beside the database.

Each line is one small write, so it survives `kill -9` the moment it is made; it begins on a line of its own and bears a
mark at its end, so a torn one says nothing and spoils nothing; `flush` makes what was written
survive the machine. After a crash on the same host it tells which messages never began and which were taken.
A kernel lock on the file says that its writer lives: the lock is free the moment the process is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path
from typing import Literal, get_args

from nurture.channels.base import Receipt, Verdict

#: `started`: the body began and no answer was noted.
State = Literal["started"] | Verdict

_END = b" .\n"
_LINE = re.compile(rb"(?:S (\d+)|R (\d+) (\w+)(?: .*)?) \.")
#: A beginning without its mark: torn, or an older version's. It may have begun.
_DOUBTFUL = re.compile(rb"S (\d+)")
_VERDICTS = frozenset(get_args(Verdict))


class FileJournal:
    """Appends to `path`; may be used by several threads. Raises OSError where the file cannot be written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def started(self, touch_id: int) -> None:
        self._write(b"S %d" % touch_id)

    def replied(self, receipt: Receipt) -> None:
        self._write(f"R {receipt.touch_id} {receipt.verdict} {receipt.detail}".encode())

    def _write(self, line: bytes) -> None:
        """One line, whole or not at all for whoever reads it: a full disk writes a part of it and calls that well."""
        whole = b"\n" + line + _END
        if os.write(self._file, whole) != len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush(self) -> None:
        """Return when what was written is on the disk; once per batch."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file; twice is once."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def abandoned(path: Path) -> bool:
    """Whether the journal is there, can be read, and nobody writes it any more."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def read_journal(path: Path) -> dict[int, State]:
    """The last that is known of each touch; one that is missing never began. No file: none began."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn
    except FileNotFoundError:
        return {}
    states: dict[int, State] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            if (begun := _DOUBTFUL.fullmatch(line)) is not None:
                states.setdefault(int(begun[1]), "started")
            continue
        if found[1] is not None:
            states[int(found[1])] = "started"
        elif (verdict := found[3].decode()) in _VERDICTS:
            states[int(found[2])] = verdict  # type: ignore[assignment]  # one of Verdict's own words
    return states
