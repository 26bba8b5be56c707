"""Who asked to be forgotten is not brought back by a file or a system: told by digest, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.intake.person import Outcome, Person
from nurture.records import Lead, LeadAlias
from nurture.rights.remembered import Remembered, id_name, phone_name
from nurture.steps.sms import e164

#: The reason of a refused row; the row itself is kept nowhere.
FORGOTTEN = "forgotten: this person asked us to forget them; nothing of the row was kept"
NO_PHONE = "the phone number is of somebody who was forgotten and wanted no messages; it was left out"


def let_in(
    link: Connection, outcomes: Sequence[Outcome], remembered: Remembered
) -> tuple[list[Outcome], list[Outcome]]:
    """(those that may be taken in, those of them whose phone number was left out); of the others the problem is said.

    Who has come back since (by a form of ours, say) is a known lead again, and is completed like any other.
    """
    gone = remembered.since(link, (name for outcome in outcomes for name in _names(outcome.person)))
    if not gone:
        return list(outcomes), []
    back = _known(link, gone)
    welcome, unphoned = [], []
    for outcome in outcomes:
        person = outcome.person
        called = _called(person)
        if gone.keys() & called and not back & called:
            outcome.problem = FORGOTTEN
            continue
        if (phone := e164(person.columns.get("phone"))) and phone_name(phone) in gone:
            del person.columns["phone"]
            unphoned.append(outcome)
        welcome.append(outcome)
    return welcome, unphoned


def _called(person: Person) -> set[str]:
    found = {person.email} if person.email else set()
    return found | ({id_name(person.source or "", person.source_id)} if person.source_id else set())


def _names(person: Person) -> set[str]:
    phone = e164(person.columns.get("phone"))
    return _called(person) | ({phone_name(phone)} if phone else set())


def _known(link: Connection, names: Iterable[str]) -> set[str]:
    """Those of `names` by which a lead is known at present."""
    wanted = list(names)
    mails = select(col(Lead.email)).where(col(Lead.email).in_(wanted))
    former = select(col(LeadAlias.value)).where(col(LeadAlias.kind) == "email", col(LeadAlias.value).in_(wanted))
    whole = (col(Lead.source) + " " + col(Lead.source_id)).label("name")
    ids = select(whole).where(whole.in_(wanted)) if any("@" not in name for name in wanted) else None
    found = {str(name) for query in (mails, former) for name in link.execute(query).scalars()}
    return found if ids is None else found | set(map(str, link.execute(ids).scalars()))
