"""Processes that belong to this one: watched, started anew when they die, and ended with it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread

from nurture import clock

#: Seconds before a child that died is started anew: the first time, and at most. One that lived longer is new again.
_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
#: Its last words, for whoever asks why it died.
_LAST = 20


class Child:
    """One process, in a session of its own, so that a terminal's Ctrl-C reaches it by way of us, in our order.

    `once`: it is done when it ends well. `quiet`: its words are kept for its death alone. `tell` takes a line.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], tell: Callable[[str], None], *,
        once: bool = False, quiet: bool = False,
    ) -> None:  # fmt: skip
        self.name, self._command, self._environment, self._tell = name, list(command), dict(environment), tell
        self._once, self._quiet = once, quiet
        self._process: subprocess.Popen[str] | None = None
        self._words: deque[str] = deque(maxlen=_LAST)
        self._pause, self._began, self._next = _PAUSE, 0.0, 0.0
        self._asked, self._begun, self.done = 0, 0, False
        self._reader = Thread()
        self._family: dict[int, int] = {}

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def look(self) -> None:
        """Start it if it should run and does not; say so when it died. Called from the main thread every moment."""
        if self.done or self.pid is not None:
            return
        now = clock.monotonic()
        if self._process is not None:
            self._bury(self._process.returncode, now)
        if not self.done and now >= self._next:
            self._start(now)

    def again(self) -> None:
        """Run it once more, as soon as it has ended; however often that is asked while it runs, once."""
        self._asked, self.done = self._asked + 1, False

    def ask_to_end(self) -> None:
        """SIGTERM, to it alone: it ends its own children."""
        self.done = True
        if self.pid is not None and self._process is not None:
            self._family = _family(self._process.pid)
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Wait for its end; then end it and all that came of it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._tell(f"{self.name} did not end in time and is killed")
        for pid, began in self._family.items():
            if _began(pid) == began:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(5)
        self._reader.join(1)

    def _start(self, now: float) -> None:
        self._began, self._begun = now, self._asked
        self._process = subprocess.Popen(
            self._command, env={**self._environment, "NURTURE_PARENT": str(os.getpid())}, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._reader = Thread(target=self._listen, args=(self._process,), name=f"words of {self.name}", daemon=True)
        self._reader.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as said:
            for line in map(str.rstrip, said):
                if line:
                    self._words.append(line)
                    if not self._quiet:
                        self._tell(f"{self.name}: {line}")

    def _bury(self, code: int, now: float) -> None:
        self._reader.join(1)
        self._process = None
        if self._once and code == 0:
            self.done = self._begun == self._asked
            return
        if now - self._began > _LONGEST_PAUSE:
            self._pause = _PAUSE
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        why = f" ({self._words[-1]})" if self._words else ""
        self._tell(f"{self.name} {how}{why}; it is started anew in {self._pause:.0f} s")
        self._next, self._pause = now + self._pause, min(2 * self._pause, _LONGEST_PAUSE)


def _family(pid: int) -> dict[int, int]:
    """`pid` and all that came of it, with the moments of their birth (ticks since boot); Linux alone tells."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if (parent := _stat(int(entry.name), 1)) is not None:
            parents.setdefault(parent, []).append(int(entry.name))
    found, ahead = {}, [pid]
    while ahead:
        one = ahead.pop()
        if (began := _began(one)) is not None:
            found[one] = began
        ahead += parents.get(one, [])
    return found


def _began(pid: int) -> int | None:
    return _stat(pid, 19)


def _stat(pid: int, place: int) -> int | None:
    """A figure of /proc/PID/stat, counted from the state (proc(5)); None: there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[place])
