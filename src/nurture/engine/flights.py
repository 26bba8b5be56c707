"""A batch on its way, sent beside what is made ready next where the channel is one that others answer."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Thread

from nurture import clock
from nurture.channels.base import Channel, Journal, Parcel, Receipt, Stop


@dataclass
class Flight:
    """A batch with a permit: on its way, or arrived and not yet recorded."""

    owner: str
    parcels: list[Parcel]
    channel: Channel
    #: What is kept until it is recorded: its lease.
    kept: ExitStack = field(default_factory=ExitStack)
    #: Nothing of it may begin any more.
    called_off: bool = False
    landed: bool = False
    #: Seconds that sending took.
    took: float = 0.0
    _sent: Future[tuple[list[Receipt], str | None]] = field(default_factory=Future)

    def begin(self, journal: Journal, stop: Stop) -> None:
        """Send; beside what follows if the channel likes that."""

        def send() -> None:
            began = clock.monotonic()
            try:
                receipts = self.channel.deliver(self.parcels, journal, stop)
                self.took = clock.monotonic() - began
                self._sent.set_result((receipts, self.channel.down))
            except BaseException as problem:
                self._sent.set_exception(problem)

        if self.channel.aside:
            Thread(target=send, name="nurture-sending").start()
        else:
            send()

    def receipts(self) -> list[Receipt]:
        """What became of each; waits for the last."""
        return self._sent.result()[0]

    def down(self) -> str | None:
        """What ails the channel; waits for the last."""
        return self._sent.result()[1]
