"""What a lead has chosen in the preference centre, in sentences."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.program.models import ProgramFile
from nurture.program.topics import titles
from nurture.records import Preference, RefusedTopic


def preferences(link: Connection, program: ProgramFile, lead: int, now: datetime) -> list[str]:
    """A sentence for each choice that stands at `now`; none for a lead that chose nothing."""
    said = []
    known = titles(program.topics, "en", program.language)
    columns = (col(Preference.every_days), col(Preference.paused_until), col(Preference.changed_at))
    mine = select(*columns).where(col(Preference.lead_id) == lead, col(Preference.changed_at) <= now)
    row = link.execute(mine).one_or_none()
    if row is not None and row.every_days is not None:
        days = "day" if row.every_days == 1 else f"{row.every_days} days"
        said.append(f"Prefers at most one message every {days}, since {row.changed_at:%Y-%m-%d %H:%M}Z")
    if row is not None and row.paused_until is not None and row.paused_until > now:
        since = f"since {row.changed_at:%Y-%m-%d %H:%M}Z"
        said.append(f"Prefers no messages before {row.paused_until:%Y-%m-%d %H:%M}Z, {since}")
    refused = select(col(RefusedTopic.topic), col(RefusedTopic.at)).where(
        col(RefusedTopic.lead_id) == lead, col(RefusedTopic.at) <= now
    )
    for topic, at in link.execute(refused.order_by(col(RefusedTopic.topic))):
        title = f" ({known[topic]})" if topic in known else ", which program.yaml no longer has"
        said.append(f"Does not want to hear of '{topic}'{title}, since {at:%Y-%m-%d %H:%M}Z")
    return said
