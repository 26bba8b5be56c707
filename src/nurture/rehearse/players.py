"""Who plays many checks: this process, or one for each processor."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from nurture.program.check_names import Names
from nurture.rehearse.coverage import Coverage
from nurture.rehearse.play import Outcome, run_check
from nurture.rehearse.stage import Theatre

#: Checks for which another process is worth its start.
WORTH = 12
Played = tuple[Outcome | None, Coverage]


class Player:
    """Plays checks of one program one after the other, on a stage that is swept between them."""

    def __init__(self, files: Mapping[str, str], names: Names) -> None:
        self.files, self.names, self.theatre = files, names, Theatre()

    def play(self, name: str) -> Played:
        """One check, and where its leads passed."""
        walked = Coverage()
        return run_check(self.files, name, theatre=self.theatre, names=self.names, coverage=walked), walked

    def close(self) -> None:
        """Strike the stage."""
        self.theatre.close()


@contextmanager
def players(
    files: Mapping[str, str], names: Names, number: int
) -> Iterator[Callable[[Iterable[str]], Iterable[Played]]]:
    """Something that plays checks and gives what came of them in their order; `number`: how many there will be."""
    processes = min(_processors(), number // WORTH)
    if processes > 1 and _may_fork():
        with ProcessPoolExecutor(processes, get_context("fork"), _begin, (files, names)) as pool:
            yield lambda some: pool.map(_play, some, chunksize=2)
        return
    player = Player(files, names)
    try:
        yield lambda some: map(player.play, some)
    finally:
        player.close()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _may_fork() -> bool:
    """A process is copied safely where it has one thread."""
    return sys.platform == "linux" and threading.active_count() == 1


#: This process's own player, in a pool.
_MINE: list[Player] = []


def _begin(files: Mapping[str, str], names: Names) -> None:
    _MINE.append(Player(files, names))


def _play(name: str) -> Played:
    return _MINE[0].play(name)
