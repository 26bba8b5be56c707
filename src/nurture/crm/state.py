"""How far we are with the CRM, and how long it is left alone after it did not answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.crm.base import Unwell
from nurture.dialects import upsert
from nurture.records import CrmState

PUSH = "push"
#: Seconds after the first silence; doubled at each further one, up to an hour.
_FIRST, _MOST = 60.0, 3600.0


def of_feed(feed: str) -> str:
    """The name of the state of one feed."""
    return f"pull:{feed}"


def state(link: Connection, name: str) -> Any:
    """Its row; None: nothing has been done yet."""
    table = CrmState.__table__  # type: ignore[attr-defined]
    return link.execute(select(table).where(col(CrmState.name) == name)).one_or_none()


def states(link: Connection) -> list[Any]:
    """All rows."""
    table = CrmState.__table__  # type: ignore[attr-defined]
    return list(link.execute(select(table).order_by(col(CrmState.name))).all())


def keep(link: Connection, name: str, **values: Any) -> None:
    """Note how far it is; what is not named stays."""
    row = upsert(link)(CrmState).values(**{"name": name, "attempt": 0, **values})
    link.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


def went_well(link: Connection, name: str, **values: Any) -> None:
    """The same after an answer: nothing stands in the way any more."""
    keep(link, name, **{"attempt": 0, "next_at": None, "last_error": None, **values})


def left_alone(link: Connection, name: str, problem: Unwell, now: datetime) -> datetime:
    """Note why it could not be asked, and from when it is asked again."""
    was = state(link, name)
    attempt = (was.attempt if was is not None else 0) + 1
    seconds = max(problem.wait or 0.0, min(_FIRST * 2 ** min(attempt - 1, 10), _MOST) if problem.wait is None else 0.0)
    at = now + timedelta(seconds=max(seconds, 1.0))
    keep(link, name, attempt=attempt, next_at=at, last_error=str(problem))
    return at
