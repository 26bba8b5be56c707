"""The CRM beside us: tell it, hear it, how it stands, and whether it is set up."""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nurture.cli.speech import Json, complain, counted, instant, machine, say, settings, tell_json, tell_table
from nurture.errors import NotPublished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nurture.crm.base import Turn, Vendor
    from nurture.crm.telling import Report
    from nurture.engine.machine import Machine
    from nurture.program.crm import Crm


def push(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Say how many would be told, and tell nobody.")] = False,
    all: Annotated[bool, Parameter(name="--all", negative="", help="Look at everybody, not only who changed.")] = False,
    json: Json = False,
) -> int:
    """Tell the CRM what it should know of leads and was not told yet; every tick does so."""
    from nurture.crm import state, sync
    from nurture.crm.telling import Report
    from nurture.crm.telling import push as tell

    with _opened() as (opened, _, way):
        done = Report()

        def work(now: datetime, turn: Turn) -> None:
            tell(opened.db, opened.library, way, now, turn, done, dry=dry_run, whole=all)

        sync.command(opened, [state.PUSH], work)
    if json:
        tell_json({"looked at": done.looked_at, "told": done.told, "left": done.left, "refused": dict(done.refused)})
        return 1 if done.refused else 0
    would = "would be told" if dry_run else "told"
    say(f"{counted(done.looked_at, 'lead')} looked at, {done.told:,} {would}.")
    _complain_of(done)
    return 1 if done.refused else 0


def pull(
    *,
    since: Annotated[str | None, Parameter(help="Read anew what changed from this instant on.")] = None,
    json: Json = False,
) -> int:
    """Read what changed in the CRM: fields that are theirs, and answers to hand-offs; every tick does so."""
    from nurture.crm import state, sync
    from nurture.crm.hearing import Heard
    from nurture.crm.hearing import pull as hear

    begins = instant(since, "--since") if since else None
    with _opened() as (opened, crm, way):
        if not way.feeds:
            say(f"A CRM of the kind '{crm.kind}' posts what it has to say; there is nothing to be read.")
            return 0

        done = Heard()

        def work(now: datetime, turn: Turn) -> None:
            hear(opened.db, opened.library, way, now, turn, done, since=begins)

        sync.command(opened, [state.of_feed(feed) for feed in way.feeds], work)
    if json:
        tell_json(
            {
                "read": done.read, "unknown": done.unknown, "changed": done.changed, "answers": dict(done.answers),
                "noted": dict(done.noted),
            }
        )  # fmt: skip
        return 0
    strangers = [f"{counted(done.unknown, 'record')} of nobody we know."] if done.unknown else []
    for sentence in [*heard(done), *strangers] or ["Nothing is new."]:
        say(sentence)
    return 0


def status(*, json: Json = False) -> int:
    """Show how far telling and hearing are, what waits and why."""
    from nurture.crm import reports

    with machine() as opened:
        crm = _crm(opened)
        found = reports.status(opened, crm)
    if json:
        tell_json(found)
        return 0
    say(f"{crm.kind} at {crm.address}: {counted(found['linked'], 'lead')} known there.")
    tell_table(found["rounds"], keep=("what", "done"), empty="Nothing was told or heard yet.")
    for why, count in found["refused"].items():
        complain(f"{counted(count, 'lead')} refused: {why}")
    for note, count in found["noted"].items():
        say(f"{counted(count, 'lead')}: {note}")
    return 0


def check(*, json: Json = False) -> int:
    """Ask the CRM whether it lets us in and has every field that the program names; nothing is told."""
    from nurture.crm.base import readable

    with _opened() as (_, crm, way), readable(crm.kind):
        problems = way.probe()
    if json:
        tell_json({"kind": crm.kind, "url": crm.address, "problems": problems})
    elif not problems:
        say(f"{crm.kind} at {crm.address} lets us in and has every field.")
    else:
        for problem in problems:
            complain(problem)
    return 1 if problems else 0


@contextmanager
def _opened() -> Iterator[tuple[Machine, Crm, Vendor]]:
    """The machine, what the program says of the CRM, and the way there. Raises NotPublished, SettingsError."""
    from nurture.crm import sync
    from nurture.crm.secrets import load_secrets

    given = settings()
    with machine(given=given) as opened:
        crm = _crm(opened)
        with closing(sync.vendor(opened, crm, load_secrets(), given.inner_hosts())) as way:
            yield opened, crm, way


def _crm(opened: Machine) -> Crm:
    crm = opened.live().house.program.crm
    if crm is None:
        raise NotPublished("the published program names no CRM; write 'crm:' in program.yaml and run 'nurture publish'")
    return crm


def _complain_of(done: Report) -> None:
    for why, count in sorted(done.refused.items()):
        complain(f"{counted(count, 'lead')} refused: {why}")
    if done.left:
        complain(f"{counted(done.left, 'lead')} left for the next time.")


def heard(done: Any) -> list[str]:
    """What was heard, in sentences."""
    lines = [f"{counted(done.changed, 'lead')} changed by the CRM."] if done.changed else []
    lines += [
        f"{counted(count, 'hand-off')} answered: {answer}." for answer, count in sorted(done.answers.items()) if count
    ]
    return [*lines, *(f"{counted(count, 'lead')}: {note}." for note, count in sorted(done.noted.items()))]


def after_tick(opened: Machine) -> list[str]:
    """One round at the end of a tick, in sentences; what fails waits for the next one."""
    from nurture.crm import sync
    from nurture.crm.secrets import load_secrets

    done = sync.tick(opened, load_secrets, settings().inner_hosts())
    if done is None:
        return []
    told = [f"{counted(done.told.told, 'lead')} told to the CRM."] if done.told.told else []
    refused = [f"{counted(count, 'lead')} refused by the CRM: {why}." for why, count in done.told.refused.items()]
    down = [f"The CRM waits: {done.down}."] if done.down else []
    return [*heard(done.heard), *told, *refused, *down]
