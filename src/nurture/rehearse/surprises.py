"""What a marketer should look at after a rehearsal, in sentences."""

from __future__ import annotations

from collections import Counter

from nurture.rehearse.figures import Figures

#: A way of not being sent that takes more than this part of what was planned is worth a word.
_MUCH = 0.2


def reasons(count: Counter[str]) -> str:
    """`412 cap, 38 window`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in sorted(count.items(), key=lambda i: (-i[1], i[0])))


def _some(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def surprises(found: Figures) -> list[str]:
    """The sentences, the gravest first."""
    if not found.entered and not any(step.stood for step in found.steps.values()):
        return [*_stopped(found), "Nobody was in the sequence, and nobody entered: does anything bring leads in?"]
    return [*_stopped(found), *_held(found), *_failed(found), *_never(found), *_late(found), *_lost(found)]


def _stopped(found: Figures) -> list[str]:
    if found.state is None:
        return []
    way = "nurture resume" if found.state == "paused" else "nurture start"
    return [f"The segment is {found.state}, and stayed so: nothing of it was sent; '{way} {found.segment}' ends that."]


def _held(found: Figures) -> list[str]:
    lines = []
    for one in found.holds:
        when = f"{one['asked'][:10]} {one['asked'][11:16]}Z"
        if one["by"] == "canary":
            lines.append(
                f"held: canary. On {when} a few went first; the others followed when they had proved harmless."
            )
        elif one["answered"]:
            lines.append(
                f"held: {one['kind']}. {_some(one['messages'], 'message')} waited for a person from {when}; here "
                f"{one['state']} by {one['by']}."
            )
        elif one["state"] == "asked":
            lines.append(
                f"held: {one['kind']}. Since {when} {_some(one['messages'], 'message')} must wait for a person, and "
                "nobody answers in a rehearsal: see docs/stopping.md."
            )
        else:
            lines.append(f"held: {one['kind']}. Since {when} the first few are watched.")
    return lines


def _failed(found: Figures) -> list[str]:
    failed = found.total("failed")
    return [f"Could not be made or sent: {_some(failed.total(), 'letter')}, {reasons(failed)}."] if failed else []


def _never(found: Figures) -> list[str]:
    lines = []
    if found.never_steps:
        lines.append(f"Steps never reached: {', '.join(found.never_steps)}.")
    if found.never_edges:
        lines.append(f"Edges never taken: {'; '.join(map(str, found.never_edges))}.")
    return lines


def _late(found: Figures) -> list[str]:
    lines, expired = [], sum(step.expired for step in found.steps.values())
    if found.capped[0]:
        over = f", {expired:,} expired" if expired else ""
        to = f"{_some(found.capped[0], 'letter')} to {_some(found.capped[1], 'lead')}"
        lines.append(f"Deferred by cap: {to}{over}.")
    elif expired:
        lines.append(f"Expired, since they could not go out within max_late: {_some(expired, 'letter')}.")
    for step in found.steps.values():
        if step.idle:
            lines.append(f"{step.step}: {_some(step.idle, 'lead')} wait there, and nothing is left to send them.")
    return lines


def _lost(found: Figures) -> list[str]:
    suppressed, sent = found.total("suppressed"), found.sent
    if suppressed and suppressed.total() > _MUCH * (sent + suppressed.total()):
        return [f"Suppressed, beside {sent:,} sent: {_some(suppressed.total(), 'letter')}, {reasons(suppressed)}."]
    return []
