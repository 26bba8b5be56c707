"""The operator's commands: does the database hold what it must, is the installation sound, is this database ours."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from nurture.cli.speech import Json, complain, counted, machine, say, settings, tell_json, tell_table

if TYPE_CHECKING:
    from nurture.engine.machine import Machine
    from nurture.program.load import House

By = Annotated[str, Parameter(help="Who decides, for the audit.")]


def verify(*, json: Json = False) -> int:
    """Check what must hold in the database whatever happened; name each row that breaks it."""
    from nurture.clock import SystemClock
    from nurture.engine.live import Library
    from nurture.opening import open_database
    from nurture.reading.verify import verify as look

    db = open_database(settings())
    try:
        with db.read() as link:
            done = look(link, Library(), SystemClock().now())
    finally:
        db.dispose()
    if json:
        broken = [
            {
                "invariant": found.invariant.name, "means": found.invariant.means, "do": found.invariant.remedy,
                "offenders": found.offenders, "more": found.more,
            }
            for found in done.broken
        ]  # fmt: skip
        tell_json({"touches": done.touches, "leads": done.leads, "holds": not done.broken, "broken": broken})
        return 1 if done.broken else 0
    for found in done.broken:
        say(f"Does not hold: {found.invariant.name}.\n{found.invariant.means} {found.invariant.remedy}")
        for offender in found.offenders:
            say(f"  {offender}")
        if found.more:
            say(f"  and {found.more:,} more")
        say("")
    (complain if done.broken else say)(str(done))
    return 1 if done.broken else 0


def doctor(
    *,
    probe: Annotated[str | None, Parameter(help="Send one test message to this address, a mailbox of yours.")] = None,
    probe_result: Annotated[Path | None, Parameter(help="What arrived, saved with all its headers.")] = None,
    json: Json = False,
) -> int:
    """Check the installation: database, clock, secret, relay, DNS, Prefect, mailbox; no lead is written to."""
    from nurture.doctor import examine

    if probe is not None or probe_result is not None:
        return _probe(probe) if probe is not None else _probed(cast("Path", probe_result))
    checks = examine(settings(), os.environ)
    if json:
        tell_json([asdict(check) for check in checks])
    else:
        tell_table([{"check": check.name, "is": check.verdict, "": check.said} for check in checks])
    return 1 if any(check.verdict == "wrong" for check in checks) else 0


def _probe(to: str) -> int:
    from nurture.clock import SystemClock
    from nurture.doctor import probe

    given = settings()
    said = probe.send(given, _house(), to, SystemClock().now())
    say(f"The relay took a test message for {to} ({said}).")
    say("Save it from that mailbox with all its headers, and run: nurture doctor --probe-result FILE.eml")
    return 0


def _probed(file: Path) -> int:
    from nurture.clock import SystemClock
    from nurture.doctor import probe
    from nurture.doctor.relay import relay_name
    from nurture.opening import open_database

    given = settings()
    missing = probe.read(file, _house())
    db = open_database(given)
    try:
        probe.keep(db, given, missing, SystemClock().now())
    finally:
        db.dispose()
    if missing:
        complain(f"{relay_name(given)}: no DKIM signature of the sender's domain covers {', '.join(missing)}.")
        complain("Until a probe shows that one does, 'nurture publish' refuses for this relay.")
        return 1
    say(f"{relay_name(given)}: the DKIM signature covers {', '.join(probe.COVERED)}.")
    return 0


def _house() -> House:
    from nurture.doctor import published
    from nurture.errors import NotPublished
    from nurture.opening import open_database

    db = open_database(settings())
    try:
        house = published(db)
    finally:
        db.dispose()
    if house is None:
        raise NotPublished("nothing is published yet, so the sender is not known; run 'nurture publish'")
    return house


def say_if_cloned(opened: Machine) -> bool:
    """Said by every command that would send, while the database is a copy or an older state; whether it is."""
    told = opened.instance.sentence() if opened.instance is not None else None
    if told is not None:
        complain(told)
    return told is not None


def adopt(
    *,
    count: Annotated[
        int | None, Parameter(help="The number of messages that are due, as this command says it.")
    ] = None,
    yes: Annotated[bool, Parameter(negative="", help="Ask nothing.")] = False,
    by: By = "command line",
) -> int:
    """Make a copied or restored database this installation's own, after a look at what it would send."""
    with machine() as opened:
        instance = opened.instance
        assert instance is not None
        if instance.cloned is None:
            say("This database is this installation's own; there is nothing to adopt.")
            return 0
        return _adopt(opened, count, yes, by)


def _adopt(opened: Machine, count: int | None, yes: bool, by: str) -> int:
    from nurture.engine.instance import outlook

    instance, now = opened.instance, opened.now()
    assert instance is not None
    with opened.db.read() as link:
        ahead = outlook(link, now)
    last = f"on {ahead.last:%Y-%m-%d %H:%M}Z" if ahead.last else "never"
    say(f"{opened.db.name}: {instance.cloned}.")
    say(f"The last message that it knows of began {last}; {counted(ahead.due, 'message is', 'messages are')} due now.")
    if ahead.leads:
        who = counted(ahead.leads, "lead stands due or has", "leads stand due or have")
        say(f"{who} changed since: the next tick may write to them as well.")
    if not yes and count != ahead.due:
        if count is not None:
            complain(f"Nothing was changed: {ahead.due} are due, and not {count}.")
        complain(
            "What another database has sent meanwhile is not known here and would be sent again. If nothing else "
            f"sends for these leads: nurture adopt --count {ahead.due}."
        )
        return 1
    epoch = instance.adopt(by, now)
    say(f"The database is this installation's own (epoch {epoch}); the next tick sends what is due then.")
    return 0
