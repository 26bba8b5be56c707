"""The preference centre: what a lead chooses, in one transaction with all that follows from it.

The permit reads it under the same lead's lock (`wishes.py`), so no message begins against a choice that was answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlmodel import col

from nurture import clock
from nurture.dialects import upsert
from nurture.engine import consents
from nurture.engine.doors import add_event, lock_lead, settle_one
from nurture.engine.enrolling import suppressed
from nurture.engine.live import Live
from nurture.engine.objecting import has_consent
from nurture.engine.running import Run
from nurture.engine.suppressing import barred, lift
from nurture.folding import fold
from nurture.records import Consent, Lead, Preference, RefusedTopic, Touch

#: What puts a touch off until a lead wants it.
PUT_OFF = ("pause", "pace")
#: How the preference centre is called in consents, suppressions and events.
SOURCE = "preference centre"
#: Paces that the page offers: days from one message to the next.
PACES = (7, 30)


@dataclass(frozen=True)
class Chosen:
    """What a lead has chosen, as it stands."""

    #: Days between two marketing messages at least; None: as they come.
    every_days: int | None = None
    #: No marketing before then; None: no pause, or one that is over.
    paused_until: datetime | None = None
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wish:
    """What a lead asks for now; what it does not speak of stays as it was."""

    #: Topic to whether it is wanted.
    topics: Mapping[str, bool] = field(default_factory=dict)
    #: 0: as they come.
    every_days: int | None = None
    #: An instant that is over lifts the pause.
    paused_until: datetime | None = None
    #: A tag such as `ar`.
    language: str | None = None


@dataclass(frozen=True)
class Standing:
    """Whether a lead hears from us, and may be followed."""

    #: Marketing may go to it: it has a basis, and is not on the suppression list.
    subscribed: bool
    #: Its own word cannot bring it back: bounced, complained, erased, a whole domain.
    barred: bool
    #: The consent to tracking that stands, since when; None: there is none.
    tracking_since: datetime | None


def chosen(link: Connection, lead: int, now: datetime) -> Chosen:
    """What `lead` has chosen, as of `now`."""
    columns = (col(Preference.every_days), col(Preference.paused_until))
    row = link.execute(select(*columns).where(col(Preference.lead_id) == lead)).one_or_none()
    refused = link.execute(select(col(RefusedTopic.topic)).where(col(RefusedTopic.lead_id) == lead)).scalars()
    days, until = (None, None) if row is None else row
    return Chosen(days, until if until is not None and until > now else None, frozenset(refused))


def standing(run: Run, lead: int, address: str) -> Standing:
    """Whether `lead` hears from us at `address`."""
    query = select(has_consent("mail"), has_consent("tracking"), suppressed()).where(col(Lead.id) == lead)
    mail, tracking, listed = run(query).one()
    gone = barred(run.link, lead, address)
    latest = select(col(Consent.given_at)).where(
        col(Consent.lead_id) == lead, col(Consent.purpose) == "tracking", col(Consent.withdrawn_at).is_(None)
    )
    since = run.link.execute(latest.order_by(col(Consent.given_at).desc()).limit(1)).scalar() if tracking else None
    return Standing(bool(mail) and not listed and not gone, gone, since)


def choose(link: Connection, live: Live, lead: int, wish: Wish, now: datetime, *, touch: int | None = None) -> Chosen:
    """Keep what `lead` asks for; what stands then. `touch`: the letter by whose link it came.

    Messages that waited for its pause or its pace are judged afresh; none of them is late for having waited.
    """
    lock_lead(link, lead, now)
    before = chosen(link, lead, now)
    days = before.every_days if wish.every_days is None else wish.every_days or None
    until = before.paused_until if wish.paused_until is None else wish.paused_until
    until = until if until is not None and until > now else None
    refused = (before.refused - wish.topics.keys()) | {topic for topic, wanted in wish.topics.items() if not wanted}
    after = Chosen(days, until, frozenset(refused))
    said = _differences(before, after)
    if wish.language is not None and _speak(link, lead, wish.language, now):
        said["language"] = wish.language
    if after != before:
        _write(link, lead, before, after, now)
    if (after.every_days, after.paused_until) != (before.every_days, before.paused_until):
        waits = (col(Touch.lead_id) == lead) & (col(Touch.state) == "planned") & col(Touch.reason).in_(PUT_OFF)
        link.execute(update(Touch).where(waits).values(reason=None, next_at=now, allowed_at=now))
    if said:
        add_event(
            link, lead, "preferences_changed", now, source=SOURCE, key=clock.unguessable(), data=said, touch=touch
        )
    settle_one(link, live, lead, now)
    return after


def _differences(before: Chosen, after: Chosen) -> dict[str, Any]:
    """What changed, as the event says it."""
    said: dict[str, Any] = {}
    if after.refused != before.refused:
        said["refused"] = sorted(after.refused)
    if after.every_days != before.every_days:
        said["every_days"] = after.every_days
    if after.paused_until != before.paused_until:
        said["paused_until"] = after.paused_until.isoformat() if after.paused_until else None
    return said


def _write(link: Connection, lead: int, before: Chosen, after: Chosen, now: datetime) -> None:
    """The rows; a lead that wants nothing particular has none."""
    wanted_again = before.refused - after.refused
    if wanted_again:
        mine = (col(RefusedTopic.lead_id) == lead) & col(RefusedTopic.topic).in_(wanted_again)
        link.execute(delete(RefusedTopic).where(mine))
    rows = [{"lead_id": lead, "topic": topic, "at": now} for topic in sorted(after.refused - before.refused)]
    if rows:
        link.execute(upsert(link)(RefusedTopic).on_conflict_do_nothing(), rows)
    if after.every_days is None and after.paused_until is None:
        link.execute(delete(Preference).where(col(Preference.lead_id) == lead))
        return
    values = {"every_days": after.every_days, "paused_until": after.paused_until, "changed_at": now}
    insert = upsert(link)(Preference).values(lead_id=lead, **values)
    link.execute(insert.on_conflict_do_update(index_elements=["lead_id"], set_=values))


def _speak(link: Connection, lead: int, language: str, now: datetime) -> bool:
    """Write to the lead in `language` from now on; False when it is so already."""
    mine = col(Lead.id) == lead
    row = link.execute(select(col(Lead.language), col(Lead.folded)).where(mine)).one()
    if row.language == language:
        return False
    shadow = {**row.folded, "language": fold(language)}
    link.execute(update(Lead).where(mine).values(language=language, folded=shadow, changed_at=now))
    return True


def subscribe_again(
    link: Connection, live: Live, lead: int, address: str, now: datetime, *, wording: str,
    evidence: Mapping[str, Any], touch: int | None = None,
) -> bool:  # fmt: skip
    """A new consent to mail because the mailbox of `address` asks for it; False where its word cannot bring it back.

    The lead and that address leave the suppression list where they stand on it as unsubscribed, never for a bounce or a
    complaint. The link was sent to this mailbox alone, so its word is the mailbox's own. What ended stays ended.
    """
    lock_lead(link, lead, now)
    if barred(link, lead, address):
        return False
    lift(link, lead, address)
    until = live.house.program.consents.end("consent", now)
    consents.give(
        link, lead, "mail", "consent", source=SOURCE, now=now, wording=wording, evidence=evidence, expires_at=until,
        confirmed_at=now,
    )  # fmt: skip
    data = {"purposes": ["mail"], "source": SOURCE}
    add_event(link, lead, "consent_confirmed", now, source=SOURCE, key=clock.unguessable(), data=data, touch=touch)
    settle_one(link, live, lead, now)
    return True
