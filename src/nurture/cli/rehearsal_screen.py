"""A rehearsal on a page of 100 columns: diaries, counts, edges, and last what to look at."""

from __future__ import annotations

from collections import Counter
from textwrap import fill
from typing import TYPE_CHECKING, Any

from nurture.cli.speech import counted, say, tell_table
from nurture.rehearse.figures import StepFigures

if TYPE_CHECKING:
    from nurture.cli.rehearsing import Shown
    from nurture.rehearse.figures import Figures

_WIDTH = 100
_WHY = ("deferred", "held", "suppressed", "failed", "cancelled")


def tell(shown: dict[str, Shown], leads: str, draft: bool) -> None:
    """Print it. `leads`: real or made-up."""
    main = shown["draft" if draft else "live"]
    found = main.figures
    if draft:
        say("What publishing this draft would mean:")
        for line in main.effects or ["nothing: the folder is what is published"]:
            say(_wrapped(f"  {line}", "    "))
        say("")
    span = f"{found.start:%a %Y-%m-%d %H:%M}Z to {found.until:%a %Y-%m-%d %H:%M}Z"
    say(f"{found.segment}, {'draft' if draft else f'version {found.version}'}, {leads} leads, {span}")
    if main.diaries:
        say("")
        say("\n\n".join(diary.text() for diary in main.diaries))
    say("")
    if draft and "live" in shown:
        _tell_beside(shown["live"].figures, found)
    elif draft:
        say(f"{found.segment} is not published yet, so there is nothing beside the draft.")
        _tell_steps(found)
    else:
        _tell_steps(found)
    _tell_why(found)
    _tell_edges(found)
    _tell_handoffs(found)
    for line in _totals(found):
        say(_wrapped(line))
    if main.surprises:
        say("")
        say("Worth a look:")
        for line in main.surprises:
            say(_wrapped(f"- {line}", "  "))
    say("")
    say("Nothing was sent, and nothing was written to the database.")


def not_sent(step: StepFigures) -> int:
    """Touches of a step that came to an end without leaving."""
    return step.suppressed.total() + step.failed.total() + step.cancelled.total() + step.expired + step.uncertain


def _tell_steps(found: Figures) -> None:
    rows = [
        {
            "step": step.step, "start": step.stood, "entered": step.entered, "sent": step.sent,
            "deferred": step.deferred.total(), "held": step.held.total(), "not sent": not_sent(step),
            "end": step.standing,
        }
        for step in found.steps.values()
    ]  # fmt: skip
    tell_table(rows, title="By step (start, end: leads on it then)", keep=("entered", "sent"))


def _tell_beside(live: Figures, draft: Figures) -> None:
    """Live and draft in one table, cell by cell."""
    names = list(dict.fromkeys([*draft.steps, *live.steps]))
    rows: list[dict[str, Any]] = []
    for name in names:
        before, after = live.steps.get(name), draft.steps.get(name)
        counts = [_row(step) if step is not None else None for step in (before, after)]
        words = list(_row(StepFigures(name, "")))
        rows.append({"step": name, **{word: _pair([c[word] if c else None for c in counts]) for word in words}})
    tell_table(rows, title="By step, live | draft", keep=("entered", "sent"))


def _row(step: StepFigures) -> dict[str, int]:
    return {
        "entered": step.entered, "sent": step.sent, "deferred": step.deferred.total(), "held": step.held.total(),
        "not sent": not_sent(step), "end": step.standing,
    }  # fmt: skip


def _pair(counts: list[int | None]) -> str:
    """`120 | 118`; a dash where there is no such step; empty where nothing stands on either side."""
    if not any(counts):
        return ""
    cells = ["–" if count is None else f"{count:,}" if count else "·" for count in counts]
    return f"{cells[0]:>5} |{cells[1]:>5}"


def _tell_why(found: Figures) -> None:
    rows = []
    for step in found.steps.values():
        counts = {word: getattr(step, word) for word in _WHY}
        counts |= {word: Counter({"max_late": getattr(step, word)}) for word in ("expired",) if getattr(step, word)}
        for word, count in counts.items():
            for reason, letters in sorted(count.items(), key=lambda item: (-item[1], item[0])):
                rows.append({"step": step.step, "what": word, "why": reason[:40], "letters": letters})
    if rows:
        tell_table(rows, title="Put off, or not sent")


def _tell_edges(found: Figures) -> None:
    rows = [
        {"from": edge.origin, "way": ", ".join(edge.ways), "to": edge.step, "leads": edge.leads} for edge in found.edges
    ]
    if rows:
        tell_table(rows, title="By edge", keep=("leads",))


def _tell_handoffs(found: Figures) -> None:
    """By owner, and what sales said."""
    owners = sorted({row["owner"] for row in found.handoffs})
    states = sorted({row["state"] for row in found.handoffs})
    by: Counter[tuple[str, str]] = Counter()
    for row in found.handoffs:
        by[row["owner"], row["state"]] += row["leads"]
    if owners:
        rows = [{"owner": owner, **{state: by[owner, state] for state in states}} for owner in owners]
        tell_table(rows, title="Hand-offs")


def _wrapped(line: str, indent: str = "") -> str:
    return fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _totals(found: Figures) -> list[str]:
    """The rest, in sentences."""
    lines = [f"{counted(found.entered, 'lead')} entered."]
    if found.left:
        left = ", ".join(f"{count:,} {outcome}" for outcome, count in found.left.most_common())
        lines.append(f"{counted(found.left.total(), 'lead')} left: {left}.")
    if found.refused:
        why = ", ".join(f"{count:,} {reason}" for reason, count in found.refused.most_common())
        lines.append(f"{counted(found.refused.total(), 'lead')} came to match and were not enrolled: {why}.")
    if found.first_sent is not None and found.last_sent is not None:
        first, last = (f"{at:%a %Y-%m-%d %H:%M}Z" for at in (found.first_sent, found.last_sent))
        sent = counted(found.sent, "touch", "touches")
        lines.append(f"{sent} sent; the first letter {first}, the last {last}.")
    if found.gate:
        why = ", ".join(f"{count:,} {reason}" for reason, count in found.gate.most_common())
        lines.append(f"The gate refused {found.gate.total():,}: {why}.")
    if found.beside:
        others = ", ".join(f"{slug} {count:,}" for slug, count in found.beside.items())
        lines.append(f"Sent by other segments meanwhile: {others}.")
    return lines
