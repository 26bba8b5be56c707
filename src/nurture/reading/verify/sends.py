"""Sends: none after a suppression or without a consent, none over a cap, nothing twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, String, and_, case, cast, func, literal, or_, select, tuple_
from sqlmodel import col

from nurture.program.models import Caps
from nurture.reading.verify.base import Context, Invariant, offender
from nurture.reading.verify.identity import before_merge
from nurture.reading.verify.touches import touch
from nurture.records import Consent, Lead, Suppression, Touch
from nurture.records.types import micros
from nurture.steps import MESSAGES, Sending
from nurture.zones import lead_zone, local_day

#: A door notes its instant before it waits for the lead's lock, at most so long; a permit may be first in between.
RACE = 10_000_000
_WEEK = 7 * 86_400_000_000
_LEFT = ("sending", "sent", "uncertain")
#: A marketing message that counts.
_LETTER = and_(col(Touch.kind).in_(MESSAGES), col(Touch.purpose) == "marketing", col(Touch.state).in_(_LEFT))
_BEGAN = micros(col(Touch.sending_at))


def _suppressed(_: Context) -> Iterator[Select[Any]]:
    since = micros(col(Suppression.at))
    ways = {
        "address": col(Suppression.value) == col(Touch.address),
        "phone": col(Suppression.value) == col(Touch.address),
        "lead": col(Suppression.value) == cast(col(Touch.lead_id), String),
        "domain": col(Touch.address).endswith(literal("@").concat(col(Suppression.value))),
    }
    for kind, mine in ways.items():
        late = and_(col(Touch.kind).in_(MESSAGES), since + RACE < _BEGAN)
        if kind == "lead":
            late = and_(late, ~before_merge())
        on = and_(col(Suppression.kind) == kind, mine)
        said = literal(f"sent after its {kind} was suppressed: ") + col(Suppression.reason)
        yield touch(said, late).join_from(Touch, Suppression, on)


def _without_consent(_: Context) -> Iterator[Select[Any]]:
    valid = and_(
        col(Consent.lead_id) == col(Touch.lead_id),
        col(Consent.purpose) == case((col(Touch.kind) == "sms", "sms"), else_="mail"),
        micros(col(Consent.given_at)) <= _BEGAN + RACE,
        or_(col(Consent.withdrawn_at).is_(None), micros(col(Consent.withdrawn_at)) >= _BEGAN - RACE),
        or_(col(Consent.expires_at).is_(None), micros(col(Consent.expires_at)) > _BEGAN - RACE),
    )
    messages = and_(col(Touch.kind).in_(MESSAGES), col(Touch.sending_at).is_not(None))
    marketing = and_(messages, col(Touch.purpose) == "marketing")
    covered = select(1).where(valid).correlate(Touch).exists()
    yield touch("sent without a consent that was valid then", marketing, ~covered)


def _over_caps(context: Context) -> Iterator[Select[Any]]:
    """Each letter against the caps of the program version that it was sent under."""
    versions = select(col(Touch.program_version_id)).where(_LETTER, col(Touch.program_version_id).is_not(None))
    rules: dict[tuple[int | None, int | None, str], list[int]] = defaultdict(list)
    for version in context.link.execute(versions.distinct()).scalars():
        house = context.library.house(context.link, int(version or 0)).program
        rules[(house.caps.per_day, house.caps.per_7_days, house.zone)].append(int(version or 0))
    for (per_day, per_week, zone), under in rules.items():
        yield from _over(Caps(per_day=per_day, per_7_days=per_week), zone, under)


def _over(caps: Caps, zone: str, under: list[int]) -> Iterator[Select[Any]]:
    order = (col(Touch.sending_at), col(Touch.id))
    under_which: Any = col(Touch.program_version_id).label("under")
    apart = before_merge().label("apart")
    columns: list[Any] = [col(Touch.id), col(Touch.lead_id), under_which, _BEGAN.label("at"), apart]
    letters = select(*columns).where(_LETTER, col(Touch.sending_at).is_not(None))
    if caps.per_7_days:
        turn = func.lag(_BEGAN, caps.per_7_days).over(partition_by=col(Touch.lead_id), order_by=order)
        week = letters.add_columns(turn.label("earlier")).subquery()
        said = f"one more than {caps.per_7_days} in 7 days"
        yield offender("touch", week.c.id, week.c.lead_id, said).where(
            week.c.under.in_(under), ~week.c.apart, week.c.earlier > week.c.at - _WEEK
        )
    if caps.per_day:
        day = local_day(_BEGAN, lead_zone(zone)).label("day")
        dated = letters.add_columns(day).join_from(Touch, Lead, col(Lead.id) == col(Touch.lead_id)).subquery()
        turn = func.row_number().over(
            partition_by=(dated.c.lead_id, dated.c.day), order_by=(dated.c.at, dated.c.id)
        )  # fmt: skip
        daily = select(dated, turn.label("turn")).where(dated.c.day.is_not(None)).subquery()
        said = f"one more than {caps.per_day} on one day of the lead's"
        yield offender("touch", daily.c.id, daily.c.lead_id, said).where(
            daily.c.under.in_(under), ~daily.c.apart, daily.c.turn > caps.per_day
        )


def _again(context: Context) -> Iterator[Select[Any]]:
    """The second and later sends of one content to one lead, unless their step says that it repeats."""
    turn = func.row_number().over(
        partition_by=(col(Touch.lead_id), col(Touch.content)), order_by=(col(Touch.sending_at), col(Touch.id))
    )
    apart = before_merge().label("apart")
    columns = (col(Touch.id), col(Touch.lead_id), col(Touch.content), col(Touch.version_id), col(Touch.step), apart)
    known = and_(col(Touch.kind).in_(MESSAGES), col(Touch.state).in_(_LEFT), col(Touch.content).is_not(None))
    seen = select(*columns, turn.label("turn")).where(known).subquery()
    later = and_(seen.c.turn > 1, ~seen.c.apart)
    places = context.link.execute(select(seen.c.version_id, seen.c.step).where(later).distinct()).all()
    repeating = [(version, step) for version, step in places if _repeats(context, version, step)]
    query = offender("touch", seen.c.id, seen.c.lead_id, literal("the lead had already received ") + seen.c.content)
    query = query.where(later)
    yield query.where(tuple_(seen.c.version_id, seen.c.step).not_in(repeating)) if repeating else query


def _repeats(context: Context, version: int, step: str) -> bool:
    spec = context.library.segment(context.link, version).spec
    kind = spec.step(step) if spec.has(step) else None
    return isinstance(kind, Sending) and kind.repeats()


INVARIANTS = [
    Invariant(
        "nothing is sent after a suppression",
        "Somebody was written to who had said no, or whose address was known to be bad.",
        "'nurture pause all', and find out how these left before you resume; it may have to be reported.",
        _suppressed,
    ),
    Invariant(
        "no marketing message without a consent valid at that instant",
        "These had no basis in law when they were sent, as the consents now read.",
        "See whether a consent's row was changed by hand; else 'nurture pause all' and report it.",
        _without_consent,
    ),
    Invariant(
        "the program's caps hold over any 7 days, and any day of the lead's",
        "These leads were written to more often than the program allows (days are those of the zone that the lead has "
        "now; one who has moved since may stand here without cause).",
        "Look at the lead with 'nurture explain'; if it did not move, please report it.",
        _over_caps,
    ),
    Invariant(
        "the same content is not sent twice",
        "These leads have received one message twice.",
        "Look at the lead with 'nurture explain', and please report it.",
        _again,
    ),
]
