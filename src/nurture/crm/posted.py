"""Changes of records that a CRM posts: the same as are read of others, in the fields' own names."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from nurture.crm.base import Change, Deal
from nurture.crm.hearing import Heard, apply
from nurture.engine.live import Live
from nurture.intake.shapes import as_text, flat, quoted
from nurture.intake.values import Dates
from nurture.program.crm import Crm

_ABOUT = ("lead", "email", "at", "deal")
_DEAL = ("id", "stage", "won", "amount", "currency", "reason", "opened")


def read_change(crm: Crm, fact: Any, now: datetime) -> Change:
    """One object as a change. Raises ValueError, which says what is wrong."""
    if not isinstance(fact, dict):
        raise ValueError('is not an object; write {"lead": …, "status": …}')
    flat(json.dumps(fact))  # what no database can store is refused, wherever it stands
    key, email = as_text(fact.get("lead")) or None, as_text(fact.get("email")).casefold() or None
    if key is None and email is None:
        raise ValueError("names nobody; say lead, the id that we told, or email")
    names = {crm.theirs(ours) or ours: ours for ours in crm.owns.crm}
    odd = [name for name in fact if name not in names and name not in _ABOUT]
    if odd:
        raise ValueError(f"{quoted(odd[0])} is none of what 'owns: crm' of program.yaml gives you")
    values = {ours: as_text(fact[name]) for name, ours in names.items() if fact.get(name) is not None}
    at = _instant("at", fact.get("at")) or now
    deal = _deal(fact["deal"]) if fact.get("deal") is not None else None
    return Change("", at, key, email, values, deal.id if deal is not None else None, deal)


def _deal(said: Any) -> Deal:
    if not isinstance(said, dict) or not as_text(said.get("id")):
        raise ValueError('deal: write {"id": …, "stage": …}, or won: true or false')
    if odd := [name for name in said if name not in _DEAL]:
        raise ValueError(f"deal: {quoted(odd[0])} is not known here; keys are {', '.join(_DEAL)}")
    won = said.get("won")
    if won is not None and not isinstance(won, bool):
        raise ValueError("deal: won: write true, false, or leave it away while the deal is open")
    amount = _amount(said.get("amount"))
    currency = as_text(said.get("currency")) or None
    return Deal(
        as_text(said["id"]), as_text(said.get("stage")), won, amount,
        currency if amount is not None else None, as_text(said.get("reason")) or None,
        _instant("deal: opened", said.get("opened")),
    )  # fmt: skip


def _instant(named: str, said: Any) -> datetime | None:
    text = as_text(said)
    try:
        return Dates(zone="UTC").instant(text) if text else None
    except ValueError:
        raise ValueError(f"{named}: {quoted(text)} is no instant; write 2026-03-02T09:00Z") from None


def _amount(said: Any) -> float | None:
    if said is None:
        return None
    try:
        amount = float(said) if isinstance(said, int | float) and not isinstance(said, bool) else math.nan
    except OverflowError:
        amount = math.nan
    if not math.isfinite(amount):
        raise ValueError("deal: amount: write a number such as 12000")
    return amount


def take(link: Connection, live: Live, facts: Sequence[Any], now: datetime) -> tuple[list[dict[str, Any]], set[int]]:
    """Take in some changes: what became of each, for whoever posted them, and the leads for whom something follows."""
    crm, lines, leads = live.house.program.crm, list[dict[str, Any]](), set[int]()
    for fact in facts:
        try:
            if crm is None or crm.kind != "webhook":
                raise ValueError("program.yaml names no 'crm:' of the kind webhook")
            heard = apply(link, live, [read_change(crm, fact, now)], now)
        except ValueError as problem:
            lines.append({"status": "refused", "reason": str(problem)})
            continue
        leads |= heard.leads
        lines.append(_line(heard))
    return lines, leads


def _line(heard: Heard) -> dict[str, Any]:
    if heard.unknown:
        return {"status": "refused", "reason": "no such lead"}
    news = heard.changed or sum(heard.answers.values())
    notes = sorted(heard.noted)
    return {"status": "changed" if news else "unchanged", **({"notes": notes} if notes else {})}
