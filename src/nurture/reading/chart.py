"""A sequence as boxes and arrows with the words that a person would say: what every kind of picture is drawn from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nurture.language.arms import percent
from nurture.program.load import Segment
from nurture.program.sequence import Sequence
from nurture.reading.sentences import sentence
from nurture.steps import Step

START, END = ":start", ":end"
_SUBJECT = re.compile(r"\{%-?\s*block subject\s*-?%\}(.*?)\{%-?\s*endblock", re.DOTALL)
_COMPUTED = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})+", re.DOTALL)


@dataclass(frozen=True)
class Counts:
    """A step's live numbers: leads that stand there, touches sent, leads for whom nothing is left to send."""

    waiting: int = 0
    sent: int = 0
    exhausted: int = 0

    def __str__(self) -> str:
        told = ((self.waiting, "here"), (self.sent, "sent"), (self.exhausted, "exhausted"))
        return " · ".join(f"{number:,} {word}" for number, word in told if number)


@dataclass(frozen=True)
class Standing:
    """Live counts by step, and how those who left did."""

    steps: Mapping[str, Counts] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A box: a step, the beginning (`:start`) or the end of the list (`:end`)."""

    id: str
    kind: str
    title: str
    #: More lines, each a sentence of its own.
    details: tuple[str, ...] = ()
    counts: str = ""


@dataclass(frozen=True)
class Arrow:
    """A way from one box to another; `words`: who goes it, empty for everybody."""

    source: str
    target: str
    words: str = ""


@dataclass(frozen=True)
class Chart:
    """A sequence, ready to be drawn. `facts`: what holds for all of it; `aside`: counts that belong to no step."""

    name: str
    facts: tuple[tuple[str, str], ...]
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    aside: tuple[tuple[str, tuple[str, ...]], ...] = ()


def chart(segment: Segment, counts: Standing | None = None) -> Chart:
    """`segment` with its counts, if they are wanted."""
    spec = segment.spec
    nodes = [Node(START, "start", "Starts when", (sentence(spec.enrol.when),))]
    arrows = [Arrow(START, spec.steps[0].id)]
    ends = False
    for step in spec.steps:
        title, details = _said(step, segment)
        told = "" if counts is None else str(counts.steps.get(step.id, ""))
        nodes.append(Node(step.id, step.kind_word, title, details, told))
        arrows += _arrows(step, spec)
        if step.goes_on() and spec.following(step.id) is None:
            ends = True
            arrows.append(Arrow(step.id, END))
    if ends:
        nodes.append(Node(END, "exit", "End: completed"))
    return Chart(spec.name, tuple(_facts(spec)), tuple(nodes), tuple(arrows), _aside(segment, counts))


def _facts(spec: Sequence) -> list[tuple[str, str]]:
    send = spec.send
    hours = f", {send.hours} on the lead's clock" if send.hours else ", at any hour"
    days = {"workdays": "workdays", "all": "every day"}.get(send.days[0], ", ".join(send.days))
    holidays = ", no public holidays" if send.holidays == "lead" else ""
    again = "once only" if spec.enrol.again == "never" else f"again {spec.enrol.again.after} after the last end"
    facts = [("For", f"{sentence(spec.segment)}; {again}")]
    facts += [("Goal", spec.objective.replace("_", " "))] if spec.objective else []
    facts += [("Leaves when", sentence(spec.leave))] if spec.leave is not None else []
    return [*facts, ("Letters", f"{days}{hours}{holidays}; priority {spec.priority}")]


def _aside(segment: Segment, counts: Standing | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Who left, and who is on a step of older versions only."""
    if counts is None:
        return ()
    left = tuple(f"{_plain(word)}: {count:,}" for word, count in counts.left.items())
    older = tuple(
        f"{step}: {stands.waiting:,}"
        for step, stands in counts.steps.items()
        if stands.waiting and not segment.spec.has(step)
    )
    return tuple((title, lines) for title, lines in (("left", left), ("on older versions", older)) if lines)


def _arrows(step: Step, spec: Sequence) -> list[Arrow]:
    """The ways out; those to the same step with the same words are one."""
    ways = {way: target for way, target in spec.successors(step).items()}
    if len(set(ways.values())) == 1:
        return [Arrow(step.id, next(iter(ways.values())))]
    return list(dict.fromkeys(Arrow(step.id, target, _way(step, way)) for way, target in ways.items()))


def _way(step: Any, way: str) -> str:
    """What an arrow says."""
    kind, (word, *rest) = step.kind_word, way.split(".")
    if kind == "branch":
        return sentence(step.branch[int(rest[0])].when) if rest else "otherwise"
    if kind == "wait_until":
        met = word == "then" or (word == "next" and step.then is None)
        return "yes, at once" if met else f"not in {step.at_most}"
    if kind == "split" and rest:
        return percent(step.split[rest[0]])
    if kind == "goto":
        return "again" if word == "goto" else f"after {step.turns} times"
    if kind == "handoff":
        return {"passed": "sales takes it", "refused": "refused by the gate"}.get(
            word, "sales takes it" if step.passed is None and step.refused else "refused by the gate"
        )
    return "" if word == "next" else _plain(word)


def _said(step: Step, segment: Segment) -> tuple[str, tuple[str, ...]]:
    """A box's title and details."""
    name, more = _WORDS.get(step.kind_word, _anything)(step)
    details = [line for line in more if line]
    letter = getattr(step, "email", None) or getattr(step, "message", None)
    subject = _subject(segment, str(letter)) if letter else ""
    return name, tuple([*details, f"“{subject}”"] if subject else details)


def _subject(segment: Segment, letter: str) -> str:
    """The subject as it is written, an ellipsis for what each lead reads differently; empty for a shared letter."""
    found = _SUBJECT.search(segment.files.get(f"{segment.slug}/{letter}", ""))
    said = " ".join(_COMPUTED.sub("…", found[1]).split()) if found else ""
    return said if any(sign.isalpha() for sign in said) else ""


def _called(step: Any) -> str:
    return step.label or _plain(step.id)


def _plain(word: str) -> str:
    return word.replace("_", " ").replace("-", " ")


def _email(step: Any) -> tuple[str, list[str]]:
    arms = getattr(step, "variants", None)
    shares = ", ".join(f"{arm} {percent(share)}" for arm, share in arms.items()) if isinstance(arms, dict) else ""
    return f"E-mail: {_called(step)}", [
        "at once, whatever the hour" if step.kind == "operational" else "",
        f"variants: {shares}" if shares else "",
    ]


def _offer(step: Any) -> tuple[str, list[str]]:
    wanted = step.offer
    topic = (
        wanted.topic if isinstance(wanted.topic, str) or wanted.topic is None else f"the lead's {wanted.topic.field}"
    )
    stage = f"for {wanted.stage}" if wanted.stage else ""
    best = " ".join(filter(None, ("best piece", stage, f"on {_plain(topic)}" if topic else "")))
    return f"Offer: {_called(step)}", [f"{best}, not yet received"]


def _audience(step: Any) -> tuple[str, list[str]]:
    verb = "Add to" if step.audience.add else "Take out of"
    return f"{verb} audience", [step.audience.name]


def _wait_until(step: Any) -> tuple[str, list[str]]:
    return f"Wait until {sentence(step.wait_until)}", [f"at most {step.at_most}"]


def _update(step: Any) -> tuple[str, list[str]]:
    changes = step.update
    lines = []
    if changes.tags:
        for verb, words in (("tag", changes.tags.words("add")), ("untag", changes.tags.words("remove"))):
            lines += [f"{verb} {', '.join(words)}"] if words else []
    if changes.status is not None:
        lines.append(f"status {changes.status}")
    for name, value in (changes.fields or {}).items():
        said = (
            {None: "nothing", True: "true", False: "false"}.get(value, value) if value in (None, True, False) else value
        )
        lines.append(f"{_plain(name)} = {said}")
    return "Note down", lines


def _handoff(step: Any) -> tuple[str, list[str]]:
    return "Hand over to sales", [_plain(step.handoff)]


def _task(step: Any) -> tuple[str, list[str]]:
    text = " ".join(_COMPUTED.sub("…", step.task.text).split())
    due = f"within {step.due}" if getattr(step, "due", None) else ""
    return f"Task for {step.task.whom}", [f"“{text}”", due]


def _goto(step: Any) -> tuple[str, list[str]]:
    return f"Back to {_plain(step.goto)}", [f"at most {step.turns} times in all"]


def _anything(step: Any) -> tuple[str, list[str]]:
    """A kind that has no words of its own yet."""
    value = getattr(step, step.kind_word, "")
    return f"{_plain(step.kind_word).capitalize()}: {_called(step)}", [value if isinstance(value, str) else ""]


_WORDS: dict[str, Callable[[Any], tuple[str, list[str]]]] = {
    "email": _email,
    "offer": _offer,
    "audience": _audience,
    "wait": lambda step: (f"Wait {step.wait}", []),
    "wait_until": _wait_until,
    "branch": lambda step: (f"{step.title.rstrip('?')}?", []),
    "split": lambda step: (f"Split: {_called(step)}", []),
    "update": _update,
    "handoff": _handoff,
    "exit": lambda step: (f"End: {_plain(step.exit)}", []),
    "sms": lambda step: (f"Text message: {_called(step)}", []),
    "webhook": lambda step: (f"Tell {step.webhook}", []),
    "task": _task,
    "goto": _goto,
}
