"""Leads in and out of a sequence by hand."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from nurture.cli.holding import who as someone
from nurture.cli.speech import machine, say
from nurture.errors import Refused

Segment = Annotated[str, Parameter(name="SEGMENT", help="A live segment.")]
Who = Annotated[str, Parameter(name="WHO", help="An e-mail, source:id, or a lead's number.")]
By = Annotated[str | None, Parameter(help="Who does it, for the audit; else who is logged in.")]


def enrol(segment: Segment, who: Who, /, *, by: By = None) -> int:
    """Let a lead into a sequence: the rule and 'again' are skipped, the suppression list never is."""
    from nurture.engine import byhand
    from nurture.engine.running import Run
    from nurture.engine.story import find_lead
    from nurture.reading.explain import REFUSALS
    from nurture.reading.sentences import sentence

    with machine() as opened:
        now = opened.now()

        def enter(link: Any) -> tuple[str | None, Any]:
            live = opened.library.live(link)
            wanted = live.segment(segment)
            return byhand.enrol(Run(link, live, now), wanted, find_lead(link, who), by or someone()), wanted

        reason, wanted = opened.db.transact(enter, door=True)
    if reason is not None:
        leave = sentence(wanted.spec.leave) if wanted.spec.leave is not None else ""
        raise Refused(f"{who} is not enrolled in '{segment}': {REFUSALS[reason].format(leave=leave)}")
    say(f"{who} is in '{segment}' from now on; the next tick carries it on.")
    return 0


def unenrol(segment: Segment, who: Who, /, *, by: By = None) -> int:
    """Take a lead out of a sequence: what was planned is called off, audiences are left."""
    from nurture.engine import byhand
    from nurture.engine.running import Run
    from nurture.engine.story import find_lead

    with machine() as opened:
        now = opened.now()

        def leave(link: Any) -> None:
            live = opened.library.live(link)
            live.segment(segment)
            byhand.unenrol(Run(link, live, now), segment, find_lead(link, who), by or someone())

        opened.db.transact(leave, door=True)
    say(f"{who} is out of '{segment}'.")
    return 0
