"""Parcels that are no letters: text messages to leads, and what other systems are told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select
from sqlmodel import col

from nurture.channels.base import Parcel, Receipt
from nurture.channels.webhook import notification
from nurture.dialects import upsert
from nurture.engine.recording import ENDED
from nurture.engine.running import Run
from nurture.language.scores import score
from nurture.language.words import GRADE_OF
from nurture.mail.faults import TemplateFault
from nurture.mail.plain import PlainRenderer
from nurture.mail.segments import length
from nurture.program.letters import voice
from nurture.program.load import House, Segment
from nurture.records import Lead, Suppression, Touch, WebhookBody
from nurture.records.types import CLAIM
from nurture.steps import Sms, Webhook
from nurture.steps.sms import e164

_LETTER_OF = {thirds: letter for letter, thirds in GRADE_OF.items()}
_TOLD: Any = (
    select(
        col(Touch.id).label("touch"), col(Touch.due_at), score().label("score"), col(Lead.fit), col(WebhookBody.body)
    )
    .join_from(Touch, Lead, col(Lead.id) == col(Touch.lead_id))
    .outerjoin(WebhookBody, col(WebhookBody.touch_id) == col(Touch.id))
    .where(col(Touch.lease_owner) == CLAIM, col(Touch.state) == "claimed")
)  # fmt: skip
_TO_BE_SAID = select(1).where(col(Touch.id) == col(WebhookBody.touch_id), col(Touch.state).not_in(ENDED)).exists()


def text_message(
    renderer: PlainRenderer, house: House, segment: Segment, step: Sms, row: Any, lead: Mapping[str, Any],
    doors: Mapping[str, str], now: datetime,
) -> tuple[Parcel, str] | None:  # fmt: skip
    """A lead's text message and its variant; None: there is no number. Raises TemplateFault, also for a long text.

    `doors`: where the lead unsubscribes and chooses, by the names that templates have for it.
    """
    phone = e164(row.phone)
    if phone is None:
        return None
    who = voice(house.program, segment.spec, row.owner)
    names = {
        "lead": dict(lead), "sender": {"name": who.name, "address": who.address}, **doors,
        "today": now.date(),
    }  # fmt: skip
    made = renderer.render(f"{segment.slug}/{step.sms}", row.language or "", house.program.language, names)
    long, most = length(made.text), house.program.sms.longest
    if long.segments > most:
        raise TemplateFault(made.variant, 1, f"the text takes {long}, and sms: {{longest: {most}}} allows {most}")
    return Parcel(row.touch, f"touch-{row.touch}", "", phone, made.text.encode()), made.variant


def calls(run: Run, segment: Segment, step: Webhook, leads: Mapping[int, Mapping[str, Any]]) -> dict[int, Parcel]:
    """The call for each claimed touch; one that was tried before says again what it said then."""
    house = run.live.house
    endpoint = house.program.webhooks.get(step.webhook)
    fields = [] if endpoint is None else endpoint.fields
    found = {}
    for row in run(_TOLD):
        known = {**leads[row.touch], "score": row.score, "fit": _LETTER_OF.get(row.fit)}
        told = {name: known.get(name) for name in fields}
        body = row.body or notification(row.due_at, segment.slug, step.id, told, step.data).decode()
        found[row.touch] = Parcel(row.touch, f"touch-{row.touch}", "", step.webhook, body.encode())
    return found


def keep_bodies(link: Connection, parcels: list[Parcel]) -> None:
    """Keep what is about to be said for the first time."""
    rows = [{"touch_id": parcel.touch_id, "body": parcel.payload.decode()} for parcel in parcels]
    if rows:
        link.execute(upsert(link)(WebhookBody).on_conflict_do_nothing(), rows)


def drop_bodies(link: Connection, touches: Sequence[int]) -> None:
    """Forget what was said for those of these touches that have ended."""
    _forget(link, col(WebhookBody.touch_id).in_(touches))


def sweep_bodies(link: Connection) -> None:
    """Forget what need not be said again of touches that ended elsewhere, or that are no more."""
    _forget(link)


def _forget(link: Connection, *which: ColumnElement[bool]) -> None:
    link.execute(delete(WebhookBody).where(*which, ~_TO_BE_SAID).execution_options(synchronize_session=False))


def silence(link: Connection, channel: str, receipts: Sequence[Receipt], now: datetime) -> None:
    """Nothing more goes to a phone of which the other side says so."""
    said = {receipt.touch_id: receipt.silence for receipt in receipts if receipt.silence}
    if not said:
        return
    phones = select(col(Touch.id), col(Touch.address)).where(col(Touch.id).in_(said))
    rows = [
        {"kind": "phone", "value": phone, "reason": said[touch or 0], "source": channel, "at": now}
        for touch, phone in link.execute(phones)
        if phone
    ]
    if rows:
        link.execute(upsert(link)(Suppression).on_conflict_do_nothing(), rows)
