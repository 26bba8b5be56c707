"""From a claimed touch to bytes: the lead's data, its language, its links; nothing is sent here."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select
from sqlmodel import col

from nurture.channels.audience import membership
from nurture.channels.base import Parcel
from nurture.engine.letters import Letters
from nurture.engine.live import Live
from nurture.engine.objecting import has_consent
from nurture.engine.running import Run
from nurture.engine.telling import calls, text_message
from nurture.language.words import BUILT_IN
from nurture.mail.dkim import Signer
from nurture.mail.faults import MessageFault
from nurture.mail.plain import PlainRenderer
from nurture.mail.render import Brand, preferences_url
from nurture.mail.skeletons import QuickRenderer
from nurture.mail.templates import Templates
from nurture.program.load import House, Segment
from nurture.program.questions import places
from nurture.records import Lead, Touch
from nurture.records.types import CLAIM
from nurture.steps import Audience, Sending, Sms, Webhook
from nurture.tokens import Keys


def brand_of(house: House) -> Brand:
    """Who writes."""
    program = house.program
    return Brand(program.name, program.sender.name, program.sender.address, program.address)


_COLUMNS = (*BUILT_IN, "stage", "status", "owner", "source")
_values = attrgetter(*_COLUMNS)
LEAD_COLUMNS = [col(getattr(Lead, name)) for name in (*_COLUMNS, "fields", "zone")]


def lead_data(row: Any, house: House) -> dict[str, Any]:
    """What a template may say of a lead: every declared field, None where it has nothing."""
    data, given = dict(zip(_COLUMNS, _values(row), strict=True)), row.fields
    for name, kind in house.program.fields.items():
        value = given.get(name)
        data[name] = _day(value) if kind == "date" else value
    return data


def _day(value: Any) -> Any:
    """A date is kept as text, and is a date in a template; text that is none (the kind was changed) is not known."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        return date.fromisoformat(value)
    return None


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

#: A row of it whose parts are read in a tenth of the time, and which goes to another process (`press`).
Claimed: Any = namedtuple("Claimed", _CLAIMED.selected_columns.keys())  # type: ignore[misc]
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

    def add(self, more: Made) -> None:
        """What came of others of the batch."""
        self.parcels |= more.parcels
        self.faults |= more.faults
        self.tracked |= more.tracked
        self.variants |= more.variants
        self.basis |= more.basis

    def outdated(self, run: Run) -> set[int]:
        """Those of the run's claimed touches whose lead has another address, number or consent by now."""
        known = self.basis
        return {
            touch for touch, email, phone, tracked in run(_NOW) if known.get(touch) != (email, phone, bool(tracked))
        }


def _basis(rows: Sequence[Any]) -> dict[int, tuple[Any, ...]]:
    return {row.touch: (row.email, row.phone, bool(row.tracked)) for row in rows}


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
    _renderers: dict[tuple[int, int], QuickRenderer] = field(default_factory=dict)
    _texts: dict[tuple[int, int], PlainRenderer] = field(default_factory=dict)

    def renderer(self, segment: Segment) -> QuickRenderer:
        """The renderer of this version's files."""
        key = (self.live.house.id, segment.id)
        if key not in self._renderers:
            templates = Templates({**self.live.house.files, **segment.files})
            house, answers = self.live.house, places(self.live.house.program.questions)
            self._renderers[key] = QuickRenderer(templates, brand_of(house), self.keys, self.public_url, answers)
        return self._renderers[key]

    def letters(self, segment: Segment, step: Sending, now: datetime) -> Letters:
        """What writes the letters of `step` now."""
        return Letters(
            self.live.house, segment, step, now, self.renderer(segment), self.keys, self.signer, self.bounces,
            self.services,
        )  # fmt: skip

    def texts(self, segment: Segment) -> PlainRenderer:
        """The same for text messages."""
        key = (self.live.house.id, segment.id)
        if key not in self._texts:
            files = {**self.live.house.files, **segment.files}
            self._texts[key] = PlainRenderer(files, brand_of(self.live.house))
        return self._texts[key]

    def make(self, link: Connection, segment: Segment, step: Sending, owner: str, now: datetime) -> Made:
        """The parcels of what `owner` has claimed; a touch without an address has none."""
        rows = self.claimed(link, owner, now)
        if not isinstance(step, Webhook):
            return self.write(segment, step, rows, now)
        made, leads = Made(basis=_basis(rows)), {row.touch: lead_data(row, self.live.house) for row in rows}
        made.parcels = calls(Run(link, self.live, now, owner), segment, step, leads)
        return made

    def claimed(self, link: Connection, owner: str, now: datetime) -> list[Any]:
        """What `owner` has claimed, with what is known of the leads."""
        return [Claimed._make(row) for row in Run(link, self.live, now, owner)(_CLAIMED)]

    def write(self, segment: Segment, step: Sending, rows: Sequence[Any], now: datetime) -> Made:
        """The parcels of those rows; nothing else is read for them."""
        made = Made(basis=_basis(rows))
        letters: Letters | None = None
        for row in rows:
            try:
                if isinstance(step, Sms):
                    self._text(made, row, segment, step, now)
                elif row.email is None:
                    continue
                elif isinstance(step, Audience):
                    made.parcels[row.touch] = self._member(row, step)
                else:
                    lead, letters = lead_data(row, self.live.house), letters or self.letters(segment, step, now)
                    made.parcels[row.touch], made.variants[row.touch] = letters.write(row, lead)
                    if row.tracked:
                        made.tracked.add(row.touch)
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
