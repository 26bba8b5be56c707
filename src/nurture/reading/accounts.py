"""One account: its leads, its owner and why, its score with what each lead adds, and what waits for an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, literal, select
from sqlmodel import col

from nurture.engine import accounts
from nurture.engine.live import Live
from nurture.engine.machine import Machine
from nurture.engine.running import Run
from nurture.engine.story import find_lead
from nurture.errors import NotFound, Refused
from nurture.folding import canonical_email, fold
from nurture.language.accounts import counted
from nurture.language.scores import score
from nurture.language.source import suggest
from nurture.records import Account, Handoff, Lead
from nurture.records.types import to_micros

_COLUMNS = ["id", "email", "source", "source_id", "first_name", "last_name", "title", "stage", "status", "owner"]


def account(machine: Machine, named: str, now: datetime) -> dict[str, Any]:
    """Everything of the account `named`: its key, or a lead of it. Raises NotFound.

    `sum` are the leads that add to the score, best first; their `counts` sum to `score`, which conditions know as
    `account_score`.
    """
    with machine.db.read() as link:
        key = _key(link, named)
        has = accounts.owner_of(Run(link, machine.library.live(link), now), [key]).get(key)
        row = link.execute(select(Account.__table__).where(col(Account.key) == key)).mappings().one_or_none()  # type: ignore[attr-defined]
        points = score(literal(to_micros(now))).label("score")
        columns = [col(getattr(Lead, name)) for name in _COLUMNS]
        found = list(link.execute(select(*columns, points).where(col(Lead.account) == key).order_by(col(Lead.id))))
        waiting = list(
            link.execute(
                select(col(Handoff.id), col(Handoff.lead_id), col(Handoff.milestone), col(Handoff.owner))
                .where(col(Handoff.lead_id).in_([one.id for one in found]), col(Handoff.state) == "open")
                .order_by(col(Handoff.id))
            )
        )
    found.sort(key=lambda one: -1 if one.score is None else one.score, reverse=True)
    names = {one.id: _who(one) for one in found}
    parts = counted([one.score for one in found])
    known = any(one.score is not None for one in found)
    return {
        "key": key,
        "owner": has,
        "since": row["since"].isoformat() if row and row["since"] else None,
        "cause": row["cause"] if row and row["owner"] else "has most of its leads" if has else None,
        "score": sum(parts) if known else None,
        "sum": [
            {"who": names[one.id], "score": one.score, "counts": part}
            for one, part in zip(found, parts, strict=True)
            if part
        ],
        "leads": [
            {"who": names[one.id], "name": " ".join(filter(None, (one.first_name, one.last_name))), "title": one.title,
             "stage": one.stage, "status": one.status, "score": one.score, "owner": one.owner}
            for one in found
        ],
        "handoffs": [
            {"id": one.id, "who": names[one.lead_id], "milestone": one.milestone, "owner": one.owner} for one in waiting
        ],
    }  # fmt: skip


def give(link: Connection, live: Live, named: str, owner: str, by: str, now: datetime) -> None:
    """The account is `owner`'s, because `by` said so. Raises Refused for who is not of the sales team, NotFound."""
    team = [person.email for person in live.house.program.sales]
    try:
        address = canonical_email(owner)
    except ValueError:
        address = owner
    if address not in team:
        raise Refused(f"'{owner}' is not of the sales team; {suggest(owner, team)}")
    accounts.take(Run(link, live, now), _key(link, named), address, f"given by {by}")


def _key(link: Connection, named: str) -> str:
    """The key of an account that is known, or that a lead belongs to."""
    key = fold(named)
    there = select(col(Lead.account)).where(col(Lead.account) == key).limit(1)
    owned = select(col(Account.key)).where(col(Account.key) == key)
    if link.execute(there).first() or link.execute(owned).first():
        return key
    if "@" in named or ":" in named or named.isdigit():
        theirs = link.execute(select(col(Lead.account)).where(col(Lead.id) == find_lead(link, named))).scalar()
        if theirs is None:
            raise NotFound(f"{named} belongs to no account: it has no company, and no company.s address")
        return theirs
    raise NotFound(f"no account is known as '{named}'; write a company's domain or name, or a lead of it")


def _who(lead: Any) -> str:
    return lead.email or (f"{lead.source}:{lead.source_id}" if lead.source_id else str(lead.id))
