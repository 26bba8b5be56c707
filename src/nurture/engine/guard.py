"""The guard: a version's first large send is tried on a few, and far more than usual on one day waits for a person.

It is asked before a step's messages are delivered, and puts aside what may not go now, so that whoever delivers finds
only the rest. Operational messages and audiences are not its matter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, literal, select, update
from sqlmodel import col

from nurture.db import BULK_ROWS, Database
from nurture.dialects import text_in, upsert
from nurture.engine.live import Live
from nurture.engine.planning import windowed
from nurture.jsonsql import KEYS, among, listed
from nurture.program.guard import Canary, Guard
from nurture.program.load import Segment
from nurture.records import Event, Hold, SequenceVersion, Touch, Volume
from nurture.records.types import Instant
from nurture.steps import MESSAGES, Sending

#: Days with messages that "usual" is the median of.
USUAL_DAYS = 7
#: Parts of a canary's messages above which a person must answer.
CANARY_LIMITS = {"hard bounces": 0.05, "complaints": 0.001, "unsubscribed": 0.02, "uncertain": 0.01, "refused": 0.05}
_MESSAGE = and_(col(Touch.purpose) == "marketing", col(Touch.kind).in_(MESSAGES))


@dataclass
class Allowance:
    """How many messages may go out now (None: no limit), and how many were put aside, by reason."""

    left: int | None = None
    aside: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Ruling:
    """Of what is due the first `left` may go; the others wait until an instant, or are held for a person."""

    hold: int
    kind: str
    left: int
    until: datetime | None = None


def allowance(db: Database, live: Live, version: Segment, step: Sending, now: datetime) -> Allowance:
    """What may go out of `step` of `version` now; what may not is put aside, 20,000 a transaction."""
    rules, zone = live.house.program.guard, live.house.program.zone
    if not windowed(step):
        return Allowance()
    with db.read() as link:
        if _quiet(link, rules, version.slug, local_day(now, zone), now):
            return Allowance()
    found = Allowance()
    for ask in (_growth, _canary):  # nobody is written to before a person has confirmed an unusual number
        ruling = db.transact(lambda link, ask=ask: ask(link, rules, version, zone, now))  # type: ignore[misc]
        if ruling is not None:
            found.left = ruling.left if found.left is None else min(found.left, ruling.left)
            while count := db.transact(lambda link, ruling=ruling: _put_aside(link, ruling, version, now)):  # type: ignore[misc]
                found.aside[ruling.kind] += count
    return found


_AGAIN = select(func.count()).where(
    among(col(Touch.id), KEYS), col(Touch.sending_at) >= bindparam("midnight", type_=Instant())
)


def begun(link: Connection, live: Live, version: Segment, step: Sending, touches: list[int], now: datetime) -> None:
    """Count messages that are about to go to `sending`, by the program's day; one that is tried again, once a day."""
    if not touches or not windowed(step):
        return
    zone = ZoneInfo(live.house.program.zone)
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    again = link.execute(_AGAIN, {"keys": listed(touches), "midnight": midnight}).scalar_one()
    messages = len(touches) - again
    if not messages:
        return
    day = local_day(now, live.house.program.zone)
    row = upsert(link)(Volume).values(sequence=version.slug, day=day, messages=messages)
    more = {"messages": col(Volume.messages) + messages}
    link.execute(row.on_conflict_do_update(index_elements=["sequence", "day"], set_=more))


def local_day(now: datetime, zone: str) -> int:
    """Days since 1970 on the clock of `zone`."""
    return (now.astimezone(ZoneInfo(zone)).date() - date(1970, 1, 1)).days


def volume(link: Connection, slug: str, day: int) -> int:
    """Messages of a sequence that were begun on a day."""
    row = select(col(Volume.messages)).where(col(Volume.sequence) == slug, col(Volume.day) == day)
    return link.execute(row).scalar() or 0


def _taken(link: Connection, slug: str, day: int) -> int:
    """Messages of a sequence that were begun on a day, and those that other workers have claimed and not begun."""
    return int(link.execute(select(_taken_so_far(slug, day))).scalar_one())


def _taken_so_far(slug: str, day: int) -> ColumnElement[int]:
    """The same, in one view of the tables: who goes from claimed to begun is counted once."""
    claimed = select(func.count()).where(
        col(Touch.lease_owner).is_not(None), col(Touch.state) == "claimed", col(Touch.sequence) == slug, _MESSAGE
    )
    begun = select(col(Volume.messages)).where(col(Volume.sequence) == slug, col(Volume.day) == day)
    return claimed.scalar_subquery() + func.coalesce(begun.scalar_subquery(), 0)


def _due(slug: str, now: datetime, version: int | None = None) -> ColumnElement[bool]:
    """Messages that a courier would take now."""
    mine = () if version is None else (col(Touch.version_id) == version,)
    waiting = col(Touch.state).in_(("planned", "retry_wait"))
    return and_(col(Touch.sequence) == slug, *mine, col(Touch.next_at) <= now, waiting, _MESSAGE)


def _quiet(link: Connection, rules: Guard, slug: str, day: int, now: datetime) -> bool:
    """Whether nothing need be asked: nothing is due, or little, and no hold is open. One statement."""
    asked = select(1).where(col(Hold.sequence) == slug, col(Hold.answered_at).is_(None)).exists()
    some = select(literal(1)).where(_due(slug, now))
    if rules.silent != float("inf"):
        some = some.limit(int(rules.silent) + 1)
    due = select(func.count()).select_from(some.subquery()).scalar_subquery()
    is_open, so_far, count = link.execute(select(asked, _taken_so_far(slug, day), due)).one()
    return not count or (not is_open and so_far + count <= rules.silent)


def _alone(link: Connection, version: Segment) -> None:
    """Nobody else asks about this version until the transaction ends."""
    mine = select(col(SequenceVersion.id)).where(col(SequenceVersion.id) == version.id)
    link.execute(mine.with_for_update(key_share=True))


def _growth(link: Connection, rules: Guard, version: Segment, zone: str, now: datetime) -> _Ruling | None:
    """Far more than usual on this day of the program, and more than a person has confirmed for it."""
    _alone(link, version)
    slug, today = version.slug, local_day(now, zone)
    due = link.execute(select(func.count()).where(_due(slug, now))).scalar_one()
    so_far = _taken(link, slug, today)
    confirmed = _confirmed(link, slug, zone, today)
    left = max(confirmed - so_far, 0)
    asked = _latest(link, "growth", and_(col(Hold.sequence) == slug, col(Hold.answered_at).is_(None)))
    if asked is not None:
        return _Ruling(asked.id, "growth", left)
    usual = _usual(link, slug, today)
    total, growth = so_far + due, rules.growth
    sudden = growth is not None and usual is not None and total > growth.above and total > growth.times * usual
    if total <= confirmed or not (sudden or (rules.most_per_day is not None and total > rules.most_per_day)):
        return None
    figures = {"due": due, "begun today": so_far, "usual": usual, "most per day": rules.most_per_day}
    hold = _open(link, "growth", version, "asked", due - left, now, figures={k: v for k, v in figures.items() if v})
    return _Ruling(hold, "growth", left)


def _usual(link: Connection, slug: str, today: int) -> float | None:
    days = select(col(Volume.messages)).where(col(Volume.sequence) == slug, col(Volume.day) < today)
    counts = link.execute(days.order_by(col(Volume.day).desc()).limit(USUAL_DAYS)).scalars().all()
    return median(counts) if counts else None


def _confirmed(link: Connection, slug: str, zone: str, today: int) -> int:
    """How many messages of this day a person has confirmed, those begun before included; 0: none was asked about."""
    row = _latest(link, "growth", and_(col(Hold.sequence) == slug, col(Hold.state) == "released"))
    if row is None or local_day(row.answered_at, zone) != today:
        return 0
    return int(row.figures["confirmed for the day"])


def _canary(link: Connection, rules: Guard, version: Segment, _zone: str, now: datetime) -> _Ruling | None:
    """The first large send of a version, and what its first few have told."""
    _alone(link, version)
    rule = rules.canary
    row = _latest(link, "canary", col(Hold.version_id) == version.id)
    state = None if row is None else row.state
    if row is not None and state == "asked":
        return _Ruling(row.id, "canary", 0)
    if row is not None and state == "watching" and rule is not None:
        return _watched(link, row, rule, version, now)
    if row is not None and state == "watching":
        _answer(link, row.id, "passed", "canary: off", now, row.figures)
    if rule is None or state in ("passed", "released", "watching"):
        return None
    due = link.execute(select(func.count()).where(_due(version.slug, now, version.id))).scalar_one()
    if due <= rule.above:
        return None
    first = min(rule.most, max(int(due * rule.share), 1))
    until = now + rule.watch.elapsed
    hold = _open(link, "canary", version, "watching", due - first, now, first, until)
    return _Ruling(hold, "canary", first, until)


def _of_version(version: Segment) -> ColumnElement[bool]:
    """Messages of a version that have no next try: in the order of ix_touch_due."""
    return and_(
        col(Touch.sequence) == version.slug, col(Touch.next_at).is_(None), col(Touch.version_id) == version.id, _MESSAGE
    )


def _watched(link: Connection, row: Any, rule: Canary, version: Segment, now: datetime) -> _Ruling | None:
    """While it is watched, the rest of the few; afterwards the verdict. A canary of which nothing left is sent anew."""
    went = and_(_of_version(version), col(Touch.sending_at) >= row.asked_at)
    if now < row.until:
        count = link.execute(select(func.count()).where(went)).scalar_one()
        return _Ruling(row.id, "canary", max(row.allowance - count, 0), row.until)
    figures = _figures(link, went)
    if not figures["sent"]:
        until = now + rule.watch.elapsed
        link.execute(update(Hold).where(col(Hold.id) == row.id).values(until=until))
        return _Ruling(row.id, "canary", row.allowance, until)
    if any(figures[word] > limit * figures["sent"] for word, limit in CANARY_LIMITS.items()):
        link.execute(update(Hold).where(col(Hold.id) == row.id).values(state="asked", figures=figures, until=None))
        return _Ruling(row.id, "canary", 0)
    _answer(link, row.id, "passed", "canary", now, figures)
    return None


def _figures(link: Connection, went: ColumnElement[bool]) -> dict[str, int]:
    """What became of a canary: how many left, and of how many the five kinds of bad news came."""
    states = dict(link.execute(select(col(Touch.state), func.count()).where(went).group_by(col(Touch.state))).all())
    severity = text_in(col(Event.data), "severity")
    news = (
        select(col(Event.name), severity, func.count(col(Event.touch_id).distinct()))
        .where(col(Event.touch_id).in_(select(col(Touch.id)).where(went)))
        .group_by(col(Event.name), severity)
    )
    told: Counter[str] = Counter()
    for name, how, count in link.execute(news):
        told["hard" if name == "email_bounced" and how == "hard" else name] += count
    return {
        "sent": sum(states.values()), "hard bounces": told["hard"], "complaints": told["email_complained"],
        "unsubscribed": told["unsubscribed"], "uncertain": states.get("uncertain", 0),
        "refused": states.get("failed", 0),
    }  # fmt: skip


def _put_aside(link: Connection, ruling: _Ruling, version: Segment, now: datetime) -> int:
    """Keep up to 20,000 of what is due beyond the ruling's first few from going out now; how many."""
    of_version = version.id if ruling.kind == "canary" else None
    rest = (
        select(col(Touch.id))
        .where(_due(version.slug, now, of_version))
        .order_by(col(Touch.next_at), col(Touch.id))
        .limit(BULK_ROWS)
        .offset(ruling.left)
    )
    waiting = update(Touch).where(col(Touch.id).in_(rest), col(Touch.state).in_(("planned", "retry_wait")))
    if ruling.until is not None:
        return link.execute(waiting.values(reason=ruling.kind, next_at=ruling.until)).rowcount
    still_asked = select(col(Hold.id)).where(col(Hold.id) == ruling.hold, col(Hold.answered_at).is_(None))
    if link.execute(still_asked.with_for_update()).first() is None:
        return 0  # answered meanwhile: what is left is asked about anew
    link.execute(waiting.where(col(Touch.state) == "retry_wait").values(state="planned"))  # which may be held
    count = link.execute(waiting.values(state="held", reason=ruling.kind, next_at=None)).rowcount
    held = select(func.count()).where(waits_for(ruling.kind, version.slug, version.id))
    link.execute(update(Hold).where(col(Hold.id) == ruling.hold).values(audience=held.scalar_subquery()))
    return count


def waits_for(kind: str, slug: str, version: int) -> ColumnElement[bool]:
    """The touches that a hold keeps: a canary its version's, growth the sequence's."""
    mine = (col(Touch.version_id) == version,) if kind == "canary" else ()
    return and_(
        col(Touch.sequence) == slug, *mine, col(Touch.state).in_(("held", "planned")), col(Touch.reason) == kind
    )


def _latest(link: Connection, kind: str, which: ColumnElement[bool]) -> Any:
    rows = select(Hold.__table__).where(col(Hold.kind) == kind, which)  # type: ignore[attr-defined]
    return link.execute(rows.order_by(col(Hold.id).desc()).limit(1)).one_or_none()


def _open(
    link: Connection, kind: str, version: Segment, state: str, audience: int, now: datetime,
    allowed: int | None = None, until: datetime | None = None, figures: dict[str, Any] | None = None,
) -> int:  # fmt: skip
    row = insert(Hold).values(
        kind=kind, sequence=version.slug, version_id=version.id, state=state, audience=audience, allowance=allowed,
        until=until, figures=figures or {}, asked_at=now,
    )  # fmt: skip
    return int(link.execute(row.returning(col(Hold.id))).scalar_one() or 0)


def _answer(link: Connection, hold: int, state: str, by: str, now: datetime, figures: dict[str, Any]) -> None:
    values = {"state": state, "answered_at": now, "answered_by": by, "figures": figures}
    link.execute(update(Hold).where(col(Hold.id) == hold).values(**values))
