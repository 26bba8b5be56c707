"""What is paused or stopped, what waits for an answer, since when, and what waits for the end of a pause or stop."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import col

from nurture.engine import holds as asked
from nurture.engine.control import PAUSED, STOPPED, Said, controls
from nurture.engine.holds import Waiting
from nurture.engine.machine import Machine
from nurture.records import Lead, Touch

_WORDS = {PAUSED: ("Paused", "resume", "ends it"), STOPPED: ("Stopped", "start", "starts it again")}


def said_sentence(scope: str, said: Said, name: str = "") -> str:
    """`Paused: segment win-back, since 2026-03-02 07:05Z by ana; 'nurture resume win-back' ends it.`"""
    kind, _, what = scope.partition(":")
    meant = name or what or "all"
    words = "everything" if kind == "all" else f"{kind} {meant}"
    state, verb, does = _WORDS[said.state]
    return f"{state}: {words}, since {_minute(said.since)} by {said.by}; 'nurture {verb} {meant}' {does}."


def question(hold: Waiting) -> str:
    """`Hold 3: growth in win-back (version 2): 230,000 wait since …; 'nurture holds' shows them.`"""
    waits = f"{hold.waiting:,} wait"
    if hold.state == "watching":
        until = f"a canary is watched until {_minute(hold.until)}" if hold.until else "a canary is watched"
        return f"Hold {hold.id}: {until} in {hold.sequence} (version {hold.version}); {waits} for it."
    return (
        f"Hold {hold.id}: {hold.kind} in {hold.sequence} (version {hold.version}): {waits} for a person since "
        f"{_minute(hold.asked_at)}; 'nurture holds' says what to do."
    )


def figures(hold: Waiting) -> str:
    """`sent 50, hard bounces 4`: what it was decided by."""
    return ", ".join(f"{name} {count:,}" if isinstance(count, int) else f"{name} {count}"
                     for name, count in hold.figures.items() if count)  # fmt: skip


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"


def holds(machine: Machine, segments: Collection[str]) -> list[str]:
    """A sentence for each pause, stop and question of these segments, single leads counted; one for what waits."""
    with machine.db.read() as link:
        said = controls(link)
        here = (
            col(Touch.sequence).in_(segments),
            col(Touch.state) == "planned",
            col(Touch.reason).in_(_WORDS),
            col(Touch.next_at).is_(None),
        )
        # only a pause or stop makes them wait so, and its end lets them go: where none is said, none is looked for
        waiting = link.execute(select(func.count()).where(*here)).scalar_one() if said else 0
        questions = asked.holds(link, sequences=list(segments))
    wide = sorted(scope for scope in said if scope == "all" or scope.removeprefix("segment:") in segments)
    lines = [said_sentence(scope, said[scope]) for scope in wide]
    for state, (word, *_) in _WORDS.items():
        leads = sorted(one.since for scope, one in said.items() if scope.startswith("lead:") and one.state == state)
        if leads:
            count = "1 lead" if len(leads) == 1 else f"{len(leads):,} leads"
            lines.append(f"{word}: {count} by name, the first since {_minute(leads[0])}.")
    if waiting:
        lines.append(
            f"{'1 touch waits' if waiting == 1 else f'{waiting:,} touches wait'} for the end of a pause or stop."
        )
    return [*lines, *(question(hold) for hold in questions)]


def everything_said(machine: Machine) -> list[str]:
    """A sentence for each pause and stop there is, leads by their e-mail."""
    with machine.db.read() as link:
        said = controls(link)
        leads = [int(scope.partition(":")[2]) for scope in said if scope.startswith("lead:")]
        emails = dict(link.execute(select(col(Lead.id), col(Lead.email)).where(col(Lead.id).in_(leads))).all())
    names = {f"lead:{lead}": email or "" for lead, email in emails.items()}
    return [said_sentence(scope, said[scope], names.get(scope, "")) for scope in sorted(said)]


def lead_holds(machine: Machine, lead: int, segments: Collection[str]) -> list[str]:
    """A sentence for each pause or stop that keeps mail from this lead, who is in these segments."""
    with machine.db.read() as link:
        said = controls(link)
        email = link.execute(select(col(Lead.email)).where(col(Lead.id) == lead)).scalar() or ""
    mine = ["all", *(f"segment:{slug}" for slug in sorted(segments)), f"lead:{lead}"]
    return [
        said_sentence(scope, said[scope], email if scope.startswith("lead") else "") for scope in mine if scope in said
    ]
