"""Who holds a claim: a worker's name says its host, its boot and its journal, where its end can be read."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nurture import clock
from nurture.channels.journal import State, read_journal

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """Eight characters of this boot's id: what a journal did not sync is lost with the boot."""
    return _BOOT.read_text().strip()[:8] if _BOOT.exists() else "unknown"


def worker_name() -> str:
    """`host:boot:process:random`; its journal is the file of that name."""
    return f"{socket.gethostname()}:{boot()}:{os.getpid()}:{clock.unguessable()[:8]}"


def batch_owner(worker: str) -> str:
    """The holder of one batch of `worker`'s."""
    return f"{worker}/{clock.unguessable()[:8]}"


def journal_file(folder: Path, worker: str) -> Path:
    """Where `worker` keeps its journal."""
    return folder / f"{worker.replace(':', '-')}.log"


@dataclass(frozen=True)
class Journals:
    """The journals of this folder, by worker. `folder` None: there are none, and nothing is known."""

    folder: Path | None

    def last_of(self, touch: int, owner: str) -> State | None:
        """The last that the owner's own journal notes of `touch`; None: it certainly never began.

        `started` where nothing can be known: another folder's or host's worker, or a boot ago without a reply.
        """
        worker = owner.partition("/")[0]
        file = journal_file(self.folder, worker) if self.folder is not None else None
        if file is None or not file.exists():
            return "started"
        noted = read_journal(file).get(touch)
        same_boot = worker.split(":")[1:2] == [boot()] and boot() != "unknown"
        return noted if noted is not None or same_boot else "started"
