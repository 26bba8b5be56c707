"""Some leads with about as many rows each, as arrays (rows, leads): each lead's sums run by themselves, side by side.

A sum that fades is kept as it would be worth at the lead's first row (forward decay): adding is all there is to do, and
what is lost to rounding is in proportion to the sum itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nurture.backtest.history import Array
from nurture.backtest.model import Model
from nurture.backtest.timeline import Timeline
from nurture.language.scores import ROUNDING

#: Elements of one array of a block: some fit into a core's cache.
_ROOM = 1 << 16
#: Halvings that a number of eight bytes can take, and some to spare.
_MOST_HALVINGS = 900.0


#: With fewer leads than this numpy's own running sums are quicker than one addition a row.
_FEW = 16


class Ground:
    """The rows of `leads`, without what a model makes of them; each lead is padded with its last row to `longest`."""

    def __init__(self, line: Timeline, leads: Array, longest: int) -> None:
        self.leads, self.people = leads, line.people
        first, end = line.first[leads], line.first[leads + 1]
        self._rows = first + np.arange(longest)[:, None]
        self.pads: Array | None = None
        if int((end - first).min()) < longest:
            self.pads = self._rows >= end
            np.minimum(self._rows, end - 1, out=self._rows)
        self.at = line.at[self._rows]
        self.kind = None if line.kind is None else line.kind[self._rows]
        self.hidden = self.pads
        if line.hidden is not None:
            hidden = line.hidden[self._rows]
            self.hidden = hidden if self.pads is None else hidden | self.pads
        self._words: dict[int, Array] = {}
        self._grown: dict[int, Array | None] = {}

    def word(self, column: Array) -> Array:
        """One column of the timeline."""
        if id(column) not in self._words:
            self._words[id(column)] = column[self._rows]
        return self._words[id(column)]

    def growth(self, half_life: int) -> Array | None:
        """2 to the half-lives since the lead's first row; None: more than a number can hold."""
        if half_life not in self._grown:
            halvings = (self.at - self.at[0]) * (1.0 / half_life)
            most = float(halvings[-1].max()) if halvings.size else 0.0
            self._grown[half_life] = np.exp2(halvings) if most < _MOST_HALVINGS else None
        return self._grown[half_life]


def along(operation: np.ufunc, values: Array) -> Array:
    """`values` (rows, leads), each row joined with all before it, in place."""
    if values.shape[1] < _FEW:
        return operation.accumulate(values, axis=0)
    for row in range(1, len(values)):
        operation(values[row - 1], values[row], out=values[row])
    return values


class Block:
    """What a model makes of a ground: sums and numbers after each row, as arrays (rows, leads)."""

    def __init__(self, ground: Ground, line: Timeline, model: Model) -> None:
        self.ground, self.line, self.model = ground, line, model
        self.leads, self.at, self.hidden = ground.leads, ground.at, ground.hidden
        self._sums: dict[int, Array] = {}
        self._numbers: dict[str, Array] = {}

    def part(self, some: Array) -> Block:
        """The same of some of the leads alone."""
        return Block(Ground(self.line, self.leads[some], len(self.at)), self.line, self.model)

    def earned(self, number: int) -> Array:
        """What each row adds to a channel."""
        channel = self.model.channels[number]
        earned: Array | None = None
        for table, column in zip(self.line.tables[number], self.line.words, strict=True):
            if table is not None:
                worth = table[self.ground.word(column)]
                earned = worth if earned is None else earned + worth
        if earned is None:
            return np.zeros(self.at.shape)
        if self.ground.kind is not None:
            signs = np.zeros(len(self.line.spans) + 1)
            signs[0] = 1.0
            if channel.expires:
                signs[1 + self.line.spans.index(channel.expires)] = -1.0
            earned *= signs[self.ground.kind]
        if self.ground.pads is not None:
            earned *= ~self.ground.pads
        return earned

    def running(self, number: int) -> Array:
        """The sum of a channel after each row, without its bounds."""
        if number not in self._sums:
            self._sums[number] = self._run(self.earned(number), self.model.channels[number].half_life)
        return self._sums[number]

    def _run(self, earned: Array, half_life: int) -> Array:
        if not half_life:
            return along(np.add, earned)
        grown = self.ground.growth(half_life)
        if grown is not None:
            earned *= grown
            earned = along(np.add, earned)
            earned /= grown
            return earned
        kept = np.exp2((self.at[:-1] - self.at[1:]) / half_life)
        for row in range(1, len(earned)):
            earned[row] += earned[row - 1] * kept[row - 1]
        return earned

    def bounded(self, number: int, sums: Array) -> Array:
        """What a channel counts for: within its bounds, once anything has happened in it."""
        channel = self.model.channels[number]
        low, high = channel.at_least, channel.at_most
        if low is None and high is None:
            return sums
        held = np.clip(sums, low, high)
        if (low or 0.0) > 0.0 or (high is not None and high < 0.0):
            begun = along(np.logical_or, self.earned(number) != 0.0)
            held = np.where(begun, held, 0.0)
        return held

    def engagement(self, sums: dict[int, Array] | None = None) -> Array:
        """All engagement after each row, unrounded; `sums`: with these instead of the running ones."""
        whole: Array | None = None
        for number in range(self.model.engaging):
            part = self.bounded(number, self.running(number) if sums is None else sums[number])
            whole = part if whole is None else whole + part
        if whole is None:
            return np.zeros(self.at.shape)
        most = self.model.house.scoring.at_most
        return whole if most is None else np.minimum(whole, most)

    def number(self, name: str) -> Array:
        """The score, or the engagement, after each row."""
        if name not in self._numbers:
            self._numbers[name] = self.rounded(name, self.engagement())
        return self._numbers[name]

    def rounded(self, name: str, engagement: Array) -> Array:
        """As conditions compare it: whole, within 0 to 100."""
        raw = engagement + self.fact(f"{self.model.prefix}fit points") if name == "score" else engagement
        return np.clip(raw + ROUNDING, 0.0, 100.0).astype(np.int8)

    def before(self, name: str) -> Array:
        """The number just before each row."""
        sums = {number: self.running(number) - self.earned(number) for number in range(self.model.engaging)}
        return self.rounded(name, self.engagement(sums))

    def count(self, channel: int) -> Array:
        """How many events of a channel count after each row."""
        return self.running(channel)

    def fact(self, name: str) -> Array:
        """What is known of each lead."""
        found: Array = self.line.people.facts[name][self.leads]
        return found


def blocks(line: Timeline) -> Iterator[tuple[Array, int]]:
    """All leads, those with many rows first: places and the number of rows of the longest."""
    counts = np.diff(line.first)
    order = np.argsort(-counts, kind="stable")
    sizes = counts[order]
    start = 0
    while start < len(order):
        longest = int(sizes[start])
        end = min(start + max(1, _ROOM // max(longest, 1)), len(order))
        if sizes[end - 1] < longest * 0.8:
            end = start + int(np.searchsorted(-sizes[start:end], -longest * 0.8, side="right"))
        yield order[start:end], longest
        start = end
