"""When each lead came to a number, and when a condition came to hold: all leads and all instants of a timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nurture.backtest.block import Block, Ground, along, blocks
from nurture.backtest.history import Array
from nurture.backtest.model import Model, Test
from nurture.backtest.rising import rises
from nurture.backtest.timeline import Timeline

#: An instant that never comes.
NEVER = np.iinfo(np.int64).max
#: A height that every threshold is below.
_TOP = 101


@dataclass(frozen=True)
class Climb:
    """What is looked for: how high `number` has been while `may` held; `must`: as high as can be, whatever the number.

    Without a number, whether `must` held. Heights below `floor` are not noted. A lead that came to `level` may come to
    it again once it does not hold and each number of `rearm` is below what stands there.
    """

    number: str | None
    must: Test | None = None
    may: Test | None = None
    floor: int = 1
    level: int = _TOP
    rearm: Mapping[str, float] = field(default_factory=dict)
    again: bool = False


@dataclass
class Climbed:
    """Each time a lead came higher than ever: its place, the instant, the height.

    `again`: (lead, instant) of every time that it came to the level anew, the first among them.
    """

    lead: Array
    at: Array
    height: Array
    again: tuple[Array, Array]

    def first(self, level: int, leads: int) -> Array:
        """When each of the leads first was at `level` or higher; NEVER where it was not."""
        found = np.full(leads, NEVER)
        high = self.height >= level
        np.minimum.at(found, self.lead[high], self.at[high])
        return found


@dataclass
class _Found:
    """What one block gave for one climb; `risen`: heights that were come to between rows."""

    climbed: tuple[Array, Array, Array]
    again: tuple[Array, Array]
    risen: tuple[Array, Array, Array] | None = None


@dataclass(frozen=True)
class Job:
    """A model, its timeline, and what is looked for."""

    model: Model
    line: Timeline
    climbs: Sequence[Climb]


def scan(jobs: Sequence[Job], end: int) -> list[list[Climbed]]:
    """Every climb of every job up to the instant `end`. Jobs over the same rows share what it costs to lay them out."""
    found: list[list[list[_Found]]] = [[[] for _ in job.climbs] for job in jobs]
    for first in {id(job.line.first): job.line for job in jobs}.values():
        for leads, longest in blocks(first):
            ground = Ground(first, leads, longest)
            for job, mine in zip(jobs, found, strict=True):
                if job.line.first is first.first:
                    block = Block(ground, job.line, job.model)
                    for climb, parts in zip(job.climbs, mine, strict=True):
                        parts.append(_look(block, climb, end))
    return [[_gather(parts) for parts in mine] for mine in found]


def _heights(block: Block, climb: Climb, end: int) -> Array:
    """How high each row is, in the sense of the climb; 0: below its floor, hidden or too late."""
    if climb.number is None:
        assert climb.must is not None
        heights = np.where(climb.must(block), np.int8(_TOP), np.int8(0))
        heights = np.broadcast_to(heights, block.at.shape)
    else:
        heights = block.number(climb.number)
        if climb.may is not None:
            heights = np.where(climb.may(block), heights, np.int8(0))
        if climb.must is not None:
            heights = np.where(climb.must(block), np.int8(_TOP), heights)
    late = block.at[-1].max() > end
    if block.hidden is None and not late:
        return heights
    seen = np.ones(block.at.shape, bool) if block.hidden is None else ~block.hidden
    return heights * (seen & (block.at <= end) if late else seen)


def _look(block: Block, climb: Climb, end: int) -> _Found:
    heights = _heights(block, climb, end)
    best = along(np.maximum, heights.copy())
    higher = best >= climb.floor
    higher[1:] &= best[1:] > best[:-1]
    row, lead = np.divmod(np.flatnonzero(higher), higher.shape[1])
    climbed = block.leads[lead], block.at[row, lead], best[row, lead]
    empty = np.empty(0, np.int64)
    again = empty, empty
    if climb.again:
        come = np.flatnonzero(best[-1] >= climb.level)
        if len(come):
            again = _again(block.part(come), climb, heights[:, come] >= climb.level)
    risen = rises(block, climb.number, climb.must, climb.may, climb.floor, end) if climb.number else None
    return _Found(climbed, again, risen)


def _again(block: Block, climb: Climb, holds: Array) -> tuple[Array, Array]:
    """(lead, instant) of each time that `holds` came true after the lead was armed anew."""
    seen = np.ones(holds.shape, bool) if block.hidden is None else ~block.hidden
    armed = np.zeros((2 * len(holds), holds.shape[1]), np.int8)  # before each row, and at it
    armed[1::2] = holds
    armed[1::2] -= seen & ~holds & _low(climb, block.number, holds)
    if climb.rearm:
        forced = np.zeros(holds.shape, bool) if climb.must is None else np.broadcast_to(climb.must(block), holds.shape)
        low = _low(climb, block.before, holds)
        armed[2::2] -= (low[1:] & ~forced[:-1]) & (block.at[1:] > block.at[:-1])
    places = along(np.maximum, np.where(armed != 0, np.arange(len(armed))[:, None], 0))
    before = np.take_along_axis(armed, places[:-1], axis=0)
    anew = armed == 1
    anew[1:] &= before != 1
    place, lead = np.nonzero(anew)
    return block.leads[lead], block.at[place // 2, lead]


def _low(climb: Climb, number: Callable[[str], Array], holds: Array) -> Array:
    """Where a lead is low enough to come to the level again."""
    low = np.ones(holds.shape, bool)
    for name, level in climb.rearm.items():
        low &= number(name) < level
    return low


def _gather(found: Sequence[_Found]) -> Climbed:
    nothing = np.empty(0, np.int64)
    if not found:
        return Climbed(nothing, nothing, nothing, (nothing, nothing))
    parts = [part.climbed for part in found] + [part.risen for part in found if part.risen is not None]
    lead, at, height = (np.concatenate([nothing, *column]) for column in zip(*parts, strict=True))
    if any(part.risen is not None for part in found):
        order = np.lexsort((height, at, lead))
        lead, at, height = lead[order], at[order], height[order]
        key = lead * 256 + height
        best = np.maximum.accumulate(key)
        higher = np.ones(len(key), bool)
        higher[1:] = key[1:] > best[:-1]
        lead, at, height = lead[higher], at[higher], height[higher]
    again = [np.concatenate([nothing, *column]) for column in zip(*(part.again for part in found), strict=True)]
    return Climbed(lead, at, height, (again[0], again[1]))
