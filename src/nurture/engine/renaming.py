"""What a lead is called: its present address, and what it was called before.

Whoever names an old address or id means the lead that had it; where somebody has it now, that lead is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, delete, or_, select, update
from sqlmodel import col

from nurture.channels.audience import hashed
from nurture.dialects import merged, upsert
from nurture.engine.audit import note
from nurture.engine.doors import lock_lead, settle_one
from nurture.engine.live import Live
from nurture.errors import NotFound, Refused
from nurture.folding import fold
from nurture.records import AudienceMember, Lead, LeadAlias, LeadMerge, Suppression, Visitor

#: Why a lead is called otherwise now.
CHANGED, MERGED = "changed", "merged"
#: Kinds of a former name; that of an address has no source.
EMAIL, ID = "email", "id"
#: An address that mail came back from says nothing of what its person wants.
_NOT_A_WISH = "bounced"


def remember(link: Connection, names: Iterable[tuple[str, str, str, int]], now: datetime, cause: str) -> None:
    """Former names: (kind, source, value, lead). The latest lead that had one is meant by it."""
    rows = [
        {"kind": kind, "source": source, "value": value, "lead_id": lead, "since": now, "cause": cause}
        for kind, source, value, lead in names
    ]
    if rows:
        insert = upsert(link)(LeadAlias)
        news = {name: insert.excluded[name] for name in ("lead_id", "since", "cause")}
        link.execute(insert.on_conflict_do_update(index_elements=["kind", "source", "value"], set_=news), rows)


def forget_names(link: Connection, addresses: Sequence[str]) -> None:
    """These addresses are somebody's present ones now, and nobody's former."""
    link.execute(delete(LeadAlias).where(col(LeadAlias.kind) == EMAIL, col(LeadAlias.value).in_(addresses)))


def moved_house(link: Connection, changes: Sequence[tuple[int, str, str]], now: datetime) -> None:
    """(lead, old address, new address) of leads whose address has just changed.

    The old ones are kept as names. What was said under an old address (an unsubscription, a complaint) is the
    person's word and goes along; a bounce is the mailbox's and stays behind.
    """
    forget_names(link, [new for _, _, new in changes])
    _known_elsewhere(link, {lead: old for lead, old, _ in changes})
    remember(link, [(EMAIL, "", old, lead) for lead, old, _ in changes], now, CHANGED)
    listed = and_(col(Suppression.kind) == "address", col(Suppression.reason) != _NOT_A_WISH)
    columns = (col(Suppression.value), col(Suppression.reason), col(Suppression.source), col(Suppression.at))
    olds = [old for _, old, _ in changes]
    said = {row.value: row for row in link.execute(select(*columns).where(listed, col(Suppression.value).in_(olds)))}
    rows = [
        {"kind": "lead", "value": str(lead), "reason": word.reason, "source": word.source, "at": word.at}
        for lead, old, _ in changes
        if (word := said.get(old)) is not None
    ]
    if rows:
        link.execute(upsert(link)(Suppression).on_conflict_do_nothing(index_elements=["kind", "value"]), rows)


def _known_elsewhere(link: Connection, olds: dict[int, str]) -> None:
    """Advertisers know a lead by its old address: when it leaves an audience, that one is taken out as well."""
    columns = (col(AudienceMember.lead_id), col(AudienceMember.audience), col(AudienceMember.hashes))
    told = or_(col(AudienceMember.told).is_(None), col(AudienceMember.told).is_(True))
    found = link.execute(select(*columns).where(col(AudienceMember.lead_id).in_(olds), told))
    rows = [
        {"the_lead": lead, "the_audience": name, "the_hashes": sorted({*(known or ()), hashed(olds[lead])})}
        for lead, name, known in found
    ]
    if rows:
        mine = and_(
            col(AudienceMember.lead_id) == bindparam("the_lead"),
            col(AudienceMember.audience) == bindparam("the_audience"),
        )
        link.execute(update(AudienceMember).where(mine).values(hashes=bindparam("the_hashes")), rows)


def named(link: Connection, kind: str, source: str, value: str) -> int | None:
    """The lead that was called so before, or None."""
    mine = (col(LeadAlias.kind) == kind, col(LeadAlias.source) == source, col(LeadAlias.value) == value)
    return link.execute(select(col(LeadAlias.lead_id)).where(*mine)).scalar()


def present(link: Connection, lead: int) -> int:
    """The id under which a lead goes on: its own, or that of the lead it was merged into."""
    taken = link.execute(select(col(LeadMerge.lead_id)).where(col(LeadMerge.gone_id) == lead)).scalar()
    return lead if taken is None else taken


def readdress(link: Connection, live: Live, lead: int, address: str, *, now: datetime, by: str) -> bool:
    """Give `lead` another address (canonical); False when it has that already.

    Its consents, sequences and history stay; what is still to be sent goes to the new address. Raises Refused when
    the address is, or was, another lead's.
    """
    lock_lead(link, lead, now)
    row = link.execute(select(col(Lead.email), col(Lead.forgotten_at)).where(col(Lead.id) == lead)).one_or_none()
    if row is None:
        raise NotFound(f"there is no lead {lead}")
    if row.forgotten_at is not None:
        raise Refused(f"lead {lead} was forgotten; nothing was changed")
    if row.email == address:
        return False
    other = link.execute(select(col(Lead.id)).where(col(Lead.email) == address)).scalar()
    other = other or named(link, EMAIL, "", address)
    if other not in (None, lead):
        raise Refused(
            f"{address} belongs to another lead; if they are one person: nurture merge {row.email or lead} {address}"
        )
    values = {"email": address, "folded": merged(col(Lead.folded), {"email": fold(address)}), "changed_at": now}
    link.execute(update(Lead).where(col(Lead.id) == lead).values(**values))
    if row.email is None:
        forget_names(link, [address])
    else:
        moved_house(link, [(lead, row.email, address)], now)
    note(link, "readdressed", f"lead:{lead}", by, now)
    settle_one(link, live, lead, now)
    return True


def first_address(link: Connection, visitor: str, address: str, now: datetime) -> bool:
    """Give `address` (canonical) to the lead whose browser this is, if it has none and nobody has or had that one.

    So that somebody known by an id alone, who now fills in a form, does not become a second lead.
    """
    whose = select(col(Visitor.lead_id)).where(col(Visitor.key) == visitor)
    alone = and_(col(Lead.id).in_(whose), col(Lead.email).is_(None), col(Lead.forgotten_at).is_(None))
    lead = link.execute(select(col(Lead.id)).where(alone)).scalar()
    if lead is None or named(link, EMAIL, "", address) is not None:
        return False
    lock_lead(link, lead, now)
    taken = select(1).where(col(Lead.email) == address)
    if link.execute(taken).first() is not None:
        return False
    values = {"email": address, "folded": merged(col(Lead.folded), {"email": fold(address)}), "changed_at": now}
    return link.execute(update(Lead).where(alone).values(**values)).rowcount == 1


def said_no(link: Connection, leads: Sequence[int], addresses: Sequence[str]) -> list[tuple[str, str, datetime]]:
    """(reason, source, instant) of each no that these leads said, themselves or under one of these addresses."""
    mine = and_(col(Suppression.kind) == "lead", col(Suppression.value).in_([str(lead) for lead in leads]))
    under = and_(
        col(Suppression.kind) == "address",
        col(Suppression.value).in_(addresses),
        col(Suppression.reason) != _NOT_A_WISH,
    )
    columns = (col(Suppression.reason), col(Suppression.source), col(Suppression.at))
    found = link.execute(select(*columns).where(mine | under).order_by(col(Suppression.at), col(Suppression.id)))
    return [(row.reason, row.source, row.at) for row in found]
