"""Ways out that do what a test says: answer, break, or die."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nurture.channels.base import Journal, Parcel, Receipt, Verdict, receipt


class Killed(BaseException):
    """The process is gone; nothing may catch it."""


class Scripted:
    """Answers each address with the next of its `answers`, else `accepted`; `before`: called before each body.

    An answer `killed` ends the worker before the body's journal line, `killed_later` after it.
    """

    aside = False

    def __init__(
        self, answers: Mapping[str, Sequence[str]] | None = None, before: Callable[[Parcel], None] | None = None
    ) -> None:
        self.name = "email"
        self.answers = {address: list(said) for address, said in (answers or {}).items()}
        self.before = before
        self.parcels: list[Parcel] = []
        self.down: str | None = None

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Callable[..., bool]) -> list[Receipt]:
        """One receipt each, in order."""
        return [self._one(parcel, journal, stop) for parcel in batch]

    def _one(self, parcel: Parcel, journal: Journal, stop: Callable[..., bool]) -> Receipt:
        if self.before is not None:
            self.before(parcel)
        if stop(parcel):
            return receipt(parcel, "not_started", "stopped")
        said = self.answers.get(parcel.to, [])
        answer = said.pop(0) if said else "accepted"
        if answer == "killed":
            raise Killed
        if answer == "not_started":
            return receipt(parcel, "not_started", "the relay is down")
        journal.started(parcel.touch_id)
        self.parcels.append(parcel)
        if answer == "killed_later":
            raise Killed
        verdict: Verdict = answer  # type: ignore[assignment]
        answered = receipt(parcel, verdict, verdict, "said the relay")
        journal.replied(answered)
        if answer == "accepted" and said[:1] == ["then killed"]:
            raise Killed
        return answered

    def close(self) -> None:
        """Nothing is held open."""


class Aside(Scripted):
    """Sends beside what is made ready next. `meanwhile`: called on the wire with each batch's number, from 1."""

    aside = True

    def __init__(self, meanwhile: Callable[[int], None], before: Callable[[Parcel], None] | None = None) -> None:
        super().__init__(before=before)
        self.meanwhile, self.batches = meanwhile, 0

    def deliver(self, batch: Sequence[Parcel], journal: Journal, stop: Callable[..., bool]) -> list[Receipt]:
        """One receipt each, in order, once the test lets it."""
        self.batches += 1
        self.meanwhile(self.batches)
        return super().deliver(batch, journal, stop)
