"""Where a score rises by itself: negative points fade too, faster than others or alone, and nothing need happen.

Between two rows what is above nought only falls and what is below only rises. So the rise alone, over what is above
nought now, never comes too late to a height; looked at again from there, it comes closer each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture.backtest.block import Block
from nurture.backtest.history import Array
from nurture.backtest.model import Channel, Test
from nurture.language.scores import ROUNDING

_LOOKS, _HALVES = 60, 52
#: Points by which a height may be missed; rounding forgives a thousand times more.
_NEAR = 1e-9


@dataclass(frozen=True)
class _Spans:
    """Stretches without a row: what each engaging channel is worth at the beginning, fit points, and how long it is."""

    channels: list[Channel]
    sums: list[Array]
    fit: Array
    long: Array
    most: float | None

    def some(self, which: Array) -> _Spans:
        sums = [part[which] for part in self.sums]
        return _Spans(self.channels, sums, self.fit[which], self.long[which], self.most)

    def worth(self, after: Array, *, falling: Array | None = None) -> Array:
        """All points `after` so many microseconds; `falling`: what is above nought as of then instead."""
        whole = np.zeros(len(self.fit))
        for channel, part in zip(self.channels, self.sums, strict=True):
            when = after if falling is None else np.where(part > 0.0, falling, after)
            left = part * np.exp2(-when / channel.half_life) if channel.half_life else part
            whole += np.clip(left, channel.at_least, channel.at_most) if _is_bounded(channel) else left
        return (whole if self.most is None else np.minimum(whole, self.most)) + self.fit


def _is_bounded(channel: Channel) -> bool:
    return channel.at_least is not None or channel.at_most is not None


def may_rise(channels: list[Channel]) -> bool:
    """Whether any points are negative and fade."""
    return any(channel.half_life and min(channel.worth.values()) < 0 for channel in channels)


def rises(
    block: Block, number: str, must: Test | None, may: Test | None, floor: int, end: int
) -> tuple[Array, Array, Array] | None:
    """(lead, instant, height) of every whole height from `floor` that is come to between rows; None: none can be."""
    channels = block.model.channels[: block.model.engaging]
    if not may_rise(channels):
        return None
    below = np.zeros(block.at.shape, bool)
    for place, channel in enumerate(channels):
        if channel.half_life:
            below |= block.running(place) < 0.0
    if must is not None:
        below &= ~must(block)
    if may is not None:
        below &= may(block)
    if block.hidden is not None:
        below &= ~block.hidden
    row, lead = np.nonzero(below)
    if not len(lead):
        return None
    begins, until = block.at[row, lead], _until(block, end)[row, lead]
    fit = block.fact(f"{block.model.prefix}fit points")[lead] if number == "score" else np.zeros(len(lead))
    sums = [block.running(place)[row, lead] for place in range(block.model.engaging)]
    spans = _Spans(channels, sums, fit, (until - begins).astype(float), block.model.house.scoring.at_most)
    highest = np.floor(spans.worth(spans.long, falling=np.zeros(len(lead))) + ROUNDING)
    start = block.number(number)[row, lead]
    found: list[tuple[Array, Array, Array]] = []
    for height in range(floor, min(int(highest.max()), 100) + 1):
        which = np.flatnonzero((start < height) & (highest >= height) & (spans.long > 0))
        if len(which):
            after = _reached(spans.some(which), height - ROUNDING)
            comes = after <= spans.long[which]
            at = begins[which][comes] + np.ceil(after[comes]).astype(np.int64)
            found.append((block.leads[lead[which][comes]], at, np.full(len(at), height, np.int8)))
    if not found:
        return None
    leads, ats, heights = (np.concatenate(part) for part in zip(*found, strict=True))
    return leads, ats, heights


def _until(block: Block, end: int) -> Array:
    """When the stretch after each row ends: at the next row, or at `end` after the last."""
    until = np.full(block.at.shape, end)
    following = block.at[1:]
    until[:-1] = np.where(following > block.at[:-1], np.minimum(following, end), end)
    return np.maximum(until, block.at)  # type: ignore[no-any-return]


def _reached(spans: _Spans, height: float) -> Array:
    """Microseconds after which each stretch first is at `height`; infinite: not before it ends."""
    after, done = np.zeros(len(spans.fit)), np.full(len(spans.fit), np.inf)
    open_ = np.arange(len(after))
    for _ in range(_LOOKS):
        here, at = spans.some(open_), after[open_]
        there = here.worth(at) >= height - _NEAR
        done[open_[there]] = at[there]
        comes = ~there & (here.worth(here.long, falling=at) >= height - _NEAR)
        open_, here, at = open_[comes], here.some(comes), at[comes]
        if not len(open_):
            return done
        low, high = at, here.long.copy()
        for _ in range(_HALVES):
            middle = (low + high) / 2
            enough = here.worth(middle, falling=at) >= height - _NEAR
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        after[open_] = high
    done[open_] = after[open_]
    return done
