"""Boxes and arrows from top to bottom without a line through a box: layers, an order in each, straight long lines.

The steps are those of Sugiyama, Tagawa and Toda (1981). A label is a box of its own on its arrow, so that nothing
lies upon it; arrows to the same box join as soon as they can; an arrow back goes around at the left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from nurture.reading.tracks import BESIDE_A_LINE, Box, Gap, Line

__all__ = ["Box", "Layout", "Line", "Way", "lay_out"]

_APART = 36.0
_SWEEPS = 24


@dataclass(frozen=True)
class Way:
    """An arrow to lay out; `size`: of its label, width and height, or None."""

    source: str
    target: str
    size: tuple[float, float] | None = None


@dataclass
class Layout:
    """Where everything stands. `labels`: by the place of their way."""

    boxes: dict[str, Box] = field(default_factory=dict)
    labels: dict[int, Box] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def lay_out(sizes: Mapping[str, tuple[float, float]], ways: Sequence[Way]) -> Layout:
    """Boxes of these sizes, in the order in which they are read, with ways between them."""
    made = _Graph(sizes, ways)
    made.order()
    made.spread()
    return made.drawn()


class _Graph:
    """The boxes by layer, and the pieces of lines between a layer and the next."""

    def __init__(self, sizes: Mapping[str, tuple[float, float]], ways: Sequence[Way]) -> None:
        self.out = Layout({key: Box(key, *size, node=True) for key, size in sizes.items()})
        self.every: dict[str, Box] = dict(self.out.boxes)
        #: (upper box, lower box) and whether the arrow points up.
        self.pieces: dict[tuple[str, str], bool] = {}
        #: Ways that go around, with the places where their line leaves at the top and begins at the foot.
        self.turns: list[tuple[Way, str, str]] = []
        backward = self._layer(sizes, ways)
        for number, way in enumerate(ways):
            (self._around if backward[number] else self._down)(number, way)
        self.layers: list[list[str]] = [[] for _ in range(1 + max(box.layer for box in self.every.values()))]
        for key, box in self.every.items():
            self.layers[box.layer].append(key)
        self.above: dict[str, list[str]] = {key: [] for key in self.every}
        self.below: dict[str, list[str]] = {key: [] for key in self.every}
        for upper, lower in self.pieces:
            self.below[upper].append(lower)
            self.above[lower].append(upper)

    def _layer(self, sizes: Iterable[str], ways: Sequence[Way]) -> list[bool]:
        """Each box under all that lead to it, a label's layer between; which ways would close a circle instead."""
        place = {key: number for number, key in enumerate(sizes)}
        leading: dict[str, list[Way]] = {key: [] for key in place}
        backward = [False] * len(ways)
        for number in sorted(range(len(ways)), key=lambda n: place[ways[n].target] <= place[ways[n].source]):
            way = ways[number]
            backward[number] = way.target in self._before(way.source, leading)
            if not backward[number]:
                leading[way.target].append(way)
        waiting = list(place)
        while waiting:
            key = next(one for one in waiting if not any(way.source in waiting for way in leading[one]))
            waiting.remove(key)
            above = (self.every[way.source].layer + (2 if way.size else 1) for way in leading[key])
            self.every[key].layer = max(above, default=0)
        return backward

    @staticmethod
    def _before(key: str, leading: Mapping[str, list[Way]]) -> set[str]:
        """A box and all from which it can be reached."""
        found, seen = {key}, set[str]()
        while found - seen:
            here = (found - seen).pop()
            seen.add(here)
            found |= {way.source for way in leading[here]}
        return seen

    def _down(self, number: int, way: Way) -> None:
        upper, last = way.source, self.every[way.target].layer
        if way.size:
            label = self._box(f"label {number}", self.every[upper].layer + 1, *way.size)
            self.out.labels[number] = label
            self.pieces[(upper, label.key)] = False
            upper = label.key
        for layer in range(self.every[upper].layer + 1, last):  # one line for all that go to the same box
            joined = self._box(f"to {way.target} {layer}", layer, passing=True)
            self.pieces[(upper, joined.key)] = False
            upper = joined.key
        self.pieces[(upper, way.target)] = False

    def _around(self, number: int, way: Way) -> None:
        """Down from the source's foot, around at the left, into the target's head."""
        top, foot = self.every[way.target].layer, self.every[way.source].layer
        keys = []
        for layer in range(top, foot + 1):
            size = way.size if layer == (top + foot) // 2 and way.size else (0.0, 0.0)
            box = self._box(f"back {number} {layer}", layer, *size, passing=True)
            keys.append(box.key)
            if size[0]:
                self.out.labels[number] = box
        for upper, lower in pairwise(keys):
            self.pieces[(upper, lower)] = True
        self.turns.append((way, keys[0], keys[-1]))

    def _box(self, key: str, layer: int, width: float = 0.0, height: float = 0.0, *, passing: bool = False) -> Box:
        if key not in self.every:
            self.every[key] = Box(key, width, height, layer, passing=passing, back=key.startswith("back "))
        return self.every[key]

    def order(self) -> None:
        """Fewest crossings by barycentres; lines back stay at the left."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            downward = sweep % 2 == 0
            for layer in self.layers if downward else reversed(self.layers):
                self._sort(layer, self.above if downward else self.below)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best
        for layer in self.layers:
            layer.sort(key=lambda key: not self.every[key].back)

    def _sort(self, layer: list[str], near: Mapping[str, list[str]]) -> None:
        places = {key: number for row in self.layers for number, key in enumerate(row)}
        middle = {
            key: sum(places[other] for other in near[key]) / len(near[key]) if near[key] else float(places[key])
            for key in layer
        }
        layer.sort(key=lambda key: (not self.every[key].back, middle[key]))

    def _crossings(self) -> int:
        places = {key: number for row in self.layers for number, key in enumerate(row)}
        by_layer = defaultdict(list)
        for upper, lower in self.pieces:
            by_layer[self.every[upper].layer].append((places[upper], places[lower]))
        return sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0
            for pieces in by_layer.values()
            for number, a in enumerate(pieces)
            for b in pieces[:number]
        )

    def spread(self) -> None:
        """Middles as near to those of their neighbours as the widths allow; long lines straight first."""
        for row in self.layers:
            self._place(row, {key: (float(number) * 100, 1.0) for number, key in enumerate(row)})
        chains = self._chains()
        self.rigid = {pair for chain in chains for pair in pairwise(chain)}
        for sweep in range(_SWEEPS * 3):
            downward = sweep % 2 == 0
            for row in self.layers if downward else reversed(self.layers):
                self._place(row, {key: self._wish(key, downward, sweep) for key in row})
        for _ in range(_SWEEPS):
            for chain in chains:
                self._straighten(chain)
        left = min(box.x - box.width / 2 for box in self.every.values())
        for box in self.every.values():
            box.x -= left

    def _wish(self, key: str, downward: bool, sweep: int) -> tuple[float, float]:
        """Where a box would stand, and how much it cares."""
        box = self.every[key]
        sides = (self.above, self.below) if sweep >= _SWEEPS else (self.above if downward else self.below,)
        near = [self.every[other] for side in sides for other in side[key]]
        if not near:
            return box.x, 0.1
        heavy = [60.0 if {(key, other.key), (other.key, key)} & self.rigid else 4.0 for other in near]
        total = sum(heavy)
        return sum(other.x * weight for other, weight in zip(near, heavy, strict=True)) / total, total

    def _chains(self) -> list[list[str]]:
        """Boxes one under another with one line between each two: they stand in one column if they can."""
        upper_of = {
            lower: uppers[0]
            for lower, uppers in self.above.items()
            if len(uppers) == 1 and len(self.below[uppers[0]]) == 1
        }
        lower_of = {upper: lower for lower, upper in upper_of.items()}
        chains = []
        for head in (key for key in self.every if key not in upper_of):
            chain = [head]
            while chain[-1] in lower_of:
                chain.append(lower_of[chain[-1]])
            chains.append(chain)
        return chains

    def _straighten(self, chain: Sequence[str]) -> None:
        """Move a whole column to the middle of what it hangs on and leads to, as far as there is room."""
        low, high = float("-inf"), float("inf")
        for key in chain:
            row, box = self.layers[self.every[key].layer], self.every[key]
            place = row.index(key)
            if place:
                low = max(low, self.every[row[place - 1]].x + self._room(self.every[row[place - 1]], box))
            if place + 1 < len(row):
                high = min(high, self.every[row[place + 1]].x - self._room(box, self.every[row[place + 1]]))
        ends = [self.every[other].x for other in (*self.above[chain[0]], *self.below[chain[-1]])]
        inside = [self.every[key].x for key in chain]
        wish = sum(ends) / len(ends) if ends else sum(inside) / len(inside)
        if self.every[chain[0]].back and high != float(
            "inf"
        ):  # a line back hangs on nothing: close to what it goes around
            wish = high
        if low <= high + 0.01:
            for key in chain:
                self.every[key].x = min(max(wish, low), high)
        elif len(chain) > 1:
            self._straighten(chain[: len(chain) // 2])
            self._straighten(chain[len(chain) // 2 :])

    def _place(self, row: Sequence[str], wishes: Mapping[str, tuple[float, float]]) -> None:
        """The nearest to all wishes that keeps the order and the room: pooled neighbours stand side by side."""
        offset, before = [], 0.0
        for number, key in enumerate(row):
            if number:
                before += self._room(self.every[row[number - 1]], self.every[key])
            offset.append(before)
        pools: list[list[float]] = []  # sum of weight times place, weight, members
        for number, key in enumerate(row):
            wish, weight = wishes[key]
            pools.append([(wish - offset[number]) * weight, weight, 1])
            while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
                last = pools.pop()
                pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
        places = [pool[0] / pool[1] for pool in pools for _ in range(int(pool[2]))]
        for key, place, after in zip(row, places, offset, strict=True):
            self.every[key].x = place + after

    @staticmethod
    def _room(left: Box, right: Box) -> float:
        """Between the middles of two neighbours."""
        between = BESIDE_A_LINE if left.passing or right.passing else _APART
        return (left.width + right.width) / 2 + between

    def drawn(self) -> Layout:
        """Heights, and the lines with their corners."""
        top = 0.0
        gaps = [self._gap(number) for number in range(-1, len(self.layers))]
        tops = []
        for number, row in enumerate(self.layers):
            top += gaps[number].height
            tops.append(top)
            height = max(self.every[key].height for key in row)
            for key in row:
                self.every[key].y = top + (height - self.every[key].height) / 2
            top += height
        self.out.height = top + gaps[-1].height
        for number, gap in enumerate(gaps):
            floor = tops[number - 1] + max(self.every[key].height for key in self.layers[number - 1]) if number else 0.0
            gap.draw(floor, self.every, self.out.lines)
        self.out.width = max(box.x + box.width / 2 for box in self.every.values())
        return self.out

    def _gap(self, above: int) -> Gap:
        """What runs between layer `above` and the next."""
        pieces = [(upper, lower, up) for (upper, lower), up in self.pieces.items() if self.every[upper].layer == above]
        hooks = []
        for way, head, foot in self.turns:
            if self.every[head].layer == above + 1:
                hooks.append((head, way.target, True))
            if self.every[foot].layer == above:
                hooks.append((way.source, foot, False))
        return Gap(self.every, pieces, hooks)
