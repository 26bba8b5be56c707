"""Letters made in processes beside this one: where many are due, another core renders, composes and signs.

Such a process is told a house and a version, then rows of claimed touches, and gives back what came of them, as pickles
over two pipes that nobody else holds. It decides nothing and sees no database. One that cannot start, is not ready yet,
died or says nothing is done without, then for as long as this machine is open: its letters are made here. It ends when
its pipe closes, so with this process too.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from nurture.channels.base import Parcel
from nurture.engine.live import Library, Live
from nurture.engine.parcels import Claimed, Made, Maker
from nurture.mail.faults import MessageFault
from nurture.program.load import Segment
from nurture.steps import Email, Offer, Sending

log = logging.getLogger("nurture.press")
#: Letters for which a process is started: it takes about as long to be ready as some thousands take to be made here.
MANY = 5_000
#: Seconds for an answer: two hundred letters that all have to be rendered in full take a fifth of one.
_PATIENCE = 15.0
#: Objects between two looks for dead circles, as in `nurture.cli.app`.
_RARELY = 50_000


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Press:
    """`size` processes at most, and no more than there are cores besides ours; none: everything is made here.

    None: one where there are three cores, since with two who comes to a door would wait longer. Several threads may use
    it.
    """

    def __init__(self, size: int | None = 0) -> None:
        self._size = min(1, cores() - 2) if size is None else min(size, cores() - 1)
        self._hands: list[_Hand] = []
        self._lock = threading.Lock()

    def expect(self, letters: int, step: Sending) -> None:
        """So many are due on `step`: start what is worth starting; it is used from when it is ready on."""
        if letters < MANY or not isinstance(step, Email | Offer):
            return
        with self._lock:
            try:
                for _ in range(self._size):
                    self._hands.append(_Hand())
            except (OSError, RuntimeError) as problem:
                log.warning("letters are made here: a process for them cannot be started: %s", problem)
            self._size = 0  # once

    def makes(self, step: Sending) -> bool:
        """Whether somebody would make the letters of `step` beside us."""
        return isinstance(step, Email | Offer) and any(hand.ready for hand in self._hands)

    def begin(
        self, maker: Maker, segment: Segment, step: Sending, rows: Sequence[Any], now: datetime
    ) -> Callable[[], Made]:  # fmt: skip
        """Have the letters of `rows` (`Maker.claimed`) made; what is given waits for them when it is called."""
        hands = [hand for hand in self._hands if hand.ready]
        share = -(-len(rows) // max(len(hands), 1))
        asked = [
            (hand, part, hand.ask(_Order(maker, segment, step.id, part, now)))
            for place, hand in enumerate(hands)
            if (part := rows[place * share : (place + 1) * share])
        ]

        def made() -> Made:
            whole = Made()
            for hand, part, answer in asked:
                whole.add(hand.said(answer) or maker.write(segment, step, part, now))
            return whole

        return made if asked else lambda: maker.write(segment, step, rows, now)

    def close(self) -> None:
        """End them; none is started any more."""
        with self._lock:
            self._size, hands = 0, self._hands
            self._hands = []
        for hand in hands:
            hand.end()


@dataclass
class _Order:
    """A batch to be made, and what will come of it; EOFError: the process is gone."""

    maker: Maker
    segment: Segment
    step: str
    rows: Sequence[Any]
    now: datetime
    answer: Future[Made] = field(default_factory=Future)

    @property
    def about(self) -> tuple[int, int]:
        """The versions of house and sequence."""
        return self.maker.live.house.id, self.segment.id


class _Hand:
    """One process, and the thread that talks with it: an order, its answer, the next."""

    def __init__(self) -> None:
        self.ready = self._ended = False
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        command = [sys.executable, "-P", "-m", "nurture.engine.press"]  # -P: nothing is imported from where we stand
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asks, self._answers = self._process.stdin, self._process.stdout
        self._thread = threading.Thread(target=self._talk, name="nurture-press", daemon=True)
        self._thread.start()

    def ask(self, order: _Order) -> Future[Made]:
        """What will come of it."""
        with self._lock:
            if self.ready:
                self._orders.put(order)
            else:
                order.answer.set_exception(EOFError())
        return order.answer

    def said(self, answer: Future[Made]) -> Made | None:
        """What came of it; None: nothing did."""
        try:
            return answer.result(_PATIENCE)
        except EOFError:
            return None
        except TimeoutError:
            log.warning("letters are made here: a process for them has said nothing for %g seconds", _PATIENCE)
            self.end()
            return None

    def _talk(self) -> None:
        problem = "it is of another version"
        try:
            if pickle.load(self._answers) == _shapes():
                self.ready = True
                self._serve()
        except Exception as fault:  # whatever it is: those letters are made here
            problem = type(fault).__name__
        with self._lock:
            self.ready = False
        while not self._orders.empty():
            if (order := self._orders.get()) is not None:
                order.answer.set_exception(EOFError())
        if not self._ended:
            log.warning("letters are made here: a process for them is gone (%s)", problem)

    def _serve(self) -> None:
        """Until it ends, or nothing more is asked."""
        told: tuple[int, int] | None = None
        while (order := self._orders.get()) is not None:
            try:
                if order.about != told:
                    house = replace(order.maker.live.house)  # without what it has worked out for itself
                    alone = replace(order.maker, live=Live(house, {}, Library()), _renderers={}, _texts={})
                    self._tell((alone, replace(order.segment)))
                    told = order.about
                self._tell((order.step, order.rows, order.now))
                order.answer.set_result(pickle.load(self._answers))
            except Exception:
                order.answer.set_exception(EOFError())
                raise

    def _tell(self, what: Any) -> None:
        pickle.dump(what, self._asks, pickle.HIGHEST_PROTOCOL)
        self._asks.flush()

    def end(self) -> None:
        """Now, whatever it does."""
        self._ended = True
        with self._lock:
            self.ready = False
        self._process.kill()
        self._orders.put(None)
        self._thread.join()
        self._process.wait()
        for pipe in (self._asks, self._answers):
            with contextlib.suppress(OSError):  # what it was not told
                pipe.close()


def _shapes() -> tuple[Any, ...]:
    """What both sides must agree on: a program may be replaced on the disk while it runs."""
    return Claimed._fields, *(tuple(part.name for part in fields(kind)) for kind in (Made, Parcel, Maker))


def main() -> None:
    """The other side: make what is asked until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)  # who waits at a door goes before letters that nobody waits for
    gc.set_threshold(_RARELY)
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whoever prints does not speak among the answers
    _say(answers, _shapes())
    maker: Maker | None = None
    segment: Segment | None = None
    while True:
        try:
            order = pickle.load(asked)
        except EOFError:
            return
        if len(order) == 2:
            maker, segment = order
            continue
        assert maker is not None
        assert segment is not None
        step, rows, now = order
        kind = segment.spec.step(step)
        assert isinstance(kind, Sending)
        made = maker.write(segment, kind, rows, now)
        made.faults = {touch: MessageFault(str(fault)) for touch, fault in made.faults.items()}
        for parcel in made.parcels.values():
            parcel.sha256  # noqa: B018 - it goes with the parcel
        _say(answers, made)


def _say(answers: Any, what: Any) -> None:
    pickle.dump(what, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()


if __name__ == "__main__":
    main()
