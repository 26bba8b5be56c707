"""The end of the demo: what happened, whether the books balance, and where to look next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from nurture.demo import findings, tables
from nurture.demo.audience import Audience
from nurture.demo.books import Entry
from nurture.demo.house import DemoHouse
from nurture.demo.prefect_runs import Checked
from nurture.demo.screen import Screen
from nurture.demo.website import EVERY
from nurture.engine.machine import Machine
from nurture.reading import counts
from nurture.reading.answers import refused
from nurture.reading.experiments import experiments
from nurture.reading.holdout import lift

#: Deeds that a tracked link's click stands for, or that a machine did.
_OF_LINKS = ("links followed", "scanners")
_ON_TOLD = (
    "[dim]Told: from the milestone to the salesperson's notice, the median; page views come as files, every "
    f"{EVERY.total_seconds() / 60:.0f} minutes.[/]"
)


def report(
    screen: Screen,
    machine: Machine,
    link: Connection,
    house: DemoHouse,
    audience: Audience,
    checked: Sequence[Checked],
    entries: Sequence[Entry],
    start: datetime,
) -> None:
    """Print all of it."""
    segments = house.segments
    steps = findings.steps(link, house.loaded, segments)
    given = findings.handoffs(link)
    screen.title("From lead to sales")
    screen.show(tables.funnel(counts.funnel(machine)))
    screen.show(f"[dim]{counts.FUNNEL}[/]")
    kept_back = Counter({str(row["reason"]): int(row["times"]) for row in refused(machine)})
    screen.show(f"[dim]Refused at the gate, by reason: {tables.counted(kept_back) or 'nothing'}.[/]")
    screen.title(f"Touches: {tables.by_channel(steps)}")
    screen.show(tables.touches(steps))
    done = Counter({word: count for word, count in audience.deeds.items() if word not in _OF_LINKS})
    done["tracked links followed"] = audience.clicks["person"]
    screen.say(f"\n  What their readers did: {tables.counted(done)}.")
    screen.say(_on_scanners(findings.clicks(link)["machine"], audience.clicks["lone"]))
    _trials(screen, machine)
    screen.title(f"Hand-offs: {len(given):,}")
    screen.show(tables.owners(given, findings.tasks(link)))
    screen.show(_ON_TOLD)
    screen.say()
    screen.show(tables.handoffs(given))
    if checked:
        screen.title("Flow runs in Prefect")
        screen.show(tables.runs(checked))
    screen.title("Do the books balance?")
    screen.show(tables.books(entries))
    _verdict(screen, entries)
    _next(screen, house, findings.example(link, start))


def _trials(screen: Screen, machine: Machine) -> None:
    """What was tried, and what marketing does at all; most often three weeks are too short to tell."""
    rows, held = experiments(machine), lift(machine)
    screen.title("Experiments")
    screen.show(tables.experiments(rows))
    for row in rows:
        screen.show(f"[dim]{row['step']}, who {row['counts']}: {row['verdict']}.[/]")
    screen.show(f"[dim]Holdout of {held.share:g} %: {held.rows[0]['verdict']}.[/]")


def _verdict(screen: Screen, entries: Sequence[Entry]) -> None:
    wrong = [entry.what for entry in entries if not entry.balances]
    if wrong:
        screen.say(f"\n  [bold red]They do not:[/] {'; '.join(wrong)}. Please report this.")
    else:
        screen.say(f"\n  [bold green]They do.[/] {screen.spent():.0f} seconds in all.")


def _on_scanners(known: int, unknown: int) -> str:
    alone = f" {unknown:,} found a lone link minutes later, as a person does, and passed." if unknown else ""
    return f"  Mail scanners followed links too: {known:,} clicks were recognised and count for nothing.{alone}"


def _command() -> str:
    """How this shell calls us: by name, or by the path of the environment that the demo runs in."""
    if shutil.which("nurture"):
        return "nurture"
    beside = Path(sys.executable).parent / "nurture"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _next(screen: Screen, house: DemoHouse, example: str | None) -> None:
    """Commands that work as they stand."""
    folder, nurture = house.folder.resolve(), _command()
    lines = [
        ("in this shell, so that the commands below mean the demo", f"export NURTURE_HOME={shlex.quote(str(folder))}")
    ]
    if "NURTURE_DATABASE_URL" in os.environ:
        lines.append(("and not your own database", "unset NURTURE_DATABASE_URL"))
    if example:
        lines.append(("one lead's story, and why its score is what it is", f"{nurture} explain {example}"))
    lines += [
        ("which leads stand where, and the sequence as a picture", f"{nurture} cohorts saas-evaluators"),
        ("", f"{nurture} diagram saas-evaluators"),
        ("the experiments in full, and what marketing does at all", f"{nurture} report experiments"),
        ("", f"{nurture} report holdout"),
        ("hand-offs that wait for an answer", f"{nurture} handoffs"),
        ("and what else sales was asked to do", f"{nurture} tasks"),
        (
            "the mails, which any mail program opens; with this running, their links work",
            f"{nurture} serve --no-prefect",
        ),
        ("", f"ls {folder}/mail"),
        ("the flow runs in Prefect's pages, at http://127.0.0.1:4200", f"{nurture} serve --only prefect"),
        ("rows that could not be imported, with the reasons", f"cat {folder}/leads.refused.csv"),
    ]
    lines.append(("afterwards, back to your own", "unset NURTURE_HOME"))
    screen.title("Where to look next")
    for why, command in lines:
        if why:
            screen.say(f"  [dim]# {why}[/]")
        screen.console.print(f"  {command}", markup=False, soft_wrap=True)
