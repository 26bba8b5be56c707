"""The machine that a run works with: one of its own, or the one that its process holds open for all its runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.shown import clock
from nurture import opening
from nurture.engine.machine import Machine

_held: list[Machine] = []


@contextmanager
def machine(at: str | None = None) -> Iterator[Machine]:
    """This run's machine. `at`: the instant of a rehearsed clock; None is now. Raises NurtureError."""
    if _held:
        yield _held[-1]
        return
    with opening.machine(clock=clock(at)) as opened:
        yield opened


@contextmanager
def held(at: str | None = None) -> Iterator[Machine]:
    """Hold a machine open, with which all runs in this process work meanwhile."""
    with opening.machine(clock=clock(at)) as opened:
        _held.append(opened)
        try:
            yield opened
        finally:
            _held.pop()
