"""What every way out promises."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

#: accepted     the other side took it
#: refused      it will not take this one, now or later
#: try_later    it certainly did not take it this time
#: unknown      it may have taken it: nobody can say (mail and sms; what carries a key may simply be repeated)
#: not_started  nothing of it left this house: stopped, or the way out is down
Verdict = Literal["accepted", "refused", "try_later", "unknown", "not_started"]

_DETAIL = 200


@dataclass(frozen=True)
class Parcel:
    """One thing to deliver, ready to leave."""

    touch_id: int
    #: Idempotency key: the same on every attempt.
    key: str
    #: Mail: the envelope's sender. Others: empty.
    sender: str
    #: Mail: one address as it goes into the envelope. Sms: the phone (E.164). Audience, webhook: its name.
    to: str
    payload: bytes

    @cached_property
    def sha256(self) -> str:
        """Of the payload, in hexadecimal: what the touch keeps of what was sent."""
        return hashlib.sha256(self.payload).hexdigest()


@dataclass(frozen=True)
class Receipt:
    """What became of a parcel. `detail`: phase, code and text of the answer in one line of 200 characters."""

    touch_id: int
    verdict: Verdict
    detail: str
    #: Seconds that the other side asks us to wait before the next try.
    wait: float | None = None
    #: Why nothing more may go to this address, if the other side said so: unsubscribed.
    silence: str | None = None


class Journal(Protocol):
    """Told what is about to happen and what did, so that a killed process leaves little in doubt.

    Several threads may call it at once.
    """

    def started(self, touch_id: int) -> None:
        """Before the first byte of the body; if this raises, the body does not leave."""
        ...

    def replied(self, receipt: Receipt) -> None:
        """After each answer."""
        ...

    def flush(self) -> None:
        """Return when what was written is on the disk."""
        ...


#: Whether the parcel that is about to begin must not; asked before each body (without one: whether anything must not).
Stop = Callable[..., bool]


class Channel(Protocol):
    """A way out."""

    name: str
    #: Whether a batch may be sent while the next is made ready; the others are quick, or must keep their order.
    aside: bool

    @property
    def down(self) -> str | None:
        """Why nothing could leave in the last `deliver`, if so: an operator's matter, no lead's."""
        ...

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """One receipt for each parcel, in the same order; `stop` is asked before each body."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


class NoJournal:
    """Forgets: for rehearsals."""

    def started(self, touch_id: int) -> None:
        pass

    def replied(self, receipt: Receipt) -> None:
        pass

    def flush(self) -> None:
        pass


class Shut:
    """No way out is set: everything stays here, and whoever looks is told."""

    aside = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.down: str | None = f"there is no way out for {name} here"

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:  # noqa: ARG002
        """Nothing begins."""
        return [receipt(parcel, "not_started", self.down) for parcel in batch]

    def close(self) -> None:
        """Nothing is held open."""


def receipt(
    parcel: Parcel, verdict: Verdict, *said: object, wait: float | None = None, silence: str | None = None
) -> Receipt:  # fmt: skip
    """A receipt whose detail is `said`, in one printable line."""
    text = " ".join(map(str, said))
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(text.split())
    return Receipt(parcel.touch_id, verdict, line[:_DETAIL], wait, silence)
