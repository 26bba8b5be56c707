"""A batch on its way, sent beside what is made ready next where the channel is one that others answer.

It is recorded there as well where the database has many writers, while the next batch asks for its permit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Thread

from nurture.channels.base import Channel, Journal, Parcel, Receipt, Stop


@dataclass
class Flight:
    """A batch with a permit: on its way, or arrived and not yet recorded."""

    owner: str
    parcels: list[Parcel]
    channel: Channel
    #: Records what became of each; how many of those that wait again were called off.
    record: Callable[[Sequence[Receipt]], int]
    #: Whether that may be done beside what follows.
    many_writers: bool
    #: What is kept until it is recorded: its lease.
    kept: ExitStack = field(default_factory=ExitStack)
    #: Nothing of it may begin any more.
    called_off: bool = False
    #: It is recorded, or left to the journal.
    landed: bool = False
    _thread: Thread | None = None
    _sent: Future[tuple[list[Receipt], str | None]] = field(default_factory=Future)
    _recorded: Future[int] = field(default_factory=Future)

    def begin(self, journal: Journal, stop: Stop) -> None:
        """Send; beside what follows if the channel likes that."""
        if not self.channel.aside:
            self._send(journal, stop)
            return
        self._thread = Thread(target=self._carry, args=(journal, stop), name="nurture-sending")
        self._thread.start()

    def _carry(self, journal: Journal, stop: Stop) -> None:
        self._send(journal, stop)
        if self.many_writers and self._sent.exception() is None:
            try:
                self._recorded.set_result(self.record(self.receipts()))
            except BaseException as problem:
                self._recorded.set_exception(problem)

    def _send(self, journal: Journal, stop: Stop) -> None:
        try:
            self._sent.set_result((self.channel.deliver(self.parcels, journal, stop), self.channel.down))
        except BaseException as problem:
            self._sent.set_exception(problem)

    def begun(self) -> bool:
        """Whether any of it may have left: a thread may not have come to start, or an interrupt came before it."""
        return self._sent.done() or (self._thread is not None and self._thread.ident is not None)

    def arrived(self, seconds: float) -> bool:
        """Whether the last has been sent; waits so long for it."""
        return bool(wait([self._sent], seconds).done)

    def receipts(self) -> list[Receipt]:
        """What became of each; waits for the last."""
        return self._sent.result()[0]

    def down(self) -> str | None:
        """What ails the channel; waits for the last."""
        return self._sent.result()[1]

    def recorded(self) -> int:
        """How many that wait again were called off: once it is recorded, here unless it is beside."""
        if self._thread is not None and self.many_writers:
            return self._recorded.result()
        return self.record(self.receipts())

    def land(self) -> None:
        """There is no more to do for it."""
        self.landed = True
        self.kept.close()
