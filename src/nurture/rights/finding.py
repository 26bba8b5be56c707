"""Who is meant, and everything by which that person is known here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select
from sqlmodel import col

from nurture.errors import NotFound
from nurture.folding import canonical_email, row_number
from nurture.records import Confirmation, Inbound, Lead, LeadAlias, Touch
from nurture.rights.naming import naming
from nurture.rights.schema import Person
from nurture.steps.sms import e164


def find(link: Connection, who: str) -> Person:
    """The person of an address, a `source:id` or our own number, whether there is a lead or not.

    Raises NotFound for what is none of these, and for a number that no lead has.
    """
    if "@" in who:
        try:
            address = canonical_email(who)
        except ValueError as problem:
            raise NotFound(f"'{who}' {problem}") from None
        lead = _first(link, select(col(Lead.id)).where(col(Lead.email) == address)) or _alias(
            link, "email", "", address
        )
        return known(link, lead, addresses={address})
    source, colon, number = who.partition(":")
    if colon:
        query = select(col(Lead.id)).where(col(Lead.source) == source, col(Lead.source_id) == number)
        return known(link, _first(link, query) or _alias(link, "id", source, number), ids={(source, number)})
    own = row_number(who)
    lead = _first(link, select(col(Lead.id)).where(col(Lead.id) == own)) if own is not None else None
    if lead is None:
        raise NotFound(f"'{who}' names nobody; write an e-mail address, source:id as imported, or our own number")
    return known(link, lead)


def known(
    link: Connection, lead: int | None, addresses: set[str] | None = None, ids: set[tuple[str, str]] | None = None
) -> Person:
    """The person of a lead with every address, number and id that any row gives it; `addresses`, `ids`: some more."""
    mails, phones, named = set(addresses or ()), set[str](), set(ids or ())
    if lead is not None:
        row = link.execute(
            select(col(Lead.email), col(Lead.phone), col(Lead.source), col(Lead.source_id)).where(col(Lead.id) == lead)
        ).one()
        mails |= {row.email} if row.email else set()
        phones |= {phone} if (phone := e164(row.phone)) else set()
        named |= {(row.source or "", row.source_id)} if row.source_id else set()
        for kind, source, value in link.execute(
            select(col(LeadAlias.kind), col(LeadAlias.source), col(LeadAlias.value)).where(
                col(LeadAlias.lead_id) == lead
            )
        ):
            if kind == "email":
                mails.add(value)
            else:
                named.add((source, value))
        sent = select(col(Touch.kind), col(Touch.address)).where(
            col(Touch.lead_id) == lead, col(Touch.address).is_not(None), col(Touch.kind).in_(("email", "offer", "sms"))
        )
        for kind, address in link.execute(sent.distinct()):
            (phones if kind == "sms" else mails).add(str(address))
        asked = select(col(Confirmation.address)).where(col(Confirmation.lead_id) == lead)
        mails |= set(link.execute(asked).scalars())
    return Person(lead, frozenset(mails), frozenset(phones), frozenset(named), quoting(link, mails))


def quoting(link: Connection, addresses: Iterable[str]) -> frozenset[int]:
    """The rows of `inbound` whose detail quotes one of these addresses."""
    wanted = sorted(addresses)
    told = naming(wanted)
    if told is None:
        return frozenset()
    detail = col(Inbound.detail)
    near = or_(*(func.lower(detail).contains(address, autoescape=True) for address in wanted))
    rows = link.execute(select(col(Inbound.id), detail).where(near))
    return frozenset(int(number or 0) for number, text in rows if told.search(str(text)))


def _first(link: Connection, query: Select[Any]) -> int | None:
    found = link.execute(query).scalar()
    return None if found is None else int(found)


def _alias(link: Connection, kind: str, source: str, value: str) -> int | None:
    named = or_(col(LeadAlias.source) == source, col(LeadAlias.kind) == "email")
    return _first(
        link,
        select(col(LeadAlias.lead_id)).where(col(LeadAlias.kind) == kind, named, col(LeadAlias.value) == value),
    )
