"""The letters of one batch: what they share is worked out once, for each lead only what is its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from nurture.channels.base import Parcel
from nurture.mail.addresses import ascii_domain, one_address
from nurture.mail.compose import compose
from nurture.mail.dkim import Signer
from nurture.mail.echo import echoes
from nurture.mail.render import RenderJob
from nurture.mail.seals import Sealer
from nurture.mail.skeletons import Kind, QuickRenderer
from nurture.mail.verp import bounce_address, unsubscribe_address
from nurture.program.letters import Voice, voice
from nurture.program.load import House, Segment
from nurture.program.utm import tags
from nurture.steps import Email, Offer, Sending
from nurture.tokens import Keys


@dataclass(frozen=True)
class _Hand:
    """Who writes: the voice, the domain of its Message-IDs, where bounces go that have no address of their own, and
    the name of the list, the same for each letter of a segment (RFC 2919 section 3).
    """

    voice: Voice
    domain: str
    envelope: str
    list_id: str


@dataclass(frozen=True)
class _Manner:
    """What leads share who are written to alike: who writes, the letter without a lead, and what is known of it."""

    hand: _Hand
    job: RenderJob
    kind: Kind


@dataclass
class Letters:
    """Writes the letters of `step` at the instant `now`."""

    house: House
    segment: Segment
    step: Sending
    now: datetime
    renderer: QuickRenderer
    keys: Keys
    signer: Signer | None = None
    #: NURTURE_BOUNCE_ADDRESS; None: bounces go to the sender.
    bounces: str | None = None
    #: Services that report by web hook, each given the token that it says again.
    services: Sequence[str] = ()
    _manners: dict[tuple[Any, ...], _Manner] = field(default_factory=dict)
    _hands: dict[str | None, _Hand] = field(default_factory=dict)
    _days: dict[str, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program, slug, step = self.house.program, self.segment.slug, self.step
        self._tags = tags(program.utm, self.segment.spec.utm, program.name, slug, step.id)
        self._operational = step.purpose() == "operational"

    def write(self, row: Any, lead: Mapping[str, Any]) -> tuple[Parcel, str]:
        """One lead's letter and the file it was made of. Raises MessageFault.

        `row`: what was read of touch and lead; `lead`: what templates may say of it.
        """
        alike = (row.arm, row.language, row.tracked, row.content, row.zone, row.owner)
        if (manner := self._manners.get(alike)) is None:
            manner = self._manners[alike] = self._manner(row)
        touch, hand, seal = row.touch, manner.hand, Sealer(self.keys, row.touch)
        rendered = self.renderer.render_for(manner.kind, manner.job, lead, seal)
        sender, by_mail, message_id = hand.envelope, None, self.keys.message_id(touch, hand.domain)
        if self.bounces is not None:
            sender = bounce_address(self.bounces, self.keys, touch)
            by_mail = unsubscribe_address(self.bounces, self.keys, touch)
        payload = compose(
            rendered,
            from_name=hand.voice.name,
            from_address=hand.voice.address,
            to=row.email,
            reply_to=hand.voice.reply_to,
            message_id=message_id,
            date=self.now,
            list_id=hand.list_id,
            unsubscribe_url=f"{self.renderer.public_url}/u/{seal('unsubscribe')}",
            unsubscribe_to=by_mail,
            signer=self.signer,
            echoes=echoes(self.services, self.keys.seal_for_address("bounce", touch)) if self.services else (),
        )
        return Parcel(touch, message_id, sender, one_address(row.email), payload), rendered.variant

    def _manner(self, row: Any) -> _Manner:
        """How the letter of this lead is written. Raises MessageFault."""
        hand, step = self._hand(row.owner), self.step
        job = RenderJob(
            message=self._message(row.arm),
            language=row.language or "",
            fallback=self.house.program.language,
            lead={},
            touch_id=0,
            tracked=bool(row.tracked),
            offer=self.house.piece(row.content) if isinstance(step, Offer) else None,
            today=self._day(row.zone or self.house.program.zone),
            operational=self._operational,
            tags=self._tags,
            sender=(hand.voice.name, hand.voice.address),
            opens=self.house.program.tracking.opens == "on",
        )
        return _Manner(hand, job, self.renderer.kind(job))

    def _message(self, arm: str | None) -> str:
        """The template, relative to the templates' folder."""
        if isinstance(self.step, Email):
            return f"{self.segment.slug}/{self.step.letter(arm)}"
        if not isinstance(self.step, Offer):
            return ""
        return (
            self.step.message
            if self.step.message.startswith("_shared/")
            else f"{self.segment.slug}/{self.step.message}"
        )

    def _hand(self, owner: str | None) -> _Hand:
        if (hand := self._hands.get(owner)) is None:
            program = self.house.program
            who = voice(program, self.segment.spec, owner)
            domain, house = ascii_domain(who.address), ascii_domain(program.sender.address)
            # Bounces go to the program's sender, not to a colleague of its domain: receivers compare the envelope's
            # domain with that of From (DMARC, RFC 7489 section 3.1).
            envelope = one_address(program.sender.address if domain == house else who.address, "From")
            hand = self._hands[owner] = _Hand(who, domain, envelope, f"{self.segment.slug}.{house}")
        return hand

    def _day(self, zone: str) -> date:
        """The day that it is in `zone`."""
        if (day := self._days.get(zone)) is None:
            day = self._days[zone] = self.now.astimezone(ZoneInfo(zone)).date()
        return day
