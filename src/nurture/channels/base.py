"""What every way out promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

#: accepted     the other side took it
#: refused      it will not take this one, now or later
#: try_later    it certainly did not take it this time
#: unknown      it may have taken it: nobody can say (mail only; what carries a key may simply be repeated)
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
    #: Mail: one address as it goes into the envelope. Audience: the audience's name.
    to: str
    payload: bytes


@dataclass(frozen=True)
class Receipt:
    """What became of a parcel. `detail`: phase, code and text of the answer in one line of 200 characters."""

    touch_id: int
    verdict: Verdict
    detail: str


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
    #: Parcels that one call of `deliver` takes with profit.
    batch_size: int

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


def receipt(parcel: Parcel, verdict: Verdict, *said: object) -> Receipt:
    """A receipt whose detail is `said`, in one printable line."""
    text = " ".join(str(part) for part in said)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return Receipt(parcel.touch_id, verdict, line[:_DETAIL])
