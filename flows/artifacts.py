"""Pages that the Prefect UI keeps: one key each, so that the UI also keeps their history."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from contextvars import copy_context
from time import monotonic
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from nurture.engine.machine import Machine
from nurture.reading import counts
from nurture.reading.diagram import diagram, standing

EVERY = 2.0  # seconds between two updates of a progress artifact


def key(text: str) -> str:
    """Prefect's artifact keys are lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def publish_segment(machine: Machine, segment: str) -> None:
    """After a tick that moved somebody: the sequence, its cohorts, and what all segments share."""
    rows = counts.cohorts(machine, segment)
    drawn = diagram(machine.live().segment(segment), standing(machine, segment))
    picture = f"```mermaid\n{drawn}\n```"
    create_markdown_artifact(
        key=key(f"sequence-{segment}"),
        markdown=f"## {segment}\n\n{picture}\n\n{as_markdown(rows)}\n",
        description="The sequence and who stands where",
    )
    table(f"cohorts-{segment}", rows, "Each step's leads, as a table")
    publish_shared(machine)


def publish_handoffs(machine: Machine) -> int:
    """After a round of routing: which hand-off waits for which salesperson, by its number; how many."""
    waiting = counts.handoffs(machine, open_only=True)
    table("handoffs", waiting, "Waiting for a salesperson's answer")
    publish_shared(machine)
    return len(waiting)


def publish_shared(machine: Machine) -> None:
    """What concerns all segments."""
    table("funnel", counts.funnel(machine), "Leads by stage, all segments")
    table("uncertain", counts.uncertain(machine), "Sent or not? A person decides")


def table(name: str, rows: list[dict[str, Any]], description: str) -> None:
    """A table artifact; an empty one says so."""
    create_table_artifact(
        key=key(name), table=rows or [{"empty": "nothing to show"}], description=description
    )


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The same rows below the picture, since Prefect's own tables show ten at a time."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---" if name == "step" else "--:" for name in rows[0]]]
    lines += [[in_cell(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_cell(value: Any) -> str:
    """1,200; nothing for 0; 2026-03-02 09:00 for an ISO instant."""
    if isinstance(value, int):
        return f"{value:,}" if value else ""
    text = str(value or "")
    return text[:16].replace("T", " ") if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text) else text


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
