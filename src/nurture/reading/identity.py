"""What a lead was called before, and whom it took in, in sentences."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.engine.renaming import EMAIL, MERGED
from nurture.records import LeadAlias, LeadMerge


def names(link: Connection, lead: int, now: datetime) -> list[str]:
    """Each merge with the names that came of it, then each former name; oldest first."""
    former = link.execute(
        select(LeadAlias.__table__)  # type: ignore[attr-defined]
        .where(col(LeadAlias.lead_id) == lead, col(LeadAlias.since) <= now)
        .order_by(col(LeadAlias.since), col(LeadAlias.kind), col(LeadAlias.value))
    ).all()
    merges = link.execute(
        select(LeadMerge.__table__)  # type: ignore[attr-defined]
        .where(col(LeadMerge.lead_id) == lead, col(LeadMerge.at) <= now)
        .order_by(col(LeadMerge.at), col(LeadMerge.id))
    ).all()
    said, told = [], set()
    for merge in merges:
        mine = [row for row in former if row.cause == MERGED and row.since == merge.at]
        told |= {(row.kind, row.source, row.value) for row in mine}
        called = f" ({', '.join(_name(row.kind, row.source, row.value) for row in mine)})" if mine else ""
        when = f"{merge.at:%Y-%m-%d %H:%M}Z"
        said.append(f"Merged with lead {merge.gone_id}{called} on {when} by {merge.by}, because {merge.cause}")
        ended = merge.detail.get("ended") or []
        said += [f"  its second passage of {slug} ended as merged" for slug in ended]
    return said + [
        f"Until {row.since:%Y-%m-%d %H:%M}Z it was {_name(row.kind, row.source, row.value)}"
        for row in former
        if (row.kind, row.source, row.value) not in told
    ]


def _name(kind: str, source: str, value: str) -> str:
    return value if kind == EMAIL else f"{source}:{value}"
