"""What came back by mail and by hook, and what was done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlmodel import col

from nurture.records import Inbound

if TYPE_CHECKING:
    from nurture.engine.machine import Machine


def returns(machine: Machine, last: int) -> list[dict[str, Any]]:
    """The `last` messages and reports that came back, the newest first."""
    newest = (
        select(Inbound.__table__)  # type: ignore[attr-defined]
        .order_by(col(Inbound.received_at).desc(), col(Inbound.id).desc())
        .limit(last)
    )
    with machine.db.read() as link:
        return [
            {
                "when": f"{row.received_at:%Y-%m-%dT%H:%M:%S}Z", "source": row.source, "kind": row.kind,
                "severity": row.severity or "",
                "status": row.status or "", "outcome": row.outcome, "touch": row.touch_id or "",
                "lead": row.lead_id or "", "detail": row.detail or "",
            }
            for row in link.execute(newest)
        ]  # fmt: skip
