"""Pages that the Prefect UI keeps: one key each, so that the UI also keeps their history."""

from __future__ import annotations

import re
from typing import Any

from prefect.artifacts import (
    create_markdown_artifact,
    create_table_artifact,
)

from nurture.engine.machine import Machine
from nurture.reading import counts
from nurture.reading.diagram import diagram, standing

HANDOFF = ("id", "deadline", "owner", "milestone", "segment", "lead", "score", "fit")


def key(text: str) -> str:
    """Prefect's artifact keys are lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def publish_segment(machine: Machine, segment: str) -> None:
    """After a tick that moved somebody: the sequence, its cohorts, and what all segments share."""
    counted = counts.cohorts(machine, segment)
    rows = readable([{**row, "step": row["label"], "label": ""} for row in counted])
    drawn = diagram(machine.live().segment(segment), standing(machine, segment, counted))
    picture = f"```mermaid\n{drawn}\n```"
    create_markdown_artifact(
        key=key(f"sequence-{segment}"),
        markdown=f"## {segment}\n\n{picture}\n\n{as_markdown(rows)}\n",
        description="The sequence and who stands where",
    )
    table(f"cohorts-{segment}", rows, "Each step's leads, as a table")
    publish_shared(machine)


def publish_handoffs(machine: Machine) -> int:
    """After a round of routing: which hand-off waits for whom, the most urgent first; how many."""
    waiting = sorted(counts.handoffs(machine, open_only=True), key=lambda row: str(row["deadline"]))
    table("handoffs", [{name: row[name] for name in HANDOFF} for row in waiting], "Who waits for sales")
    publish_shared(machine)
    return len(waiting)


def publish_shared(machine: Machine) -> None:
    """What concerns all segments."""
    table("funnel", counts.funnel(machine), "Leads that came to each stage, by segment")
    table("uncertain", counts.uncertain(machine), "Sent or not? A person decides")


def table(name: str, rows: list[dict[str, Any]], description: str) -> None:
    """A table artifact; an empty one says so."""
    shown = readable(rows) or [{"empty": "nothing to show"}]
    create_table_artifact(key=key(name), table=shown, description=description)


def readable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Instants to the minute, and no column that is empty in all rows: Prefect cuts wide tables off."""
    used = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    return [{name: to_the_minute(row[name]) for name in used} for row in rows]


def to_the_minute(value: Any) -> Any:
    """2026-03-02 09:00 for an ISO instant, anything else as it is."""
    instant = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", value)
    return instant[0].replace("T", " ") if instant else value


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The same rows below the picture, since Prefect's own tables show ten at a time."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---" if name == "step" else "--:" for name in rows[0]]]
    lines += [[in_cell(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_cell(value: Any) -> str:
    """1,200; nothing for 0."""
    return f"{value:,}" if value and isinstance(value, int) else str(value or "")
