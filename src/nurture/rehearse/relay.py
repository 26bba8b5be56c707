"""A relay for rehearsals: it keeps what it is given, and answers as the check says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nurture.channels.base import Journal, Parcel, Receipt, Stop, Verdict, receipt
from nurture.channels.recording import RecordingChannel

#: How it answers from now on, in a check's words.
Mood = Literal["accepts", "refuses", "try_later", "unknown"]
_ANSWERS: dict[Mood, tuple[Verdict, str]] = {
    "accepts": ("accepted", "kept"),
    "refuses": ("refused", "550 5.7.1 refused, as the check says"),
    "try_later": ("try_later", "451 4.3.0 try later, as the check says"),
    "unknown": ("unknown", "no answer, as the check says"),
}


class Relay(RecordingChannel):
    """A recording channel with a mood."""

    mood: Mood = "accepts"

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """Keep `batch`, and answer; of what is refused nothing is kept."""
        verdict, said = _ANSWERS[self.mood]
        if verdict == "accepted":
            return super().deliver(batch, journal, stop)
        return [
            receipt(parcel, "not_started", "not begun") if stop(parcel) else receipt(parcel, verdict, said)
            for parcel in batch
        ]
