"""From a claimed touch to bytes: the lead's data, its language, its links; nothing is sent here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.channels.audience import membership
from nurture.channels.base import Parcel
from nurture.engine.live import Live
from nurture.engine.objecting import has_consent
from nurture.engine.running import Run
from nurture.engine.telling import calls, text_message
from nurture.language.words import BUILT_IN
from nurture.mail.addresses import ascii_domain, one_address
from nurture.mail.compose import compose
from nurture.mail.dkim import Signer
from nurture.mail.echo import echoes
from nurture.mail.faults import MessageFault
from nurture.mail.plain import PlainRenderer
from nurture.mail.render import Brand, Renderer, RenderJob, preferences_url
from nurture.mail.skeletons import QuickRenderer
from nurture.mail.templates import Templates
from nurture.mail.verp import bounce_address, unsubscribe_address
from nurture.program.letters import voice
from nurture.program.load import House, Segment
from nurture.program.questions import places
from nurture.program.utm import tags
from nurture.records import Lead, Touch
from nurture.records.types import CLAIM
from nurture.steps import Audience, Email, Offer, Sending, Sms, Webhook
from nurture.tokens import Keys


def brand_of(house: House) -> Brand:
    """Who writes."""
    program = house.program
    return Brand(program.name, program.sender.name, program.sender.address, program.address)


def lead_data(row: Any, house: House) -> dict[str, Any]:
    """What a template may say of a lead: every declared field, None where it has nothing."""
    mapping = row._mapping
    known = {name: mapping[name] for name in (*BUILT_IN, "stage", "status", "owner", "source")}
    return {**known, **{name: _typed(kind, mapping["fields"].get(name)) for name, kind in house.program.fields.items()}}


def _typed(kind: str, value: Any) -> Any:
    """A date is kept as text, and is a date in a template; text that is none (the kind was changed) is not known."""
    if kind != "date" or not isinstance(value, str):
        return value
    with suppress(ValueError):
        return date.fromisoformat(value)
    return None


LEAD_COLUMNS = [
    col(getattr(Lead, name)) for name in (*BUILT_IN, "stage", "status", "owner", "source", "fields", "zone")
]


_CLAIMED = (
    select(
        col(Touch.id).label("touch"),
        col(Touch.content),
        col(Touch.arm),
        has_consent("tracking").label("tracked"),
        *LEAD_COLUMNS,
    )
    .join_from(Touch, Lead, col(Lead.id) == col(Touch.lead_id))
    .where(col(Touch.lease_owner) == CLAIM, col(Touch.state) == "claimed")
    .order_by(col(Touch.id))
)


_NOW: Any = (
    select(col(Touch.id).label("touch"), col(Lead.email), col(Lead.phone), has_consent("tracking").label("tracked"))
    .join_from(Touch, Lead, col(Lead.id) == col(Touch.lead_id))
    .where(col(Touch.lease_owner) == CLAIM, col(Touch.state) == "claimed")
)


@dataclass
class Made:
    """What came of a batch, by touch: parcels, what made one impossible, and whose links are tracked."""

    parcels: dict[int, Parcel] = field(default_factory=dict)
    faults: dict[int, MessageFault] = field(default_factory=dict)
    tracked: set[int] = field(default_factory=set)
    variants: dict[int, str] = field(default_factory=dict)
    #: The address, the number and the consent to tracking that each was made for.
    basis: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def outdated(self, run: Run) -> set[int]:
        """Those of the run's claimed touches whose lead has another address, number or consent by now."""
        return {row.touch for row in run(_NOW) if self.basis.get(row.touch) != _basis(row)}


def _basis(row: Any) -> tuple[Any, ...]:
    return row.email, row.phone, bool(row.tracked)


@dataclass
class Maker:
    """Makes the parcels of a batch; keeps one renderer per version."""

    live: Live
    keys: Keys
    public_url: str
    signer: Signer | None = None
    #: NURTURE_BOUNCE_ADDRESS; None: bounces go to the sender.
    bounces: str | None = None
    #: Services that report by web hook, each given the token that it says again.
    services: Sequence[str] = ()
    _renderers: dict[tuple[int, int], Renderer] = field(default_factory=dict)
    _texts: dict[tuple[int, int], PlainRenderer] = field(default_factory=dict)

    def renderer(self, segment: Segment) -> Renderer:
        """The renderer of this version's files."""
        key = (self.live.house.id, segment.id)
        if key not in self._renderers:
            templates = Templates({**self.live.house.files, **segment.files})
            house, answers = self.live.house, places(self.live.house.program.questions)
            self._renderers[key] = QuickRenderer(templates, brand_of(house), self.keys, self.public_url, answers)
        return self._renderers[key]

    def texts(self, segment: Segment) -> PlainRenderer:
        """The same for text messages."""
        key = (self.live.house.id, segment.id)
        if key not in self._texts:
            files = {**self.live.house.files, **segment.files}
            self._texts[key] = PlainRenderer(files, brand_of(self.live.house))
        return self._texts[key]

    def make(self, link: Connection, segment: Segment, step: Sending, owner: str, now: datetime) -> Made:
        """The parcels of what `owner` has claimed; a touch without an address has none."""
        made, run = Made(), Run(link, self.live, now, owner)
        rows = run(_CLAIMED).all()
        made.basis = {row.touch: _basis(row) for row in rows}
        if isinstance(step, Webhook):
            made.parcels = calls(run, segment, step, {row.touch: lead_data(row, self.live.house) for row in rows})
            return made
        for row in rows:
            try:
                if isinstance(step, Sms):
                    self._text(made, row, segment, step, now)
                elif row.email is None:
                    continue
                elif isinstance(step, Audience):
                    made.parcels[row.touch] = self._member(row, step)
                else:
                    made.parcels[row.touch], made.variants[row.touch] = self._letter(row, segment, step, now)
                    made.tracked |= {row.touch} if row.tracked else set()
            except MessageFault as fault:
                made.faults[row.touch] = fault
        return made

    def _text(self, made: Made, row: Any, segment: Segment, step: Sms, now: datetime) -> None:
        house, renderer = self.live.house, self.texts(segment)
        url = self.public_url.rstrip("/")
        away = f"{url}/u/{self.keys.seal('unsubscribe', row.touch)}"
        doors = {"unsubscribe_url": away, "preferences_url": preferences_url(url, self.keys, row.touch)}
        local = now.astimezone(ZoneInfo(row.zone or house.program.zone))
        text = text_message(renderer, house, segment, step, row, lead_data(row, house), doors, local)
        if text is not None:
            made.parcels[row.touch], made.variants[row.touch] = text

    def _member(self, row: Any, step: Audience) -> Parcel:
        wish = {step.audience.verb: [row.email]}
        payload = membership(step.audience.name, **wish)
        return Parcel(row.touch, f"touch-{row.touch}", "", step.audience.name, payload)

    def _letter(self, row: Any, segment: Segment, step: Sending, now: datetime) -> tuple[Parcel, str]:
        program = self.live.house.program
        offer = self.live.house.piece(row.content) if isinstance(step, Offer) else None
        message = f"{segment.slug}/{step.letter(row.arm)}" if isinstance(step, Email) else ""
        if isinstance(step, Offer):
            message = step.message if step.message.startswith("_shared/") else f"{segment.slug}/{step.message}"
        local = now.astimezone(ZoneInfo(row.zone or program.zone))
        renderer = self.renderer(segment)
        who = voice(program, segment.spec, row.owner)
        rendered = renderer.render(
            RenderJob(
                message=message,
                language=row.language or "",
                fallback=program.language,
                lead=lead_data(row, self.live.house),
                touch_id=row.touch,
                tracked=bool(row.tracked),
                offer=offer,
                today=local.date(),
                operational=step.purpose() == "operational",
                tags=tags(program.utm, segment.spec.utm, program.name, segment.slug, step.id),
                sender=(who.name, who.address),
                opens=program.tracking.opens == "on",
            )
        )
        domain, house = ascii_domain(who.address), ascii_domain(program.sender.address)
        # Where bounces have no address of their own they go to the program's sender, not to a colleague of its domain:
        # receivers compare the envelope's domain with that of From (DMARC, RFC 7489 section 3.1).
        sender = one_address(program.sender.address if domain == house else who.address, "From")
        message_id, by_mail = self.keys.message_id(row.touch, domain), None
        if self.bounces is not None:
            sender = bounce_address(self.bounces, self.keys, row.touch)
            by_mail = unsubscribe_address(self.bounces, self.keys, row.touch)
        payload = compose(
            rendered,
            from_name=who.name,
            from_address=who.address,
            to=row.email,
            reply_to=who.reply_to,
            message_id=message_id,
            date=now,
            list_id=f"{segment.slug}.{house}",  # the same for each of its letters (RFC 2919 section 3)
            unsubscribe_url=f"{renderer.public_url}/u/{self.keys.seal('unsubscribe', row.touch)}",
            unsubscribe_to=by_mail,
            signer=self.signer,
            echoes=echoes(self.services, self.keys.seal_for_address("bounce", row.touch)) if self.services else (),
        )
        return Parcel(row.touch, message_id, sender, one_address(row.email), payload), rendered.variant
