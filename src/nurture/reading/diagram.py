"""A sequence as a picture: Mermaid text here, SVG in `drawing`; with who stands where if that is wanted."""

from __future__ import annotations

from typing import Any

from nurture.engine.machine import Machine
from nurture.program.load import Segment
from nurture.reading.chart import Counts, Node, Standing, chart
from nurture.reading.counts import Row, cohorts, outcomes

__all__ = ["Standing", "diagram", "standing"]

#: The node of each kind: what stands before and after its label.
_SHAPES: dict[str, tuple[str, str]] = {
    "start": ("([", "])"),
    "wait": ("([", "])"),
    "wait_until": ("{{", "}}"),
    "branch": ("{", "}"),
    "split": ("{", "}"),
    "handoff": ("[[", "]]"),
    "exit": ("([", "])"),
    "audience": ("[/", "/]"),
    "webhook": ("[/", "/]"),
    "goto": ("((", "))"),
}
_LONGEST = 60


def standing(machine: Machine, slug: str, rows: list[Row] | None = None) -> Standing:
    """Who stands where in a live segment, all its versions together. `rows`: its cohorts, if they are counted."""
    rows = cohorts(machine, slug) if rows is None else rows
    steps = {row["step"]: Counts(row["waiting"], row["sent"], row.get("exhausted", 0)) for row in rows}
    return Standing(steps, outcomes(machine, slug))


def diagram(segment: Segment, counts: Standing | None = None) -> str:
    """`segment` as Mermaid text; nodes are numbered, since Mermaid has words that no node may be called."""
    drawn = chart(segment, counts)
    names = {node.id: f"s{number}" for number, node in enumerate(drawn.nodes)}
    lines = ["flowchart TD"]
    for node in drawn.nodes:
        before, after = _SHAPES.get(node.kind, ("[", "]"))
        lines.append(f'  {names[node.id]}{before}"{_label(node)}"{after}')
    for arrow in drawn.arrows:
        way = f'-- "{_text(arrow.words)}" -->' if arrow.words else "-->"
        lines.append(f"  {names[arrow.source]} {way} {names[arrow.target]}")
    for number, (title, told) in enumerate(drawn.aside):
        lines.append(f'  aside{number}["{"<br/>".join(_text(line) for line in (title, *told))}"]:::aside')
    return "\n".join([*lines, "  classDef aside stroke-dasharray: 4 4"] if drawn.aside else lines)


def _label(node: Node) -> str:
    return "<br/>".join(_text(line) for line in (node.title, *node.details, node.counts) if line)


def _text(words: Any) -> str:
    """Short enough for a node, and harmless in one."""
    text = str(words)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"
    for sign, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, code)
    return text
