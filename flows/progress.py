"""A long step's bar in the Prefect UI."""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import copy_context
from time import monotonic
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

EVERY = 2.0  # seconds between two updates


class Progress:
    """A long step's bar, on its run's page only; short steps have none, and what fails to show is let go."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.context = copy_context()  # the engine may call from its own threads
        self.lock = threading.Lock()
        self.shown_at = monotonic()
        self.artifact: UUID | None = None

    def __call__(self, done: int, total: int) -> None:
        with self.lock:
            last = done >= total and self.artifact is not None
            if not last and monotonic() - self.shown_at < EVERY:
                return
            self.shown_at = monotonic()
            with suppress(Exception):
                self.context.run(self.show, done, total)

    def show(self, done: int, total: int) -> None:
        """Create the artifact the first time, then move its bar."""
        percent, words = 100 * done / max(total, 1), f"{self.label}: {done:,} of {total:,}"
        if self.artifact is None:
            created = create_progress_artifact(percent, description=words)
            self.artifact = created if isinstance(created, UUID) else None
        else:
            update_progress_artifact(self.artifact, percent, description=words)
