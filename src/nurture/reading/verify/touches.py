"""Touches: one per key, each in a state that says what it waits for or how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, func, literal, or_, select
from sqlmodel import col

from nurture.dialects import database_clock
from nurture.reading.verify.base import Context, Invariant, offender
from nurture.records import Control, Enrolment, Hold, Lead, Touch
from nurture.records.types import micros
from nurture.steps import MESSAGES

WAITING = ("planned", "held", "retry_wait")
HELD_BY_A_WORKER = ("claimed", "sending")
ENDED = ("sent", "failed", "suppressed", "cancelled", "expired", "uncertain")
MAIL = ("email", "offer")
_MINUTE = 60_000_000
_AUTHOR = "please report it with the output of 'nurture explain' of that lead"


def touch(said: Any, *where: ColumnElement[bool]) -> Select[Any]:
    """The touches for which `where` holds, as offenders."""
    return offender("touch", col(Touch.id), col(Touch.lead_id), said).where(*where)


def _twice(_: Context) -> Iterator[Select[Any]]:
    key = (col(Touch.enrolment_id), col(Touch.step), col(Touch.occurrence))
    said = literal("planned ") + cast(func.count(), String) + literal(" times for one passage of step ")
    lead, first = func.min(col(Touch.lead_id)), func.min(col(Touch.id))
    yield offender("touch", first, lead, said + col(Touch.step)).group_by(*key).having(func.count() > 1)


def _unknown(_: Context) -> Iterator[Select[Any]]:
    known = (*WAITING, *HELD_BY_A_WORKER, *ENDED)
    yield touch(literal("in the unknown state ") + col(Touch.state), col(Touch.state).not_in(known))


def _ends(_: Context) -> Iterator[Select[Any]]:
    state = col(Touch.state)
    yield touch(state + literal(", and not since when"), state.in_(ENDED), col(Touch.ended_at).is_(None))
    live = state.in_((*WAITING, *HELD_BY_A_WORKER))
    yield touch(state + literal(", and yet it has ended"), live, col(Touch.ended_at).is_not(None))


def _waits(_: Context) -> Iterator[Select[Any]]:
    state, no_time = col(Touch.state), col(Touch.next_at).is_(None)
    paused = and_(state == "planned", func.coalesce(col(Touch.reason), "").in_(("paused", "stopped")))
    scopes = ("all", literal("segment:") + col(Touch.sequence), literal("lead:") + cast(col(Touch.lead_id), String))
    on_hold = select(1).where(or_(*(col(Control.scope) == scope for scope in scopes))).correlate(Touch).exists()
    yield touch("paused or stopped, and nothing is", paused, no_time, ~on_hold)
    yield touch(state + literal(" without a time"), state.in_(("planned", "retry_wait")), no_time, ~paused)
    yield touch(
        state + literal(" by nobody"),
        state.in_(HELD_BY_A_WORKER),
        or_(col(Touch.lease_owner).is_(None), col(Touch.lease_until).is_(None)),
    )
    asked = select(1).where(col(Hold.sequence) == col(Touch.sequence), col(Hold.answered_at).is_(None))
    yield touch("held, and no question is open", state == "held", ~asked.correlate(Touch).exists())


def _leases(_: Context) -> Iterator[Select[Any]]:
    over = micros(col(Touch.lease_until)) < micros(database_clock()) - _MINUTE
    said = col(Touch.state) + literal(" by a worker whose lease ran out: ") + func.coalesce(col(Touch.lease_owner), "")
    yield touch(said, col(Touch.state).in_(HELD_BY_A_WORKER), over)


def of_the_forgotten() -> ColumnElement[bool]:
    """Whether a touch's lead was forgotten: where it went is known no more."""
    lead = select(1).where(col(Lead.id) == col(Touch.lead_id), col(Lead.forgotten_at).is_not(None))
    return lead.correlate(Touch).exists()


def _said(_: Context) -> Iterator[Select[Any]]:
    went = and_(col(Touch.state).in_(("sent", "uncertain")), ~of_the_forgotten())
    mail = col(Touch.kind).in_(MAIL)
    facts = (
        ("Message-ID", col(Touch.message_id), mail),
        ("an instant", col(Touch.sending_at), None),
        ("the hash of its bytes", col(Touch.payload_sha256), col(Touch.kind).in_(MESSAGES)),
        ("an address", col(Touch.address), col(Touch.kind).in_(MESSAGES)),
    )
    for name, column, which in facts:
        more = [] if which is None else [which]
        yield touch(col(Touch.state) + literal(f" without {name}"), went, column.is_(None), *more)


def _message_ids(_: Context) -> Iterator[Select[Any]]:
    first = func.min(col(Touch.id))
    said = literal("shares its Message-ID with touch ") + cast(func.max(col(Touch.id)), String)
    shared = col(Touch.message_id).is_not(None) & col(Touch.kind).in_(MAIL)
    yield (
        offender("touch", first, func.min(col(Touch.lead_id)), said)
        .where(shared)
        .group_by(col(Touch.message_id))
        .having(func.count() > 1)
    )


def _passage(_: Context) -> Iterator[Select[Any]]:
    query = touch(
        case(
            (col(Touch.lead_id) != col(Enrolment.lead_id), "its enrolment is another lead's"),
            else_=literal("still ") + col(Touch.state) + literal(", and its enrolment has ended"),
        ),
        or_(
            col(Touch.lead_id) != col(Enrolment.lead_id),
            and_(
                col(Touch.state).in_(WAITING), col(Enrolment.ended_at).is_not(None), col(Touch.resent_at).is_(None)
            ),
        ),
    )  # fmt: skip
    yield query.join_from(Touch, Enrolment, col(Enrolment.id) == col(Touch.enrolment_id))


INVARIANTS = [
    Invariant(
        "one touch per step and passage",
        "The same step was planned twice for one lead, who may have been written to twice.",
        f"A constraint of the database is gone: restore it from a backup, or {_AUTHOR}.",
        _twice,
    ),
    Invariant(
        "every touch is in a known state",
        "What was planned cannot be counted: these touches are in no state that the engine knows.",
        "Somebody changed the table by hand: set the state back, or restore a backup.",
        _unknown,
    ),
    Invariant(
        "a touch has ended if and only if it says when",
        "Its lead may stand still for ever, or go on before its message has gone.",
        f"Nothing does this by itself; {_AUTHOR}.",
        _ends,
    ),
    Invariant(
        "an open touch waits for an hour, a worker or a person",
        "These wait for nothing, and will never go out.",
        f"'nurture pause' and 'nurture resume' of the segment let paused ones go; for others {_AUTHOR}.",
        _waits,
    ),
    Invariant(
        "no claim outlives its lease",
        "A worker died with these in hand more than a minute ago, and nobody took them over.",
        "The next 'nurture tick' takes them over; if they stay, no tick is running.",
        _leases,
    ),
    Invariant(
        "what was sent says what, when and to whom",
        "These cannot be traced, nor matched with what comes back.",
        f"Look in the relay's log for the lead's address at that time, and {_AUTHOR}.",
        _said,
    ),
    Invariant(
        "one Message-ID per touch",
        "A reply or bounce cannot be told apart between these, and receivers may drop one of them.",
        f"Two installations may share one secret, or {_AUTHOR}.",
        _message_ids,
    ),
    Invariant(
        "a touch belongs to its enrolment, and ends with it",
        "A message would go out that its sequence no longer wants, or to another lead.",
        f"'nurture pause' the segment, and {_AUTHOR}.",
        _passage,
    ),
]
