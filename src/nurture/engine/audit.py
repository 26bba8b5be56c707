"""Who did what: a row for each decision of a person, in the transaction of the decision."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from nurture.records import Audit


def note(
    link: Connection, act: str, subject: str, by: str, now: datetime, detail: dict[str, Any] | None = None
) -> None:
    """Write down that `by` did `act` (`paused`, `hold_released` …) to `subject` (`all`, `segment:…`, `touch:…`)."""
    link.execute(insert(Audit).values(at=now, by=by, act=act, subject=subject, detail=detail))
