"""Who a lead is: another address, two that are one; and moving in from another system."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nurture.cli.holding import who as someone
from nurture.cli.leads import Encoding, File, MappingFile, RefusedTo, Source, mapping_of, program_of, tell_report
from nurture.cli.speech import Json, bar, counted, machine, say, settings, tell_json
from nurture.errors import NurtureError, Refused

Keep = Annotated[str, Parameter(name="KEEP", help="The lead that stays: an e-mail, source:id, or a lead's number.")]
Gone = Annotated[str, Parameter(name="GONE", help="The lead that it takes in.")]
By = Annotated[str | None, Parameter(help="Who does it, for the audit; else who is logged in.")]


def merge(
    keep: Keep,
    gone: Gone,
    /,
    *,
    because: Annotated[str, Parameter(help="Why they are one person; 'explain' says it.")] = "they are one person",
    by: By = None,
    json: Json = False,
) -> int:
    """Make one lead of two that are one person: both histories stay, and the second's names mean the first."""
    from nurture.engine.merging import merge as join
    from nurture.engine.story import find_lead

    with machine() as opened:
        now = opened.now()

        def work(link: Any) -> dict[str, Any]:
            first, second = find_lead(link, keep), find_lead(link, gone)
            if first == second and keep != gone:  # one lead goes by both names
                return {}
            return join(link, opened.library.live(link), first, second, now=now, by=by or someone(), cause=because)

        done = opened.db.transact(work, door=True)
    if json:
        tell_json({"keep": keep, "gone": gone, "already": not done, **done})
        return 0
    if not done:
        say(f"{keep} and {gone} are one lead already; nothing was changed.")
        return 0
    say(f"{gone} is {keep} from now on; 'nurture explain {keep}' shows both histories.")
    for line in _told(done):
        say(f"  {line}")
    return 0


def _told(done: dict[str, Any]) -> list[str]:
    moved = [
        counted(done[what], what.removesuffix("es" if what == "touches" else "s"), what)
        for what in ("events", "touches")
    ]
    said = [f"{' and '.join(moved)} came along; its stage is {done['stage']}."]
    said += [f"It was in '{slug}' twice: one passage goes on, the other has ended as merged." for slug in done["ended"]]
    if done["closed"]:
        several = "hand-offs were" if len(done["closed"]) > 1 else "hand-off was"
        numbers = ", ".join(map(str, done["closed"]))
        said.append(f"The {several} answered as a duplicate: {numbers}.")
    if done["withdrawn"]:
        said.append(f"Consent was withdrawn by one of them, so it is for both: {', '.join(done['withdrawn'])}.")
    if done["suppressed"]:
        said.append("One of them had said no: it is not written to.")
    return said


def readdress(
    old: Annotated[str, Parameter(name="OLD", help="The lead: an e-mail, source:id, or a lead's number.")],
    new: Annotated[str, Parameter(name="NEW", help="The address that it has now.")],
    /,
    *,
    by: By = None,
) -> int:
    """Give a lead another address: consents, sequences and history stay, and the old address still means it."""
    from nurture.engine.renaming import readdress as rename
    from nurture.engine.story import find_lead
    from nurture.folding import canonical_email

    try:
        address = canonical_email(new)
    except ValueError as problem:
        raise Refused(f"'{new}' {problem}") from None
    with machine() as opened:
        now = opened.now()

        def work(link: Any) -> bool:
            lead = find_lead(link, old)
            return rename(link, opened.library.live(link), lead, address, now=now, by=by or someone())

        news = opened.db.transact(work, door=True)
    say(f"{old} is written to at {address} from now on." if news else f"{address} is its address already.")
    return 0


def import_suppressions(
    file: File,
    /,
    *,
    reason: Annotated[
        Literal["unsubscribed", "bounced", "complained"],
        Parameter(help="Why, where the file does not say so in a word that is known."),
    ] = "unsubscribed",
    mapping: MappingFile = None,
    encoding: Encoding = None,
    source: Source = None,
    refused_to: RefusedTo = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would happen, and change nothing.")] = False,
    json: Json = False,
) -> int:
    """Never write to these: addresses, domains and phones of another system's list, known here or not."""
    from nurture.intake.suppressions import import_suppressions as take
    from nurture.rights.remembered import Remembered

    given = settings()
    with machine(given=given) as opened, bar(f"Suppressions of {file.name}") as progress:
        report = take(
            opened.db,
            file,
            now=opened.now(),
            reason=reason,
            zone=_zone(opened, given),
            mapping=mapping_of(mapping),
            encoding=encoding,
            source=source,
            refused_to=refused_to,
            progress=progress,
            remembered=Remembered(opened.keys),
            library=opened.library,
            dry_run=dry_run,
        )
    return tell_report(report, json, given)


def import_positions(
    file: File,
    /,
    *,
    sequence: Annotated[str | None, Parameter(help="The sequence of all rows, where no column says it.")] = None,
    mapping: MappingFile = None,
    encoding: Encoding = None,
    source: Source = None,
    refused_to: RefusedTo = None,
    by: By = None,
    json: Json = False,
) -> int:
    """Let leads stand on the step they have come to elsewhere; nothing is sent by it."""
    from nurture.intake.positions import import_positions as take

    given = settings()
    with machine(given=given) as opened, bar(f"Positions of {file.name}") as progress:
        report = take(
            opened.db,
            file,
            now=opened.now(),
            by=by or someone(),
            zone=_zone(opened, given),
            library=opened.library,
            mapping=mapping_of(mapping),
            encoding=encoding,
            source=source,
            sequence=sequence,
            refused_to=refused_to,
            progress=progress,
        )
    return tell_report(report, json, given)


def _zone(opened: Any, given: Any) -> str:
    """The program's zone, for dates without one; UTC while there is no program."""
    try:
        return str(program_of(opened, given).zone)
    except NurtureError:
        return "UTC"
