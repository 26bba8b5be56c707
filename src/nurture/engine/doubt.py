"""Uncertain touches: nobody knows whether they left. Evidence, a person or the sequence's policy decides.

Never the engine by itself: a second copy is worse than a late one. What is sent again keeps its Message-ID.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, or_, select, update
from sqlmodel import col

from nurture.engine.audit import note
from nurture.engine.live import Library
from nurture.engine.recording import sent_after_all
from nurture.engine.workers import Journals
from nurture.errors import NotFound, Refused
from nurture.program.load import Segment
from nurture.records import Event, Inbound, Touch

#: How long a holder of whom nothing is known may still come back with an answer.
PATIENCE = timedelta(minutes=15)
#: More than so many at once are sent again only if their number is repeated.
MANY = 50


def evidence(link: Connection, touch: int, what: str, now: datetime) -> bool:
    """Something came back that shows that an uncertain `touch` left: it is sent. True if that is news."""
    doubtful = (col(Touch.id) == touch) & (col(Touch.state) == "uncertain")
    if link.execute(select(col(Touch.id)).where(doubtful)).first() is None:
        return False
    sent_after_all(link, [touch], f"evidence: {what}", now)
    return True


def came_back() -> ColumnElement[bool]:
    """Whether anything shows that a touch left: a click, an opening, a reply, a bounce."""
    seen = select(1).where(col(Event.touch_id) == col(Touch.id), col(Event.actor) != "system")
    returned = select(1).where(col(Inbound.touch_id) == col(Touch.id))
    return or_(seen.correlate(Touch).exists(), returned.correlate(Touch).exists())


def mark_sent(link: Connection, touches: Sequence[int], by: str, now: datetime) -> int:
    """A person says that these arrived; how many. Raises NotFound for one that is not uncertain."""
    _require(link, touches)
    sent_after_all(link, touches, f"{by} says so", now)
    for touch in touches:
        note(link, "uncertain_sent", f"touch:{touch}", by, now)
    return len(touches)


def resend(
    link: Connection, touches: Sequence[int], journals: Journals, by: str, now: datetime, *, count: int | None = None
) -> int:
    """A person has these sent again, with the same Message-ID and every rule applied afresh; how many.

    Raises NotFound for one that is not uncertain, Refused while its worker may still be at it, or for more than
    fifty whose number is not repeated in `count`.
    """
    _require(link, touches)
    if len(touches) > MANY and count != len(touches):
        raise Refused(f"{len(touches):,} messages would be sent again; repeat the number: --count {len(touches)}")
    held = select(col(Touch.id), col(Touch.lease_owner)).where(
        col(Touch.id).in_(touches), col(Touch.lease_owner).is_not(None), col(Touch.ended_at) > now - PATIENCE
    )
    alive = [row.id for row in link.execute(held) if not journals.dead(row.lease_owner)]
    if alive:
        raise Refused(
            f"touch {alive[0]}: the worker that had it may still be sending; "
            f"wait {PATIENCE // timedelta(minutes=1)} minutes, or end it, and run this again"
        )
    _again(link, touches, "resend", now)
    for touch in touches:
        note(link, "uncertain_resent", f"touch:{touch}", by, now)
    return len(touches)


def next_resend(link: Connection, library: Library) -> datetime | None:
    """The next instant at which a sequence's policy sends something again, if nothing shows until then that it left."""
    open_ = and_(col(Touch.state) == literal_column("'uncertain'"), col(Touch.resent_at).is_(None))  # as the index says
    doubts = select(col(Touch.version_id), func.min(col(Touch.ended_at))).where(open_, ~came_back())
    found = []
    for version, first in link.execute(doubts.group_by(col(Touch.version_id))):
        policy = library.segment(link, version).spec.on_uncertain
        if policy != "hold" and first is not None:
            found.append(first + max(policy.resend_once_after.roughly, PATIENCE))
    return min(found, default=None)


def resend_by_policy(link: Connection, versions: Sequence[Segment], now: datetime) -> int:
    """Send again, once, what its sequence says so of: after its pause, and with no sign that it left."""
    done = 0
    for version in versions:
        if version.spec.on_uncertain == "hold":
            continue
        until = now - max(version.spec.on_uncertain.resend_once_after.roughly, PATIENCE)
        due = and_(
            col(Touch.version_id) == version.id, col(Touch.state) == "uncertain", col(Touch.ended_at) <= until,
            col(Touch.resent_at).is_(None), ~came_back(),
        )  # fmt: skip
        touches = list(link.execute(select(col(Touch.id)).where(due).with_for_update(skip_locked=True)).scalars())
        if touches:
            _again(link, [int(touch or 0) for touch in touches], "resend_by_policy", now)
            done += len(touches)
    return done


def _require(link: Connection, touches: Sequence[int]) -> None:
    query = select(col(Touch.id)).where(col(Touch.id).in_(touches), col(Touch.state) == "uncertain").with_for_update()
    known = set(link.execute(query).scalars())
    missing = [touch for touch in touches if touch not in known]
    if missing:
        raise NotFound(f"touch {missing[0]} is not uncertain; 'nurture uncertain list' shows those that are")


def _again(link: Connection, touches: Sequence[int], reason: str, now: datetime) -> None:
    link.execute(
        update(Touch)
        .where(col(Touch.id).in_(touches), col(Touch.state) == "uncertain")
        .values(
            state="planned", reason=reason, next_at=now, allowed_at=now, ended_at=None, resent_at=now,
            lease_owner=None, lease_until=None, attempt=col(Touch.attempt) + 1,
        )
    )  # fmt: skip
