"""A way out that leads nowhere: keeps what it is given, for rehearsals."""

from __future__ import annotations

from collections.abc import Sequence

from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt


class RecordingChannel:
    """Accepts everything; `parcels` holds it in order."""

    aside = False
    down: str | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.parcels: list[Parcel] = []

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """Keep `batch`."""
        receipts = []
        for parcel in batch:
            if stop(parcel):
                receipts.append(receipt(parcel, "not_started", "not begun"))
                continue
            journal.started(parcel.touch_id)
            self.parcels.append(parcel)
            receipts.append(receipt(parcel, "accepted", "kept"))
            journal.replied(receipts[-1])
        return receipts

    def close(self) -> None:
        """Nothing is held open."""
