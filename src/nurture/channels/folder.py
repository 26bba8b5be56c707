"""No relay is set: messages become files, .eml that any mail program opens, or .txt for text messages."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from nurture.channels.base import Journal, Parcel, Receipt, Stop, receipt
from nurture.failpoints import reach


class FolderChannel:
    """One file for each touch in `folder`; a repeated delivery of a touch replaces its file."""

    aside = False
    name = "email"
    suffix = ".eml"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.down: str | None = None

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Stop) -> list[Receipt]:
        """Write `batch`; where the folder cannot be written, the rest is `not_started`."""
        self.down = None
        receipts = []
        for parcel in batch:
            if self.down is None:
                receipts.append(self._write(parcel, journal, stop))
            else:
                receipts.append(receipt(parcel, "not_started", self.down))
        return receipts

    def close(self) -> None:
        """Nothing is held open."""

    def path(self, parcel: Parcel) -> Path:
        """Where the message of `parcel` is kept."""
        name = f"{parcel.touch_id:08d}" if parcel.touch_id >= 0 else f"notice-{-parcel.touch_id:06d}"
        return self.folder / f"{name}-{sha256(parcel.key.encode()).hexdigest()[:12]}{self.suffix}"

    def content(self, parcel: Parcel) -> bytes:
        """What its file holds."""
        return parcel.payload

    def _write(self, parcel: Parcel, journal: Journal, stop: Stop) -> Receipt:
        target = self.path(parcel)
        half = target.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            journal.started(parcel.touch_id)
            if stop(parcel):  # asked after the journal's line: who slept in between finds out that another took over
                made = receipt(parcel, "not_started", "not begun")
            else:
                reach("journaled")
                half.write_bytes(self.content(parcel))
                half.replace(target)
                reach("answered")
                made = receipt(parcel, "accepted", f"written to {target.name}")
            journal.replied(made)
            reach("noted")
        except OSError as problem:
            self.down = f"{self.folder}: {problem.strerror}"
            return receipt(parcel, "not_started", self.down)
        return made


class TextFolder(FolderChannel):
    """Text messages, each with the number that it would go to."""

    name = "sms"
    suffix = ".txt"

    def content(self, parcel: Parcel) -> bytes:
        return f"To: {parcel.to}\n\n".encode() + parcel.payload + b"\n"
