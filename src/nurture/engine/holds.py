"""Holds: sends that wait for a person, who releases them by repeating their number, or discards them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlmodel import col

from nurture.engine.audit import note
from nurture.engine.ending import end, ending
from nurture.engine.guard import local_day, volume, waits_for
from nurture.engine.recording import let_go
from nurture.engine.running import Run
from nurture.errors import NotFound, Refused
from nurture.records import Enrolment, Hold, SequenceVersion, Touch

#: Touches whose enrolments are let go with one statement.
_PART = 5_000


@dataclass(frozen=True)
class Waiting:
    """A hold as it stands: `waiting` touches it keeps now, the version's number, what it was decided by."""

    id: int
    kind: str
    state: str
    sequence: str
    version: int
    waiting: int
    audience: int
    until: datetime | None
    figures: dict[str, Any]
    asked_at: datetime
    answered_at: datetime | None
    answered_by: str | None


def holds(link: Connection, *, open_only: bool = True, sequences: Sequence[str] | None = None) -> list[Waiting]:
    """The holds, oldest first; `open_only`: that nobody has answered."""
    rows: Any = (
        select(Hold.__table__, col(SequenceVersion.number).label("number"))  # type: ignore[attr-defined]
        .join(SequenceVersion, col(SequenceVersion.id) == col(Hold.version_id))
        .order_by(col(Hold.id))
    )
    if open_only:
        rows = rows.where(col(Hold.answered_at).is_(None))
    if sequences is not None:
        rows = rows.where(col(Hold.sequence).in_(sequences))
    return [_seen(link, row) for row in link.execute(rows).all()]


def hold(link: Connection, number: int) -> Waiting:
    """One hold. Raises NotFound."""
    found = [one for one in holds(link, open_only=False) if one.id == number]
    if not found:
        raise NotFound(f"there is no hold {number}; 'nurture holds' lists them")
    return found[0]


def _seen(link: Connection, row: Any) -> Waiting:
    waiting = 0
    if row.answered_at is None:
        waiting = link.execute(select(func.count()).where(_kept(row))).scalar_one()
    return Waiting(
        row.id, row.kind, row.state, row.sequence, row.number, waiting, row.audience, row.until, row.figures,
        row.asked_at, row.answered_at, row.answered_by,
    )  # fmt: skip


def release(link: Connection, number: int, count: int, by: str, now: datetime, zone: str) -> int:
    """Let what `number` keeps go out, not as late; `count` is how many that are, exactly. Raises NotFound, Refused.

    `zone`: the program's; growth is confirmed for its present day.
    """
    row = _asked(link, number)
    waiting = link.execute(select(func.count()).where(_kept(row))).scalar_one()
    if waiting != count:
        raise Refused(
            f"{count:,} is not how many wait for hold {number}; look at 'nurture holds' and repeat its number"
        )
    figures = dict(row.figures)
    if row.kind == "growth":
        figures["confirmed for the day"] = volume(link, row.sequence, local_day(now, zone)) + count
    let_out = update(Touch).where(_kept(row))
    link.execute(let_out.values(state="planned", reason=None, next_at=now, allowed_at=now))
    _answer(link, row, "released", by, now, {"waiting": count}, figures)
    return count


def discard(link: Connection, number: int, by: str, now: datetime) -> int:
    """Call off what `number` keeps; its leads go on to their next step. How many. Raises NotFound, Refused."""
    row = _asked(link, number)
    called_off = update(Touch).where(_kept(row)).values(
        state="cancelled", reason="discarded", ended_at=now, next_at=None
    )  # fmt: skip
    ids = [int(touch or 0) for touch in link.execute(called_off.returning(col(Touch.id))).scalars()]
    for begins in range(0, len(ids), _PART):
        let_go(link, ids[begins : begins + _PART])
    _answer(link, row, "discarded", by, now, {"waiting": len(ids)}, row.figures)
    return len(ids)


def send_away(run: Run, number: int, by: str) -> int:
    """Call off what `number` keeps and take its leads out of the sequence: they matched by mistake. How many.

    Raises NotFound, Refused.
    """
    row = _asked(run.link, number)
    mine = list(run.link.execute(select(col(Touch.enrolment_id)).where(_kept(row))).scalars())
    parts = (mine[begins : begins + _PART] for begins in range(0, len(mine), _PART))
    gone = sum(end(run, ending(col(Enrolment.id).in_(part), "discarded")) for part in parts)
    _answer(run.link, row, "discarded", by, run.now, {"waiting": gone, "left": gone}, row.figures)
    return gone


def _asked(link: Connection, number: int) -> Any:
    rows = select(Hold.__table__).where(col(Hold.id) == number).with_for_update()  # type: ignore[attr-defined]
    row = link.execute(rows).one_or_none()
    if row is None:
        raise NotFound(f"there is no hold {number}; 'nurture holds' lists them")
    if row.answered_at is not None:
        raise Refused(
            f"hold {number} is {row.state} already, by {row.answered_by} on {row.answered_at:%Y-%m-%d %H:%M}Z"
        )
    return row


def _kept(row: Any) -> Any:
    return waits_for(row.kind, row.sequence, row.version_id)


def _answer(
    link: Connection, row: Any, state: str, by: str, now: datetime, detail: dict[str, Any], figures: dict[str, Any]
) -> None:
    values = {"state": state, "answered_at": now, "answered_by": by, "figures": figures, "until": None}
    link.execute(update(Hold).where(col(Hold.id) == row.id).values(**values))
    note(link, f"hold_{state}", f"hold:{row.id}", by, now, detail)
