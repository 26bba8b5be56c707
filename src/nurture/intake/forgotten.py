"""Who asked to be forgotten is not brought back by a file or a system: told by digest, a batch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

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
    back = _known(link, gone, [outcome.person for outcome in outcomes])
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


def _known(link: Connection, gone: Collection[str], people: Iterable[Person]) -> set[str]:
    """Those names of `people` that were forgotten and by which a lead is known at present; each is looked up."""
    wanted = [name for name in gone if "@" in name]
    mails = select(col(Lead.email)).where(col(Lead.email).in_(wanted))
    former = select(col(LeadAlias.value)).where(col(LeadAlias.kind) == "email", col(LeadAlias.value).in_(wanted))
    found = {str(name) for query in (mails, former) for name in link.execute(query).scalars()}
    numbers: dict[str, set[str]] = defaultdict(set)
    for person in people:
        if person.source and person.source_id and id_name(person.source, person.source_id) in gone:
            numbers[person.source].add(person.source_id)
    for source, theirs in numbers.items():
        query = select(col(Lead.source_id)).where(col(Lead.source) == source, col(Lead.source_id).in_(sorted(theirs)))
        found |= {id_name(source, str(number)) for number in link.execute(query).scalars()}
    return found
