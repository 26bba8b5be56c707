"""Who holds a claim: a worker's name says its host, its boot and its journal, where its end can be read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nurture import clock
from nurture.channels.journal import FileJournal, State, abandoned, read_journal
from nurture.errors import FileFault

_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: Seconds for which the journal of a dead worker is kept though nothing here needs it: a database that is restored may.
_KEPT = 7 * 86_400


@cache
def boot() -> str:
    """Eight characters of this boot's id: what a journal did not sync is lost with the boot."""
    return _BOOT.read_text().strip()[:8] if _BOOT.exists() else "unknown"


def worker_name() -> str:
    """`host:boot:process:random`; its journal is the file of that name."""
    return f"{socket.gethostname()}:{boot()}:{os.getpid()}:{clock.unguessable()[:8]}"


def claim_of(worker: str) -> str:
    """The holder of one claim of `worker`'s: drawn anew, so that it fences."""
    return f"{worker}/{clock.unguessable()[:12]}"


def worker_of(owner: str) -> str:
    """Whose claim it is."""
    return owner.partition("/")[0]


def journal_file(folder: Path, worker: str) -> Path:
    """Where `worker` keeps its journal."""
    return folder / f"{worker.replace(':', '-')}.log"


def open_journal(folder: Path, worker: str) -> FileJournal:
    """`worker`'s own journal. Raises FileFault where it cannot be written: nothing may be sent without it."""
    try:
        return FileJournal(journal_file(folder, worker))
    except OSError as problem:
        raise FileFault(
            f"{folder}: cannot be written ({problem.strerror}); nothing was sent; "
            "check the folder's rights and space, or set NURTURE_HOME"
        ) from None


@dataclass(frozen=True)
class Journals:
    """The journals of this folder, by worker. `folder` None: there are none, and nothing is known."""

    folder: Path | None

    def last_of(self, touch: int, owner: str) -> State | None:
        """The last that the owner's own journal notes of `touch`; None: it certainly never began.

        `started` where nothing can be known: another folder's or host's worker, or a boot ago without a reply.
        """
        worker = worker_of(owner)
        file = self._file(worker)
        if file is None:
            return "started"
        try:
            noted = read_journal(file).get(touch)
        except OSError:  # another user's
            return "started"
        same_boot = worker.split(":")[1:2] == [boot()] and boot() != "unknown"
        # a boot ago the last lines may be lost, and what stands there may be of an earlier try
        return noted if same_boot or noted in ("accepted", "refused") else "started"

    def dead(self, owner: str) -> bool:
        """Whether the owner certainly lives no more: it ran on this host, and its journal's lock is free."""
        worker = worker_of(owner)
        file = self._file(worker)
        return file is not None and worker.split(":")[0] == socket.gethostname() and abandoned(file)

    def dead_among(self, owners: Iterable[str]) -> list[str]:
        """Those of `owners` that certainly live no more."""
        return [owner for owner in owners if self.dead(owner)]

    def left(self) -> list[str]:
        """Workers of this host that live no more and have written nothing for a week, by their journals."""
        before, here = clock.wall().timestamp() - _KEPT, socket.gethostname()
        return [
            ":".join(file.stem.rsplit("-", 3))
            for file in (self.folder.glob(f"{here}-*.log") if self.folder is not None else ())
            if file.stem.rsplit("-", 3)[0] == here and _written(file) < before and abandoned(file)
        ]

    def clear(self, owners: Iterable[str]) -> None:
        """Journals of dead workers that are needed no more."""
        for owner in owners:
            if (file := self._file(worker_of(owner))) is not None:
                file.unlink(missing_ok=True)

    def _file(self, worker: str) -> Path | None:
        file = journal_file(self.folder, worker) if self.folder is not None else None
        return file if file is not None and file.exists() else None


def _written(file: Path) -> float:
    """When it was last written to, in seconds since 1970; a file that another has just removed: for ever."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
