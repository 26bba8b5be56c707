"""Consents and objections: given, confirmed from the mailbox, withdrawn, each in the transaction of who said so.

A yes is a row that is never changed but to be withdrawn; a new yes is a new row. The permit reads them under the
lead's lock, which everything here takes (`give` leaves that to its caller).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
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
from nurture.engine.suppressing import barred, lift, unsubscribed_since
from nurture.language.objections import Kind
from nurture.records import AudienceMember, Confirmation, Consent, Enrolment, Lead, Objection, Outbox, Touch
from nurture.records.types import to_micros

#: What a lead may agree to: letters, text messages, that we see what it opens and follows.
PURPOSES = ("mail", "sms", "tracking")
#: The outbox's word for the letter that asks for the second yes.
LETTER = "confirmation"
#: How long the link of that letter works, and how long an address is left alone after one (promise: list bombing).
VALID, ASKED_AGAIN_AFTER = timedelta(days=7), timedelta(hours=24)
#: In a confirmation's evidence: what was ticked in a later form, with that form's own source and evidence.
_BESIDES = "besides"
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
    caller holds the lead's lock. Nobody leaves the suppression list; what waited for a second yes is judged afresh.
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
    waits = (col(Touch.lead_id) == lead) & (col(Touch.state) == "planned") & (col(Touch.reason) == "confirmation")
    link.execute(update(Touch).where(waits).values(reason=None, next_at=now, allowed_at=now))
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
        out_of_audiences(Run(link, live, now), lead)
    if taken:
        settle_one(link, live, lead, now)
    return taken


def object_to(link: Connection, live: Live, lead: int, kind: Kind, now: datetime, source: str) -> bool:
    """An objection, in one transaction; False when it stood already, and no yes had opened mail again since.

    `profiling` (GDPR 21(2) and (3)): sequences end and take the lead in no more, nothing marketing goes out, audiences
    are left, the score is removed and none is made. `sharing` (Global Privacy Control): audiences alone.
    """
    lock_lead(link, lead, now)
    row = {"lead_id": lead, "kind": kind, "at": now, "source": source}
    said = upsert(link)(Objection).values(**row).on_conflict_do_nothing().returning(col(Objection.lead_id))
    if link.execute(said).first() is None and not _said_anew(link, lead, kind, now, source):
        return False
    run = Run(link, live, now)
    out_of_audiences(run, lead)
    if kind == "profiling":
        end(run, ending(col(Enrolment.lead_id) == lead, "objected"))
        scoring.forget(run, lead)
    _note(link, lead, "objected", kind, now, source)
    settle_one(link, live, lead, now)
    return True


def out_of_audiences(run: Run, lead: int) -> None:
    """Nobody is to advertise to the lead; the platforms are told with the next drain of the outbox."""
    mine = (col(AudienceMember.lead_id) == lead) & col(AudienceMember.wanted)
    run(update(AudienceMember).where(mine).values(wanted=False, changed_at=run.now))


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

    `wording`: purpose to what `worded` says. Within a day of such a letter no second one leaves: its link asks for
    what is new as well. None, and nothing is written: that link asks for all this already or was answered, or the
    address must never be written to (one that merely unsubscribed may be asked, since it asked), or has confirmed all
    this before. Who filled in the form is to learn none of it.
    """
    lock_lead(link, lead, now)
    if barred(link, lead, address):
        return None
    if all(_confirmed(link, lead, purpose, wording.get(purpose), now) for purpose in purposes):
        return None
    row = {
        "lead_id": lead, "address": address, "purposes": list(purposes), "source": source, "wording": dict(wording),
        "evidence": dict(evidence), "language": language or live.house.program.language, "asked_at": now,
        "expires_at": now + VALID,
    }  # fmt: skip
    lately = select(Confirmation.__table__).where(  # type: ignore[attr-defined]
        col(Confirmation.lead_id) == lead, col(Confirmation.address) == address,
        col(Confirmation.asked_at) > now - ASKED_AGAIN_AFTER,
    ).order_by(col(Confirmation.asked_at).desc())  # fmt: skip
    last = link.execute(lately.limit(1)).first()
    if last is not None:
        return _ask_besides(link, last, row)
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


def overtaken(link: Connection, row: Any) -> bool:
    """Whether a no came after a confirmation was asked for: its lead or address unsubscribed, or the lead objected."""
    objected = select(col(Objection.at)).where(
        col(Objection.lead_id) == row.lead_id, col(Objection.kind) == "profiling", col(Objection.at) > row.asked_at
    )
    gone = unsubscribed_since(link, row.lead_id, row.address, row.asked_at)
    return gone or link.execute(objected).first() is not None


def first_yes(row: Any, purpose: str) -> tuple[str, dict[str, Any]]:
    """(source, evidence) of the tick that a confirmation asks about: of the form in which this purpose was ticked."""
    own = {**row.evidence, "source": row.source, "asked_at": row.asked_at.isoformat()}
    said = dict(own.pop(_BESIDES, {}).get(purpose, own))
    return said.pop("source"), said


def confirm(
    link: Connection, live: Live, confirmation_id: int, now: datetime, evidence: Mapping[str, Any],
    shown: Collection[str] | None = None,
) -> bool:  # fmt: skip
    """The second yes: its consents are written and count from now; True if that is news, False if it comes too late.

    `shown`: the purposes that the page spoke of; nothing is done where another was asked for since. A no that came
    after it was asked for stands.
    It takes the lead and this address off the suppression list where they stand there as unsubscribed, never for a
    bounce, a complaint, an erasure or a domain; and it opens mail again that an objection had closed, but no score.
    """
    asked = confirmation(link, confirmation_id)
    if not _answerable(link, asked, now, shown):
        return False
    lead = asked.lead_id
    lock_lead(link, lead, now)
    row = confirmation(link, confirmation_id)  # as it stands under the lock
    if not _answerable(link, row, now, shown) or row.lead_id != lead:
        return False
    link.execute(update(Confirmation).where(col(Confirmation.id) == confirmation_id).values(confirmed_at=now))
    proof = {f"confirmed_{name}": value for name, value in evidence.items()}
    until = live.house.program.consents.end("consent", now)
    for purpose in row.purposes:
        source, said = first_yes(row, purpose)
        give(
            link, lead, purpose, "consent", source=source, now=now, wording=row.wording.get(purpose),
            evidence=said | proof, expires_at=until, confirmed_at=now,
        )  # fmt: skip
    if "mail" in row.purposes:
        lift(link, lead, row.address)
    add_event(
        link, lead, "consent_confirmed", now, source="confirmation", key=f"confirmation:{confirmation_id}",
        data={"purposes": list(row.purposes), "source": row.source},
    )  # fmt: skip
    settle_one(link, live, lead, now)
    return True


def _answerable(link: Connection, row: Any, now: datetime, shown: Collection[str] | None) -> bool:
    """Whether a yes by a page that spoke of `shown` is the answer to what the confirmation asks."""
    if row is None or not open_until(row, now) or overtaken(link, row):
        return False
    return shown is None or set(shown) == set(row.purposes)


def _ask_besides(link: Connection, last: Any, row: Mapping[str, Any]) -> int | None:
    """Add what `row` asks to the confirmation `last`, which has its letter; its number, or None for nothing to add.

    What was asked before a no is asked anew, by `row` alone. A text that the letter shows stays as it is.
    """
    if last.confirmed_at is not None:
        return None
    values = row
    if not overtaken(link, last):
        besides = [purpose for purpose in row["purposes"] if purpose not in last.purposes]
        if not besides:
            return None
        said = {**row["evidence"], "source": row["source"], "asked_at": row["asked_at"].isoformat()}
        values = {
            "purposes": [*last.purposes, *besides],
            "wording": last.wording | {purpose: row["wording"].get(purpose) for purpose in besides},
            "evidence": last.evidence | {_BESIDES: last.evidence.get(_BESIDES, {}) | dict.fromkeys(besides, said)},
        }
    link.execute(update(Confirmation).where(col(Confirmation.id) == last.id).values(**values))
    return int(last.id)


def _said_anew(link: Connection, lead: int, kind: Kind, now: datetime, source: str) -> bool:
    """Whether an objection to profiling is said again after a confirmed yes that outweighs it; it counts from `now`."""
    if kind != "profiling":
        return False
    theirs = col(Consent.lead_id) == col(Objection.lead_id)
    since = select(1).where(theirs, col(Consent.confirmed_at) > col(Objection.at))
    mine = (col(Objection.lead_id) == lead) & (col(Objection.kind) == kind) & since.correlate(Objection).exists()
    return link.execute(update(Objection).where(mine).values(at=now, source=source)).rowcount > 0


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


def _note(link: Connection, lead: int, name: str, kind: str, now: datetime, source: str) -> None:
    """A line of the lead's own history."""
    data, key = {"kind": kind, "source": source}, f"lead:{lead}:{name}:{kind}:{to_micros(now)}"
    add_event(link, lead, name, now, source="objection", key=key, data=data)
