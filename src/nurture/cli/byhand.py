"""Leads in and out of a sequence by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nurture.cli.holding import who as someone
from nurture.cli.speech import WrongUse, complain, counted, instant, machine, say
from nurture.errors import Refused

if TYPE_CHECKING:
    from nurture.engine.enrolling import Waiting

#: As many are enrolled without a question.
ASKED = 100
Segment = Annotated[str, Parameter(name="SEGMENT", help="A live segment.")]
Who = Annotated[str, Parameter(name="WHO", help="An e-mail, source:id, or a lead's number.")]
By = Annotated[str | None, Parameter(help="Who does it, for the audit; else who is logged in.")]


def enrol(
    segment: Segment,
    who: Annotated[str | None, Parameter(name="WHO", help="An e-mail, source:id, or a lead's number.")] = None,
    /,
    *,
    existing: Annotated[
        bool, Parameter(negative="", help="Instead of one: all who matched before it was live, and still do.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="With --existing: say how many, and change nothing.")] = False,
    yes: Annotated[bool, Parameter(negative="", help="With --existing: do not ask for the number.")] = False,
    by: By = None,
) -> int:
    """Let a lead into a sequence, or with --existing all who matched before; the suppression list always holds."""
    if existing == (who is not None):
        raise WrongUse("say whom to enrol: a lead, or --existing for all who matched before")
    if existing:
        return _enrol_existing(segment, by or someone(), dry_run=dry_run, yes=yes)
    assert who is not None
    if dry_run or yes:
        raise WrongUse("--dry-run and --yes go with --existing; one lead is enrolled without a question")
    return _enrol_one(segment, who, by or someone())


def _enrol_existing(slug: str, by: str, *, dry_run: bool, yes: bool) -> int:
    from nurture.engine import byhand
    from nurture.engine.enrolling import count_existing
    from nurture.engine.running import Run

    with machine() as opened:
        now = opened.now()
        with opened.db.read() as link:
            live = opened.library.live(link)
            found = count_existing(Run(link, live, now), live.segment(slug))
        say(_existing(slug, found))
        if dry_run or not found.welcome:
            say("Nothing was changed.")
            return 0
        if found.welcome > ASKED and not yes and not _repeated(found.welcome):
            complain("Nobody was enrolled.")
            return 1

        def enter(link: Any) -> Any:
            live = opened.library.live(link)
            return byhand.enrol_existing(Run(link, live, now), live.segment(slug), by)

        done = opened.db.transact(enter)
    if done != found:
        say(f"Meanwhile something had changed. {_existing(slug, done)}")
    say("They enter with the next tick.")
    return 0


def _existing(slug: str, found: Waiting) -> str:
    """What `--existing` means in leads."""
    from nurture.reading.explain import REFUSALS

    if not found.all:
        return f"'{slug}': nobody matches who matched before it was live and was never in it."
    still = "still does, and was" if found.all == 1 else "still do, and were"
    said = f"'{slug}': {counted(found.all, 'lead')} matched before it was live, {still} never in it"
    many = found.limit is not None and found.welcome > found.limit
    enter = f"{found.welcome:,} may enter" + (f", {found.limit:,} a day; the others queue" if many else "")
    why = [
        f"  {count:,} may not: {REFUSALS.get(word, word).format(leave='its leave rule holds')}"
        for word, count in sorted(found.refused.items())
    ]
    return "\n".join([f"{said}; {enter}.", *why])


def _repeated(number: int) -> bool:
    """Whether a person at the terminal repeats the number; where there is none, --yes says it."""
    if not sys.stdin.isatty():
        complain(f"{number:,} leads are many: say --yes if that is the number you mean.")
        return False
    print("Repeat how many may enter, to enrol them: ", end="", flush=True)
    return sys.stdin.readline().strip().replace(",", "") == str(number)


def _enrol_one(segment: str, who: str, by: str) -> int:
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
            return byhand.enrol(Run(link, live, now), wanted, find_lead(link, who), by), wanted

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


def reclass(
    who: Who,
    actor: Annotated[Literal["person", "machine"], Parameter(name="AS", help="Whose doing it was: person or machine.")],
    /,
    *,
    because: Annotated[str, Parameter(help="Why, in a few words; explain shows it.")],
    since: Annotated[str | None, Parameter(name="--from", help="From this instant on; else from the start.")] = None,
    until: Annotated[str | None, Parameter(help="Up to this instant; else up to now.")] = None,
    by: By = None,
) -> int:
    """Say whose doing clicks and openings were, a person's or a machine's; scores follow at once."""
    from nurture.engine import byhand
    from nurture.engine.story import find_lead
    from nurture.records.types import EPOCH

    first, last = (instant(word, option) if word else None for word, option in ((since, "--from"), (until, "--until")))
    with machine() as opened:
        now = opened.now()

        def say_so(link: Any) -> int:
            live, lead = opened.library.live(link), find_lead(link, who)
            return byhand.reclass(
                link, live, lead, actor, now, since=first or EPOCH, until=last or now, because=because,
                by=by or someone(),
            )  # fmt: skip

        count = opened.db.transact(say_so, door=True)
    what = counted(count, "click or opening counts", "clicks and openings count")
    nothing = f"{who} has no clicks and openings there that are not a {actor}'s already."
    say(f"Of {who} {what} as a {actor}'s from now on." if count else nothing)
    return 0
