"""The suppression list: who is put on it, and the one way off it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, and_, cast, delete, exists, literal, or_, select
from sqlmodel import col

from nurture.dialects import upsert
from nurture.records import Event, Suppression

#: The reason that a person's own confirmed yes takes back; every other one stays for good.
LIFTED = "unsubscribed"
#: Events after which nothing is lifted, whatever the list says.
_COMPLAINTS = ("email_complained", "complained")


def suppress(link: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Put `rows` (kind, value, reason, source, at) on the list; a graver reason takes the place of `unsubscribed`."""
    if not rows:
        return
    insert = upsert(link)(Suppression)
    graver = {name: insert.excluded[name] for name in ("reason", "source", "at")}
    weaker = and_(col(Suppression.reason) == LIFTED, insert.excluded.reason != LIFTED)
    link.execute(insert.on_conflict_do_update(index_elements=["kind", "value"], set_=graver, where=weaker), list(rows))


def barred(link: Connection, lead: int, address: str) -> bool:
    """Whether even a letter that was asked for may not go to `address`: bounced, complained, erased, a whole domain."""
    domain = and_(col(Suppression.kind) == "domain", literal(address).endswith("@" + col(Suppression.value)))
    graver = and_(_theirs(lead, address), col(Suppression.reason) != LIFTED)
    listed = select(col(Suppression.id)).where(or_(domain, graver)).limit(1)
    return link.execute(listed).first() is not None or _complained(link, lead)


def lift(link: Connection, lead: int, address: str) -> bool:
    """Take the lead and `address` off the list where they stand on it as unsubscribed; whether they did.

    The caller knows that the mailbox itself asked for it, and holds the lead's lock.
    """
    if _complained(link, lead):
        return False
    mine = and_(_theirs(lead, address), col(Suppression.reason) == LIFTED)
    return bool(link.execute(delete(Suppression).where(mine)).rowcount)


def unsubscribed_since(link: Connection, lead: int, address: str, since: datetime) -> bool:
    """Whether the lead or `address` unsubscribed after `since`."""
    later = and_(_theirs(lead, address), col(Suppression.reason) == LIFTED, col(Suppression.at) > since)
    return link.execute(select(col(Suppression.id)).where(later).limit(1)).first() is not None


def _theirs(lead: int, address: str) -> Any:
    return or_(
        and_(col(Suppression.kind) == "address", col(Suppression.value) == address),
        and_(col(Suppression.kind) == "lead", col(Suppression.value) == cast(literal(lead), String)),
    )


def _complained(link: Connection, lead: int) -> bool:
    said = exists().where(col(Event.lead_id) == lead, col(Event.name).in_(_COMPLAINTS))
    return bool(link.execute(select(said)).scalar())
