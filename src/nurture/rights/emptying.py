"""Emptying what is about a person, in one transaction under its lead's lock: a shell and the counts stay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlmodel import col

from nurture.channels.audience import hashed
from nurture.dialects import upsert
from nurture.engine.doors import lock_lead
from nurture.engine.ending import OPEN, ending
from nurture.engine.renaming import EMAIL, ID, present
from nurture.records import (
    AudienceMember,
    Enrolment,
    Erasure,
    Handoff,
    Lead,
    LeadAlias,
    Milestone,
    Outbox,
    Suppression,
    Task,
    Touch,
)
from nurture.records.types import Instant, to_micros
from nurture.rights import schema
from nurture.rights.finding import known, quoting
from nurture.rights.remembered import Remembered, id_name, phone_name
from nurture.rights.schema import TABLES, Person
from nurture.steps.sms import plain_phone

#: How enrolments end, why nothing more is sent, and who closes what is open.
FORGOTTEN, ERASED, CLOSED_BY = "forgotten", "erased", "erasure"
#: A word of our own, or a relay's three digits: what is left of the reason of a touch.
_WORD, _CODE = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"\b[245]\d\d\b")
_IN_FLIGHT = ("claimed", "sending")


def empty(link: Connection, person: Person, remembered: Remembered, by: str, now: datetime) -> dict[str, int]:
    """Forget whom `meet` has met; rows removed or emptied, by table. Forgetting somebody again finds nothing."""
    stopped = _suppressed_phones(link, person)
    if person.lead is not None:
        _end(link, person.lead, now)
        _leave_audiences(link, person, now)
        _close(link, person.lead, now)
    counts = _empty_rows(link, person, stopped)
    if person.lead is not None:
        shell = update(Lead).where(col(Lead.id) == person.lead)
        link.execute(shell.where(col(Lead.forgotten_at).is_(None)).values(forgotten_at=now))
        link.execute(shell.values(changed_at=now))
        never = {"kind": "lead", "value": str(person.lead), "reason": ERASED, "source": CLOSED_BY, "at": now}
        row = upsert(link)(Suppression).values(**never)
        link.execute(
            row.on_conflict_do_update(index_elements=["kind", "value"], set_={"reason": ERASED, "source": CLOSED_BY})
        )
    listed = [*person.addresses, *(id_name(*own) for own in person.ids), *map(phone_name, stopped)]
    remember(link, [remembered.digest(name) for name in sorted(listed)], by, now, counts)
    return counts


def meet(link: Connection, person: Person, now: datetime) -> Person:
    """All that `person` is known by at present, under the lock of its lead, which may have been merged meanwhile."""
    locked, lead = None, _still_there(link, person)
    while lead is not None and lead != locked:
        lock_lead(link, lead, now)
        locked, lead = lead, _still_there(link, person)
    if lead is None:
        return replace(person, lead=None, quoted=quoting(link, person.addresses))
    return known(link, lead, set(person.addresses), set(person.ids))


def remember(link: Connection, digests: Sequence[str], by: str, now: datetime, counts: dict[str, int]) -> None:
    """List `digests`; those that are there already are dated anew. `counts` go with the first."""
    known_ = set(link.execute(select(col(Erasure.digest)).where(col(Erasure.digest).in_(digests))).scalars())
    link.execute(update(Erasure).where(col(Erasure.digest).in_(known_), col(Erasure.at) < now).values(at=now, by=by))
    fresh = [digest for digest in digests if digest not in known_]
    rows = [
        {"digest": digest, "at": now, "by": by, "counts": counts if place == 0 else {}}
        for place, digest in enumerate(fresh)
    ]
    if rows:
        link.execute(insert(Erasure), rows)


def in_flight(link: Connection, lead: int) -> bool:
    """Whether a message to the lead is on its way at this moment."""
    going = select(col(Touch.id)).where(col(Touch.lead_id) == lead, col(Touch.state).in_(_IN_FLIGHT)).limit(1)
    return link.execute(going).first() is not None


def _still_there(link: Connection, person: Person) -> int | None:
    """The lead of `person`: its own, the one it was merged into, or the one that was called so before.

    None where a database that was restored meanwhile has another one, or none, of its id.
    """
    if person.lead is None:
        return None
    mine = or_(
        (col(LeadAlias.kind) == EMAIL) & col(LeadAlias.value).in_(person.addresses),
        *((col(LeadAlias.kind) == ID) & (col(LeadAlias.source) == source) & (col(LeadAlias.value) == number)
          for source, number in sorted(person.ids)),
    )  # fmt: skip
    called = list(link.execute(select(col(LeadAlias.lead_id)).where(mine).distinct()).scalars())
    columns = (col(Lead.email), col(Lead.source), col(Lead.source_id), col(Lead.forgotten_at))
    for lead in (person.lead, present(link, person.lead), *sorted(called)):
        row = link.execute(select(*columns).where(col(Lead.id) == lead)).one_or_none()
        if row is not None and (
            row.forgotten_at is not None
            or lead in called
            or row.email in person.addresses
            or (row.source, row.source_id) in person.ids
        ):
            return lead
    return None


def _suppressed_phones(link: Connection, person: Person) -> list[str]:
    """Of the person's numbers, those that nothing may go to: they asked for it themselves, and it holds on.

    A number that another lead has as well is not among them: what was asked of it stays as it is.
    """
    listed = select(col(Suppression.value)).where(
        col(Suppression.kind) == "phone", col(Suppression.value).in_(person.phones)
    )
    stopped = set(link.execute(listed).scalars())
    if not stopped:
        return []
    others = true() if person.lead is None else col(Lead.id) != person.lead
    shared = select(plain_phone()).where(others, plain_phone().in_(sorted(stopped)))
    return sorted(stopped - set(link.execute(shared).scalars()))


def _end(link: Connection, lead: int, now: datetime) -> None:
    at = {"at_now": to_micros(now)}
    over = ending(col(Enrolment.lead_id) == lead, FORGOTTEN)
    for statement in (over.touches, over.members, over.enrolments):
        link.execute(statement, at)
    unsent = and_(col(Touch.lead_id) == lead, col(Touch.state).in_(OPEN))
    called_off = {"state": "cancelled", "reason": FORGOTTEN, "ended_at": now, "next_at": None}
    link.execute(update(Touch).where(unsent).values(**called_off))
    answers = select(col(Touch.id), col(Touch.reason)).where(col(Touch.lead_id) == lead, col(Touch.reason).is_not(None))
    for touch, reason in link.execute(answers).all():
        if (short := _without_words(str(reason))) != reason:
            link.execute(update(Touch).where(col(Touch.id) == touch).values(reason=short))


def _without_words(reason: str) -> str | None:
    """What a relay answered may quote the address; its code does not."""
    if _WORD.fullmatch(reason):
        return reason
    code = _CODE.search(reason)
    return code[0] if code else None


def _leave_audiences(link: Connection, person: Person, now: datetime) -> None:
    """The platforms are told next time they are reached; until then the hashes that they know are kept."""
    mine = col(AudienceMember.lead_id) == person.lead
    told = col(AudienceMember.told).is_not(False)
    link.execute(update(AudienceMember).where(mine, col(AudienceMember.wanted)).values(wanted=False, changed_at=now))
    if person.addresses:
        hashes = sorted(map(hashed, person.addresses))
        link.execute(update(AudienceMember).where(mine, told).values(hashes=hashes, changed_at=now))


def _close(link: Connection, lead: int, now: datetime) -> None:
    """Nobody is asked to work on a lead that is no more."""
    handoff = and_(col(Handoff.lead_id) == lead, col(Handoff.state) == "open")
    link.execute(update(Handoff).where(handoff).values(state="expired", answered_at=now, answered_by=CLOSED_BY))
    link.execute(update(Handoff).where(col(Handoff.lead_id) == lead).values(next_at=None))
    undecided = and_(col(Milestone.lead_id) == lead, col(Milestone.outcome).is_(None))
    link.execute(update(Milestone).where(undecided).values(outcome="refused", reason=FORGOTTEN))
    undone = and_(col(Task.lead_id) == lead, col(Task.done_at).is_(None))
    link.execute(update(Task).where(undone).values(done_at=now, done_by=CLOSED_BY))
    mine = schema.OTHERWISE["outbox"](Person(lead))
    quiet = {
        "next_at": None,
        "lease_owner": None,
        "done_at": func.coalesce(col(Outbox.done_at), literal(now, Instant())),
    }
    link.execute(update(Outbox).where(mine).values(**quiet))


def _empty_rows(link: Connection, person: Person, stopped: Sequence[str]) -> dict[str, int]:
    """Kept rows first: what is removed afterwards says which of them are the person's. `stopped`: numbers that go."""
    about = schema.about()
    counts: dict[str, int] = {}
    for name in [*(name for name in about if name in schema.FATES and name != "lead"), "lead"]:
        table, values = TABLES[name], schema.FATES[name].emptied
        if values:
            says = or_(*(_says(table.c[column], value) for column, value in values.items()))
            counts[name] = link.execute(
                update(table).where(about[name](person), says).values(schema.blank(name))
            ).rowcount
    row = TABLES["suppression"].c
    listed = and_(
        about["suppression"](person), or_(row.kind == "address", row.value.in_(stopped) & (row.kind == "phone"))
    )
    counts["suppression"] = link.execute(delete(TABLES["suppression"]).where(listed)).rowcount
    for name in schema.removed():
        counts[name] = link.execute(delete(TABLES[name]).where(about[name](person))).rowcount
    return {name: count for name, count in counts.items() if count > 0 and name != "work"}


def _says(column: Any, empty_value: Any) -> ColumnElement[bool]:
    """Whether a column that is to be emptied holds anything yet."""
    if empty_value is None:
        return column.is_not(None)  # type: ignore[no-any-return]
    return cast(column, Text) != "{}" if empty_value == {} else column != empty_value


def unlisted(link: Connection, since: Mapping[str, datetime]) -> set[str]:
    """Those digests that the database does not list, or only from before: it is older than the log, or a copy of
    another time."""
    found: dict[str, datetime] = {}
    ordered = sorted(since)
    for start in range(0, len(ordered), 500):
        query = select(col(Erasure.digest), col(Erasure.at)).where(
            col(Erasure.digest).in_(ordered[start : start + 500])
        )
        for digest, at in link.execute(query):
            found[digest] = max(at, found.get(digest, at))
    return {digest for digest, at in since.items() if digest not in found or found[digest] < at}
