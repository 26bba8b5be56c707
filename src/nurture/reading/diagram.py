"""A sequence as a Mermaid flowchart, with who stands where if that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nurture.engine.machine import Machine
from nurture.program.load import Segment
from nurture.reading.counts import cohorts, outcomes
from nurture.reading.sentences import sentence
from nurture.steps import Audience, Branch, Email, HandOff, Leave, Offer, Step, Update, Wait, WaitUntil

#: The node of each kind: what stands before and after its label.
_SHAPES: dict[type[Step], tuple[str, str]] = {
    Wait: ("([", "])"),
    WaitUntil: ("{{", "}}"),
    Branch: ("{", "}"),
    HandOff: ("[[", "]]"),
    Leave: ("([", "])"),
    Audience: ("[/", "/]"),
}
_LONGEST = 60


@dataclass(frozen=True)
class Standing:
    """Live counts: step to (leads there, touches sent), and how those who left did."""

    steps: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


def standing(machine: Machine, slug: str) -> Standing:
    """Who stands where in a live segment, all its versions together."""
    rows = cohorts(machine, slug)
    return Standing({row["step"]: (row["waiting"], row["sent"]) for row in rows}, outcomes(machine, slug))


def diagram(segment: Segment, counts: Standing | None = None) -> str:
    """`segment` as Mermaid text; nodes are numbered, since Mermaid has words that no node may be called."""
    spec = segment.spec
    nodes = {step.id: f"s{number}" for number, step in enumerate(spec.steps, 1)}
    start = _text(sentence(spec.enrol.when))
    lines = ["flowchart TD", f'  start(["{start}"]) --> {nodes[spec.steps[0].id]}']
    for step in spec.steps:
        before, after = _SHAPES.get(type(step), ("[", "]"))
        lines.append(f'  {nodes[step.id]}{before}"{_label(step, counts)}"{after}')
        for way, target in spec.successors(step).items():
            words = _way(step, way)
            arrow = f'-- "{_text(words)}" -->' if words else "-->"
            lines.append(f"  {nodes[step.id]} {arrow} {nodes[target]}")
    if counts is not None:
        lines += _around(counts, nodes)
    return "\n".join(lines)


def _around(counts: Standing, nodes: Mapping[str, str]) -> list[str]:
    """What the live version's steps cannot show: who left, and who is on a step of older versions only."""
    lines = []
    if counts.left:
        told = "<br/>".join(f"{_text(word)}: {count:,}" for word, count in counts.left.items())
        lines.append(f'  left["left<br/>{told}"]:::aside')
    older = {step: there for step, (there, _) in counts.steps.items() if there and step not in nodes}
    if older:
        told = "<br/>".join(f"{_text(step)}: {there:,}" for step, there in older.items())
        lines.append(f'  older["on older versions<br/>{told}"]:::aside')
    return [*lines, "  classDef aside stroke-dasharray: 4 4"] if lines else []


def _label(step: Step, counts: Standing | None) -> str:
    parts = [_text(step.title), _text(_detail(step))]
    if counts is not None:
        there, sent = counts.steps.get(step.id, (0, 0))
        told = [f"{there:,} here" if there else "", f"{sent:,} sent" if sent else ""]
        parts.append(" · ".join(filter(None, told)))
    return "<br/>".join(filter(None, parts))


def _detail(step: Step) -> str:
    match step:
        case Email():
            return f"{'e-mail' if step.kind == 'marketing' else 'e-mail, operational'}: {step.email}"
        case Offer():
            return f"offer{': ' + step.offer.stage if step.offer.stage else ''}"
        case Audience():
            return f"{step.audience.verb} {'to' if step.audience.add else 'from'} {step.audience.name}"
        case Wait():
            return f"wait {step.wait}"
        case WaitUntil():
            return f"wait, at most {step.at_most}"
        case HandOff():
            return f"to sales: {step.handoff.replace('_', ' ')}"
        case Leave():
            return "" if step.exit == step.id else step.exit.replace("_", " ")
        case Update():
            return "update"
    return ""


def _way(step: Step, way: str) -> str:
    """What the arrow says."""
    if isinstance(step, Branch):
        place = way.split(".")
        return sentence(step.branch[int(place[1])].when) if len(place) == 3 else "else"
    if isinstance(step, WaitUntil):
        if step.then is None and step.otherwise is None:
            return ""
        met = way == "then" or (way == "next" and step.then is None)
        return sentence(step.wait_until) if met else f"not in {step.at_most}"
    return way if isinstance(step, HandOff) and way != "next" else ""


def _text(words: Any) -> str:
    """Short enough for a node, and harmless in one."""
    text = str(words)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"
    for sign, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, code)
    return text
