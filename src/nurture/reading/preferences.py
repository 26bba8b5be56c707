"""What a lead has chosen in the preference centre, in sentences."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.program.models import ProgramFile
from nurture.program.topics import titles
from nurture.records import Event, Lead, Preference, RefusedTopic


def preferences(link: Connection, program: ProgramFile, lead: int, zone: str, now: datetime) -> list[str]:
    """A sentence for each choice that stands at `now`; none for a lead that chose nothing. `zone`: of its days."""
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
        local = f"{row.paused_until.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}".removesuffix(" 00:00")
        said.append(f"Prefers no messages before {local} ({zone}), {since}")
    said += _language(link, lead, now)
    refused = select(col(RefusedTopic.topic), col(RefusedTopic.at)).where(
        col(RefusedTopic.lead_id) == lead, col(RefusedTopic.at) <= now
    )
    for topic, at in link.execute(refused.order_by(col(RefusedTopic.topic))):
        title = f" ({known[topic]})" if topic in known else ", which program.yaml no longer has"
        said.append(f"Does not want to hear of '{topic}'{title}, since {at:%Y-%m-%d %H:%M}Z")
    return said


def _language(link: Connection, lead: int, now: datetime) -> list[str]:
    """The language that the lead chose there, if it is the lead's still."""
    told = select(col(Event.data), col(Event.occurred_at), col(Lead.language)).join(
        Lead, col(Lead.id) == col(Event.lead_id)
    )
    mine = (col(Event.lead_id) == lead) & (col(Event.name) == "preferences_changed") & (col(Event.occurred_at) <= now)
    for data, at, language in link.execute(told.where(mine).order_by(col(Event.occurred_at).desc())):
        if chosen := data.get("language"):
            name = Locale.parse("en").languages.get(chosen.split("-")[0], chosen)
            return [f"Prefers {name} ({chosen}), since {at:%Y-%m-%d %H:%M}Z"] if chosen == language else []
    return []
