"""checks/*.yaml as models: leads, what happens, what is expected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from nurture.durations import parse_offset
from nurture.language.source import Written


def _start(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"'{value}' is not an instant; write 2026-03-02T09:00:00+02:00") from None
    if at.tzinfo is None:
        raise ValueError(f"'{value}' has no zone; write 2026-03-02T09:00:00+02:00")
    return at


def _moment(value: Any) -> datetime | timedelta:
    text = str(value)
    return parse_offset(text) if text.startswith("+") else _start(text)


Start = Annotated[datetime, BeforeValidator(_start)]
Moment = Annotated[datetime | timedelta, BeforeValidator(_moment)]


class Rejected(Written):
    """`handoff: {rejected: premature}`."""

    rejected: Literal["inaccurate_data", "not_persona", "premature", "duplicate"]


class Event(Written):
    """One thing that happens."""

    at: Moment
    lead: str | None = None
    event: str | None = None
    data: dict[str, Any] = {}
    clicks: str | None = None
    replies: str | None = None
    by: Literal["person", "machine"] = "person"
    unsubscribes: Literal[True] | None = None
    set: dict[str, Any] | None = None
    publish: str | None = None
    pause: str | None = None
    resume: str | None = None
    handoff: Literal["accepted"] | Rejected | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Event:
        kinds = ("event", "clicks", "replies", "unsubscribes", "set", "publish", "pause", "resume", "handoff")
        said = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(said) != 1:
            found = ", ".join(said) or "none"
            raise ValueError(f"an event says one thing, this says {found}; use one of {', '.join(kinds)}")
        if said[0] not in ("publish", "pause", "resume") and self.lead is None:
            raise ValueError("'lead' is missing; say who")
        return self


class ChangeOf(Written):
    """`audience: {add: name}`."""

    add: str | None = None
    remove: str | None = None


class ScoreRange(Written):
    """`score: {at_least: 39, under: 40}`."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    under: float | None = None

    def holds(self, score: float) -> bool:
        """Whether `score` is within every bound."""
        return (
            (self.at_least is None or score >= self.at_least)
            and (self.at_most is None or score <= self.at_most)
            and (self.above is None or score > self.above)
            and (self.under is None or score < self.under)
        )


class Expected(Written):
    """One expectation: what, of whom, and when if it matters."""

    at: Moment | None = None
    lead: str | None = None
    email: str | None = None
    language: str | None = None
    offer: str | None = None
    audience: ChangeOf | None = None
    handoff: str | None = None
    owner: str | None = None
    refused: str | None = None
    stage: str | None = None
    status: str | None = None
    score: float | ScoreRange | None = None
    left: str | None = None
    deferred: str | None = None
    suppressed: str | None = None
    reason: str | None = None
    never: Expected | None = None

    @property
    def kind(self) -> str:
        """Which expectation it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_thing(self) -> Expected:
        said = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(said) != 1:
            found = ", ".join(said) or "none"
            raise ValueError(f"an expectation says one thing, this says {found}; use one of {', '.join(_KINDS)}")
        if self.lead is None and self.never is None:
            raise ValueError("'lead' is missing; say who")
        if self.never is not None and self.never.kind in ("never", "score", "status"):
            raise ValueError(f"'never' with {self.never.kind}; expect the {self.never.kind} at an instant instead")
        return self


_KINDS = (
    "email", "offer", "audience", "handoff", "stage", "status", "score", "left", "deferred", "suppressed", "never",
)  # fmt: skip


class Check(Written):
    """One check."""

    check: str
    start: Start
    leads: list[dict[str, Any]] = Field(min_length=1)
    events: list[Event] = []
    until: Moment
    expect: list[Expected] = Field(min_length=1)

    def when(self, moment: datetime | timedelta) -> datetime:
        """A moment of this check as an instant."""
        return (self.start + moment if isinstance(moment, timedelta) else moment).astimezone(UTC)


__all__ = ["ChangeOf", "Check", "Event", "Expected", "Rejected", "ScoreRange"]
