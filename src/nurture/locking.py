"""Locks between processes of one host, with an end to the waiting: a stopped process holds its locks for ever."""

from __future__ import annotations

import fcntl
from typing import IO, Any

from nurture import clock

_FIRST, _LONGEST = 0.002, 0.05


def lock(file: IO[Any], *, shared: bool = False, seconds: float = 10) -> bool:
    """Take the kernel's lock on `file`, waiting for `seconds` at most; whether it was to be had."""
    how, end, pause = fcntl.LOCK_SH if shared else fcntl.LOCK_EX, clock.monotonic() + seconds, _FIRST
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if clock.monotonic() > end:
                return False
        clock.pause(pause)
        pause = min(pause * 2, _LONGEST)


def unlock(file: IO[Any]) -> None:
    """Let others have it."""
    fcntl.flock(file, fcntl.LOCK_UN)
