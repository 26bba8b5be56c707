"""What a check expects: the models of `expect:`, and the moments and bounds that checks are written with."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from nurture.durations import parse_offset
from nurture.language.schema import INSTANT, MOMENT
from nurture.language.source import Written


def _start(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"'{value}' is not an instant; write 2026-03-02T09:00:00+02:00") from None
    if at.tzinfo is None:
        raise ValueError(f"'{value}' has no zone; write 2026-03-02T09:00:00+02:00")
    return at


def read_moment(value: Any) -> datetime | timedelta:
    """An instant, or so long after the start. Raises ValueError."""
    text = str(value)
    if text.startswith("+"):
        return parse_offset(text)
    if re.fullmatch(r"\d+[smhdw]", text):
        raise ValueError(f"'{text}' has no sign; write it as '+{text}'")
    return _start(text)


def shape(value: Any) -> str:
    return "mapping" if isinstance(value, dict | Written) else "list" if isinstance(value, list) else "word"


Start = Annotated[datetime, BeforeValidator(_start), WithJsonSchema(INSTANT)]
Moment = Annotated[datetime | timedelta, BeforeValidator(read_moment), WithJsonSchema(MOMENT)]
ONE_SHAPE = Discriminator(shape)


class Span(Written):
    """`{from: +1d, until: +3d}`; the end is not included."""

    begins: Moment = Field(alias="from")
    until: Moment


class ChangeOf(Written):
    """`audience: {add: name}`."""

    add: str | None = None
    remove: str | None = None


class Bounds(Written):
    """`{at_least: 39, under: 40}`."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    under: float | None = None

    def holds(self, number: float) -> bool:
        """Whether `number` is within every bound."""
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.at_most is None or number <= self.at_most)
            and (self.above is None or number > self.above)
            and (self.under is None or number < self.under)
        )


#: What a moment belongs to, and what only a look at an instant tells.
MATCHES = (
    "email", "offer", "sms", "webhook", "task", "audience", "handoff", "milestone", "enrolled", "not_enrolled", "left",
    "deferred", "suppressed", "expired", "failed", "uncertain", "cancelled",
)  # fmt: skip
STATES = ("stage", "status", "score", "fit", "tags", "field", "stands")
#: What of a message may be expected, and of which kinds of expectation each detail speaks.
_LETTER, _MESSAGE = ("email", "offer"), ("email", "offer", "sms")
_DETAILS = {
    "subject": _LETTER, "links_to": _LETTER, "sender": _LETTER, "reply_to": _LETTER,
    "contains": (*_MESSAGE, "webhook", "task"),
    "arm": (*_MESSAGE, "failed", "suppressed", "expired", "cancelled"), "rotation": ("enrolled", "left"),
    "outcome": ("milestone",), "due": ("stands", "deferred"),
}  # fmt: skip


class Expected(Written):
    """One expectation: what, of whom, and when if it matters."""

    at: Moment | None = None
    by: Moment | None = None
    within: Span | None = None
    lead: str | None = None
    count: Annotated[Annotated[int, Tag("word")] | Annotated[Bounds, Tag("mapping")], ONE_SHAPE] | None = None
    email: str | None = None
    offer: str | None = None
    sms: str | None = None
    webhook: str | None = None
    task: str | None = None
    audience: ChangeOf | None = None
    handoff: str | None = None
    milestone: str | None = None
    enrolled: str | None = None
    not_enrolled: str | None = None
    left: str | None = None
    deferred: str | None = None
    suppressed: str | None = None
    expired: str | None = None
    failed: str | None = None
    uncertain: str | None = None
    cancelled: str | None = None
    stage: str | None = None
    status: str | None = None
    score: int | float | Bounds | None = None
    fit: str | None = None
    tags: Annotated[Annotated[str, Tag("word")] | Annotated[list[str], Tag("list")], ONE_SHAPE] | None = None
    field: dict[str, Any] | None = None
    stands: str | None = None
    never: Expected | None = None
    language: str | None = None
    owner: str | None = None
    refused: str | None = None
    reason: str | None = None
    rotation: int | None = None
    outcome: Literal["noted", "handed_off", "evidence", "refused"] | None = None
    due: Moment | None = None
    subject: str | None = None
    contains: str | None = None
    links_to: str | None = None
    sender: str | None = None
    reply_to: str | None = None
    arm: str | None = None

    @property
    def kind(self) -> str:
        """Which expectation it is."""
        return self._said()[0]

    def _said(self) -> list[str]:
        """`stands: null` says something: that the lead stands nowhere."""
        given = self.model_fields_set
        return [k for k in _KINDS if getattr(self, k) is not None or (k == "stands" and k in given)]

    @model_validator(mode="after")
    def _one_thing(self) -> Expected:
        said = self._said()
        if len(said) != 1:
            found = ", ".join(said) or "none"
            raise ValueError(f"an expectation says one thing, this says {found}; use one of {', '.join(_KINDS)}")
        if self.lead is None and self.never is None and self.count is None:
            raise ValueError("'lead' is missing; say who, or 'count:' how many")
        times = [word for word in ("at", "by", "within") if getattr(self, word) is not None]
        if len(times) > 1:
            raise ValueError(f"this says {' and '.join(times)}; one of them is enough")
        for detail, kinds in _DETAILS.items():
            if getattr(self, detail) is not None and said[0] not in kinds:
                raise ValueError(f"'{detail}' says nothing of {said[0]}; it goes with {', '.join(kinds)}")
        if said[0] in STATES and (self.by is not None or self.within is not None):
            raise ValueError(f"{said[0]} is looked at in one instant; write at:")
        inner = self.never
        if inner is not None and inner.count is not None:
            raise ValueError("'never' with count; write how many there may be, as count: 0")
        if inner is not None and inner.kind in _TIMELESS and inner.at is None:
            raise ValueError(f"'never' with {inner.kind}; expect the {inner.kind} at an instant instead")
        return self


#: Known for the instants that were looked at alone.
_TIMELESS = ("never", *(kind for kind in STATES if kind not in ("stage", "stands")))
_KINDS = (*MATCHES, *STATES, "never")
