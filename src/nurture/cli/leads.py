"""Leads: bring them in, look at one, let one go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nurture.cli.speech import Json, bar, instant, machine, page_width, say, settings, tell_json
from nurture.errors import NotPublished

if TYPE_CHECKING:
    from nurture.engine.machine import Machine
    from nurture.intake import ImportReport
    from nurture.program.load import House
    from nurture.program.models import ProgramFile
    from nurture.settings import Settings

File = Annotated[Path, Parameter(name="FILE", help="CSV or NDJSON.")]
MappingFile = Annotated[Path | None, Parameter(name="--mapping", help="What the file calls things, in YAML.")]
Encoding = Annotated[str | None, Parameter(help="For files that are neither UTF-8 nor UTF-16, such as cp1252.")]
Source = Annotated[str | None, Parameter(help="Where the file comes from; ids of leads count within it.")]
Consent = Annotated[str | None, Parameter(help="On which basis all of them may be written to, or none.")]
OntoList = Annotated[str | None, Parameter(name="--list", help="The static list that all of them are put on.")]
Changed = Annotated[
    bool, Parameter(negative="", help="An id that is known with another address tells of a change of address.")
]
RefusedTo = Annotated[Path | None, Parameter(help="Where refused rows go; else NAME.refused.csv beside FILE.")]


def import_leads(
    file: File,
    /,
    *,
    mapping: MappingFile = None,
    encoding: Encoding = None,
    consent: Consent = None,
    source: Source = None,
    onto: OntoList = None,
    changed_addresses: Changed = False,
    refused_to: RefusedTo = None,
    json: Json = False,
) -> int:
    """Create and complete leads from a file; the same file again changes nothing."""
    from nurture import intake
    from nurture.rights.remembered import Remembered

    given = settings()
    with machine(given=given) as opened, bar(f"Leads of {file.name}") as progress:
        report = intake.import_leads(
            opened.db,
            file,
            known=program_of(opened, given),
            lifecycle=house_of(opened, given).lifecycle,
            now=opened.now(),
            mapping=mapping_of(mapping),
            encoding=encoding,
            consent=consent,
            source=source,
            onto=onto,
            changed_addresses=changed_addresses,
            refused_to=refused_to,
            progress=progress,
            remembered=Remembered(opened.keys),
        )
    return tell_report(report, json, given)


def import_events(
    file: File,
    /,
    *,
    mapping: MappingFile = None,
    encoding: Encoding = None,
    source: Source = None,
    refused_to: RefusedTo = None,
    json: Json = False,
) -> int:
    """Record events of known leads from a file; the same file again changes nothing."""
    from nurture import intake
    from nurture.rights.remembered import Remembered

    given = settings()
    with machine(given=given) as opened, bar(f"Events of {file.name}") as progress:
        report = intake.import_events(
            opened.db,
            file,
            now=opened.now(),
            click_rest=opened.click_rest,
            mapping=mapping_of(mapping),
            encoding=encoding,
            source=source,
            refused_to=refused_to,
            progress=progress,
            remembered=Remembered(opened.keys),
        )
    return tell_report(report, json, given)


def mapping_of(path: Path | None) -> Any:
    """The mapping file, read; None where none was named."""
    from nurture.intake import read_mapping

    return None if path is None else read_mapping(path)


def program_of(opened: Machine, given: Settings) -> ProgramFile:
    """The published program, or before the first publish the folder's: it says which fields a lead has."""
    return house_of(opened, given).program


def house_of(opened: Machine, given: Settings) -> House:
    """The published house, or before the first publish the folder's."""
    from nurture.program.load import load, read_folder

    try:
        return opened.live().house
    except NotPublished:
        house = load(read_folder(given.templates)).require().house
        assert house is not None
        return house


def tell_report(report: ImportReport, json: bool, given: Settings) -> int:
    """Print what an import did; its exit code."""
    from nurture.clock import SystemClock
    from nurture.rights.copies import note_refused

    if report.refused_file is not None:  # it holds people's data, so it is to be found again
        note_refused(given.home, report.refused_file, SystemClock().now())
    if json:
        tell_json(report.as_dict())
    else:
        say(report.text())
    return 1 if report.refused_count else 0


def explain(
    who: Annotated[str, Parameter(name="WHO", help="An e-mail, source:id, or a lead's number.")],
    /,
    *,
    at: Annotated[str | None, Parameter(help="As of this instant, such as 2026-03-02T09:00:00Z.")] = None,
    json: Json = False,
) -> int:
    """Say why a lead got, did not get, scored and moved: the whole ledger."""
    from nurture.reading.explain import explain as told

    when = instant(at, "--at") if at else None
    with machine() as opened:
        explained = told(opened, who, when)
    if json:
        tell_json(explained.as_dict())
    else:
        say(explained.text(page_width()))
    return 0


def unsubscribe(who: Annotated[str, Parameter(name="WHO", help="An e-mail, source:id, or a lead's number.")], /) -> int:
    """Never write to this lead again: suppress it, withdraw its consents, end its sequences."""
    from nurture.engine import doors
    from nurture.engine.story import find_lead

    with machine() as opened:
        now = opened.now()

        def leave(link: Any) -> bool:
            live = opened.library.live(link)
            return doors.unsubscribe_lead(link, live, find_lead(link, who), now, source="command line")

        news = opened.db.transact(leave, door=True)
    say(f"{who} is not written to any more." if news else f"{who} was not written to any more already.")
    return 0


def object_to(
    who: Annotated[str, Parameter(name="WHO", help="An e-mail, source:id, or a lead's number.")],
    /,
    *,
    kind: Annotated[Literal["profiling", "sharing"], Parameter(help="To profiling and all marketing, or to ads.")] = (
        "profiling"
    ),
    take_back: Annotated[bool, Parameter(negative="", help="The lead itself takes the objection back.")] = False,
) -> int:
    """Note that a lead objects: no marketing, no score, no audience; or to sharing: no audience."""
    from nurture.engine import consents
    from nurture.engine.story import find_lead

    act = consents.take_back if take_back else consents.object_to
    with machine() as opened:
        now = opened.now()

        def work(link: Any) -> bool:
            return act(link, opened.library.live(link), find_lead(link, who), kind, now, "command line")

        news = opened.db.transact(work, door=True)
    if take_back:
        say(f"{who} objects to {kind} no more." if news else f"{who} did not object to {kind}; nothing was changed.")
        return 0 if news else 1
    say(f"{who} objects to {kind}." if news else f"{who} objected to {kind} already.")
    return 0
