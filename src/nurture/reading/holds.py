"""What is on hold, since when, and what waits for its end."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import col

from nurture.engine.control import held_scopes
from nurture.engine.machine import Machine
from nurture.records import Lead, Touch


def hold_sentence(scope: str, since: datetime, name: str = "") -> str:
    """`On hold: segment win-back, since 2026-03-02 07:05Z; 'nurture resume win-back' ends it.`"""
    kind, _, what = scope.partition(":")
    meant = name or what or "all"
    words = "everything" if kind == "all" else f"{kind} {meant}"
    return f"On hold: {words}, since {since:%Y-%m-%d %H:%M}Z; 'nurture resume {meant}' ends it."


def holds(machine: Machine, segments: Collection[str]) -> list[str]:
    """A sentence for each hold that touches these segments, single leads counted, and one for what waits."""
    with machine.db.read() as link:
        held = held_scopes(link)
        here = (col(Touch.sequence).in_(segments), col(Touch.state) == "planned", col(Touch.reason) == "paused")
        waiting = link.execute(select(func.count()).where(*here)).scalar_one()
    wide = sorted(scope for scope in held if scope == "all" or scope.removeprefix("segment:") in segments)
    lines = [hold_sentence(scope, held[scope]) for scope in wide]
    leads = sorted(at for scope, at in held.items() if scope.startswith("lead:"))
    if leads:
        word = "1 lead" if len(leads) == 1 else f"{len(leads):,} leads"
        lines.append(f"On hold: {word} by name, the first since {leads[0]:%Y-%m-%d %H:%M}Z.")
    if waiting:
        lines.append(f"{'1 touch waits' if waiting == 1 else f'{waiting:,} touches wait'} for the end of a hold.")
    return lines


def lead_holds(machine: Machine, lead: int, segments: Collection[str]) -> list[str]:
    """A sentence for each hold that keeps mail from this lead, who is in these segments."""
    with machine.db.read() as link:
        held = held_scopes(link)
        email = link.execute(select(col(Lead.email)).where(col(Lead.id) == lead)).scalar() or ""
    mine = ["all", *(f"segment:{slug}" for slug in sorted(segments)), f"lead:{lead}"]
    return [
        hold_sentence(scope, held[scope], email if scope.startswith("lead") else "") for scope in mine if scope in held
    ]
