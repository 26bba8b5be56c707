"""Consents and objections: given, confirmed from the mailbox, withdrawn, each in the transaction of who said so.

A yes is a row that is never changed but to be withdrawn; a new yes is a new row. The permit reads them under the
lead's lock, which everything here takes (`give` leaves that to its caller).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, false, or_, select, update
from sqlmodel import col

from nurture.dialects import upsert
from nurture.engine import scoring
from nurture.engine.doors import add_event, lock_lead, settle_one
from nurture.engine.ending import end, ending
from nurture.engine.live import Live
from nurture.engine.running import Run
from nurture.engine.suppressing import barred, lift
from nurture.language.objections import Kind
from nurture.records import AudienceMember, Confirmation, Consent, Enrolment, Lead, Objection, Outbox
from nurture.records.types import to_micros

#: What a lead may agree to: letters, text messages, that we see what it opens and follows.
PURPOSES = ("mail", "sms", "tracking")
#: The outbox's word for the letter that asks for the second yes.
LETTER = "confirmation"
#: How long the link of that letter works, and how long an address is left alone after one (promise: list bombing).
VALID, ASKED_AGAIN_AFTER = timedelta(days=7), timedelta(hours=24)
_VERSION = re.compile(r"^[A-Za-z-]+ [0-9a-f]{12}: ")


def worded(language: str, text: str) -> str:
    """The version of a consent's text as it is kept with the row: its language, a digest, and the text itself."""
    return f"{language} {hashlib.sha256(text.encode()).hexdigest()[:12]}: {text}"


def text_of(wording: str) -> str:
    """The text in what `worded` said; anything else, such as a file's own words, as it is."""
    return _VERSION.sub("", wording)


def give(
    link: Connection, lead: int, purpose: str, basis: str, *, source: str, now: datetime, wording: str | None = None,
    evidence: Mapping[str, Any] | None = None, expires_at: datetime | None = None,
    confirmed_at: datetime | None = None,
) -> bool:  # fmt: skip
    """Keep that `lead` may be written to or followed; False when an equal yes stands already.

    `basis` is one of the four of `program.consents.Basis`, `wording` as `worded` says it, `expires_at` what
    `program.consents.end` says. `confirmed_at`: when the mailbox itself said yes, by a link that only it was sent. The
    caller holds the lead's lock. Nothing is taken off the suppression list: a form may be filled in by anybody.
    """
    lasts = false() if expires_at is None else col(Consent.expires_at) >= expires_at
    equal = select(col(Consent.id)).where(
        col(Consent.lead_id) == lead, col(Consent.purpose) == purpose, col(Consent.basis) == basis,
        col(Consent.wording).is_not_distinct_from(wording), col(Consent.withdrawn_at).is_(None),
        or_(col(Consent.expires_at).is_(None), lasts),
    )  # fmt: skip
    if confirmed_at is None and link.execute(equal.limit(1)).first() is not None:
        return False
    link.execute(
        Consent.__table__.insert(),  # type: ignore[attr-defined]
        {
            "lead_id": lead, "purpose": purpose, "basis": basis, "source": source, "wording": wording,
            "given_at": now, "expires_at": expires_at, "confirmed_at": confirmed_at, "evidence": dict(evidence or {}),
        },
    )  # fmt: skip
    return True


def withdraw(link: Connection, live: Live, lead: int, purpose: str, now: datetime, by: str) -> bool:
    """Take every basis for `purpose` back; True if there was one. `by`: how it was said, such as `preference centre`.

    It stops that purpose alone: sequences go on, and what they would send is suppressed(no_consent). Without a basis
    for mail the lead leaves its audiences. Unsubscribing (`doors.unsubscribe_lead`) ends every purpose and sequence.
    """
    lock_lead(link, lead, now)
    open_ = (col(Consent.lead_id) == lead) & (col(Consent.purpose) == purpose) & col(Consent.withdrawn_at).is_(None)
    taken = link.execute(update(Consent).where(open_).values(withdrawn_at=now, withdrawn_by=by)).rowcount > 0
    if taken and purpose == "mail":
        _out_of_audiences(link, lead, now)
    if taken:
        settle_one(link, live, lead, now)
    return taken


def object_to(link: Connection, live: Live, lead: int, kind: Kind, now: datetime, source: str) -> bool:
    """An objection, in one transaction; False when it stood already.

    `profiling` (GDPR 21(2) and (3)): sequences end and take the lead in no more, nothing marketing goes out, audiences
    are left, the score is removed and none is made. `sharing` (Global Privacy Control): audiences alone.
    """
    lock_lead(link, lead, now)
    row = {"lead_id": lead, "kind": kind, "at": now, "source": source}
    said = upsert(link)(Objection).values(**row).on_conflict_do_nothing().returning(col(Objection.lead_id))
    if link.execute(said).first() is None:
        return False
    _out_of_audiences(link, lead, now)
    if kind == "profiling":
        run = Run(link, live, now)
        end(run, ending(col(Enrolment.lead_id) == lead, "objected"))
        scoring.forget(run, lead)
    _note(link, lead, "objected", kind, now, source)
    settle_one(link, live, lead, now)
    return True


def take_back(link: Connection, live: Live, lead: int, kind: Kind, now: datetime, source: str) -> bool:
    """End an objection because the lead itself says so; False when there was none.

    The score is derived anew from the event log. What ended stays ended.
    """
    lock_lead(link, lead, now)
    mine = (col(Objection.lead_id) == lead) & (col(Objection.kind) == kind)
    if not link.execute(delete(Objection).where(mine)).rowcount:
        return False
    if kind == "profiling":
        scoring.derive(Run(link, live, now), lead)
    _note(link, lead, "objection_taken_back", kind, now, source)
    settle_one(link, live, lead, now)
    return True


def ask_to_confirm(
    link: Connection, live: Live, lead: int, *, purposes: Sequence[str], address: str, source: str,
    wording: Mapping[str, str], evidence: Mapping[str, Any], language: str | None, now: datetime,
) -> int | None:  # fmt: skip
    """Ask the mailbox of `address` whether the yes was its own: a letter in the outbox; the confirmation's number.

    `wording`: purpose to what `worded` says. None, and nothing is written: the address had such a letter within a day,
    or must never be written to (one that merely unsubscribed may be asked, since it asked), or has confirmed all this
    before. Who filled in the form is to learn none of it.
    """
    lock_lead(link, lead, now)
    lately = select(col(Confirmation.id)).where(
        col(Confirmation.lead_id) == lead, col(Confirmation.address) == address,
        col(Confirmation.asked_at) > now - ASKED_AGAIN_AFTER,
    )  # fmt: skip
    if link.execute(lately.limit(1)).first() is not None or barred(link, lead, address):
        return None
    if all(_confirmed(link, lead, purpose, wording.get(purpose), now) for purpose in purposes):
        return None
    row = {
        "lead_id": lead, "address": address, "purposes": list(purposes), "source": source, "wording": dict(wording),
        "evidence": dict(evidence), "language": language or live.house.program.language, "asked_at": now,
        "expires_at": now + VALID,
    }  # fmt: skip
    number = link.execute(upsert(link)(Confirmation).values(**row).returning(col(Confirmation.id))).scalar_one()
    link.execute(
        Outbox.__table__.insert(),  # type: ignore[attr-defined]
        {"kind": LETTER, "row_id": number, "created_at": now, "next_at": now, "attempt": 0},
    )
    return int(number or 0)


def confirmation(link: Connection, number: int) -> Any:
    """The row of a confirmation, or None; of a person who was forgotten there is none."""
    query = select(Confirmation.__table__, col(Lead.email), col(Lead.country)).join(  # type: ignore[attr-defined]
        Lead, col(Lead.id) == col(Confirmation.lead_id)
    )
    return link.execute(query.where(col(Confirmation.id) == number, col(Lead.forgotten_at).is_(None))).one_or_none()


def open_until(row: Any, now: datetime) -> bool:
    """Whether a confirmation still waits for its answer: not given, not run out, and of the address that it went to."""
    return bool(row.confirmed_at is None and now < row.expires_at and row.email == row.address)


def confirm(link: Connection, live: Live, confirmation_id: int, now: datetime, evidence: Mapping[str, Any]) -> bool:
    """The second yes: its consents are written and count from now; True if that is news, False if it comes too late.

    It takes the lead and this address off the suppression list where they stand there as unsubscribed, never for a
    bounce, a complaint, an erasure or a domain; and it opens mail again that an objection had closed, but no score.
    """
    asked = confirmation(link, confirmation_id)
    if asked is None or not open_until(asked, now):
        return False
    lead = asked.lead_id
    lock_lead(link, lead, now)
    row = confirmation(link, confirmation_id)  # as it stands under the lock
    if row is None or row.lead_id != lead or not open_until(row, now):
        return False
    link.execute(update(Confirmation).where(col(Confirmation.id) == confirmation_id).values(confirmed_at=now))
    proof = {**row.evidence, "asked_at": row.asked_at.isoformat()}
    proof |= {f"confirmed_{name}": value for name, value in evidence.items()}
    until = live.house.program.consents.end("consent", now)
    for purpose in row.purposes:
        give(
            link, lead, purpose, "consent", source=row.source, now=now, wording=row.wording.get(purpose),
            evidence=proof, expires_at=until, confirmed_at=now,
        )  # fmt: skip
    if "mail" in row.purposes:
        lift(link, lead, row.address)
    add_event(
        link, lead, "consent_confirmed", now, source="confirmation", key=f"confirmation:{confirmation_id}",
        data={"purposes": list(row.purposes), "source": row.source},
    )  # fmt: skip
    settle_one(link, live, lead, now)
    return True


def _confirmed(link: Connection, lead: int, purpose: str, wording: str | None, now: datetime) -> bool:
    """Whether the mailbox has said yes to this very text, and nothing has ended that."""
    objected = select(col(Objection.at)).where(col(Objection.lead_id) == lead, col(Objection.kind) == "profiling")
    since = link.execute(objected).scalar()
    stands = select(col(Consent.id)).where(
        col(Consent.lead_id) == lead, col(Consent.purpose) == purpose, col(Consent.withdrawn_at).is_(None),
        col(Consent.wording).is_not_distinct_from(wording), col(Consent.confirmed_at).is_not(None),
        or_(col(Consent.expires_at).is_(None), col(Consent.expires_at) > now),
    )  # fmt: skip
    if since is not None:
        stands = stands.where(col(Consent.confirmed_at) > since)
    return link.execute(stands.limit(1)).first() is not None


def _out_of_audiences(link: Connection, lead: int, now: datetime) -> None:
    """Nobody is to advertise to the lead; the platforms are told with the next drain of the outbox."""
    mine = (col(AudienceMember.lead_id) == lead) & col(AudienceMember.wanted)
    link.execute(update(AudienceMember).where(mine).values(wanted=False, changed_at=now))


def _note(link: Connection, lead: int, name: str, kind: str, now: datetime, source: str) -> None:
    """A line of the lead's own history."""
    data, key = {"kind": kind, "source": source}, f"lead:{lead}:{name}:{kind}:{to_micros(now)}"
    add_event(link, lead, name, now, source="objection", key=key, data=data)
