"""Many goodbyes at once: a list of whom another system does not write to, as if each had used our own link."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, String, and_, cast, func, select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import upsert
from nurture.engine.doors import goodbye_keys
from nurture.engine.ending import end, ending
from nurture.engine.live import Live
from nurture.engine.renaming import EMAIL
from nurture.engine.running import CLAIMED, Run
from nurture.engine.settle import settle
from nurture.engine.suppressing import suppress
from nurture.records import Consent, Enrolment, Event, Lead, LeadAlias, Suppression, Work
from nurture.records.types import CLAIM
from nurture.steps.sms import plain_phone
from nurture.worklist import put_work

#: Says something of the mailbox, and nothing of what its person wants.
BOUNCED = "bounced"


@dataclass
class Left:
    """What a list did: entries that are new, leads that were unsubscribed, and passages that ended."""

    entries: int = 0
    leads: int = 0
    passages: int = 0


def leave(link: Connection, live: Live | None, rows: Sequence[dict[str, Any]], now: datetime) -> Left:
    """Put `rows` (kind, value, reason, source, at) on the suppression list; the leads whom they mean leave at once.

    A bounced address bars itself alone: its leads keep their consents and are looked at again. A domain or phone bars
    what is sent there; `silence` says it to their leads, once for a whole list. `live`: None before the first
    publication, when nobody is inside.
    """
    keys = {(row["kind"], row["value"]) for row in rows}
    done = Left(entries=len(keys - _listed(link, keys)))
    suppress(link, [{**row, "at": at} for row, at in zip(rows, _since(link, rows, now), strict=True)])
    said = {row["value"]: row for row in rows if row["kind"] == "address" and row["reason"] != BOUNCED}
    returned = [row["value"] for row in rows if row["kind"] == "address" and row["reason"] == BOUNCED]
    put_work(link, select(col(Lead.id)).where(col(Lead.email).in_(returned)), now)
    leaving = _whose(link, said)
    if leaving:
        done.leads = len(leaving)
        done.passages = _unsubscribe(link, live, leaving, now)
    return done


def silence(link: Connection, kind: Literal["domain", "phone"], values: Collection[str], now: datetime) -> None:
    """What follows for the leads of these domains or phones; it looks at all leads, whom no index finds by them.

    Whoever may not be reached any more is looked at again, so that it leaves its sequences; text messages to these
    phones are agreed to no more.
    """
    if kind == "domain":  # rtrim with every sign of an address but @ leaves what ends with the @
        email = col(Lead.email)
        domain = func.substr(email, func.length(func.rtrim(email, func.replace(email, "@", ""))) + 1)
        put_work(link, select(col(Lead.id)).where(domain.in_(values)), now)
    else:
        theirs = select(col(Lead.id)).where(plain_phone().in_(values))
        sms = and_(col(Consent.purpose) == "sms", col(Consent.withdrawn_at).is_(None), col(Consent.lead_id).in_(theirs))
        link.execute(update(Consent).where(sms).values(withdrawn_at=now, withdrawn_by="import"))


def _listed(link: Connection, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of `keys` (kind, value) that are on the list."""
    found = set()
    for kind in {kind for kind, _ in keys}:
        mine = and_(col(Suppression.kind) == kind, col(Suppression.value).in_([v for k, v in keys if k == kind]))
        found |= {(kind, value) for value in link.execute(select(col(Suppression.value)).where(mine)).scalars()}
    return found


def _since(link: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> list[datetime]:
    """From when each entry holds here: of those whom we may have written to it is now, of strangers as it says."""
    values = [row["value"] for row in rows if row["kind"] == "address"]
    known = set(link.execute(select(col(Lead.email)).where(col(Lead.email).in_(values))).scalars())
    former = select(col(LeadAlias.value)).where(col(LeadAlias.kind) == EMAIL, col(LeadAlias.value).in_(values))
    known |= set(link.execute(former).scalars())
    return [now if row["kind"] != "address" or row["value"] in known else row["at"] for row in rows]


def _whose(link: Connection, said: dict[str, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The leads that have, or had, one of these addresses and are not on the list themselves yet."""
    listed = select(1).where(
        col(Suppression.kind) == "lead", col(Suppression.value) == cast(col(Lead.id), String)
    )  # fmt: skip
    unlisted = ~listed.correlate(Lead).exists()
    present = select(col(Lead.email), col(Lead.id)).where(col(Lead.email).in_(said), unlisted)
    former = (
        select(col(LeadAlias.value), col(Lead.id))
        .join(Lead, col(Lead.id) == col(LeadAlias.lead_id))
        .where(col(LeadAlias.kind) == EMAIL, col(LeadAlias.value).in_(said), unlisted)
    )
    return {int(lead or 0): said[str(address)] for query in (former, present) for address, lead in link.execute(query)}


def _unsubscribe(link: Connection, live: Live | None, leaving: dict[int, dict[str, Any]], now: datetime) -> int:
    """What `doors.unsubscribe_lead` does for one lead; how many passages ended."""
    ids = sorted(leaving)
    put_work(link, ids, now)
    locked = select(col(Lead.id), col(Lead.email)).where(col(Lead.id).in_(ids)).order_by(col(Lead.id))
    emails = {lead: email for lead, email in link.execute(locked.with_for_update(key_share=True))}
    rows = [
        {"kind": kind, "value": value, "reason": row["reason"], "source": row["source"], "at": now}
        for lead, row in leaving.items()
        for kind, value in (("lead", str(lead)), ("address", emails.get(lead)))
        if value is not None
    ]
    suppress(link, rows)
    open_ = and_(col(Consent.lead_id).in_(ids), col(Consent.withdrawn_at).is_(None))
    link.execute(update(Consent).where(open_).values(withdrawn_at=now, withdrawn_by="import"))
    keys = goodbye_keys(link, ids)
    events = [
        {
            "lead_id": lead, "name": "unsubscribed", "occurred_at": row["at"], "recorded_at": now, "ripe_at": now,
            "actor": "person", "data": {}, "source": "unsubscribe", "key": keys[lead],
        }
        for lead, row in leaving.items()
    ]  # fmt: skip
    link.execute(upsert(link)(Event).on_conflict_do_nothing(), events)
    if live is None:
        return 0
    run = Run(link, live, now, f"import:{clock.unguessable()}")
    run(update(Work).where(col(Work.lead_id).in_(ids)).values(claim=CLAIM))
    ended = end(run, ending(col(Enrolment.lead_id).in_(CLAIMED), "unsubscribed"))
    settle(run)
    return ended
